"""Batches of cars in worker processes, as a vector environment of stable-baselines3.

Each process steps a batch of cars with one call of the simulator, or lets its groups of them drive
whole rollouts; all that is handed over lies in shared memory, and only a byte a step, or a rollout,
goes through a pipe. The learner, who would otherwise wait for the others, has cars too.
"""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from racing_env.common.workers import starting_processes, worker_context
from racing_env.learning import car_worker
from racing_env.learning.car_vec_env import (
    CarVecEnv,
    DummyCarVecEnv,
    SubprocCarVecEnv,
    death_of,
)
from racing_env.learning.rollouts import RolloutCars, group_slices, new_cars
from racing_env.learning.shared_block import Block, episode_info, new_block
from racing_env.learning.training_cars import TrainingSettings, stream_seed
from racing_env.learning.training_env import TrainingEnv
from racing_env.tracks.bank import CircuitBank, save_table, with_mapped_table


def _compile(circuits: CircuitBank, settings: TrainingSettings) -> None:
    """Compile once, for all workers: compiling at once they would spoil each other's cache."""
    if settings.rollouts:
        settings = settings._replace(rollouts=settings.rollouts._replace(steps=1))
    size = settings.task.observation_layout().size
    cars = new_cars(circuits, new_block(1, size, 1, settings.parameters), 0, settings)
    cars.reset()
    if isinstance(cars, RolloutCars):
        cars.rollout()
    else:
        cars.step()


def most_processes(cars: int, settings: TrainingSettings) -> int:
    """To how many processes, the learner's among them, so many cars give work."""
    return len(group_slices(cars)) if settings.rollouts else cars


