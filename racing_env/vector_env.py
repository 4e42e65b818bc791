"""Batches of cars in worker processes, as a vector environment of stable-baselines3.

Each process steps a batch of cars with one call of the simulator; observations, actions, rewards
and ends lie in shared memory, and only a byte a step goes through a pipe. Every car has a random
stream of its own, so how the cars are spread over processes changes the time and not the result.
"""

import contextlib
import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from racing_env.circuit_bank import CircuitBank
from racing_env.circuit_sources import START_METHOD
from racing_env.training_cars import REWARD_TERMS, TrainingCars, TrainingSettings

STEP, RESET, CLOSE = b"s", b"r", b"c"


class Block(NamedTuple):
    """One process's share of the shared memory."""

    observations: np.ndarray  # (cars, SIZE) float32
    last_observations: np.ndarray  # (cars, SIZE) float32, of the episodes that have just ended
    actions: np.ndarray  # (cars, 2) float32
    rewards: np.ndarray  # (cars,) float32
    terminations: np.ndarray  # (cars,) bool
    truncations: np.ndarray  # (cars,) bool
    returns: np.ndarray  # (cars, terms) float32, of the episodes that have just ended
    lengths: np.ndarray  # (cars,) int32


def _blocks(memory: memoryview, cars: int, size: int) -> tuple[Block, int]:
    """Arrays over the start of a buffer, and how many bytes they take."""
    fields = [
        (np.float32, (cars, size)), (np.float32, (cars, size)), (np.float32, (cars, 2)),
        (np.float32, (cars,)), (np.bool_, (cars,)), (np.bool_, (cars,)),
        (np.float32, (cars, len(REWARD_TERMS))), (np.int32, (cars,)),
    ]  # fmt: skip
    arrays, offset = [], 0
    for dtype, shape in fields:
        length = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if memory is not None:
            arrays.append(np.ndarray(shape, dtype, buffer=memory, offset=offset))
        offset += -(-length // 64) * 64
    return (Block(*arrays) if arrays else None), offset
