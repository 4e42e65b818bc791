"""What passes between cars and learner: arrays in one block of memory, shared or not."""

import math
from typing import Any, NamedTuple

import numpy as np

from racing_env.car.dynamics import STATE_SIZE
from racing_env.simulation.adaptation import MEMORY
from racing_env.simulation.motion import new_car_table
from racing_env.simulation.rewards import REWARD_TERMS

# numbers in a car's snapshot: see `racing_env.learning.training_cars.TrainingCars.save`
SNAPSHOT_SIZE = (
    STATE_SIZE + sum(column[0].size for column in new_car_table(1)) + MEMORY + len(REWARD_TERMS) + 4
)


EPISODES_KEPT = 8  # of those of a car that end within one rollout


class Block(NamedTuple):
    """Arrays of all cars of a process. size: of a layout; terms: of the reward."""

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
    # of a whole rollout
    ended: np.ndarray  # (cars,) int32: episodes that have ended in it,
    ended_returns: np.ndarray  # (cars, EPISODES_KEPT, terms) float32, and their sums
    ended_lengths: np.ndarray  # (cars, EPISODES_KEPT) int32
    gradients: np.ndarray  # (groups, parameters) float32, summed over a group's cars and steps
    usable: np.ndarray  # (groups,) int64: steps that were learnt from
    losses: np.ndarray  # (groups,) of the guesses of drivers who adapt
    sizes: np.ndarray  # (groups, 2): sums of the absolute gradients by steering and by pedals
    parameters: np.ndarray  # (parameters,) float32, of the network at the wheel
    number: np.ndarray  # (1,) int64, of the rollout, which names the streams of its noise


BY_CAR = Block._fields[: Block._fields.index("gradients")]
BY_GROUP = ("gradients", "usable", "losses", "sizes")


def _fields(
    cars: int, size: int, groups: int, parameters: int
) -> list[tuple[type, tuple[int, ...]]]:
    seen, terms = (cars, size), len(REWARD_TERMS)
    kept = (cars, EPISODES_KEPT)
    return [
        (np.float32, seen), (np.float32, seen), (np.float32, (cars, 2)), (np.float32, (cars,)),
        (np.bool_, (cars,)), (np.bool_, (cars,)), (np.float32, (cars, terms)), (np.int32, (cars,)),
        (np.bool_, (cars,)), (np.int64, (cars,)), (np.float64, (cars, SNAPSHOT_SIZE)),
        (np.int32, (cars,)), (np.float32, (*kept, terms)), (np.int32, kept),
        (np.float32, (groups, parameters)), (np.int64, (groups,)), (np.float64, (groups,)),
        (np.float64, (groups, 2)),
        (np.float32, (parameters,)), (np.int64, (1,)),
    ]  # fmt: skip


def block_bytes(cars: int, size: int, groups: int = 1, parameters: int = 0) -> int:
    """Size of the memory that `open_block` needs."""
    sizes = [np.dtype(dtype).itemsize * math.prod(shape)
             for dtype, shape in _fields(cars, size, groups, parameters)]  # fmt: skip
    return sum(-(-nbytes // 64) * 64 for nbytes in sizes)


def open_block(memory: Any, cars: int, size: int, groups: int = 1, parameters: int = 0) -> Block:
    """A block over the start of a buffer, each array at a cache line of its own."""
    arrays, offset = [], 0
    for dtype, shape in _fields(cars, size, groups, parameters):
        arrays.append(np.ndarray(shape, dtype, buffer=memory, offset=offset))
        offset += -(-arrays[-1].nbytes // 64) * 64
    return Block(*arrays)


def new_block(cars: int, size: int, groups: int = 1, parameters: int = 0) -> Block:
    """A block in memory of this process."""
    memory = bytearray(block_bytes(cars, size, groups, parameters))
    return open_block(memory, cars, size, groups, parameters)


def group_of(block: Block, group: int, cars: slice) -> Block:
    """The same arrays, of one group and its cars alone."""
    views = {name: getattr(block, name)[cars] for name in BY_CAR}
    views |= {name: getattr(block, name)[group : group + 1] for name in BY_GROUP}
    return block._replace(**views)


def episode_info(returns: np.ndarray, length: int) -> dict[str, Any]:
    """Of an episode that has ended: the sums (terms,) of its rewards, in all and term by term."""
    terms = dict(zip(REWARD_TERMS, returns.tolist(), strict=True))
    return {"r": sum(terms.values()), "l": int(length), **terms}
