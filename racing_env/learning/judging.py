"""Judging the driver that a model has become: by laps on circuits that nobody trains on."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from racing_env.car.conditions import (
    NOMINAL,
    NOMINAL_RANGES,
    ROAD,
    Conditions,
    draw_conditions,
    ranges_for,
)
from racing_env.common.errors import InputError
from racing_env.common.files import write_csv
from racing_env.drivers.policy import Policy, save_policy
from racing_env.laps.circuit_conditions import conditions_on
from racing_env.laps.evaluation import demonstrated_laps
from racing_env.laps.races import Race
from racing_env.simulation.task import Task
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.circuit import Circuit

# What a lap that is not finished counts as, over the profile's: a driver may be slower by 0.3 % if
# that brings home one more lap of 160, as a safe driver is preferred to a fast one, but not at any
# price.
LOST_LAP_RATIO = 1.5
PRACTICE_NOISE = 0.2  # of the noisiest drive
WAIT_S = 0.01  # between looks at a race that is waited for
JUDGES = 3  # names the streams of the conditions that drivers are judged under


def rank(row: Mapping[str, Any]) -> float:
    """Orders the rows of a learning curve, the best last: minus the mean lap over the profile's."""
    lost = row["circuits"] - row["finished"]
    driven = row["finished"] * min(row["lap_ratio"], LOST_LAP_RATIO) if row["finished"] else 0.0
    return -(driven + lost * LOST_LAP_RATIO) / max(row["circuits"], 1)


def judged_under(circuits: int, task: Task) -> list[Conditions]:
    """The conditions of each judging circuit: nominal, but for every second one where the task has
    others, which is under some of those of `ROAD`.
    """
    if task.conditions == NOMINAL_RANGES:
        return [NOMINAL] * circuits
    road = ranges_for(ROAD, task.vehicle)
    return [
        draw_conditions(road, np.random.default_rng([JUDGES, i])) if i % 2 else NOMINAL
        for i in range(circuits)
    ]


def judged_with_noise(drives: int) -> list[Conditions]:
    """For several drives on one circuit: nominal, but for sensors that are a little worse in each.

    A lap that only exact sensors bring home is none to rely on.
    """
    return [NOMINAL._replace(noise=PRACTICE_NOISE * i / max(drives - 1, 1)) for i in range(drives)]


class HeldBack(NamedTuple):
    """Drives to judge drivers by, and laps (s) of others there, each of shape (drives,)."""

    bank: CircuitBank  # a circuit for each drive
    conditions: Sequence[Conditions]  # of each drive
    profile_s: np.ndarray  # of the speed profile, in its conditions
    teacher_s: np.ndarray  # of the expert, who drives nominal laps; nan elsewhere, or without one


def hold_back(circuits: Sequence[Circuit], conditions: Sequence[Conditions]) -> HeldBack:
    """Drives to judge by: one for each of the circuits, which may be there several times, under so
    many conditions. The expert drives each circuit now. Raises ValueError if the numbers differ.
    """
    demonstrated_s = demonstrated_laps([*{c.track.name: c for c in circuits}.values()])
    teacher_s = np.array([demonstrated_s.get(c.track.name, np.nan) for c in circuits])
    teacher_s[[own != NOMINAL for own in conditions]] = np.nan  # he drove nominal laps
    profile_s = conditions_on(circuits, conditions).profile_lap_s
    return HeldBack(pack_circuits(circuits), conditions, profile_s, teacher_s)


def mean_ratio(laps_s: np.ndarray, reference_s: np.ndarray) -> float | None:
    """Mean of the laps (circuits,) over others, of those circuits where both are finished."""
    both = np.isfinite(laps_s) & np.isfinite(reference_s)
    return float((laps_s[both] / reference_s[both]).mean()) if both.any() else None


def is_finite(model: BaseAlgorithm) -> bool:
    """Whether all weights that are learnt, the critics' too, are finite numbers."""
    names, _ = model._get_torch_save_params()
    optimizers = [attrgetter(name)(model) for name in names if name.endswith("optimizer")]
    groups = chain.from_iterable(optimizer.param_groups for optimizer in optimizers)
    sums = [parameter.detach().sum() for group in groups for parameter in group["params"]]
    return bool(torch.isfinite(sum(sums)))


class MovingAverage:
    """Exponential moving average of a driver's weights: steadier than any single iterate."""

    def __init__(self, policy: Policy, decay: float):
        self.policy, self.decay = policy, decay
        self.arrays = _arrays(policy)

    def update(self, policy: Policy) -> None:
        for mean, value in zip(self.arrays, _arrays(policy), strict=True):
            mean += (1.0 - self.decay) * (value - mean)
        self.policy = replace(self.policy)  # whose numbers follow from the arrays


def _arrays(policy: Policy) -> list[np.ndarray]:
    return [*policy.weights, *policy.biases, *chain.from_iterable(policy.evidence)]


def _with_arrays(policy: Policy, arrays: Iterable[np.ndarray]) -> Policy:
    """One like this policy, of arrays such as `_arrays` gives."""
    left = iter(arrays)
    return replace(
        policy,
        weights=tuple(islice(left, len(policy.weights))),
        biases=tuple(islice(left, len(policy.biases))),
        evidence=tuple(zip(left, left, strict=True)),
    )


