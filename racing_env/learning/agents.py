"""Policies for stable-baselines3 that start exactly as the cloned driver.

Both act by the same network as `racing_env.drivers.policy`: tanh between the layers and on the
outputs.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import NStepReplayBuffer, RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from racing_env.drivers.policy import Policy
from racing_env.learning.analytic_gradient import AnalyticPolicyGradient
from racing_env.learning.network import (
    HIDDEN_SIZES,
    FastTanh,
    copy_policy_into,
    linear_layers,
    policy_from_layers,
)
from racing_env.learning.proximal_sac import PersistentNoise, ProximalSAC, ProximalSACPolicy
from racing_env.learning.replay import DemonstrationReplayBuffer

# docs/recipe.md says where each number comes from
APG_LEARNING_RATE = (4e-4, 2e-5)  # at the start and at the end
APG_STEPS = 160  # of a rollout
APG_BETAS = (0.9, 0.95)  # of Adam: a gradient that is large for once is soon forgotten
PPO_BATCH = 16_384
PPO_EPOCHS = 3
PPO_ROLLOUT = 2048 * 64  # transitions between updates
PPO_LEARNING_RATE = (1e-4, 7.7e-5)  # the actor's, at the start and at the end
PPO_CRITIC_SPEED = 5.0
PPO_TARGET_KL = 0.01
SAC_LEARNING_RATE = (3e-4, 3e-5)  # the critics', at the start and at the end
SAC_POLICY_DELAY = 8
SAC_ACTOR_SPEED = 0.12
SAC_DISTANCE_PRICE = 5e-3
SAC_DISTANCE_UNITS = (0.02, 0.3)
SAC_AVERAGE_DECAY = 0.998
SAC_ENTROPY_WEIGHT = 3e-5
SAC_DISCOUNT = 0.99
SAC_RETURN_STEPS = 32
SAC_BUFFER = 500_000
SAC_ROLLOUT = 2048  # transitions between updates, which are then done together
SAC_TRANSITIONS_PER_UPDATE = 128
SAC_CRITIC_SIZES = (64, 64)
SAC_NOISE = (0.015, 0.06)  # that lasts, beside the actor's own
SAC_NOISE_PERSISTENCE = (0.75, 0.95)


class TwoSpeedAdam(torch.optim.Adam):
    """Adam whose groups learn at a multiple ("speed") of the rate that SB3 sets for all of them.

    A driver who is good already must move slowly, or he forgets how to drive; his critic starts
    from nothing and must be quick.
    """

    def step(self, closure: Any = None) -> Any:
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] *= group["speed"]
        result = super().step(closure)
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate
        return result


class GatheredRollouts(RolloutBuffer):
    """SB3's own; a minibatch, which indexing has just gathered, is not copied once more."""

    def to_torch(self, array: np.ndarray, copy: bool = False) -> torch.Tensor:
        return super().to_torch(array, copy=copy)


class TanhMeanPolicy(ActorCriticPolicy):
    """SB3's actor-critic whose Gaussian has a squashed mean: the driver's action.

    critic_speed: the critic's learning rate as a multiple of the actor's.
    """

    def __init__(self, *args: Any, critic_speed: float = 1.0, **kwargs: Any):
        self.critic_speed = critic_speed
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        # neither adds parameters; tanh would be a fifth of the time of an update of the critic
        self.action_net = nn.Sequential(self.action_net, nn.Tanh())
        self.mlp_extractor.value_net = nn.Sequential(
            *(nn.ReLU() if isinstance(layer, self.activation_fn) else layer
              for layer in self.mlp_extractor.value_net)
        )  # fmt: skip
        actor = [*self.mlp_extractor.policy_net.parameters(), *self.action_net.parameters()]
        critic = [*self.mlp_extractor.value_net.parameters(), *self.value_net.parameters()]
        # log_std is in neither: the noise is given, not learnt
        self.optimizer = TwoSpeedAdam(
            [{"params": actor, "speed": 1.0}, {"params": critic, "speed": self.critic_speed}],
            lr=lr_schedule(1.0),
            **self.optimizer_kwargs,
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"critic_speed": self.critic_speed}


def apg(env: VecEnv, seed: int, device: torch.device) -> AnalyticPolicyGradient:
    """A fresh model of analytic policy gradients with the recipe's settings."""
    return AnalyticPolicyGradient(
        TanhMeanPolicy,
        env,
        learning_rate=LinearSchedule(*APG_LEARNING_RATE, end_fraction=1.0),
        n_steps=APG_STEPS,
        seed=seed,
        device=device,
        policy_kwargs={
            "net_arch": {"pi": list(HIDDEN_SIZES), "vf": []},
            "activation_fn": nn.Tanh,
            "optimizer_kwargs": {"betas": APG_BETAS},
        },
    )


