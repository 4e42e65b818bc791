"""Driving episodes for a data set: the expert with disturbances, or a learner whom it corrects.

Each episode depends on its own seed alone, so that any number of workers gives the same data.
Nothing here imports torch: learners drive by `racing_env.drivers.policy`.
"""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from racing_env.car.dynamics import VX
from racing_env.common.workers import Workers
from racing_env.data.dataset_writer import Episode
from racing_env.drivers.expert import DEMONSTRATION_PACE, expert_actions
from racing_env.drivers.policy import Policy
from racing_env.simulation.motion import END_NAMES, ON_TRACK
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


class _WorkerState:
    """What a worker process keeps between episodes; set once when it starts."""

    simulator: Simulator
    names: Sequence[str]
    policy: Policy | None


_worker = _WorkerState()


def _start_worker(
    bank: CircuitBank, names: Sequence[str], task: Task, policy: Policy | None
) -> None:
    _worker.simulator = Simulator(bank, 1, task)
    _worker.names = names
    _worker.policy = policy


def compile_kernels(bank: CircuitBank, names: Sequence[str], task: Task) -> None:
    """Compile what an episode needs, or load it from the cache: once, for all workers to come.

    Compiling at once they would spoil each other's cache.
    """
    moment = task._replace(time_limit_s=2.0 * task.control_step_s)
    record_episode(Simulator(bank, 1, moment), names, np.random.SeedSequence(0), None)


def record_episodes(
    bank: CircuitBank,
    names: Sequence[str],
    task: Task,
    seeds: Sequence[np.random.SeedSequence],
    workers: Workers,
    policy: Policy | None = None,
) -> Iterator[tuple[Episode, float]]:
    """Drive an episode for each seed by `workers`; yields (episode, busy seconds) in the seeds'
    order.

    policy: who drives; None for the expert. The labels are the expert's in either case.
    Raises ChildProcessError if a worker process dies.
    """
    if not seeds:
        return
    compile_kernels(bank, names, task)
    with workers.pool(_start_worker, (bank, names, task, policy), at_most=len(seeds)) as pool:
        yield from pool.imap(_record_one, seeds)


def _record_one(seed: np.random.SeedSequence) -> tuple[Episode, float]:
    started = time.process_time()
    episode = record_episode(_worker.simulator, _worker.names, seed, _worker.policy)
    return episode, time.process_time() - started


def record_episode(
    simulator: Simulator,
    names: Sequence[str],
    seed: np.random.SeedSequence,
    policy: Policy | None,
) -> Episode:
    """One drive of a simulator's single car, from a start of its task until a lap is done.

    Raises ValueError if the task has no time limit.
    """
    task, scales = simulator.task, simulator.circuits.scales
    if task.time_limit_s is None:
        raise ValueError("episodes of a data set need a time limit")
    rng = np.random.default_rng(seed)
    circuit = int(rng.integers(len(names)))
    simulator.place(0, circuit, *draw_start(task.starts, simulator.circuits, circuit, rng))
    paces = np.array([DEMONSTRATION_PACE])
    steps = int(task.time_limit_s / task.control_step_s)
    rows: dict[str, list[np.ndarray]] = {"observations": [], "actions": [], "expert_actions": []}
    rewards = []
    cars = simulator.cars
    pushes = _pushes(rng, steps, task.control_step_s / scales.time)
    push_speed_mps = PUSH_SPEED_MPS * scales.speed
    for step in range(steps):
        observation = simulator.observe()
        label = expert_actions(simulator, paces)
        if policy is None:
            speed_mps = max(simulator.state[VX, 0], scales.speed)
            push = pushes[step] * (min(push_speed_mps / speed_mps, 1.0), 1.0)
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


def _pushes(rng: np.random.Generator, steps: int, dt_s: float) -> np.ndarray:
    """Disturbances (steps, 2) of the action: short, at random times, constant while they last.

    dt_s: of the reference car.
    """
    pushes = np.zeros((steps, 2))
    length = round(PUSH_S / dt_s)
    for start in np.flatnonzero(rng.random(steps) < dt_s / PUSH_EVERY_S):
        pushes[start : start + length] = rng.standard_normal(2) * (PUSH_STEERING, PUSH_PEDALS)
    return pushes