def shared_out(cars: int, processes: int, settings: TrainingSettings) -> list[car_worker.Share]:
    """The cars' shares of so many processes, by groups where they drive rollouts.

    Raises ValueError if there is no work for each process.
    """
    if processes > most_processes(cars, settings):
        raise ValueError(f"{cars} cars are too few for {processes} processes")
    if settings.rollouts:
        groups = group_slices(cars)
        firsts = [len(groups) * i // processes for i in range(processes + 1)]
        return [car_worker.Share(groups[a:b]) for a, b in pairwise(firsts)]
    firsts = [cars * i // processes for i in range(processes + 1)]
    return [car_worker.Share([slice(a, b)]) for a, b in pairwise(firsts)]


class BatchVecEnv(CarVecEnv):
    """`cars` cars, shared out to `processes` workers and this process; environment i is car i.

    scratch: a folder for the circuits' table, which the workers map rather than copy. Raises
    ValueError if there is no work for each process, ChildProcessError naming a worker that died.
    """

    render_mode = None

    def __init__(
        self,
        circuits: CircuitBank,
        processes: int,
        cars: int,
        settings: TrainingSettings,
        scratch: str | Path,
    ):
        self._shares = shared_out(cars, processes + 1, settings)  # the last one is the learner's
        layout = settings.task.observation_layout()
        low, high = layout.bounds()
        super().__init__(
            cars,
            gym.spaces.Box(low, high, dtype=np.float32),
            gym.spaces.Box(-1.0, 1.0, (2,), np.float32),
        )
        self.settings = settings
        self._table_file = Path(scratch) / "training-circuits.npy"
        self._memories: list[SharedMemory] = []
        self._blocks: list[Block] = []
        self._pipes: list[Connection] = []
        self._workers: list[Any] = []
        self._ranges = [share.cars for share in self._shares]
        self._no_info: dict[str, Any] = {}
        self._saved = False  # the blocks have the snapshots of the cars as they are
        try:
            self._start_workers(circuits)
            self._start_own(circuits)
        except BaseException:  # Ctrl-C too
            self.close()
            raise

    def _start_workers(self, circuits: CircuitBank) -> None:
        save_table(circuits, self._table_file)
        _compile(with_mapped_table(circuits, self._table_file), self.settings)
        circuits = circuits._replace(table=np.empty((0, 0)))
        table_file = str(self._table_file)
        context = worker_context("racing_env.learning.car_worker")
        for i, share in enumerate(self._shares[:-1]):
            memory = SharedMemory(create=True, size=share.nbytes(self.settings))
            self._memories.append(memory)
            ours, theirs = context.Pipe()
            worker = context.Process(
                target=car_worker.serve,
                args=(theirs, memory.name, share, table_file, circuits, self.settings),
                name=f"cars-{i}",
                daemon=True,
            )
            with starting_processes():
                worker.start()
            theirs.close()
            self._blocks.append(share.block(memory.buf, self.settings))
            self._pipes.append(ours)
            self._workers.append(worker)

    def _start_own(self, circuits: CircuitBank) -> None:
        share = self._shares[-1]
        block = share.block(bytearray(share.nbytes(self.settings)), self.settings)
        self._blocks.append(block)
        mapped = with_mapped_table(circuits, self._table_file)
        self._own_groups = share.training_cars(mapped, block, self.settings)

    def reset(self) -> np.ndarray:
        """Start an episode of every car; after `seed`, the first ones of these seeds."""
        for block, cars in zip(self._blocks, self._ranges, strict=True):
            for row, car in enumerate(range(cars.start, cars.stop)):
                seed = self._seeds[car]
                if seed is not None:
                    block.seeded[row], block.seeds[row] = True, stream_seed(seed, car)
        self._reset_seeds()
        self._execute(car_worker.RESET)
        return self._gathered("observations")

    def step_async(self, actions: np.ndarray) -> None:
        for block, cars in zip(self._blocks, self._ranges, strict=True):
            block.actions[:] = actions[cars]
        self._send(car_worker.STEP)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        car_worker.execute(self._own_groups, car_worker.STEP)
        self._wait()
        truncations = self._gathered("truncations")
        dones = self._gathered("terminations") | truncations
        infos = [self._no_info] * self.num_envs
        for block, cars in zip(self._blocks, self._ranges, strict=True):
            for row in np.flatnonzero(dones[cars]).tolist():
                infos[cars.start + row] = {
                    "terminal_observation": block.last_observations[row].copy(),
                    "TimeLimit.truncated": bool(block.truncations[row]),
                    "episode": episode_info(block.returns[row], block.lengths[row]),
                }
        return self._gathered("observations"), self._gathered("rewards"), dones, infos

    def _rollouts(self, parameters: np.ndarray, number: int) -> Sequence[Block]:
        for block in self._blocks:
            block.parameters[:], block.number[0] = parameters, number
        self._execute(car_worker.ROLLOUT)
        return self._blocks

    @property
    def observations(self) -> np.ndarray:
        return self._gathered("observations")

    def snapshots(self) -> np.ndarray:
        if not self._saved:
            self._execute(car_worker.SAVE)
        return self._gathered("snapshots")

    def restore(self, snapshots: np.ndarray) -> None:
        for block, cars in zip(self._blocks, self._ranges, strict=True):
            block.snapshots[:] = snapshots[cars]
        self._execute(car_worker.LOAD)

    def close(self) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send_bytes(car_worker.CLOSE)
        for worker in self._workers:
            worker.join(timeout=5.0)
            if worker.is_alive():
                worker.terminate()
                worker.join()
        self._blocks = []
        for memory in self._memories:
            memory.close()
            memory.unlink()
        self._memories, self._pipes, self._workers = [], [], []
        self._table_file.unlink(missing_ok=True)

    def _execute(self, command: bytes) -> None:
        self._send(command)
        car_worker.execute(self._own_groups, command)
        self._wait()

    def _send(self, command: bytes) -> None:
        self._saved = command in (car_worker.SAVE, car_worker.ROLLOUT)
        for i, pipe in enumerate(self._pipes):
            try:
                pipe.send_bytes(command)
            except OSError:
                self._report_death(i)

    def _wait(self) -> None:
        for i, pipe in enumerate(self._pipes):
            try:
                pipe.recv_bytes()
            except (EOFError, OSError):
                self._report_death(i)

    def _report_death(self, i: int) -> None:
        self._workers[i].join(timeout=5.0)
        raise death_of(i, self._workers[i])

    def _gathered(self, field: str) -> np.ndarray:
        return np.concatenate([getattr(block, field) for block in self._blocks])

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(self._indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the cars of a batch share their settings, given at its making")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        raise NotImplementedError("the cars of a batch are rows of arrays, and act together")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(self._indices(indices))

    def _indices(self, indices: Any) -> Sequence[int]:
        return list(self._get_indices(indices))


def make_vec_env(
    kind: str,
    circuits: CircuitBank,
    processes: int,
    cars: int,
    settings: TrainingSettings,
    scratch: str | Path,
) -> CarVecEnv:
    """A vector environment: `batch`, or SB3's own `subproc` or `dummy` with a car a process."""
    if kind == "batch":
        return BatchVecEnv(circuits, processes, cars, settings, scratch)
    makers: list[Callable[[], gym.Env]] = [
        partial(TrainingEnv, circuits, car, settings) for car in range(processes)
    ]
    env: CarVecEnv
    if kind == "dummy":
        env = DummyCarVecEnv(makers)
    else:
        _compile(circuits, settings)
        env = SubprocCarVecEnv(makers)
    env.settings = settings
    return env
