"""Rounds of cloning: while a clone learns, the clone that it was before drives, the expert labels.

What is driven in a round joins the data of the next (DAgger: Ross, Gordon, Bagnell, "A reduction of
imitation learning and structured prediction to no-regret online learning", AISTATS 2011). The first
round has nobody who could drive yet, the last nobody who would learn from it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from racing_env.car.conditions import NOMINAL
from racing_env.car.scales import scales_of
from racing_env.common.allocator import return_freed_memory
from racing_env.common.content import refuse_difference
from racing_env.common.errors import InputError
from racing_env.common.workers import Workers
from racing_env.data.dataset import DataSet
from racing_env.data.dataset_writer import DatasetWriter, Origin
from racing_env.data.recording import Drives, Stint, record_beside
from racing_env.drivers.policy import Policy
from racing_env.laps.races import flying_laps_s
from racing_env.learning import cloning
from racing_env.learning.batches import BatchLoader, Demonstrations
from racing_env.learning.checkpoint_file import load_checkpoint, save_checkpoint
from racing_env.learning.network import linear_layers, policy_from_layers, policy_network
from racing_env.simulation.task import Task, demonstration_task
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.circuit import circuits_content
from racing_env.tracks.sources import load_circuits

DAGGER_EPISODES = 24  # a round
DAGGER_LIMIT_S = 150.0  # of an episode, for the reference car
CHECKED_AT_A_TIME = 1024  # examples held out


class Budget(NamedTuple):
    """How much is learnt; with the data and the judges, all that decides the result."""

    seed: int
    epochs: int  # in all, over all rounds
    batch_size: int
    dagger_rounds: int  # that the clone drives in

    @property
    def rounds(self) -> int:
        """Of learning: one before the drives and one after each, all with an epoch at least."""
        return min(self.dagger_rounds + 2, self.epochs) if self.dagger_rounds else 1

    def epochs_of(self, number: int) -> range:
        """Of a round: both are counted from 0."""
        ends = np.linspace(0, self.epochs, self.rounds + 1).round().astype(int).tolist()
        return range(ends[number], ends[number + 1])


class Ground(NamedTuple):
    """Demonstrations, the circuits that they were driven on, and others to judge clones on."""

    data: DataSet
    content: Any  # of the circuits, as `circuits_content` has it
    task: Task  # of the clone's drives
    bank: CircuitBank
    names: Sequence[str]
    judges_content: Any  # of those to judge on
    judge_bank: CircuitBank


def read_ground(data: DataSet, judge_on: Sequence[str], workers: Workers) -> Ground:
    """Prepare the circuits of the data, and those to judge on, with the workers.

    Raises InputError for circuits that cannot be used, or are not what the data was collected on.
    """
    try:
        circuits = load_circuits(data.manifest["tracks"], data.vehicle, workers)
    except InputError as error:
        raise InputError(f"{data.folder}: was collected on circuits of which {error}") from None
    content = circuits_content(circuits)
    task = demonstration_task(data.vehicle, data.layout.name)
    made_with = {"circuits": content, "task": task.record()}
    found = {"circuits": data.manifest["circuits"], "task": data.task_record}
    refuse_difference(data.folder, found, made_with, "collect it again, or restore what it had")
    task = task._replace(time_limit_s=DAGGER_LIMIT_S * scales_of(data.vehicle).time)
    bank, names = pack_circuits(circuits), [circuit.track.name for circuit in circuits]
    del circuits
    return_freed_memory()
    judges = load_circuits(judge_on, data.vehicle, workers)
    return Ground(data, content, task, bank, names, circuits_content(judges), pack_circuits(judges))


class Learner(NamedTuple):
    """What learns, and how it has done: a row of the curve for each round that is finished."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    nobody: Policy  # who has no layers yet
    settings: Mapping[str, Any]  # what the curve depends on
    curve: list[dict[str, float]]

    def clone(self) -> Policy:
        """The driver that the network is now, with copies of its weights."""
        return policy_from_layers(linear_layers(self.network), self.nobody)

    def save(self, checkpoint: Path) -> None:
        """Keep what `learner_of` goes on from. Raises FileError if that cannot be done."""
        save_checkpoint(
            checkpoint,
            {
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "curve": self.curve,
                "settings": self.settings,
            },
        )


def learner_of(ground: Ground, budget: Budget, device: torch.device, checkpoint: Path) -> Learner:
    """A new one, by torch's random numbers; or, where there is a checkpoint, as that has it.

    Raises InputError if the checkpoint is damaged, of another training, or of another version.
    """
    data = ground.data
    network = policy_network(data.layout.size).to(device)
    optimizer = cloning.adam(network)
    record = {"made_by": "train_bc.py"} | {name: str(n) for name, n in budget._asdict().items()}
    settings = budget._asdict() | {
        "rounds": budget.rounds, "kept": cloning.KEPT, "judges": ground.judges_content,
        "demonstrations": data.digest(),
    }  # fmt: skip
    nobody = Policy((), (), data.vehicle, data.layout, record)
    learner = Learner(network, optimizer, nobody, settings, [])
    if not checkpoint.exists():
        return learner
    saved = load_checkpoint(checkpoint, settings, device)
    try:
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
    except (RuntimeError, ValueError):
        raise InputError(
            f"{checkpoint}: is of another version of this program; use another --out"
        ) from None
    return learner._replace(curve=saved["curve"])


