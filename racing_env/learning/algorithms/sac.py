"""Soft actor-critic that keeps the driver near his own moving average.

On stable-baselines3's, for a driver who is good already.
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

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import NStepReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.utils import LinearSchedule, polyak_update, update_learning_rate
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.nn import functional

from racing_env.drivers.policy import Policy
from racing_env.learning.callbacks import WarmUp
from racing_env.learning.network import (
    HIDDEN_SIZES,
    FastTanh,
    copy_policy_into,
    linear_layers,
    policy_from_layers,
)
from racing_env.learning.sac_parts import (
    DemonstrationReplayBuffer,
    LayerNormCritic,
    PersistentNoise,
    ProximalSACPolicy,
)
from racing_env.learning.training_cars import TrainingSettings
from racing_env.simulation.task import Task


class Numbers(NamedTuple):
    """docs/recipe.md says where each comes from."""

    timesteps: int = 6_400_000
    cars: int = 512
    rollout: int = 2048  # transitions between updates, which are then done together
    transitions_per_update: int = 128
    batch_size: int = 256
    buffer_size: int = 500_000
    return_steps: int = 32
    discount: float = 0.99
    critic_width: int = 64  # of each of its two hidden layers
    learning_rate_first: float = 3e-4  # the critics'
    learning_rate_last: float = 3e-5
    actor_speed: float = 0.12  # the actor's rate as a multiple of it
    policy_delay: int = 8
    actor_average_decay: float = 0.998  # an update of the actor
    distance_price: float = 5e-3  # of the actor's distance from its average, squared
    steering_distance_unit: float = 0.02
    pedal_distance_unit: float = 0.3
    entropy_weight: float = 3e-5
    log_std_first: float = -4.6  # of the noise that the actor learns
    steering_noise: float = 0.015  # standard deviations of noise that lasts, beside it
    pedal_noise: float = 0.06
    steering_noise_persistence: float = 0.75  # a step
    pedal_noise_persistence: float = 0.95
    warm_up: int = 5000 * 128  # transitions from which the critics alone learn
    average_decay: float = 0.0  # the driver is the average actor already
    judge_every: int = 320_000


NUMBERS = Numbers()
ROAD = PRACTICE = None
USES_DEMONSTRATIONS = True


class Batch(NamedTuple):
    """What updates learn from, by row."""

    observations: torch.Tensor
    average: torch.Tensor  # the average driver's actions
    additions: torch.Tensor  # what the actions that were tried add to them
    targets: torch.Tensor  # what they were worth, (rows, 1)


def minibatches(samples: Batch, batches: int) -> Iterator[Batch]:
    """Sample i goes to batch i % batches, as the samples' second half may be demonstrations."""
    parts = (part.unflatten(0, (-1, batches)).transpose(0, 1).contiguous() for part in samples)
    return map(Batch, *parts)


def descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
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
        samples = self._make_batch(self.replay_buffer.sample(gradient_steps * batch_size))
        for update, batch in enumerate(minibatches(samples, gradient_steps)):
            critic_loss = self._update_critics(batch)
            if not frozen and (update + 1) % self.policy_delay == 0:
                actor_loss, distance = self._update_actor(batch)
        follows = 1.0 - (1.0 - self.tau) ** gradient_steps  # as far as one step an update
        polyak_update(self.critic.parameters(), self.critic_target.parameters(), follows)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/critic_loss", critic_loss.item())
        self.logger.record("train/actor_loss", actor_loss.item())
        self.logger.record("train/distance", distance.item())

    @torch.no_grad()
    def _make_batch(self, samples: ReplayBufferSamples) -> Batch:
        """Samples with what the average driver does, and what they were worth if he goes on."""
        discounts = self.gamma if samples.discounts is None else samples.discounts
        nothing_added = torch.zeros_like(samples.actions)
        worth = self.critic_target.q_values(samples.next_observations, nothing_added).amin(0)
        targets = samples.rewards + (1 - samples.dones) * discounts * worth
        average = self.policy.average_actor(samples.observations, deterministic=True)
        return Batch(samples.observations, average, samples.actions - average, targets)

    def _update_critics(self, batch: Batch) -> torch.Tensor:
        """One step of the critics; returns their loss."""
        q = self.critic.q_values(batch.observations, batch.additions)
        loss = 0.5 * len(q) * functional.mse_loss(q, batch.targets.expand_as(q))
        descend(loss, self.critic.optimizer)
        return loss

    def _update_actor(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the actor; returns its loss, and what of it is for the distance."""
        mean, log_std, _ = self.actor.get_action_dist_params(batch.observations)
        noisy: Any = self.actor.action_dist
        actions, log_prob = noisy.log_prob_from_params(mean, log_std)
        away = (torch.tanh(mean) - batch.average) / self.distance_units
        distance = self.distance_price * away.square().sum(1).mean()
        # of the target critics: averages of the critics, with a less noisy slope
        q = self.critic_target.q_values(batch.observations, actions - batch.average).mean(0)
        loss = (self.ent_coef_tensor * log_prob[:, None] - q).mean() + distance
        descend(loss, self.actor.optimizer)
        averaged = self.policy.average_actor.parameters()
        polyak_update(self.actor.parameters(), averaged, 1.0 - self.average_decay)
        return loss, distance


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
) -> ProximalSAC:
    numbers = numbers or NUMBERS
    """With demonstrations, they are half of each batch."""
    # as many updates a transition, but for rounding, whatever the number of cars is
    steps = math.ceil(numbers.rollout / env.num_envs)
    updates = round(steps * env.num_envs / numbers.transitions_per_update)
    deviations = (numbers.steering_noise, numbers.pedal_noise)
    persistence = (numbers.steering_noise_persistence, numbers.pedal_noise_persistence)
    returns: dict[str, Any] = {"n_steps": numbers.return_steps, "gamma": numbers.discount}
    return ProximalSAC(
        ProximalSACPolicy,
        env,
        LinearSchedule(numbers.learning_rate_first, numbers.learning_rate_last, end_fraction=1.0),
        actor_speed=numbers.actor_speed,
        policy_delay=numbers.policy_delay,
        distance_price=numbers.distance_price,
        distance_units=(numbers.steering_distance_unit, numbers.pedal_distance_unit),
        average_decay=numbers.actor_average_decay,
        buffer_size=min(numbers.buffer_size, timesteps),
        learning_starts=0,  # SB3 drives at random until then; the actor's warm-up is a callback
        batch_size=numbers.batch_size,
        gamma=numbers.discount,
        ent_coef=numbers.entropy_weight,
        train_freq=steps,
        gradient_steps=updates,
        action_noise=PersistentNoise(env.num_envs, deviations, persistence),
        replay_buffer_class=DemonstrationReplayBuffer if demonstrations else NStepReplayBuffer,
        replay_buffer_kwargs=returns | ({"folder": demonstrations} if demonstrations else {}),
        seed=seed,
        device=device,
        policy_kwargs={
            "net_arch": {"pi": list(HIDDEN_SIZES), "qf": [numbers.critic_width] * 2},
            "activation_fn": FastTanh,
            "optimizer_kwargs": {"fused": True},
        },
    )


def mean_layers(actor: Any) -> Sequence[nn.Linear]:
    """The layers of an actor that make up the driver; those of its noise are left out."""
    return [*linear_layers(actor.latent_pi), actor.mu]


def start_from(model: BaseAlgorithm, policy: Policy) -> None:
    """The noise depends on the observation; it starts the same everywhere."""
    networks: Any = model.policy
    copy_policy_into(policy, mean_layers(networks.actor))
    nn.init.zeros_(networks.actor.log_std.weight)
    nn.init.constant_(networks.actor.log_std.bias, NUMBERS.log_std_first)
    networks.average_actor.load_state_dict(networks.actor.state_dict())


def driver_of(model: BaseAlgorithm, like: Policy) -> Policy:
    networks: Any = model.policy
    return policy_from_layers(mean_layers(networks.average_actor), like)


def callbacks(model: BaseAlgorithm) -> list[BaseCallback]:
    actor: Any = model.policy.actor
    return [WarmUp(NUMBERS.warm_up, [*mean_layers(actor), actor.log_std])]
