import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from racing_env.learning.agents import (
    MovingAverage,
    TanhMeanPolicy,
    TwoSpeedAdam,
    actor_layers,
    driver_of,
    freeze_actor,
    is_finite,
    set_noise,
    start_from,
)
from racing_env.learning.proximal_sac import ProximalSAC, ProximalSACPolicy
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from racing_env.drivers.policy import Policy, load_policy, save_policy
from racing_env.learning import agents
from racing_env.learning.network import HIDDEN_SIZES
from racing_env.simulation import observation

NOISE_LOG_STD = -3.0


class Anywhere(gym.Env):
    """Random observations; rewards small steering."""

    observation_space = gym.spaces.Box(-5, 5, (observation.SIZE,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._seen(), {}

    def step(self, action):
        return self._seen(), -float(abs(action[0])), False, self.np_random.random() < 0.1, {}

    def _seen(self):
        return self.np_random.uniform(-5, 5, observation.SIZE).astype(np.float32)


@pytest.fixture
def clone() -> Policy:
    rng = np.random.default_rng(0)
    sizes = [observation.SIZE, *HIDDEN_SIZES, 2]
    return Policy(
        tuple(
            rng.normal(0, 1.5 / math.sqrt(inputs), (outputs, inputs)).astype(np.float32)
            for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
        ),
        tuple(rng.normal(0, 0.2, outputs).astype(np.float32) for outputs in sizes[1:]),
        {"made_by": "test"},
    )


@pytest.fixture(params=["ppo", "sac"])
def model(request):
    hidden = list(HIDDEN_SIZES)
    torch.manual_seed(0)
    if request.param == "ppo":
        kwargs = {"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": nn.Tanh}
        return PPO(
            TanhMeanPolicy, Anywhere(), n_steps=32, batch_size=32, n_epochs=1, learning_rate=1e-2,
            device="cpu", seed=0, policy_kwargs=kwargs,
        )  # fmt: skip
    kwargs = {"net_arch": {"pi": hidden, "qf": [32, 32]}, "activation_fn": nn.Tanh}
    return ProximalSAC(
        ProximalSACPolicy, Anywhere(), learning_starts=8, batch_size=8, learning_rate=1e-2,
        train_freq=8, gradient_steps=8, ent_coef=0.01, distance_price=0.0, device="cpu", seed=0,
        buffer_size=100, policy_kwargs=kwargs,
    )  # fmt: skip


def observations(count: int = 500) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.uniform(-5, 5, (count, observation.SIZE)).astype(np.float32)


def test_before_the_first_update_the_model_acts_as_the_clone(model, clone):
    start_from(model, clone, NOISE_LOG_STD)
    actions, _ = model.predict(observations(), deterministic=True)
    assert np.abs(clone.act(observations())).max() > 0.9  # the squashing matters here
    np.testing.assert_allclose(actions, clone.act(observations()), rtol=0, atol=1e-5)


def test_driver_is_the_model(model, clone, tmp_path):
    start_from(model, clone, NOISE_LOG_STD)
    acting = model.policy
    if isinstance(model, ProximalSAC):
        acting, model.average_decay = model.policy.average_actor, 0.5
    model.learn(64)
    wanted, _ = acting.predict(observations(), deterministic=True)
    assert np.abs(wanted - clone.act(observations())).max() > 1e-3
    driver = driver_of(model, {"made_by": "test"})
    np.testing.assert_allclose(driver.act(observations()), wanted, rtol=0, atol=1e-5)
    save_policy(driver, tmp_path / "driver.safetensors")
    loaded = load_policy(tmp_path / "driver.safetensors")
    np.testing.assert_array_equal(loaded.act(observations()), driver.act(observations()))
    assert loaded.record["made_by"] == "test"


def test_driver_is_a_copy(model, clone):
    start_from(model, clone, NOISE_LOG_STD)
    driver = driver_of(model, {})
    model.learn(64)
    for weight, wanted in zip(driver.weights, clone.weights, strict=True):
        np.testing.assert_array_equal(weight, wanted)


def test_other_sizes_are_refused(model, clone):
    small = Policy((np.zeros((2, observation.SIZE), np.float32),), clone.biases[-1:], {})
    with pytest.raises(ValueError, match="do not have the policy's sizes"):
        start_from(model, small, NOISE_LOG_STD)


def test_frozen_layers_stay_and_the_others_learn(model, clone):
    start_from(model, clone, NOISE_LOG_STD)
    others = [p for p in model.policy.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in others]
    freeze_actor(model, True)
    model.learn(64)
    if isinstance(model, ProximalSAC):
        assert bool((model.actor.log_std.bias == NOISE_LOG_STD).all())
    actions, _ = model.predict(observations(), deterministic=True)
    np.testing.assert_allclose(actions, clone.act(observations()), rtol=0, atol=1e-5)
    assert any(not torch.equal(p, q) for p, q in zip(others, before, strict=True))
    freeze_actor(model, False)
    model.learn(64, reset_num_timesteps=False)
    actions, _ = model.predict(observations(), deterministic=True)
    assert np.abs(actions - clone.act(observations())).max() > 1e-3


@pytest.mark.parametrize("model", ["ppo"], indirect=True)
def test_ppo_s_noise(model, clone):
    start_from(model, clone, NOISE_LOG_STD)
    set_noise(model, [math.log(0.05), math.log(0.12)])
    seen = torch.from_numpy(observations(1)).expand(4000, -1)
    with torch.no_grad():
        actions = model.policy.get_distribution(seen).get_actions().numpy()
    np.testing.assert_allclose(actions.std(axis=0), [0.05, 0.12], rtol=0.1)
    np.testing.assert_allclose(actions.mean(axis=0), clone.act(observations(1))[0], atol=0.02)


@pytest.mark.parametrize("model", ["sac"], indirect=True)
def test_sac_s_noise_is_the_same_everywhere_at_the_start(model, clone):
    start_from(model, clone, NOISE_LOG_STD)
    with torch.no_grad():
        _, log_std, _ = model.actor.get_action_dist_params(torch.from_numpy(observations()))
    np.testing.assert_allclose(log_std.numpy(), NOISE_LOG_STD, atol=1e-6)


def test_moving_average_is_its_closed_form(clone):
    def constant(value: float) -> Policy:
        return Policy(
            tuple(np.full_like(w, value) for w in clone.weights),
            tuple(np.full_like(b, value) for b in clone.biases),
            {},
        )

    average = MovingAverage(constant(1.0), decay=0.9)
    for _ in range(10):
        average.update(constant(3.0))
    for array in (*average.policy.weights, *average.policy.biases):
        np.testing.assert_allclose(array, 3.0 - 2.0 * 0.9**10, rtol=1e-5)


def test_two_speeds_of_one_optimiser():
    """A group steps as in an Adam of its own with the rate times the speed."""
    start = torch.linspace(-1.0, 1.0, 5)
    slow, fast, plain = (nn.Parameter(start.clone()) for _ in range(3))
    ours = TwoSpeedAdam([{"params": [slow], "speed": 1.0}, {"params": [fast], "speed": 5.0}], 1e-3)
    single = torch.optim.Adam([plain], 5e-3)
    for _ in range(3):
        for parameter in (slow, fast, plain):
            parameter.grad = torch.full_like(start, 2.0)
        ours.step()
        single.step()
    torch.testing.assert_close(fast, plain, rtol=0, atol=0)
    torch.testing.assert_close(fast - start, 5.0 * (slow - start), rtol=1e-3, atol=0)
    assert [group["lr"] for group in ours.param_groups] == [1e-3, 1e-3]


def test_ppo_s_critic_is_quicker_and_its_noise_is_not_learnt():
    model = agents.ppo(DummyVecEnv([Anywhere]), 64, 0, torch.device("cpu"))
    actor, critic = model.policy.optimizer.param_groups
    assert (actor["speed"], critic["speed"]) == (1.0, agents.PPO_CRITIC_SPEED)
    assert {id(p) for layer in actor_layers(model) for p in layer.parameters()} == {
        id(p) for p in actor["params"]
    }
    everything = {id(p) for p in model.policy.parameters()}
    learnt = {id(p) for group in (actor, critic) for p in group["params"]}
    assert everything - learnt == {id(model.policy.log_std)}


def test_gathered_rollouts_are_sb3_s_and_no_part_of_the_buffer():
    arguments = (5, Anywhere.observation_space, Anywhere.action_space, "cpu")
    buffers = [kind(*arguments, n_envs=3) for kind in (RolloutBuffer, agents.GatheredRollouts)]
    minibatches = []
    for buffer in buffers:
        rng = np.random.default_rng(0)
        for _ in range(5):
            seen = rng.uniform(-5, 5, (3, observation.SIZE)).astype(np.float32)
            actions, rewards = rng.normal(size=(3, 2)), rng.normal(size=3)
            buffer.add(seen, actions, rewards, np.zeros(3), torch.ones(3), torch.zeros(3))
        buffer.compute_returns_and_advantage(torch.zeros(3), np.zeros(3))
        np.random.seed(0)  # noqa: NPY002 as SB3, which draws from it
        minibatches.append(list(buffer.get(8)))
    before = buffers[1].observations.copy()
    for theirs, ours in zip(*minibatches, strict=True):
        for wanted, found in zip(theirs, ours, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
        ours.observations.zero_()
    np.testing.assert_array_equal(buffers[1].observations, before)


@pytest.mark.parametrize("cars", [1, 3, 8, 50, 100])
def test_updates_a_transition_hardly_depend_on_the_cars(cars, monkeypatch):
    monkeypatch.setattr(agents, "SAC_ROLLOUT", 64)
    monkeypatch.setattr(agents, "SAC_TRANSITIONS_PER_UPDATE", 4)
    model = agents.sac(DummyVecEnv([Anywhere] * cars), 96, 0, torch.device("cpu"))
    updates = []
    model.train = lambda gradient_steps, batch_size: updates.append(gradient_steps)
    model.learn(96)
    assert sum(updates) == pytest.approx(model.num_timesteps / 4, rel=0.05)


def test_weights_that_are_not_finite_are_seen(model):
    assert is_finite(model)
    parameter = next(model.policy.parameters())
    for value in (math.nan, math.inf):
        with torch.no_grad():
            parameter.view(-1)[0] = value
        assert not is_finite(model)
