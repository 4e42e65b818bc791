"""Soft actor-critic for a driver who is good already, as an algorithm of stable-baselines3.

An action lasts a twentieth of a second, and a better one gains some 1e-4 of a value that ranges
over 0.5 between states. Critics find out what a state is worth long before they find out what an
action is worth; an actor who follows them meanwhile forgets how to drive. Three things help (see
docs/recipe.md for figures):

- The critics see what an action adds to the average driver's, not the action: actions go with
  states, and so the critics would take them for more of the same.
- The actor pays for its distance from its own moving average, as in proximal methods. A slope of
  the critics moves it as far as the slope is steep, while Adam alone takes full steps of any.
- Noise that lasts: a pedal that trembles changes no speed, so nothing could be learnt of it.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.noise import ActionNoise, VectorizedActionNoise
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.utils import polyak_update, update_learning_rate
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import nn
from torch.nn import functional


class ParallelLinear(nn.Module):
    """n linear layers at once: (..., rows, inputs) to (n, rows, outputs), each with its weights."""

    def __init__(self, n: int, inputs: int, outputs: int):
        super().__init__()
        bound = inputs**-0.5  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(n, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n, 1, outputs).uniform_(-bound, bound))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.weight.shape[2] == 1:  # as a sum in a third of a product's time
            return (inputs * self.weight.mT).sum(-1, keepdim=True) + self.bias
        return torch.baddbmm(self.bias, inputs.expand(len(self.weight), -1, -1), self.weight)


class LayerNormCritic(ContinuousCritic):
    """SB3's critic with layer normalisation, which keeps Q from running away off the data.

    As in Ball, Smith, Kostrikov, Levine, "Efficient online reinforcement learning with offline
    data", ICML 2023. The critics are computed at once: such small ones cost little else than calls.
    At the start they make no difference between actions.
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
        nn.init.zeros_(layers[0].weight[:, observation_space.shape[0] :])  # type: ignore[index]
        self.networks = nn.Sequential(*layers, ParallelLinear(n_critics, sizes[-1], 1))

    def q_values(self, obs: Any, actions: torch.Tensor) -> torch.Tensor:
        """(n_critics, rows, 1)"""
        features = self.extract_features(obs, self.features_extractor)
        return self.networks(torch.cat([features, actions], dim=1))

    def forward(self, obs: Any, actions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.q_values(obs, actions).unbind()

    def q1_forward(self, obs: Any, actions: torch.Tensor) -> torch.Tensor:
        return self(obs, actions)[0]


class ProximalSACPolicy(SACPolicy):
    """SB3's SAC policy with `LayerNormCritic`, and with an average actor beside the actor."""

    average_actor: Actor

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.average_actor = self.make_actor().requires_grad_(False)
        self.average_actor.load_state_dict(self.actor.state_dict())
        self.critic_target.requires_grad_(False)  # the actor's loss alone goes through it

    def make_critic(self, features_extractor: Any = None) -> ContinuousCritic:
        arguments = self._update_features_extractor(self.critic_kwargs, features_extractor)
        return LayerNormCritic(**arguments).to(self.device)


class PersistentNoise(VectorizedActionNoise):
    """Noise on the actions of n cars that decays from step to step and is renewed as it does.

    deviations: standard deviations per action; persistence: what is left of each after a step.
    SB3's Ornstein-Uhlenbeck noise is the same with an object for each car, which takes as long as
    an update. An episode's end leaves it as it is.
    """

    def __init__(self, n: int, deviations: Sequence[float], persistence: Sequence[float]):
        ActionNoise.__init__(self)
        self.persistence = np.array(persistence)
        self.renewal = np.sqrt(1.0 - self.persistence**2) * np.array(deviations)
        self.state = np.zeros((n, len(deviations)))

    def __call__(self) -> np.ndarray:
        fresh = np.random.normal(size=self.state.shape)  # noqa: NPY002 as SB3, which seeds it
        self.state = self.persistence * self.state + self.renewal * fresh
        return self.state.astype(np.float32)

    def reset(self, indices: Any = None) -> None:
        pass


class Batch(NamedTuple):
    """What updates learn from, by row."""

    observations: torch.Tensor
    average: torch.Tensor  # the average driver's actions
    additions: torch.Tensor  # what the actions that were tried add to them
    targets: torch.Tensor  # what they were worth, (rows, 1)


def shared_out(samples: Batch, batches: int) -> Iterator[Batch]:
    """Sample i goes to batch i % batches, as the samples' second half may be demonstrations."""
    parts = (part.unflatten(0, (-1, batches)).transpose(0, 1).contiguous() for part in samples)
    return map(Batch, *parts)


def follow(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """One step of an optimiser down a loss, whose gradients by others' weights are not computed."""
    parameters = optimizer.param_groups[0]["params"]
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()


class ProximalSAC(SAC):
    """SAC whose actor stays near its own moving average; its policy is `ProximalSACPolicy`.

    actor_speed: the actor's learning rate as a multiple of the critics'.
    policy_delay: critics' updates to one of the actor (Fujimoto, van Hoof, Meger, "Addressing
    function approximation error in actor-critic methods", ICML 2018).
    average_decay: of the average actor, in one update of the actor.
    distance_price, distance_units: paid for the square of the distance between the two actors'
    actions, each action's in its unit.
    """

    policy: ProximalSACPolicy
    critic: LayerNormCritic
    critic_target: LayerNormCritic

    def __init__(
        self,
        *args: Any,
        actor_speed: float = 1.0,
        policy_delay: int = 2,
        average_decay: float = 0.9995,
        distance_price: float = 5e-3,
        distance_units: Sequence[float] = (1.0, 1.0),
        **kwargs: Any,
    ):
        self.actor_speed, self.policy_delay = actor_speed, policy_delay
        self.average_decay, self.distance_price = average_decay, distance_price
        super().__init__(*args, **kwargs)
        self.distance_units = torch.tensor(distance_units, device=self.device)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """As SB3's, but for the actor's loss and what the critics see.

        What changes little in these updates, the critics' targets and the average driver's actions,
        is computed for all of them at once, in fewer and larger calls.
        """
        assert self.replay_buffer is not None
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.critic.optimizer)
        critics_rate = self.critic.optimizer.param_groups[0]["lr"]
        update_learning_rate(self.actor.optimizer, self.actor_speed * critics_rate)
        frozen = not any(weights.requires_grad for weights in self.actor.parameters())
        critic_loss = actor_loss = distance = torch.zeros(())
        samples = self._valued(self.replay_buffer.sample(gradient_steps * batch_size))
        for update, batch in enumerate(shared_out(samples, gradient_steps)):
            critic_loss = self._learn_values(batch)
            if not frozen and (update + 1) % self.policy_delay == 0:
                actor_loss, distance = self._learn_actions(batch)
        follows = 1.0 - (1.0 - self.tau) ** gradient_steps  # as far as one step an update
        polyak_update(self.critic.parameters(), self.critic_target.parameters(), follows)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/critic_loss", critic_loss.item())
        self.logger.record("train/actor_loss", actor_loss.item())
        self.logger.record("train/distance", distance.item())

    @torch.no_grad()
    def _valued(self, samples: ReplayBufferSamples) -> Batch:
        """Samples with what the average driver does, and what they were worth if he goes on."""
        discounts = self.gamma if samples.discounts is None else samples.discounts
        nothing_added = torch.zeros_like(samples.actions)
        worth = self.critic_target.q_values(samples.next_observations, nothing_added).amin(0)
        targets = samples.rewards + (1 - samples.dones) * discounts * worth
        average = self.policy.average_actor(samples.observations, deterministic=True)
        return Batch(samples.observations, average, samples.actions - average, targets)

    def _learn_values(self, batch: Batch) -> torch.Tensor:
        """One step of the critics; returns their loss."""
        q = self.critic.q_values(batch.observations, batch.additions)
        loss = 0.5 * len(q) * functional.mse_loss(q, batch.targets.expand_as(q))
        follow(loss, self.critic.optimizer)
        return loss

    def _learn_actions(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the actor; returns its loss, and what of it is for the distance."""
        mean, log_std, _ = self.actor.get_action_dist_params(batch.observations)
        noisy: Any = self.actor.action_dist
        actions, log_prob = noisy.log_prob_from_params(mean, log_std)
        away = (torch.tanh(mean) - batch.average) / self.distance_units
        distance = self.distance_price * away.square().sum(1).mean()
        # of the target critics: averages of the critics, with a less noisy slope
        q = self.critic_target.q_values(batch.observations, actions - batch.average).mean(0)
        loss = (self.ent_coef_tensor * log_prob[:, None] - q).mean() + distance
        follow(loss, self.actor.optimizer)
        averaged = self.policy.average_actor.parameters()
        polyak_update(self.actor.parameters(), averaged, 1.0 - self.average_decay)
        return loss, distance
