"""stable-baselines3's PPO, slow for the driver and quick for its critic.

A driver who is good already must move slowly, or it forgets how to drive; its critic starts from
nothing. The noise is given, not learnt.
"""

from typing import NamedTuple

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from racing_env.drivers.policy import Policy
from racing_env.learning.actor_critic import TanhMeanPolicy, actor_layers
from racing_env.learning.callbacks import GivenNoise, WarmUp
from racing_env.learning.network import (
    HIDDEN_SIZES,
    FastTanh,
    copy_policy_into,
    policy_from_layers,
)
from racing_env.learning.training_cars import TrainingSettings
from racing_env.simulation.task import Task


class Numbers(NamedTuple):
    """docs/recipe.md says where each comes from."""

    timesteps: int = 12_000_000
    cars: int = 2048
    rollout: int = 2048 * 64  # transitions between updates
    batch_size: int = 16_384
    epochs: int = 3
    discount: float = 0.995  # ten seconds: a corner and the straight behind it
    gae_lambda: float = 0.95
    target_kl: float = 0.01
    learning_rate_first: float = 1e-4  # the actor's
    learning_rate_last: float = 7.7e-5
    critic_speed: float = 5.0  # the critic's rate as a multiple of it
    steering_noise_first: float = 0.025  # standard deviations
    steering_noise_last: float = 0.021
    pedal_noise_first: float = 0.08
    pedal_noise_last: float = 0.068
    warm_up: int = 6 * 2048 * 64  # transitions from which the critic alone learns
    average_decay: float = 0.97
    judge_every: int = 1_000_000


NUMBERS = Numbers()
ROAD = PRACTICE = None
USES_DEMONSTRATIONS = False


class GatheredRollouts(RolloutBuffer):
    """SB3's own; a minibatch, which indexing has just gathered, is not copied once more."""

    def to_torch(self, array: np.ndarray, copy: bool = False) -> torch.Tensor:
        return super().to_torch(array, copy=copy)


# ---------------------------------------------------------------- as `Algorithm` has it


def training_settings(
    task: Task, seed: int, driver: Policy | None = None, numbers: Numbers | None = None
) -> TrainingSettings:
    return TrainingSettings(task, seed)


def make_model(
    env: VecEnv,
    timesteps: int,
    seed: int,
    device: torch.device,
    demonstrations: str | None = None,
    numbers: Numbers | None = None,
) -> PPO:
    numbers = numbers or NUMBERS
    hidden = list(HIDDEN_SIZES)
    steps = max(min(numbers.rollout, timesteps) // env.num_envs, 8)
    return PPO(
        TanhMeanPolicy,
        env,
        LinearSchedule(numbers.learning_rate_first, numbers.learning_rate_last, end_fraction=1.0),
        n_steps=steps,
        batch_size=min(numbers.batch_size, steps * env.num_envs),
        n_epochs=numbers.epochs,
        rollout_buffer_class=GatheredRollouts,
        gamma=numbers.discount,
        gae_lambda=numbers.gae_lambda,
        target_kl=numbers.target_kl,
        seed=seed,
        device=device,
        policy_kwargs={
            "net_arch": {"pi": hidden, "vf": hidden},
            "activation_fn": FastTanh,
            "critic_speed": numbers.critic_speed,
            "optimizer_kwargs": {"fused": True},
        },
    )


def start_from(model: BaseAlgorithm, policy: Policy) -> None:
    copy_policy_into(policy, actor_layers(model))


def driver_of(model: BaseAlgorithm, like: Policy) -> Policy:
    return policy_from_layers(actor_layers(model), like)


def callbacks(model: BaseAlgorithm) -> list[BaseCallback]:
    first = (NUMBERS.steering_noise_first, NUMBERS.pedal_noise_first)
    last = (NUMBERS.steering_noise_last, NUMBERS.pedal_noise_last)
    return [WarmUp(NUMBERS.warm_up, actor_layers(model)), GivenNoise(first, last)]
