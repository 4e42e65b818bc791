"""Driving episodes for a data set: the expert with disturbances, or a learner whom it corrects.

Each episode depends on its own seed alone, so that any number of workers gives the same data.
Nothing here imports torch: learners drive by `racing_env.drivers.policy`.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from racing_env.car.dynamics import VX
from racing_env.common.workers import parallel_map
from racing_env.data.dataset import Episode
from racing_env.drivers.expert import expert_actions
from racing_env.drivers.policy import Policy
from racing_env.simulation.simulator import END_NAMES, ON_TRACK, Simulator
from racing_env.tracks.bank import LINE_SPEED, CircuitBank, save_table, with_mapped_table

# The pace of the demonstrations, as a factor on the speed profile. One for all circuits, so that
# what the clone is shown (the profile) and what it does stay in one relation; slow enough that the
# expert recovers from most of the disturbances below.
DEMONSTRATION_MARGIN = 0.90
EPISODE_LIMIT_S = 200.0
STANDING_START_SHARE = 0.1
START_OFFSET_M = 0.6  # standard deviations of the start beside the line
START_HEADING_RAD = 0.04
PUSH_EVERY_S = 4.0  # mean time between disturbances, and how long and strong they are
PUSH_S = 0.4
PUSH_STEERING = 0.1  # standard deviations, as shares of full lock (up to PUSH_SPEED_MPS, less
PUSH_SPEED_MPS = 12.0  # in proportion above it) and of full pedal
PUSH_PEDALS = 0.3


class EpisodeTask(NamedTuple):
    """What one episode depends on."""

    seed: np.random.SeedSequence
    limit_s: float = EPISODE_LIMIT_S


class _WorkerState:
    """What a worker process keeps between episodes; set once when it starts."""

    simulator: Simulator
    names: Sequence[str]
    policy: Policy | None


_worker = _WorkerState()


def _start_worker(
    table_file: str, bank: CircuitBank, names: Sequence[str], policy: Policy | None
) -> None:
    _worker.simulator = Simulator(with_mapped_table(bank, table_file), 1)
    _worker.names = names
    _worker.policy = policy


def compile_kernels(bank: CircuitBank, names: Sequence[str]) -> None:
    """Compile what an episode needs, or load it from the cache: once, for all workers to come.

    Compiling at once they would spoil each other's cache.
    """
    moment = EpisodeTask(np.random.SeedSequence(0), limit_s=0.1)
    record_episode(Simulator(bank, 1), names, moment, None)


def record_episodes(
    bank: CircuitBank,
    names: Sequence[str],
    tasks: Sequence[EpisodeTask],
    workers: int,
    scratch: str | Path,
    policy: Policy | None = None,
) -> Iterator[tuple[Episode, float]]:
    """Drive all tasks in `workers` processes; yields (episode, busy seconds) in the tasks' order.

    scratch: a folder for the circuits' table, which the workers map rather than copy.
    policy: who drives; None for the expert. The labels are the expert's in either case.
    Raises ChildProcessError if a worker process dies.
    """
    table_file = Path(scratch) / "circuits.npy"
    save_table(bank, table_file)
    arguments = (str(table_file), bank._replace(table=np.empty((0, 0))), names, policy)
    try:
        compile_kernels(with_mapped_table(bank, table_file), names)
        yield from parallel_map(_record_task, tasks, workers, _start_worker, arguments)
    finally:
        table_file.unlink(missing_ok=True)


def _record_task(task: EpisodeTask) -> tuple[Episode, float]:
    started = time.process_time()
    episode = record_episode(_worker.simulator, _worker.names, task, _worker.policy)
    return episode, time.process_time() - started


def record_episode(
    simulator: Simulator, names: Sequence[str], task: EpisodeTask, policy: Policy | None
) -> Episode:
    """One drive of a simulator's single car, from a random place until a lap is done."""
    rng = np.random.default_rng(task.seed)
    circuit = int(rng.integers(len(names)))
    place_at_random(simulator, 0, circuit, rng)
    margins = np.array([DEMONSTRATION_MARGIN])
    steps = int(task.limit_s / simulator.control_step_s)
    rows: dict[str, list[np.ndarray]] = {"observations": [], "actions": [], "expert_actions": []}
    rewards = []
    cars = simulator.cars
    pushes = _pushes(rng, steps, simulator.control_step_s)
    for step in range(steps):
        observation = simulator.observe()
        label = expert_actions(simulator, margins)
        if policy is None:
            push = pushes[step] * (min(PUSH_SPEED_MPS / max(simulator.state[VX, 0], 1.0), 1.0), 1.0)
            action = np.clip(label + push, -1.0, 1.0)
        else:
            action = policy.act(observation)
        simulator.step(action)
        rows["observations"].append(observation[0])
        rows["actions"].append(action[0].astype(np.float32))
        rows["expert_actions"].append(label[0].astype(np.float32))
        rewards.append(cars.rewards[0].sum())
        if cars.ended[0] != ON_TRACK or cars.laps[0] >= 1:
            break
    ended = np.zeros(len(rewards), dtype=np.bool_)
    ended[-1] = True
    terminated = bool(cars.ended[0] != ON_TRACK)
    arrays = {name: np.array(values) for name, values in rows.items()} | {
        "rewards": np.array(rewards, dtype=np.float32),
        "terminations": ended & terminated,
        "truncations": ended & (not terminated),
    }
    facts = {
        "circuit": names[circuit],
        "laps": int(cars.laps[0]),
        "lap_time_s": float(cars.lap_time_s[0]) if cars.laps[0] else None,
        "end": END_NAMES[cars.ended[0]] or ("lap" if cars.laps[0] else "time limit"),
    }
    return Episode(arrays, facts)


def place_at_random(
    simulator: Simulator,
    car: int,
    circuit: int,
    rng: np.random.Generator,
    place_m: float | None = None,
) -> None:
    """Start a car on a circuit near the line, mostly at speed; somewhere, or at place_m."""
    length_m = simulator.circuits.count[circuit] * simulator.circuits.step_m[circuit]
    place_m = (rng.random() * length_m if place_m is None else place_m) % length_m
    station = int(place_m / simulator.circuits.step_m[circuit]) % simulator.circuits.count[circuit]
    row = simulator.circuits.table[simulator.circuits.first[circuit] + station]
    standing = rng.random() < STANDING_START_SHARE
    speed = 0.0 if standing else rng.uniform(0.6, 0.95) * row[LINE_SPEED]
    simulator.place(
        car, circuit, place_m,
        line_offset_m=START_OFFSET_M * rng.standard_normal(),
        heading_rad=START_HEADING_RAD * rng.standard_normal(),
        speed_mps=speed,
    )  # fmt: skip


def _pushes(rng: np.random.Generator, steps: int, dt_s: float) -> np.ndarray:
    """Disturbances (steps, 2) of the action: short, at random times, constant while they last."""
    pushes = np.zeros((steps, 2))
    length = round(PUSH_S / dt_s)
    for start in np.flatnonzero(rng.random(steps) < dt_s / PUSH_EVERY_S):
        pushes[start : start + length] = rng.standard_normal(2) * (PUSH_STEERING, PUSH_PEDALS)
    return pushes
