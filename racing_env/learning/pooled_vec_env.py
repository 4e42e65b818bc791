"""Training cars that are driven by the workers of a pool, such as a cluster's."""

from contextlib import ExitStack
from itertools import chain

import numpy as np

from racing_env.common.workers import Workers
from racing_env.learning import group_jobs
from racing_env.learning.car_worker import LOAD, RESET, ROLLOUT, SAVE
from racing_env.learning.rollouts import group_slices
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import BatchVecEnv
from racing_env.tracks.bank import CircuitBank

# Fields of the cars' blocks that decide what comes of a command, besides those of all of them.
GIVEN = {ROLLOUT: ("snapshots",), LOAD: ("snapshots",), RESET: ("snapshots", "seeded", "seeds")}
COMMON = {ROLLOUT: ("parameters", "number"), LOAD: (), RESET: ()}


class PooledVecEnv(BatchVecEnv):
    """The cars of a `BatchVecEnv` that drive rollouts; they cannot be stepped.

    All that a group of cars is lies here between the jobs. Each worker gets one, of several groups
    where there are more of them. Raises what jobs and the pool raise.
    """

    def __init__(
        self, circuits: CircuitBank, workers: Workers, cars: int, settings: TrainingSettings
    ):
        if settings.rollouts is None:
            raise ValueError("a pool's workers drive whole rollouts alone")
        self._workers_of = workers
        self._opened = ExitStack()
        super().__init__(circuits, len(group_slices(cars)) - 1, cars, settings, "")

    def _start_workers(self, circuits: CircuitBank) -> None:
        self._blocks = [
            share.block(bytearray(share.nbytes(self.settings)), self.settings)
            for share in self._shares
        ]
        self._pool = self._opened.enter_context(
            self._workers_of.pool(group_jobs.set_cars, (circuits, self.settings))
        )

    def _start_own(self, circuits: CircuitBank) -> None:
        """None: the workers drive them all."""

    def step_async(self, actions: np.ndarray) -> None:
        raise NotImplementedError("a pool's workers drive whole rollouts alone")

    def _execute(self, command: bytes) -> None:
        if command == SAVE:
            return  # snapshots are a part of every result
        groups = {
            cars.start: {name: getattr(block, name) for name in GIVEN[command]}
            for block, cars in zip(self._blocks, self._ranges, strict=True)
        }
        common = {name: getattr(self._blocks[0], name) for name in COMMON[command]}
        jobs = [
            group_jobs.GroupsJob(command, common, {int(first): groups[first] for first in firsts})
            for firsts in np.array_split(list(groups), min(self._workers_of.number, len(groups)))
        ]
        results = chain.from_iterable(self._pool.imap(group_jobs.execute, jobs))
        for block, result in zip(self._blocks, results, strict=True):
            for name, values in result.items():
                getattr(block, name)[...] = values
            block.seeded[:] = False

    def close(self) -> None:
        self._blocks = []
        self._opened.close()
