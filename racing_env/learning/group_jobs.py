"""What workers of a pool do for a learner elsewhere: the next rollout of groups of training cars.

A job holds all that decides its result: any worker can do it, and do it again. Loads no torch.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from racing_env.learning.car_worker import ACTIONS, LOAD, RESET
from racing_env.learning.rollouts import new_cars
from racing_env.learning.shared_block import new_block
from racing_env.learning.training_cars import TrainingCars, TrainingSettings
from racing_env.tracks.bank import CircuitBank

RESULTS = (
    "observations", "snapshots", "ended", "ended_returns", "ended_lengths", "gradients", "usable",
    "sizes",
)  # fmt: skip


class GroupsJob(NamedTuple):
    """A command to groups of cars."""

    command: bytes
    common: Mapping[str, np.ndarray]  # fields of a block that all groups are given
    # and each its own, by the number of its first car; it has as many cars as snapshots
    groups: Mapping[int, Mapping[str, np.ndarray]]


class _WorkerState:
    """The circuits and settings of a worker, and the groups that it has had, by first car."""

    circuits: CircuitBank
    settings: TrainingSettings
    groups: dict[int, TrainingCars]


_worker = _WorkerState()


def set_cars(circuits: CircuitBank, settings: TrainingSettings) -> None:
    """Have this process drive such cars."""
    _worker.circuits, _worker.settings, _worker.groups = circuits, settings, {}


def execute(job: GroupsJob) -> list[dict[str, np.ndarray]]:
    """The RESULTS of a command to each group: fields of a block."""
    return [_executed(job, first_car, given) for first_car, given in job.groups.items()]


def _executed(
    job: GroupsJob, first_car: int, given: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    cars = _group(first_car, len(given["snapshots"]))
    for name, values in (*job.common.items(), *given.items()):
        getattr(cars.block, name)[...] = values
    if job.command != RESET:
        cars.load()
    if job.command != LOAD:
        ACTIONS[job.command](cars)
    cars.save()
    return {name: getattr(cars.block, name) for name in RESULTS}


def _group(first_car: int, cars: int) -> TrainingCars:
    if first_car not in _worker.groups:
        settings = _worker.settings
        size = settings.task.observation_layout().size
        block = new_block(cars, size, 1, settings.parameters)
        _worker.groups[first_car] = new_cars(_worker.circuits, block, first_car, settings)
    return _worker.groups[first_car]
