"""What of each stage one process does alone, and the speed-up that follows for more cores.

    python -m benchmarks.shares --json benchmarks/results/shares.json

CPU time tells what wall time cannot on a machine with few cores. Of reinforcement learning's
default algorithm: what a rollout costs the learner, for its own groups of cars and besides, with 1,
2, 4, 8 and 16 processes, itself included, whatever the number of cores. A rollout then takes what
the learner takes, as all processes have as many groups. Of demonstrations: what an episode costs
the process that writes it, and the worker that drives it; the slower of writing and driving counts.
Of cloning, driving included: what the learner does, and what the workers do beside it; the slower
counts. From these follow the predicted columns: the time of one process, over that of N, on N cores
of this kind. The write-up's claims stand beside them.
"""

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import numpy as np
import torch
from stable_baselines3.common.logger import configure

from benchmarks.markdown import table
from benchmarks.measuring import DRIVER, in_turn, run_command, script, write_results
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.common.files import read_json
from racing_env.common.workers import LocalWorkers
from racing_env.data.dataset_writer import DatasetWriter, Origin
from racing_env.data.recording import Stint, record_episodes
from racing_env.drivers.policy import load_policy
from racing_env.learning import car_worker
from racing_env.learning.algorithms import apg
from racing_env.learning.vector_env import make_vec_env
from racing_env.simulation.task import demonstration_task, training_task
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.circuit import circuits_content
from racing_env.tracks.sources import load_circuits

PROCESSES = (1, 2, 4, 8, 16)
CORES = (2, 4, 8, 16, 64)
TRACK = "random:1:20"
CLAIMED = {"demonstrations": {4: 3.3, 8: 5.0}, "bc": {4: 2.5}, "rl": {4: 3.0, 8: 4.0}}
NAMES = {"demonstrations": "demonstrations", "bc": "cloning", "rl": "reinforcement learning"}


class OwnDriving:
    """CPU time (s) that this process spends on rollouts of its own cars, within the block."""

    def __enter__(self) -> "OwnDriving":
        self.cpu_s, self._plain = 0.0, car_worker.execute
        car_worker.execute = self._timed
        return self

    def __exit__(self, *_: object) -> None:
        car_worker.execute = self._plain

    def _timed(self, groups: Any, command: bytes) -> None:
        started = time.process_time()
        self._plain(groups, command)
        if command == car_worker.ROLLOUT:
            self.cpu_s += time.process_time() - started


def rollouts(bank: CircuitBank, processes: int, count: int) -> dict[str, float]:
    """CPU and wall time (ms) of the learner for a rollout and its update."""
    numbers = apg.NUMBERS
    settings = apg.training_settings(training_task(bank.vehicle), 0)
    with tempfile.TemporaryDirectory() as folder, closing(
        make_vec_env("batch", bank, processes - 1, numbers.cars, settings, folder)
    ) as env:  # fmt: skip
        model = apg.make_model(env, 10**9, 0, torch.device("cpu"))
        apg.start_from(model, load_policy(DRIVER))
        model.set_logger(configure(folder, ["tensorboard"]))
        transitions = numbers.rollout_steps * numbers.cars
        model.learn(3 * transitions)
        wall, cpu = time.perf_counter(), time.process_time()
        with OwnDriving() as own:
            model.learn(count * transitions, reset_num_timesteps=False)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "driving_ms": 1e3 * own.cpu_s / count,
        "besides_ms": 1e3 * (cpu - own.cpu_s) / count,
        "wall_ms": 1e3 * wall / count,
    }


def demonstrations(bank: CircuitBank, origin: Origin, episodes: int) -> dict[str, float]:
    """CPU time (ms) of an episode: of the process that writes it, and of the worker."""
    stint = Stint(bank, [str(i) for i in range(len(bank.count))], origin.task)
    seeds = np.random.SeedSequence(0).spawn(episodes)
    busy_s, cpu = 0.0, time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        writer = DatasetWriter(folder, origin, resume=False)
        for episode, episode_s in record_episodes(stint, seeds, LocalWorkers(1)):
            writer.add(episode)
            busy_s += episode_s
        writer.flush()
    cpu = time.process_time() - cpu
    return {"writing_ms": 1e3 * cpu / episodes, "driving_ms": 1e3 * busy_s / episodes}


def cloning(data: str, epochs: int) -> dict[str, float]:
    """CPU time (s) of cloning with DAgger's driving: of the learner, and of the workers."""
    with tempfile.TemporaryDirectory() as out:
        run_command(
            script("train_bc.py", data=data, epochs=epochs, judge_on="random:500:20", device="cpu",
                   workers=1, out=out)
        )  # fmt: skip
        said = read_json(Path(out) / "summary.json")
    workers_s = said["workers_busy_s"]
    return {"learner_s": said["busy_s"] - workers_s, "workers_s": workers_s}


