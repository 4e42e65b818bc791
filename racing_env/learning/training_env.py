"""One training car as a Gymnasium environment, for stable-baselines3's own vector environments."""

from typing import Any

import gymnasium as gym
import numpy as np

from racing_env.learning.training_cars import (
    REWARD_TERMS,
    TrainingCars,
    TrainingSettings,
    block_bytes,
    open_block,
)
from racing_env.simulation import observation
from racing_env.tracks.bank import CircuitBank


class TrainingEnv(gym.Env[np.ndarray, np.ndarray]):
    """Car number `car` of a training run, the same as in `BatchVecEnv`: starts, ends and rewards.

    For a plain environment see `racing_env.environment.RaceEnv`.
    """

    def __init__(self, circuits: CircuitBank, car: int, settings: TrainingSettings):
        limit = observation.LIMIT
        self.observation_space = gym.spaces.Box(-limit, limit, (observation.SIZE,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        steps = settings.tape_steps
        self.block = open_block(memoryview(bytearray(block_bytes(1, steps))), 1, steps)
        self.cars = TrainingCars(circuits, self.block, car, settings)
        self.started = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The car starts by itself after an end; only the first call places it."""
        super().reset(seed=seed)
        if not self.started:
            self.cars.reset()
            self.started = True
        return self.block.observations[0].copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        block = self.block
        block.actions[0] = action
        self.cars.step()
        terminated, truncated = bool(block.terminations[0]), bool(block.truncations[0])
        over = terminated or truncated
        seen = block.last_observations[0] if over else block.observations[0]
        info: dict[str, Any] = {}
        if over:
            terms = dict(zip(REWARD_TERMS, block.returns[0].tolist(), strict=True))
            info["episode"] = {"r": sum(terms.values()), "l": int(block.lengths[0]), **terms}
        return seen.copy(), float(block.rewards[0]), terminated, truncated, info

    def pull_back(self, jacobians: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `racing_env.learning.vector_env.pull_back`, for this car: (steps, 2) and (steps,)."""
        self.block.jacobians[:, 0] = jacobians
        self.cars.pull_back()
        return self.block.gradients[:, 0].copy(), self.block.judged[:, 0].copy()

    def snapshot(self) -> np.ndarray:
        """As `racing_env.learning.vector_env.snapshots`, of this car: (SNAPSHOT_SIZE,)."""
        self.cars.save()
        return self.block.snapshots[0].copy()

    def restore(self, snapshot: np.ndarray) -> None:
        """Go on from a snapshot of this car; it needs no reset then."""
        self.block.snapshots[0] = snapshot
        self.cars.load()
        self.started = True
