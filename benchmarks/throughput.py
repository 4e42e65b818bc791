"""Steps per second: simulator core, drivers, Gymnasium environment, vector environments.

    python -m benchmarks.throughput --json benchmarks/results/throughput.json

Everything is timed in one run on one machine, all cases in turn and that several times, so that the
ratios mean something; CPU time is that of this process and its workers.
"""

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import gymnasium as gym
import numpy as np

from benchmarks.markdown import table
from benchmarks.measuring import DRIVER, ROOT, in_turn, spread, write_results
from benchmarks.scaling import counts
from racing_env import DEFAULT_VEHICLE
from racing_env.car.conditions import NOMINAL, ROAD, Range, draw_conditions, ranges_for
from racing_env.car.scales import scales_of
from racing_env.car.vehicle_files import read_vehicle, shipped_names
from racing_env.common import command_line as cli
from racing_env.common.workers import LocalPool, descendants_cpu_s, worker_context
from racing_env.drivers.expert import DEMONSTRATION_PACE, expert_actions
from racing_env.drivers.policy import load_policy
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import make_vec_env
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.sources import load_circuits

BATCHES = (1, 64, 256, 1024)
PROCESSES = (1, 2, 4, 8)
EPISODE_STEPS = 400
ALL_CARS = 1024  # of the batched vector environment
ADAPTING = ROOT / "policies" / "racecar.safetensors"