def predicted(results: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Speed-up over one core by stage and cores."""
    speed_ups: dict[str, dict[int, float]] = {}
    if case := results.get("demonstrations"):
        writing, driving = case["writing_ms"], case["driving_ms"]
        both = writing + driving
        speed_ups["demonstrations"] = {n: both / max(writing, both / n) for n in CORES}
    if case := results.get("bc"):
        learner, workers = case["learner_s"], case["workers_s"]
        both = learner + workers
        speed_ups["bc"] = {n: both / max(learner, both / n) for n in CORES}
    if cases := results.get("rl"):
        learner_ms = {int(n): case["driving_ms"] + case["besides_ms"] for n, case in cases.items()}
        most = max(learner_ms)  # more processes than groups of cars would have nothing to do
        speed_ups["rl"] = {n: learner_ms[1] / learner_ms[min(n, most)] for n in CORES}
    return speed_ups


def tables(results: Mapping[str, Any]) -> str:
    """What was measured, and what follows, as text and as Markdown."""
    parts = []
    if cases := results.get("rl"):
        alone_ms = next(iter(cases.values()))["wall_ms"]
        rows = [
            [n, f"{case['driving_ms']:.1f}", f"{case['besides_ms']:.1f}",
             f"{case['besides_ms'] / (case['driving_ms'] + case['besides_ms']):.0%}",
             f"{alone_ms / case['wall_ms']:.2f}" if int(n) <= results["cores"] else "-"]
            for n, case in cases.items()
        ]  # fmt: skip
        columns = ["processes", "own cars, ms of CPU", "besides, ms of CPU", "share",
                   "measured speed-up"]  # fmt: skip
        parts.append(f"a rollout of {apg.NUMBERS.cars} cars, to the learner:\n\n"
                     f"{table(columns, rows)}")  # fmt: skip
    if case := results.get("demonstrations"):
        parts.append(
            f"an episode: {case['writing_ms']:.1f} ms of CPU to the process that writes it, "
            f"{case['driving_ms']:.0f} ms to the worker that drives it"
        )
    if case := results.get("bc"):
        parts.append(
            f"cloning: {case['learner_s']:.1f} s of CPU to the learner, {case['workers_s']:.1f} s "
            "to workers"
        )
    rows = []
    for stage, by_cores in predicted(results).items():
        claims = [f"{ratio:g} at {cores}" for cores, ratio in CLAIMED[stage].items()]
        rows.append([NAMES[stage], *(f"{by_cores[n]:.1f}" for n in CORES), ", ".join(claims)])
    columns = ["predicted speed-up", *(f"{n} cores" for n in CORES), "the write-up's claim"]
    return "\n\n".join([*parts, table(columns, rows)])


def measure(args: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(1)
    vehicle = read_vehicle(DEFAULT_VEHICLE)
    circuits = load_circuits([TRACK], vehicle)
    bank = pack_circuits(circuits)
    task = demonstration_task(vehicle)
    origin = Origin({"seed": 0}, [TRACK], circuits_content(circuits), vehicle, task)
    results: dict[str, Any] = {"cores": cli.available_cores()}
    if "rl" in args.only:
        cases: dict[Any, Callable[[], dict[str, float]]] = {
            n: functools.partial(rollouts, bank, n, args.rollouts) for n in PROCESSES
        }
        results["rl"] = in_turn(cases, args.repeats)
    if "demonstrations" in args.only:
        case = functools.partial(demonstrations, bank, origin, args.episodes)
        results["demonstrations"] = in_turn({"": case}, args.repeats)[""]
    if "bc" in args.only:
        with tempfile.TemporaryDirectory() as data:
            run_command(
                script("collect_demonstrations.py", episodes=args.episodes, track=TRACK, out=data)
            )
            case = functools.partial(cloning, data, args.epochs)
            results["bc"] = in_turn({"": case}, args.repeats)[""]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--only", nargs="+", choices=list(NAMES), default=list(NAMES), help="stages (all)")
    flag("--rollouts", type=cli.positive_int, default=40, help="a turn (40)")
    flag("--episodes", type=cli.positive_int, default=60, help="a turn (60)")
    flag("--epochs", type=cli.positive_int, default=21, help="of cloning, a turn (21)")
    flag("--repeats", type=cli.positive_int, default=3, help="turns (3)")
    flag("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    results = measure(args)
    print(tables(results))
    write_results(args.json, results)


if __name__ == "__main__":
    cli.run(main)
