"""An actor-critic policy for stable-baselines3 whose actor can start exactly as the clone.

It acts by the same network as `racing_env.drivers.policy`: tanh between the layers and on the
outputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from racing_env.learning.network import linear_layers


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


def actor_layers(model: BaseAlgorithm) -> Sequence[nn.Linear]:
    """The layers of a model with such a policy that make up the driver."""
    policy: Any = model.policy
    return [*linear_layers(policy.mlp_extractor.policy_net), *linear_layers(policy.action_net)]
