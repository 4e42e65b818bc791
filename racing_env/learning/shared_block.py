"""What passes between cars and learner: arrays in one block of memory, shared or not."""

import math
from typing import Any, NamedTuple

import numpy as np

from racing_env.car.dynamics import STATE_SIZE
from racing_env.simulation.motion import CarTable
from racing_env.simulation.rewards import REWARD_TERMS

# numbers in a car's snapshot: see `racing_env.learning.training_cars.TrainingCars.save`
SNAPSHOT_SIZE = STATE_SIZE + len(CarTable._fields) - 1 + 2 * len(REWARD_TERMS) + 4


class Block(NamedTuple):
    """Arrays of all cars of a process; those of a tape are of its steps, too. size: of a layout."""

    observations: np.ndarray  # (cars, size) float32
    last_observations: np.ndarray  # (cars, size) float32, of the episodes that have just ended
    actions: np.ndarray  # (cars, 2) float32
    rewards: np.ndarray  # (cars,) float32
    terminations: np.ndarray  # (cars,) bool
    truncations: np.ndarray  # (cars,) bool
    returns: np.ndarray  # (cars, terms) float32, of the episodes that have just ended
    lengths: np.ndarray  # (cars,) int32
    seeded: np.ndarray  # (cars,) bool: these cars' next reset begins the streams of `seeds`
    seeds: np.ndarray  # (cars,) int64, see `racing_env.learning.training_cars.stream_seed`
    snapshots: np.ndarray  # (cars, SNAPSHOT_SIZE) float64
    # of all steps of the tape, to pull gradients back through
    jacobians: np.ndarray  # (steps, cars, 2, size) float32: of the driver's actions, by what it saw
    gradients: np.ndarray  # (steps, cars, 2) float32: of the pay that followed, by the actions
    usable: np.ndarray  # (steps, cars) bool: enough of what followed is known to learn from it


def _fields(cars: int, size: int, tape_steps: int) -> list[tuple[type, tuple[int, ...]]]:
    seen, terms, tape = (cars, size), (cars, len(REWARD_TERMS)), (tape_steps, cars)
    return [
        (np.float32, seen), (np.float32, seen), (np.float32, (cars, 2)), (np.float32, (cars,)),
        (np.bool_, (cars,)), (np.bool_, (cars,)), (np.float32, terms), (np.int32, (cars,)),
        (np.bool_, (cars,)), (np.int64, (cars,)), (np.float64, (cars, SNAPSHOT_SIZE)),
        (np.float32, (*tape, 2, size)), (np.float32, (*tape, 2)), (np.bool_, tape),
    ]  # fmt: skip


def block_bytes(cars: int, size: int, tape_steps: int = 0) -> int:
    """Size of the memory that `open_block` needs."""
    sizes = [np.dtype(dtype).itemsize * math.prod(shape)
             for dtype, shape in _fields(cars, size, tape_steps)]  # fmt: skip
    return sum(-(-nbytes // 64) * 64 for nbytes in sizes)


def open_block(memory: Any, cars: int, size: int, tape_steps: int = 0) -> Block:
    """A block over the start of a buffer, each array at a cache line of its own."""
    arrays, offset = [], 0
    for dtype, shape in _fields(cars, size, tape_steps):
        arrays.append(np.ndarray(shape, dtype, buffer=memory, offset=offset))
        offset += -(-arrays[-1].nbytes // 64) * 64
    return Block(*arrays)