class Means(NamedTuple):
    """Who does the work; the result does not depend on it."""

    device: torch.device
    loaders: int  # processes that load batches; with none, the clone drives before it learns
    drivers: Workers


class Round(NamedTuple):
    """What came of one."""

    clone: Policy
    row: dict[str, float]  # of the curve, but for number and time
    fit: cloning.Fit
    workers_busy_s: float  # CPU time of those who drove and who loaded batches


def run_round(
    number: int, ground: Ground, budget: Budget, learner: Learner, out: Path, means: Means,
    resume: bool, on_epoch: Callable[[cloning.Losses], None],
) -> Round:  # fmt: skip
    """Let the clone drive and, beside it, learn; then judge what it has become.

    number: of the round, from 0; out: has a folder of drives for each; resume: whether it may have
    been begun before; on_epoch: is told the losses after each epoch.

    Raises InputError where no episode is left to train on, where losses are not finite, or where a
    folder holds drives of another origin, and ChildProcessError if a worker dies.
    """
    with closing(_drives(number, ground, budget, learner, out, means.drivers, resume)) as drives:
        drives.take(wait=means.loaders == 0)

        def after_epoch(losses: cloning.Losses) -> None:
            on_epoch(losses)
            drives.take()

        lesson = _learn(number, ground, budget, learner, out, means, after_epoch)
        clone = learner.clone()
        laps = _judge(clone, ground.judge_bank)
        drives.take(wait=True)
    row = {
        "examples": lesson.examples,
        "train_loss": lesson.fit.losses.train,
        "validation_loss": lesson.fit.losses.validation,
    }
    return Round(clone, row | laps, lesson.fit, lesson.loading_s + drives.busy_s)


def _folder(out: Path, number: int) -> Path:
    """Of what the clone drives in a round."""
    return out / f"dagger-{number:02d}"


def _drives(
    number: int, ground: Ground, budget: Budget, learner: Learner, out: Path, drivers: Workers,
    resume: bool,
) -> Drives:  # fmt: skip
    """Of the clone as it is now; none where they are done, or where nobody would learn of them."""
    made_with = {"seed": budget.seed, "round": number}
    data = ground.data
    origin = Origin(made_with, data.manifest["tracks"], ground.content, data.vehicle, ground.task)
    writer = DatasetWriter(_folder(out, number), origin, resume)
    some = 0 < number < budget.rounds - 1 and writer.episodes == 0
    seeds = np.random.SeedSequence([budget.seed, number]).spawn(DAGGER_EPISODES * some)
    stint = Stint(ground.bank, ground.names, ground.task, learner.clone())
    return Drives(record_beside(stint, seeds, drivers), writer)


class _Lesson(NamedTuple):
    fit: cloning.Fit
    examples: int  # that there were
    loading_s: float  # CPU time of the workers that load batches


def _learn(
    number: int, ground: Ground, budget: Budget, learner: Learner, out: Path, means: Means,
    on_epoch: Callable[[cloning.Losses], None],
) -> _Lesson:  # fmt: skip
    """Fit the network to the demonstrations and to what was driven in the rounds before."""
    folders = [ground.data.folder, *(_folder(out, i) for i in range(1, number))]
    train, held_out = (Demonstrations(folders, part, budget.seed) for part in (False, True))
    if not train.steps:
        raise InputError(
            f"{ground.data.folder}: no episode is left to train on; collect more episodes"
        )
    seed = budget.seed + number
    loader = BatchLoader(train, budget.batch_size, seed, means.loaders, means.device)
    checks = BatchLoader(held_out, CHECKED_AT_A_TIME, budget.seed, 0, means.device)
    try:
        fit = cloning.fit(
            learner.network, learner.optimizer, loader, checks,
            budget.epochs_of(number), budget.epochs, on_epoch,
        )  # fmt: skip
    except FloatingPointError as error:
        raise InputError(
            f"{ground.data.folder}: {error}; are there NaNs in the data? "
            f"Policies of earlier rounds: {out if learner.curve else 'none'}"
        ) from None
    return _Lesson(fit, len(train), loader.workers_cpu_s)


def _judge(clone: Policy, judges: CircuitBank) -> dict[str, float]:
    """Laps finished on circuits that nobody trained on, and their mean over the profile's."""
    count = len(judges.line_lap_s)
    laps_s = flying_laps_s(judges, [NOMINAL] * count, clone, range(count))
    finished = int(np.isfinite(laps_s).sum())
    ratio = float(np.nanmean(laps_s / judges.line_lap_s)) if finished else math.inf
    return {"finished": finished, "circuits": count, "lap_ratio": ratio}
