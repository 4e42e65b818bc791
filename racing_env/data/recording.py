"""Driving episodes for a data set: the expert with disturbances, or a learner whom it corrects.

Each episode depends on its own seed alone, so that any number of workers gives the same data.
Nothing here imports torch: learners drive by `racing_env.drivers.policy`.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from racing_env.car.dynamics import VX
from racing_env.common.workers import Workers
from racing_env.data.dataset_writer import DatasetWriter, Episode
from racing_env.drivers.expert import DEMONSTRATION_PACE, expert_actions
from racing_env.drivers.policy import Policy
from racing_env.simulation.motion import END_NAMES, ON_TRACK, CarTable
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.starts import draw_start
from racing_env.simulation.task import Task
from racing_env.tracks.bank import CircuitBank

# For the reference car; another's are scaled with its time and its speed.
PUSH_EVERY_S = 4.0  # mean time between disturbances, and how long and strong they are
PUSH_S = 0.4
PUSH_STEERING = 0.1  # standard deviations, as shares of full lock (up to PUSH_SPEED_MPS, less
PUSH_SPEED_MPS = 12.0  # in proportion above it) and of full pedal
PUSH_PEDALS = 0.3


# Driven in one simulator, whose calls cost as much for three cars as for one. The same number
# whatever the workers are: a policy's sums are rounded by the number of rows.
EPISODES_AT_ONCE = 3
WAIT_S = 0.01  # between looks at drives that are waited for


class Stint(NamedTuple):
    """Who drives where, and what is asked of him."""

    circuits: CircuitBank
    names: Sequence[str]  # of the circuits
    task: Task
    policy: Policy | None = None  # None: the expert, whose the labels are in either case


class _WorkerState:
    """What a worker process keeps between episodes; set once when it starts."""

    stint: Stint


_worker = _WorkerState()


def _start_worker(stint: Stint) -> None:
    _worker.stint = stint


def compile_kernels(stint: Stint) -> None:
    """Compile what an episode needs, or load it from the cache: once, for all workers to come.

    Compiling at once they would spoil each other's cache.
    """
    task = stint.task
    moment = task._replace(time_limit_s=2.0 * task.control_step_s)
    record_together(stint._replace(task=moment, policy=None), [np.random.SeedSequence(0)])


def record_episodes(
    stint: Stint, seeds: Sequence[np.random.SeedSequence], workers: Workers
) -> Iterator[tuple[Episode, float]]:
    """Drive an episode for each seed by `workers`; yields (episode, busy seconds) in the seeds'
    order.

    Raises ChildProcessError if a worker process dies.
    """
    for driven in record_beside(stint, seeds, workers, wait=True):
        assert driven is not None  # as it was waited for
        yield driven


def record_beside(
    stint: Stint,
    seeds: Sequence[np.random.SeedSequence],
    workers: Workers,
    wait: bool = False,
) -> Generator[tuple[Episode, float] | None, None, None]:
    """The same beside other work: without waiting, None where the next is not there yet."""
    if not seeds:
        return
    compile_kernels(stint)
    groups = [seeds[i : i + EPISODES_AT_ONCE] for i in range(0, len(seeds), EPISODES_AT_ONCE)]
    with workers.pool(_start_worker, (stint,), at_most=len(groups)) as pool:
        for group in pool.imap(_record, groups, wait):
            if group is None:
                yield None
                continue
            episodes, busy_s = group
            yield from ((episode, busy_s / len(episodes)) for episode in episodes)


class Drives:
    """Episodes from `record_beside` that become a data set while this process does other work.

    busy_s: of the workers, for those that have been taken.
    """

    def __init__(
        self, episodes: Generator[tuple[Episode, float] | None, None, None], writer: DatasetWriter
    ):
        self._episodes, self._writer, self.busy_s = episodes, writer, 0.0

    def take(self, wait: bool = False) -> None:
        """Take what has been driven since, or wait for all that is to be driven; the last one
        completes the data set.
        """
        for driven in self._episodes:
            if driven is not None:
                self._writer.add(driven[0])
                self.busy_s += driven[1]
            elif wait:
                time.sleep(WAIT_S)
            else:
                return
        self._writer.flush()

    def close(self) -> None:
        """End the workers."""
        self._episodes.close()


def _record(seeds: Sequence[np.random.SeedSequence]) -> tuple[list[Episode], float]:
    started = time.process_time()
    episodes = record_together(_worker.stint, seeds)
    return episodes, time.process_time() - started


def record_together(stint: Stint, seeds: Sequence[np.random.SeedSequence]) -> list[Episode]:
    """A drive for each seed, from a start of the task until a lap is done, in one simulator.

    Raises ValueError if the task has no time limit.
    """
    circuits, names, task, policy = stint
    if task.time_limit_s is None:
        raise ValueError("episodes of a data set need a time limit")
    simulator, scales = Simulator(circuits, len(seeds), task), circuits.scales
    steps = int(task.time_limit_s / task.control_step_s)
    pushes = np.empty((len(seeds), steps, 2))
    for car, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        circuit = int(rng.integers(len(names)))
        simulator.place(car, circuit, *draw_start(task.starts, circuits, circuit, rng))
        pushes[car] = _pushes(rng, steps, task.control_step_s / scales.time)
    rows: list[list[tuple[np.ndarray, ...]]] = [[] for _ in seeds]
    facts: list[dict[str, Any]] = [{} for _ in seeds]
    driving = np.arange(len(seeds))  # whose cars are still in the simulator, in its order
    for step in range(steps):
        seen = simulator.observe()
        labels = expert_actions(simulator, np.full(simulator.n, DEMONSTRATION_PACE))
        if policy is None:
            speed_mps = np.maximum(simulator.state[VX], scales.speed)
            push = pushes[driving, step]
            push[:, 0] *= np.minimum(PUSH_SPEED_MPS * scales.speed / speed_mps, 1.0)
            actions = np.clip(labels + push, -1.0, 1.0)
        else:
            actions = policy.act(seen)
        simulator.step(actions)
        cars = simulator.cars
        rewards = cars.rewards.sum(axis=1)
        over = (cars.ended != ON_TRACK) | (cars.laps >= 1) | (step == steps - 1)
        for i, drive in enumerate(driving.tolist()):
            rows[drive].append((seen[i], actions[i], labels[i], rewards[i]))
            if over[i]:
                facts[drive] = _facts(names, cars, i)
        if over.all():
            break
        if over.any():
            simulator, driving = simulator.subset(~over), driving[~over]
    return [episode_of(*told) for told in zip(rows, facts, strict=True)]


def _facts(names: Sequence[str], cars: CarTable, car: int) -> dict[str, Any]:
    """What a data set says about a drive that is over."""
    return {
        "circuit": names[cars.circuit[car]],
        "laps": int(cars.laps[car]),
        "lap_time_s": float(cars.lap_time_s[car]) if cars.laps[car] else None,
        "end": END_NAMES[cars.ended[car]] or ("lap" if cars.laps[car] else "time limit"),
    }


def episode_of(rows: Sequence[tuple[np.ndarray, ...]], facts: dict[str, Any]) -> Episode:
    """A drive as a data set has it.

    rows: for each control step what was seen, what was done, what the label is, and the reward.
    """
    seen, actions, labels, rewards = (
        np.array(values, dtype=np.float32) for values in zip(*rows, strict=True)
    )
    ended = np.zeros(len(rows), dtype=np.bool_)
    ended[-1] = True
    terminated = facts["end"] in END_NAMES
    arrays = {
        "observations": seen,
        "actions": actions,
        "expert_actions": labels,
        "rewards": rewards,
        "terminations": ended & terminated,
        "truncations": ended & (not terminated),
    }
    return Episode(arrays, facts)


def _pushes(rng: np.random.Generator, steps: int, dt_s: float) -> np.ndarray:
    """Disturbances (steps, 2) of the action: short, at random times, constant while they last.

    dt_s: of the reference car.
    """
    pushes = np.zeros((steps, 2))
    length = round(PUSH_S / dt_s)
    for start in np.flatnonzero(rng.random(steps) < dt_s / PUSH_EVERY_S):
        pushes[start : start + length] = rng.standard_normal(2) * (PUSH_STEERING, PUSH_PEDALS)
    return pushes
