"""Policies for stable-baselines3 that start exactly as the cloned driver.

Both act by the same network as `racing_env.policy`: tanh between the layers and on the outputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, ContinuousCritic
from stable_baselines3.sac.policies import SACPolicy
from torch import nn

from racing_env.network import copy_policy_into, linear_layers, policy_from_layers
from racing_env.policy import Policy


class TanhMeanPolicy(ActorCriticPolicy):
    """SB3's actor-critic whose Gaussian has a squashed mean: the driver's action."""

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Sequential(self.action_net, nn.Tanh())  # adds no parameters


class LayerNormCritic(ContinuousCritic):
    """SB3's critic with layer normalisation, which keeps Q from running away off the data.

    As in Ball, Smith, Kostrikov, Levine, "Efficient online reinforcement learning with offline
    data", ICML 2023.
    """

    def __init__(self, observation_space: Any, action_space: Any, net_arch: list[int],
                 *args: Any, **kwargs: Any):  # fmt: skip
        super().__init__(observation_space, action_space, net_arch, *args, **kwargs)
        self.q_networks = []
        sizes = [observation_space.shape[0] + action_space.shape[0], *net_arch]
        for i in range(self.n_critics):
            layers: list[nn.Module] = []
            for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
                layers += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU()]
            network = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
            self.add_module(f"qf{i}", network)
            self.q_networks.append(network)


class LayerNormSACPolicy(SACPolicy):
    """SB3's SAC policy with `LayerNormCritic`."""

    def make_critic(self, features_extractor: Any = None) -> ContinuousCritic:
        arguments = self._update_features_extractor(self.critic_kwargs, features_extractor)
        return LayerNormCritic(**arguments).to(self.device)


def actor_layers(model: BaseAlgorithm) -> Sequence[nn.Linear]:
    """The layers of a PPO or SAC model that make up the driver."""
    policy = model.policy
    if isinstance(policy, ActorCriticPolicy):
        return [*linear_layers(policy.mlp_extractor.policy_net), *linear_layers(policy.action_net)]
    actor: Any = policy.actor
    return [*linear_layers(actor.latent_pi), actor.mu]


def start_from(model: BaseAlgorithm, policy: Policy, noise_log_std: float) -> None:
    """Make a fresh model's deterministic actions those of a policy.

    SAC's noise depends on the observation; it starts at noise_log_std everywhere. Raises ValueError
    if the policy's layers have other sizes than the model's.
    """
    copy_policy_into(policy, actor_layers(model))
    if isinstance(model.policy, SACPolicy):
        log_std: Any = model.policy.actor.log_std
        nn.init.zeros_(log_std.weight)
        nn.init.constant_(log_std.bias, noise_log_std)


def driver_of(model: BaseAlgorithm, record: dict[str, str]) -> Policy:
    """The model's deterministic driver."""
    return policy_from_layers(actor_layers(model), record)


class MovingAverage:
    """Exponential moving average of a driver's weights: steadier than any single iterate."""

    def __init__(self, policy: Policy, decay: float):
        self.policy, self.decay = policy, decay

    def update(self, policy: Policy) -> None:
        for mean, value in zip(
            (*self.policy.weights, *self.policy.biases), (*policy.weights, *policy.biases),
            strict=True,
        ):  # fmt: skip
            mean += (1.0 - self.decay) * (value - mean)


def freeze(layers: Sequence[nn.Linear], frozen: bool) -> None:
    """Stop, or let, the optimiser change these layers."""
    for layer in layers:
        for parameter in layer.parameters():
            parameter.requires_grad_(not frozen)


def set_noise(model: BaseAlgorithm, log_std: Sequence[float]) -> None:
    """Set PPO's exploration noise (log of the standard deviation per action)."""
    parameter: Any = model.policy.log_std
    with torch.no_grad():
        parameter.copy_(torch.tensor(log_std))
