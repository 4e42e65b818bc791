import numpy as np
import torch
from models import Anywhere
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import DummyVecEnv

from racing_env.learning.actor_critic import actor_layers
from racing_env.learning.algorithms.ppo import NUMBERS, GatheredRollouts, make_model
from racing_env.simulation.layouts.line_preview import LAYOUT


def test_ppo_s_critic_is_quicker_and_its_noise_is_not_learnt():
    model = make_model(DummyVecEnv([Anywhere]), 64, 0, torch.device("cpu"))
    actor, critic = model.policy.optimizer.param_groups
    assert (actor["speed"], critic["speed"]) == (1.0, NUMBERS.critic_speed)
    assert {id(p) for layer in actor_layers(model) for p in layer.parameters()} == {
        id(p) for p in actor["params"]
    }
    everything = {id(p) for p in model.policy.parameters()}
    learnt = {id(p) for group in (actor, critic) for p in group["params"]}
    assert everything - learnt == {id(model.policy.log_std)}


def test_gathered_rollouts_are_sb3_s_and_no_part_of_the_buffer():
    arguments = (5, Anywhere.observation_space, Anywhere.action_space, "cpu")
    buffers = [kind(*arguments, n_envs=3) for kind in (RolloutBuffer, GatheredRollouts)]
    minibatches = []
    for buffer in buffers:
        rng = np.random.default_rng(0)
        for _ in range(5):
            seen = rng.uniform(-5, 5, (3, LAYOUT.size)).astype(np.float32)
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
