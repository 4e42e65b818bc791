"""Policies for stable-baselines3 that start exactly as the cloned driver.

Both act by the same network as `racing_env.policy`: tanh between the layers and on the outputs.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, ContinuousCritic
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.sac.policies import SACPolicy
from torch import nn

from racing_env.analytic_gradient import AnalyticPolicyGradient
from racing_env.network import HIDDEN_SIZES, copy_policy_into, linear_layers, policy_from_layers
from racing_env.policy import Policy
from racing_env.replay import DemonstrationReplayBuffer

# docs/recipe.md says where each number comes from
APG_LEARNING_RATE = (4e-4, 2e-5)  # at the start and at the end
APG_STEPS = 160  # of a rollout
APG_BETAS = (0.9, 0.95)  # of Adam: a gradient that is large for once is soon forgotten
PPO_BATCH = 16_384
PPO_EPOCHS = 4
PPO_ROLLOUT = 2048 * 64  # transitions between updates
PPO_LEARNING_RATE = (1e-4, 7.7e-5)  # the actor's, at the start and at the end
PPO_CRITIC_SPEED = 5.0
PPO_TARGET_KL = 0.01
SAC_LEARNING_RATE = 3e-4  # the critics'
SAC_ACTOR_SPEED = 0.03
SAC_ENTROPY_WEIGHT = 3e-5
SAC_BUFFER = 500_000
SAC_TRANSITIONS_PER_UPDATE = 8
SAC_CRITIC_SIZES = (128, 128)  # with 256 an update takes twice as long


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
            *(nn.ReLU() if isinstance(layer, nn.Tanh) else layer
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


class ParallelLinear(nn.Module):
    """n linear layers at once: (..., rows, inputs) to (n, rows, outputs), each with its weights."""

    def __init__(self, n: int, inputs: int, outputs: int):
        super().__init__()
        bound = inputs**-0.5  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(n, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n, 1, outputs).uniform_(-bound, bound))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, inputs.expand(len(self.weight), -1, -1), self.weight)


class LayerNormCritic(ContinuousCritic):
    """SB3's critic with layer normalisation, which keeps Q from running away off the data.

    As in Ball, Smith, Kostrikov, Levine, "Efficient online reinforcement learning with offline
    data", ICML 2023. The critics are computed at once: such small ones cost little else than calls.
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        net_arch: list[int],
        n_critics: int = 2,
        **kwargs: Any,
    ):
        super().__init__(observation_space, action_space, net_arch, n_critics=0, **kwargs)
        self.n_critics = n_critics
        sizes = [observation_space.shape[0] + action_space.shape[0], *net_arch]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [ParallelLinear(n_critics, inputs, outputs),
                       nn.LayerNorm(outputs, elementwise_affine=False), nn.ReLU()]  # fmt: skip
        self.networks = nn.Sequential(*layers, ParallelLinear(n_critics, sizes[-1], 1))

    def forward(self, obs: Any, actions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.extract_features(obs, self.features_extractor)
        return self.networks(torch.cat([features, actions], dim=1)).unbind()

    def q1_forward(self, obs: Any, actions: torch.Tensor) -> torch.Tensor:
        return self(obs, actions)[0]


class LayerNormSACPolicy(SACPolicy):
    """SB3's SAC policy with `LayerNormCritic`.

    actor_speed: the actor's learning rate as a multiple of the critics'.
    """

    def __init__(self, *args: Any, actor_speed: float = 1.0, **kwargs: Any):
        self.actor_speed = actor_speed
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.actor.optimizer = TwoSpeedAdam(
            [{"params": list(self.actor.parameters()), "speed": self.actor_speed}],
            lr=lr_schedule(1.0),
            **self.optimizer_kwargs,
        )

    def make_critic(self, features_extractor: Any = None) -> ContinuousCritic:
        arguments = self._update_features_extractor(self.critic_kwargs, features_extractor)
        return LayerNormCritic(**arguments).to(self.device)


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
        gamma=0.995,  # ten seconds: a corner and the straight behind it
        gae_lambda=0.95,
        target_kl=PPO_TARGET_KL,
        seed=seed,
        device=device,
        policy_kwargs={
            "net_arch": {"pi": hidden, "vf": hidden},
            "activation_fn": nn.Tanh,
            "critic_speed": PPO_CRITIC_SPEED,
            "optimizer_kwargs": {"fused": True},
        },
    )


def sac(
    env: VecEnv, timesteps: int, seed: int, device: torch.device, data: str | None = None
) -> SAC:
    """A fresh SAC model; with a folder of demonstrations they are half of each batch."""
    # the updates a transition do not depend on the number of cars
    transitions = math.lcm(env.num_envs, SAC_TRANSITIONS_PER_UPDATE)
    return SAC(
        LayerNormSACPolicy,
        env,
        learning_rate=SAC_LEARNING_RATE,
        buffer_size=min(SAC_BUFFER, timesteps),
        learning_starts=0,  # SB3 drives at random until then; the actor's warm-up is a callback
        batch_size=256,
        gamma=0.99,
        ent_coef=SAC_ENTROPY_WEIGHT,
        train_freq=transitions // env.num_envs,
        gradient_steps=transitions // SAC_TRANSITIONS_PER_UPDATE,
        replay_buffer_class=DemonstrationReplayBuffer if data else None,
        replay_buffer_kwargs={"folder": data} if data else None,
        seed=seed,
        device=device,
        policy_kwargs={
            "net_arch": {"pi": list(HIDDEN_SIZES), "qf": list(SAC_CRITIC_SIZES)},
            "activation_fn": nn.Tanh,
            "actor_speed": SAC_ACTOR_SPEED,
            "optimizer_kwargs": {"fused": True},
        },
    )


def actor_layers(model: BaseAlgorithm) -> Sequence[nn.Linear]:
    """The layers of a model that make up the driver."""
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
    if isinstance(model.policy, SACPolicy):
        layers = [*layers, model.policy.actor.log_std]  # type: ignore[list-item]
    for layer in layers:
        layer.requires_grad_(not frozen)


def set_noise(model: BaseAlgorithm, log_std: Sequence[float]) -> None:
    """Set an on-policy model's noise (log of the standard deviation per action)."""
    parameter: Any = model.policy.log_std
    with torch.no_grad():
        parameter.copy_(torch.tensor(log_std))