def ppo(env: VecEnv, timesteps: int, seed: int, device: torch.device) -> PPO:
    """A fresh PPO model with the recipe's settings, to learn from so many transitions."""
    hidden = list(HIDDEN_SIZES)
    steps = max(min(PPO_ROLLOUT, timesteps) // env.num_envs, 8)
    return PPO(
        TanhMeanPolicy,
        env,
        learning_rate=LinearSchedule(*PPO_LEARNING_RATE, end_fraction=1.0),
        n_steps=steps,
        batch_size=min(PPO_BATCH, steps * env.num_envs),
        n_epochs=PPO_EPOCHS,
        rollout_buffer_class=GatheredRollouts,
        gamma=0.995,  # ten seconds: a corner and the straight behind it
        gae_lambda=0.95,
        target_kl=PPO_TARGET_KL,
        seed=seed,
        device=device,
        policy_kwargs={
            "net_arch": {"pi": hidden, "vf": hidden},
            "activation_fn": FastTanh,
            "critic_speed": PPO_CRITIC_SPEED,
            "optimizer_kwargs": {"fused": True},
        },
    )


def sac(
    env: VecEnv, timesteps: int, seed: int, device: torch.device, data: str | None = None
) -> ProximalSAC:
    """A fresh SAC model; with a folder of demonstrations they are half of each batch."""
    # as many updates a transition, but for rounding, whatever the number of cars is
    steps = math.ceil(SAC_ROLLOUT / env.num_envs)
    updates = round(steps * env.num_envs / SAC_TRANSITIONS_PER_UPDATE)
    returns: dict[str, Any] = {"n_steps": SAC_RETURN_STEPS, "gamma": SAC_DISCOUNT}
    return ProximalSAC(
        ProximalSACPolicy,
        env,
        learning_rate=LinearSchedule(*SAC_LEARNING_RATE, end_fraction=1.0),
        actor_speed=SAC_ACTOR_SPEED,
        policy_delay=SAC_POLICY_DELAY,
        distance_price=SAC_DISTANCE_PRICE,
        distance_units=SAC_DISTANCE_UNITS,
        average_decay=SAC_AVERAGE_DECAY,
        buffer_size=min(SAC_BUFFER, timesteps),
        learning_starts=0,  # SB3 drives at random until then; the actor's warm-up is a callback
        batch_size=256,
        gamma=SAC_DISCOUNT,
        ent_coef=SAC_ENTROPY_WEIGHT,
        train_freq=steps,
        gradient_steps=updates,
        action_noise=PersistentNoise(env.num_envs, SAC_NOISE, SAC_NOISE_PERSISTENCE),
        replay_buffer_class=DemonstrationReplayBuffer if data else NStepReplayBuffer,
        replay_buffer_kwargs=returns | ({"folder": data} if data else {}),
        seed=seed,
        device=device,
        policy_kwargs={
            "net_arch": {"pi": list(HIDDEN_SIZES), "qf": list(SAC_CRITIC_SIZES)},
            "activation_fn": FastTanh,
            "optimizer_kwargs": {"fused": True},
        },
    )


def actor_layers(model: BaseAlgorithm) -> Sequence[nn.Linear]:
    """The layers of a model that make up the driver."""
    policy = model.policy
    if isinstance(policy, ActorCriticPolicy):
        return [*linear_layers(policy.mlp_extractor.policy_net), *linear_layers(policy.action_net)]
    return _sac_layers(policy.actor)


def _sac_layers(actor: Any) -> Sequence[nn.Linear]:
    return [*linear_layers(actor.latent_pi), actor.mu]


def start_from(model: BaseAlgorithm, policy: Policy, noise_log_std: float) -> None:
    """Make a fresh model's deterministic actions those of a policy.

    SAC's noise depends on the observation; it starts at noise_log_std everywhere. Raises ValueError
    if the policy's layers have other sizes than the model's.
    """
    copy_policy_into(policy, actor_layers(model))
    if isinstance(model.policy, ProximalSACPolicy):
        actor: Any = model.policy.actor
        nn.init.zeros_(actor.log_std.weight)
        nn.init.constant_(actor.log_std.bias, noise_log_std)
        model.policy.average_actor.load_state_dict(actor.state_dict())


def driver_of(model: BaseAlgorithm, record: dict[str, str]) -> Policy:
    """The model's deterministic driver; SAC's average one."""
    policy = model.policy
    average = isinstance(policy, ProximalSACPolicy)
    layers = _sac_layers(policy.average_actor) if average else actor_layers(model)
    return policy_from_layers(layers, record)


def is_finite(model: BaseAlgorithm) -> bool:
    """Whether all weights, the critics' too, are finite numbers."""
    sums = [parameter.detach().sum() for parameter in model.policy.parameters()]
    return bool(torch.isfinite(torch.stack(sums).sum()))


class MovingAverage:
    """Exponential moving average of a driver's weights: steadier than any single iterate."""

    def __init__(self, policy: Policy, decay: float):
        self.policy, self.decay = policy, decay
        self.arrays = (*policy.weights, *policy.biases)

    def update(self, policy: Policy) -> None:
        values = (*policy.weights, *policy.biases)
        for mean, value in zip(self.arrays, values, strict=True):
            mean += (1.0 - self.decay) * (value - mean)


def freeze_actor(model: BaseAlgorithm, frozen: bool) -> None:
    """Stop, or let, the optimiser change the driver and the noise that SAC learns."""
    layers = actor_layers(model)
    if isinstance(model.policy, ProximalSACPolicy):
        layers = [*layers, model.policy.actor.log_std]  # type: ignore[list-item]
    for layer in layers:
        layer.requires_grad_(not frozen)


def set_noise(model: BaseAlgorithm, log_std: Sequence[float]) -> None:
    """Set an on-policy model's noise (log of the standard deviation per action)."""
    parameter: Any = model.policy.log_std
    with torch.no_grad():
        parameter.copy_(torch.tensor(log_std))
