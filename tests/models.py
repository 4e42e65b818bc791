"""Models of stable-baselines3 in an environment that needs no cars, and their judge."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from cars import RACECAR, circuit_named
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from tqdm import tqdm

from racing_env.car.conditions import NOMINAL
from racing_env.drivers.policy import Policy
from racing_env.learning.actor_critic import TanhMeanPolicy
from racing_env.learning.algorithms.ppo import driver_of
from racing_env.learning.judging import HeldBack, JudgeDrivers, MovingAverage
from racing_env.learning.network import HIDDEN_SIZES
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.tracks.bank import pack_circuits

# a policy without layers, for those that are to be like it
NOBODY = Policy((), (), RACECAR, LAYOUT, {"made_by": "test"})


class Anywhere(gym.Env):
    """Random observations; rewards small steering."""

    observation_space = gym.spaces.Box(-5, 5, (LAYOUT.size,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        info = {"episode": {"r": 1.0, "l": 4, "progress": self.np_random.random()}}
        return self.observation_space.sample(), -float(abs(action[0])), True, False, info


def new_clone() -> Policy:
    """A driver of the usual sizes, whose actions reach far into the squashing."""
    rng = np.random.default_rng(0)
    sizes = [LAYOUT.size, *HIDDEN_SIZES, 2]
    return replace(
        NOBODY,
        weights=tuple(
            rng.normal(0, 1.5 / math.sqrt(inputs), (outputs, inputs)).astype(np.float32)
            for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
        ),
        biases=tuple(rng.normal(0, 0.2, outputs).astype(np.float32) for outputs in sizes[1:]),
    )


def new_model(seed: int = 0) -> PPO:
    hidden = list(HIDDEN_SIZES)
    return PPO(
        TanhMeanPolicy, DummyVecEnv([Anywhere]), n_steps=16, batch_size=16, n_epochs=1,
        learning_rate=1e-2, device="cpu", seed=seed,
        policy_kwargs={"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": torch.nn.Tanh},
    )  # fmt: skip


def new_judge(
    model: PPO, out, every: int = 10**6, decay: float = 0.9, results: Sequence[Any] = ()
) -> JudgeDrivers:
    """A judge who gives his drivers, in turn, so many laps of four at such a ratio; else none."""
    given, profile_s = iter(results), np.full(4, 100.0)

    def race(_: Policy) -> Iterator[np.ndarray]:
        finished, ratio = next(given, (0, math.nan))
        return iter([np.where(np.arange(4) < finished, ratio * profile_s, math.nan)])

    average = MovingAverage(driver_of(model, NOBODY), decay)
    bank = pack_circuits([circuit_named("oval")] * 4)
    held_back = HeldBack(bank, [NOMINAL] * 4, profile_s, np.full(4, math.nan))
    bar = tqdm(disable=True)
    return JudgeDrivers(race, held_back, out, every, average, driver_of, bar)