def timed(
    step: Callable[[], object],
    steps_per_call: int,
    seconds: float,
    before: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Car-steps per second of wall time and of CPU time, workers' included, after a warm-up.

    before: what has to be done before each step, and does not count.
    """
    for _ in range(20):
        before()
        step()
    calls, wall_s, cpu_s, workers_s = 0, 0.0, 0.0, descendants_cpu_s()
    while wall_s < seconds:
        before()
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        cpu_s += time.process_time() - cpu
        wall_s += time.perf_counter() - wall
        calls += 1
    steps = calls * steps_per_call
    return {
        "per_wall_s": steps / wall_s,
        "per_cpu_s": steps / (cpu_s + descendants_cpu_s() - workers_s),
    }


def simulator(bank: CircuitBank, cars: int, seconds: float, road: bool = False) -> dict[str, float]:
    """The batched core with observations, rewards, ends and new starts.

    The shipped driver's actions, for other cars than his the expert's, recorded before, so that the
    cars are where cars are driven. road: each start draws conditions, all but the sensors' noise,
    and the driver is one who adapts.
    """
    ranges = ranges_for(ROAD._replace(noise=Range(0.0, 0.0)), bank.vehicle)
    rng = np.random.default_rng(0)
    batch = Simulator(bank, cars, training_task(bank.vehicle))
    driver = load_policy(ADAPTING if road else DRIVER)
    seen, scales = batch.observe(), scales_of(bank.vehicle)
    paces = np.full(cars, DEMONSTRATION_PACE)
    actions: list[np.ndarray] = []
    count = 0

    def place(some: Iterable[int]) -> None:
        for car in some:
            batch.place(
                car,
                car % len(bank.count),
                40.0 * scales.length * car,
                speed_mps=20.0 * scales.speed,
                conditions=draw_conditions(ranges, rng) if road else NOMINAL,
            )

    def step() -> None:
        nonlocal count, rng
        if count % EPISODE_STEPS == 0:
            rng = np.random.default_rng(0)  # the actions are those under these conditions
            place(range(cars))
            batch.observe(out=seen)
        if count < EPISODE_STEPS:
            own = bank.vehicle == driver.vehicle
            acted = driver.act(seen, batch.memory) if own else expert_actions(batch, paces)
            actions.append(acted)
        batch.step(actions[count % EPISODE_STEPS], out=seen)
        place(map(int, np.flatnonzero(batch.cars.ended)))
        count += 1

    for _ in range(EPISODE_STEPS):
        step()
    return timed(step, cars, seconds)


def action(policy: Path, seconds: float) -> dict[str, float]:
    """What one car's driver makes of what he sees, with numpy."""
    driver = load_policy(policy)
    memory = driver.new_memory(1)
    seen = np.zeros((1, driver.layout.size), dtype=np.float32)
    return timed(lambda: driver.act(seen, memory), 1, seconds)


def _simulator(job: tuple[CircuitBank, int, float]) -> dict[str, float]:
    return simulator(*job)


def side_by_side(bank: CircuitBank, cars: int, processes: int, seconds: float) -> dict[str, float]:
    """The batched core in so many processes at once, each with cars of its own: do cores add up?"""
    worker_context(__name__)
    with LocalPool(processes) as pool:
        runs = list(pool.imap(_simulator, [(bank, cars, seconds)] * processes))
    return {
        "per_wall_s": sum(run["per_wall_s"] for run in runs),
        "per_cpu_s": mean(run["per_cpu_s"] for run in runs),
    }


def environment(seconds: float) -> dict[str, float]:
    """One car through Gymnasium's `step`, resets included."""
    env = gym.make("racing_env/Race-v0", track="club").unwrapped
    env.reset(seed=0)
    action = np.array([0.0, 0.2], dtype=np.float32)

    def step() -> None:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()

    return timed(step, 1, seconds)


def vector(
    bank: CircuitBank, kind: str, processes: int, cars: int, seconds: float
) -> dict[str, float]:
    """A vector environment of stable-baselines3; the shipped driver acts, outside the clock."""
    driver = load_policy(DRIVER)
    with tempfile.TemporaryDirectory() as folder:
        env = make_vec_env(
            kind, bank, processes, cars, TrainingSettings(training_task(bank.vehicle)), folder
        )
        seen: Any = env.reset()
        actions = np.empty(0)

        def act() -> None:
            nonlocal actions
            actions = driver.act(seen)

        def step() -> None:
            nonlocal seen
            seen = env.step(actions)[0]

        result = timed(step, env.num_envs, seconds, before=act)
        env.close()
    return result


def circuits_of(vehicle: str) -> CircuitBank:
    """Circuits such as the car's class races on, on which its simulator is timed."""
    return pack_circuits(load_circuits(["random:1:20"], read_vehicle(vehicle)))


def cases(
    banks: dict[str, CircuitBank], seconds: float
) -> dict[str, Callable[[], dict[str, float]]]:
    """What is timed, by name; banks: circuits of each car."""
    bank = banks[DEFAULT_VEHICLE]
    measures: dict[str, Any] = {
        f"simulator, cars: {cars}": functools.partial(simulator, bank, cars, seconds)
        for cars in BATCHES
    }
    for vehicle in sorted(banks.keys() - {DEFAULT_VEHICLE}):
        run = functools.partial(simulator, banks[vehicle], 256, seconds)
        measures[f"simulator, cars: 256, {vehicle}"] = run
    measures["simulator, cars: 256, under conditions"] = functools.partial(
        simulator, bank, 256, seconds, road=True
    )
    for driver in (DRIVER, ADAPTING):
        measures[f"actions of {driver.stem}"] = functools.partial(action, driver, seconds)
    for count in counts(cli.available_cores()):
        run = functools.partial(side_by_side, bank, 256, count, seconds)
        measures[f"simulator, 256 cars in each of {count} processes"] = run
    measures["Gymnasium environment"] = functools.partial(environment, seconds)
    for kind, unit in (("dummy", "environments"), ("subproc", "processes")):
        for count in PROCESSES:
            run = functools.partial(vector, bank, kind, count, 1, seconds)
            measures[f"{kind}, {unit}: {count}"] = run
    for count in PROCESSES:
        run = functools.partial(vector, bank, "batch", count, ALL_CARS, seconds)
        measures[f"batch of {ALL_CARS} cars, processes: {count} and the learner"] = run
    return measures


def steps_table(results: dict[str, dict[str, Any]]) -> str:
    rows = [
        [name, f"{case['per_wall_s']:,.0f}", f"{case['per_cpu_s']:,.0f}", spread(case, "per_cpu_s")]
        for name, case in results.items()
    ]
    return table(["car-steps", "per second", "per CPU-second", "spread"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--seconds", type=cli.positive_float, default=2.0, help="a case and turn (2)")
    flag("--repeats", type=cli.positive_int, default=3, help="turns (3)")
    flag("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    banks = {vehicle: circuits_of(vehicle) for vehicle in shipped_names()}
    results = in_turn(cases(banks, args.seconds), args.repeats)
    print(steps_table(results))
    write_results(args.json, {"cases": results})


if __name__ == "__main__":
    cli.run(main)
