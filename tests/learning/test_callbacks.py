"""What happens around the learning loop, with an environment that needs no cars."""

import numpy as np
import pytest
import torch
from models import new_model
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from racing_env.learning.actor_critic import actor_layers
from racing_env.learning.callbacks import GivenNoise, LogEpisodes, WarmUp, set_noise
from racing_env.simulation.layouts.line_preview import LAYOUT


def test_warm_up_keeps_the_actor_then_lets_it_go():
    model = new_model()
    before = [layer.weight.detach().clone() for layer in actor_layers(model)]
    critic = model.policy.value_net.weight.detach().clone()
    model.learn(32, [WarmUp(32, actor_layers(model))])
    for layer, weight in zip(actor_layers(model), before, strict=True):
        assert torch.equal(layer.weight, weight)
    assert not torch.equal(model.policy.value_net.weight, critic)
    model.learn(32, [WarmUp(32, actor_layers(model))], reset_num_timesteps=False)
    for layer, weight in zip(actor_layers(model), before, strict=True):
        assert not torch.equal(layer.weight, weight)


@pytest.mark.parametrize("first", [0, 48])
def test_noise_falls_over_the_whole_run_also_in_a_resumed_one(first):
    model = new_model()
    model.num_timesteps = first
    seen = {}

    class Look(BaseCallback):
        def _on_step(self):
            seen[self.num_timesteps] = self.model.policy.log_std.detach().exp().tolist()
            return True

    model.learn(80 - first, [GivenNoise((0.1, 0.2), (0.0, 0.1)), Look()], reset_num_timesteps=False)
    for start in range(first, 80, 16):
        assert seen[start + 1] == pytest.approx([0.1 - 0.1 * start / 80, 0.2 - 0.1 * start / 80])


def test_reward_terms_are_logged():
    model = new_model()
    means = []

    class Keep(Logger):
        def record(self, key, value, exclude=None):
            if key == "reward/progress":
                means.append(value)
            assert key not in ("reward/r", "reward/l")
            super().record(key, value, exclude)

    model.set_logger(Keep(None, []))
    model.learn(32, [LogEpisodes()])
    assert len(means) == 2 and all(0.0 < mean < 1.0 for mean in means)


def test_given_noise_has_its_deviations():
    model = new_model()
    set_noise(model, np.array([0.05, 0.12]))
    seen = torch.ones(4000, LAYOUT.size)
    with torch.no_grad():
        actions = model.policy.get_distribution(seen).get_actions().numpy()
    np.testing.assert_allclose(actions.std(axis=0), [0.05, 0.12], rtol=0.1)
    mean, _ = model.predict(seen[:1].numpy(), deterministic=True)
    np.testing.assert_allclose(actions.mean(axis=0), mean[0], atol=0.02)