class Racer(NamedTuple):
    """A driver who is being judged."""

    timesteps: int  # after which the model was so
    arrays: list[np.ndarray]  # his own, as `_arrays` has them
    race: Iterator[np.ndarray | None]
    laps_s: list[np.ndarray]  # those that he has driven


class JudgeDrivers(BaseCallback):
    """Let the averaged driver race on circuits that nobody trains on; keep the best one.

    Before the first update, then every `every` transitions and at the end: he races while the model
    learns on, and is noted when he has all his laps, at the latest when the next one is to race.
    Writes OUT/curve.csv, OUT/policy.safetensors (the best by `rank`) and TensorBoard scalars.
    Raises InputError if the network has weights that are not finite.

    race: on the circuits that are held back, under their conditions; driver_of: the driver of the
    model, as an algorithm has it; bar: of progress, which says how he compares with the teacher.
    """

    def __init__(
        self,
        race: Race,
        held_back: HeldBack,
        out: Path,
        every: int,
        average: MovingAverage,
        driver_of: Callable[[BaseAlgorithm, Policy], Policy],
        bar: Any,
    ):
        super().__init__()
        self.held_back = held_back
        self.race, self.out, self.every = race, out, every
        self.average, self.driver_of, self.bar = average, driver_of, bar
        self.curve: list[dict[str, Any]] = []
        self.earlier_s = 0.0  # wall time of the runs that this one resumes
        self.started = time.perf_counter()
        self.averaged = True  # the model as it is has entered the average
        self.racer: Racer | None = None

    @property
    def wall_s(self) -> float:
        return self.earlier_s + time.perf_counter() - self.started

    def _on_rollout_start(self) -> None:
        self._update_average()
        self._look()
        if self.num_timesteps >= (len(self.curve) + (self.racer is not None)) * self.every:
            self._look(wait=True)
            self.begin(self.num_timesteps, self.average.arrays)
            self._look()

    def _on_rollout_end(self) -> None:
        self.averaged = False  # an update of the model comes next

    def _on_step(self) -> bool:
        # the last rollout goes beyond the end, of which a bar would make "0 % of ?"
        done = min(self.num_timesteps, self.bar.total or self.num_timesteps)
        self.bar.update(done - self.bar.n)
        return True

    def _on_training_end(self) -> None:
        self._update_average()
        self._look(wait=True)
        if not self.curve or self.curve[-1]["timesteps"] < self.num_timesteps:
            self.begin(self.num_timesteps, self.average.arrays)
            self._look(wait=True)

    def check_finite(self) -> None:
        if not is_finite(self.model):
            raise InputError(
                f"{self.out}: weights are not finite after {self.num_timesteps} transitions; the "
                "best driver until then is kept; try another --seed and --out"
            )

    def _update_average(self) -> None:
        self.check_finite()
        if not self.averaged:
            self.average.update(self.driver_of(self.model, self.average.policy))
            self.averaged = True

    def begin(self, timesteps: int, arrays: Iterable[np.ndarray]) -> None:
        """Let a driver race whom the model had become after so many transitions."""
        own = [array.copy() for array in arrays]
        race = self.race(_with_arrays(self.average.policy, own))
        self.racer = Racer(timesteps, own, race, [])
        if not self.curve:
            self.bar.unpause()  # the time that starting took says nothing about the time left

    def _look(self, wait: bool = False) -> None:
        """Note the driver who races once he has all his laps, if need be after waiting for them."""
        if self.racer is None:
            return
        timesteps, arrays, race, driven = self.racer
        for laps_s in race:
            if laps_s is not None:
                driven.append(laps_s)
            elif wait:
                time.sleep(WAIT_S)
            else:
                return
        self.racer = None
        self._note(timesteps, _with_arrays(self.average.policy, arrays), np.concatenate(driven))

    def _note(self, timesteps: int, driver: Policy, laps_s: np.ndarray) -> None:
        finished = np.isfinite(laps_s)
        row = {
            "wall_s": round(self.wall_s, 1),
            "timesteps": timesteps,
            "finished": int(finished.sum()),
            "circuits": len(laps_s),
            "lap_ratio": mean_ratio(laps_s, self.held_back.profile_s),
        }
        if not self.curve or rank(row) > max(map(rank, self.curve)):
            save_policy(driver, self.out / "policy.safetensors")
        self.curve.append(row)
        write_csv(self.out / "curve.csv", self.curve)
        self.logger.record("judge/finished", row["finished"])
        standing = f"{row['finished']}/{row['circuits']} laps"
        if row["lap_ratio"] is not None:
            self.logger.record("judge/lap_ratio", row["lap_ratio"])
        to_teacher = mean_ratio(laps_s, self.held_back.teacher_s)
        if to_teacher is not None:
            self.logger.record("judge/lap_ratio_to_teacher", to_teacher)
            standing += f", {to_teacher:.3f} x teacher"
        self.bar.set_postfix_str(standing)
