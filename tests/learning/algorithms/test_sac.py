import gymnasium as gym
import numpy as np
import pytest
import torch
from models import Anywhere, new_clone
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from racing_env.learning.algorithms import sac
from racing_env.learning.algorithms.sac import ProximalSAC
from racing_env.learning.sac_parts import ParallelLinear, ProximalSACPolicy
from racing_env.simulation.layouts.line_preview import LAYOUT

SIZE = 5
SETTINGS = {
    "learning_starts": 8, "batch_size": 16, "train_freq": 8, "gradient_steps": 8, "ent_coef": 1e-4,
    "gamma": 0.0, "buffer_size": 500, "device": "cpu", "seed": 0,
}  # fmt: skip


class Target(gym.Env):
    """Pays for a first action near the first number seen; one step is an episode's length."""

    observation_space = gym.spaces.Box(-1, 1, (SIZE,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seen = self.np_random.uniform(-1, 1, SIZE).astype(np.float32)
        return self.seen, {}

    def step(self, action):
        return self.seen, -float((action[0] - 0.5 * self.seen[0]) ** 2), True, False, {}


def made(**settings) -> ProximalSAC:
    torch.manual_seed(0)
    sizes = {"net_arch": {"pi": [16], "qf": [32, 32]}, "activation_fn": nn.Tanh}
    return ProximalSAC(ProximalSACPolicy, Target(), **SETTINGS | settings, policy_kwargs=sizes)


def seen(count: int) -> torch.Tensor:
    return torch.rand((count, SIZE), generator=torch.Generator().manual_seed(1)) * 2 - 1


def mean_actions(actor) -> torch.Tensor:
    with torch.no_grad():
        return actor(seen(200), deterministic=True)


def test_critics_are_two_networks_with_layer_norm():
    model = made()
    model.learn(32)  # at the start no critic tells actions apart
    observations, actions = seen(7), torch.rand(7, 2)
    linear = [layer for layer in model.critic.networks if isinstance(layer, ParallelLinear)]
    values = model.critic(observations, actions)
    assert len(values) == 2 and not torch.equal(*values)
    for number, value in enumerate(values):
        hidden = torch.cat([observations, actions], dim=1)
        for layer in linear[:-1]:
            hidden = hidden @ layer.weight[number] + layer.bias[number]
            hidden = nn.functional.layer_norm(hidden, hidden.shape[1:]).relu()
        expected = hidden @ linear[-1].weight[number] + linear[-1].bias[number]
        torch.testing.assert_close(value, expected)
    assert sum(1 for _ in model.critic.parameters()) == 2 * len(linear)  # no others besides


def test_critics_start_alike_and_without_an_opinion_on_actions():
    model = made()
    ours, target = model.critic.state_dict(), model.critic_target.state_dict()
    assert all(torch.equal(ours[name], target[name]) for name in ours)
    observations = seen(7)
    one, other = (model.critic.q_values(observations, torch.rand(7, 2)) for _ in range(2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    model.learn(64)
    one, other = (model.critic.q_values(observations, torch.rand(7, 2)) for _ in range(2))
    assert not torch.allclose(one, other)


def samples(count: int, **parts) -> ReplayBufferSamples:
    zeros = torch.zeros(count, 1)
    plain = ReplayBufferSamples(seen(count), torch.rand(count, 2), seen(count) / 2, zeros, zeros)
    return plain._replace(**parts)


def test_critics_see_what_an_action_adds_to_the_average_driver_s():
    model = made()
    with torch.no_grad():
        for parameter in model.actor.parameters():
            parameter += 0.3  # the driver is elsewhere than its average
    given = samples(9)
    average = model.policy.average_actor(given.observations, deterministic=True)
    batch = model._make_batch(given)
    torch.testing.assert_close(batch.average, average)
    torch.testing.assert_close(batch.additions, given.actions - average)
    assert torch.equal(batch.observations, given.observations)


def test_targets_are_the_rewards_and_then_the_worth_of_the_average_driver():
    model = made(gamma=0.9)
    given = samples(4, dones=torch.tensor([[0.0], [0], [1], [0]]), rewards=torch.rand(4, 1))
    worth = torch.cat(model.critic_target(given.next_observations, torch.zeros(4, 2)), dim=1)
    left = torch.tensor([0.9, 0.9, 0, 0.9])
    expected = given.rewards[:, 0] + left * worth.amin(1)
    torch.testing.assert_close(model._make_batch(given).targets[:, 0], expected)
    several_steps = given._replace(discounts=torch.tensor([[0.5], [0.25], [0.5], [0.125]]))
    expected = given.rewards[:, 0] + torch.tensor([0.5, 0.25, 0, 0.125]) * worth.amin(1)
    torch.testing.assert_close(model._make_batch(several_steps).targets[:, 0], expected)


def test_each_update_has_its_share_of_a_sample(monkeypatch):
    model = made(gradient_steps=4)
    learnt = []
    update_critics = model._update_critics
    monkeypatch.setattr(
        model, "_update_critics", lambda batch: learnt.append(batch) or update_critics(batch)
    )
    numbers = torch.arange(64.0)[:, None]  # the second half may be demonstrations
    monkeypatch.setattr(
        model.replay_buffer, "sample", lambda count: samples(count, rewards=numbers)
    )
    model.learn(16)
    assert len(learnt) == 4
    for batch in learnt:
        shown = batch.targets[:, 0] >= 32
        assert len(shown) == 16 and shown.sum() == 8
    assert torch.cat([batch.targets for batch in learnt]).unique().numel() == 64


def test_it_learns_and_the_average_follows():
    model = made(
        learning_rate=5e-3, average_decay=0.95, distance_price=0.1, policy_delay=4, tau=0.05
    )
    wanted = 0.5 * seen(200)[:, 0]
    before = (mean_actions(model.actor)[:, 0] - wanted).square().mean()
    model.actor.requires_grad_(False)
    model.learn(200)  # as the warm-up of train_rl.py: the critics first
    model.actor.requires_grad_(True)
    model.learn(600, reset_num_timesteps=False)
    for actor in (model.actor, model.policy.average_actor):
        assert (mean_actions(actor)[:, 0] - wanted).square().mean() < 0.2 * before


def test_average_is_its_closed_form():
    model = made(average_decay=0.75, policy_delay=8)
    start = [parameter.clone() for parameter in model.policy.average_actor.parameters()]
    model.learn(16)  # the first eight only fill the buffer: one update of the actor
    now = zip(start, model.actor.parameters(), model.policy.average_actor.parameters(), strict=True)
    for first, actor, average in now:
        torch.testing.assert_close(average, 0.75 * first + 0.25 * actor.detach())
    assert not torch.equal(start[0], next(model.policy.average_actor.parameters()))


def test_distance_from_the_average_has_its_price():
    distances = {}
    for price in (0.0, 100.0):
        model = made(learning_rate=1e-2, average_decay=0.999, distance_price=price)
        model.learn(200)
        away = mean_actions(model.actor) - mean_actions(model.policy.average_actor)
        distances[price] = away.abs().mean()
    assert distances[100.0] < 0.2 * distances[0.0]


@pytest.mark.parametrize("delay", [1, 2, 4])
def test_actor_learns_at_its_own_rate_and_after_its_delay(delay):
    model = made(policy_delay=delay, actor_speed=0.5)
    steps = []
    model.actor.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    model.learn(32)
    assert len(steps) == (32 - 8) // delay
    rates = [part.optimizer.param_groups[0]["lr"] for part in (model.actor, model.critic)]
    assert rates == [0.5 * 3e-4, 3e-4]


@pytest.mark.parametrize("cars", [1, 3, 8, 50, 100])
def test_updates_a_transition_hardly_depend_on_the_cars(cars, monkeypatch):
    numbers = sac.NUMBERS._replace(rollout=64, transitions_per_update=4)
    monkeypatch.setattr(sac, "NUMBERS", numbers)
    model = sac.make_model(DummyVecEnv([Anywhere] * cars), 96, 0, torch.device("cpu"))
    updates = []
    model.train = lambda gradient_steps, batch_size: updates.append(gradient_steps)
    model.learn(96)
    assert sum(updates) == pytest.approx(model.num_timesteps / 4, rel=0.05)


def test_the_noise_that_it_learns_starts_the_same_everywhere():
    model = sac.make_model(DummyVecEnv([Anywhere]), 64, 0, torch.device("cpu"))
    sac.start_from(model, new_clone())
    seen = torch.rand((50, LAYOUT.size)) * 10 - 5
    with torch.no_grad():
        _, log_std, _ = model.actor.get_action_dist_params(seen)
    np.testing.assert_allclose(log_std.numpy(), sac.NUMBERS.log_std_first, atol=1e-6)
