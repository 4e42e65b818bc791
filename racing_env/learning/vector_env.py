"""Batches of cars in worker processes, as a vector environment of stable-baselines3.

Each process steps a batch of cars with one call of the simulator; observations, actions, rewards
and ends lie in shared memory, and only a byte a step goes through a pipe. The learner, who would
otherwise wait for the others, steps a batch too.
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
from racing_env.learning.shared_block import Block, block_bytes, open_block
from racing_env.learning.training_cars import (
    TrainingCars,
    TrainingEnv,
    TrainingSettings,
    stream_seed,
)
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.tracks.bank import CircuitBank, save_table, with_mapped_table


def _compile(circuits: CircuitBank, settings: TrainingSettings) -> None:
    """Compile once, for all workers: compiling at once they would spoil each other's cache."""
    tape_steps, size = (
        min(settings.tape_steps, 1),
        settings.task.observation_layout().size,
    )
    block = open_block(bytearray(block_bytes(1, size, tape_steps)), 1, size, tape_steps)
    cars = TrainingCars(circuits, block, 0, settings._replace(tape_steps=tape_steps))
    cars.reset()
    cars.step()
    if tape_steps:
        cars.pull_back()


class BatchVecEnv(CarVecEnv):
    """`cars` cars, shared out to `processes` workers and this process; environment i is car i.

    scratch: a folder for the circuits' table, which the workers map rather than copy. Raises
    ValueError if there is not a car for each process, ChildProcessError naming a worker that died.
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
        if cars <= processes:
            raise ValueError(f"{cars} cars are too few for {processes} workers and the learner")
        layout = settings.task.observation_layout()
        low, high = layout.bounds()
        super().__init__(
            cars,
            gym.spaces.Box(low, high, dtype=np.float32),
            gym.spaces.Box(-1.0, 1.0, (2,), np.float32),
        )
        self.settings, self._size = settings, layout.size
        self._table_file = Path(scratch) / "training-circuits.npy"
        self._memories: list[SharedMemory] = []
        self._blocks: list[Block] = []
        self._pipes: list[Connection] = []
        self._workers: list[Any] = []
        firsts = [cars * i // (processes + 1) for i in range(processes + 2)]
        self._ranges = [slice(*ends) for ends in pairwise(firsts)]  # the last one is the learner's
        self._no_info: dict[str, Any] = {}
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
        for i, share in enumerate(self._ranges[:-1]):
            cars = share.stop - share.start
            tape_steps = self.settings.tape_steps
            nbytes = block_bytes(cars, self._size, tape_steps)
            memory = SharedMemory(create=True, size=nbytes)
            self._memories.append(memory)
            ours, theirs = context.Pipe()
            worker = context.Process(
                target=car_worker.serve,
                args=(theirs, memory.name, cars, share.start, table_file, circuits, self.settings),
                name=f"cars-{i}",
                daemon=True,
            )
            with starting_processes():
                worker.start()
            theirs.close()
            self._blocks.append(open_block(memory.buf, cars, self._size, tape_steps))
            self._pipes.append(ours)
            self._workers.append(worker)

    def _start_own(self, circuits: CircuitBank) -> None:
        cars = self._ranges[-1].stop - self._ranges[-1].start
        tape_steps = self.settings.tape_steps
        memory = bytearray(block_bytes(cars, self._size, tape_steps))
        block = open_block(memory, cars, self._size, tape_steps)
        self._blocks.append(block)
        self._own_cars = TrainingCars(
            with_mapped_table(circuits, self._table_file), block, self._ranges[-1].start,
            self.settings,
        )  # fmt: skip

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
        car_worker.execute(self._own_cars, car_worker.STEP)
        self._wait()
        truncations = self._gathered("truncations")
        dones = self._gathered("terminations") | truncations
        infos = [self._no_info] * self.num_envs
        for block, cars in zip(self._blocks, self._ranges, strict=True):
            for row in np.flatnonzero(dones[cars]).tolist():
                terms = dict(zip(REWARD_TERMS, block.returns[row].tolist(), strict=True))
                length = int(block.lengths[row])
                infos[cars.start + row] = {
                    "terminal_observation": block.last_observations[row].copy(),
                    "TimeLimit.truncated": bool(block.truncations[row]),
                    "episode": {"r": sum(terms.values()), "l": length, **terms},
                }
        return self._gathered("observations"), self._gathered("rewards"), dones, infos

    def pull_back(self, jacobians: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for block, cars in zip(self._blocks, self._ranges, strict=True):
            block.jacobians[:] = jacobians[:, cars]
        self._execute(car_worker.PULL_BACK)
        return self._gathered("gradients", axis=1), self._gathered("usable", axis=1)

    def snapshots(self) -> np.ndarray:
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
        car_worker.execute(self._own_cars, command)
        self._wait()

    def _send(self, command: bytes) -> None:
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

    def _gathered(self, field: str, axis: int = 0) -> np.ndarray:
        return np.concatenate([getattr(block, field) for block in self._blocks], axis=axis)

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
    if kind == "dummy":
        return DummyCarVecEnv(makers)
    _compile(circuits, settings)
    return SubprocCarVecEnv(makers)
