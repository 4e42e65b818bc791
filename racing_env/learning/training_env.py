"""One training car as a Gymnasium environment, for stable-baselines3's own vector environments."""

from typing import Any

import gymnasium as gym
import numpy as np

from racing_env.learning.rollouts import RolloutCars, new_cars
from racing_env.learning.shared_block import Block, episode_info, new_block
from racing_env.learning.training_cars import TrainingSettings, stream_seed
from racing_env.tracks.bank import CircuitBank


class TrainingEnv(gym.Env[np.ndarray, np.ndarray]):
    """Car number `car` of a training run, the same as in `BatchVecEnv`: starts, ends and rewards.

    For a plain environment see `racing_env.environment.RaceEnv`.
    """

    def __init__(self, circuits: CircuitBank, car: int, settings: TrainingSettings):
        layout = settings.task.observation_layout()
        low, high = layout.bounds()
        self.observation_space = gym.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.block = new_block(1, layout.size, 1, settings.parameters)
        self.cars = new_cars(circuits, self.block, car, settings)
        self.car = car
        self.over = False  # the last episode is; the car has begun another by itself

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Hands out the start that the car has made by itself after an end, or begins an episode.

        With a seed it is the first one of that seed. Its clock does not begin at zero, as those of
        the other cars of a run do not.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.block.seeded[0], self.block.seeds[0] = True, stream_seed(seed, self.car)
        if seed is not None or not self.over:
            self.cars.reset()
        self.over = False
        return self.block.observations[0].copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        block = self.block
        block.actions[0] = action
        self.cars.step()
        terminated, truncated = bool(block.terminations[0]), bool(block.truncations[0])
        self.over = terminated or truncated
        seen = block.last_observations[0] if self.over else block.observations[0]
        info: dict[str, Any] = {}
        if self.over:
            info["episode"] = episode_info(block.returns[0], block.lengths[0])
        return seen.copy(), float(block.rewards[0]), terminated, truncated, info

    def rollout(self, parameters: np.ndarray, number: int) -> Block:
        """As `racing_env.learning.car_vec_env.CarVecEnv.rollout`, of this car; its block."""
        self.block.parameters[:], self.block.number[0] = parameters, number
        assert isinstance(self.cars, RolloutCars)
        self.cars.rollout()
        return self.block

    def observation(self) -> np.ndarray:
        """What the car sees now, (size,) float32."""
        return self.block.observations[0].copy()

    def snapshot(self) -> np.ndarray:
        """All that decides how the car goes on, (SNAPSHOT_SIZE,) float64."""
        self.cars.save()
        return self.block.snapshots[0].copy()

    def restore(self, snapshot: np.ndarray) -> None:
        """Go on from a snapshot of this car; it needs no reset then."""
        self.block.snapshots[0] = snapshot
        self.cars.load()
        self.over = False
