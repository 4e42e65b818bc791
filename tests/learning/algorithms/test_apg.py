from dataclasses import replace

import numpy as np
import pytest
import torch
from cars import RACECAR
from models import NOBODY
from processes import ROOT
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from racing_env.car.vehicle_files import read_vehicle, shipped_names
from racing_env.drivers.policy import Policy
from racing_env.learning import algorithms
from racing_env.learning.actor_critic import actor_layers
from racing_env.learning.algorithms import apg
from racing_env.learning.network import HIDDEN_SIZES
from racing_env.learning.training_cars import RolloutSettings, TrainingSettings
from racing_env.learning.vector_env import make_vec_env
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

STEPS, CARS = 24, 6
TASK = training_task(RACECAR)
# anywhere: who drives straight on leaves the track before a tight corner
TASK = TASK._replace(starts=TASK.starts._replace(tight_share=0.0))
# all of it judged, undiscounted and without noise
ROLLOUTS = RolloutSettings(
    STEPS, lookahead_steps=1, discount=1.0, action_gradient_limit=np.inf, noise=(0.0, 0.0),
    hidden=HIDDEN_SIZES[0],
)  # fmt: skip
SETTINGS = TrainingSettings(TASK, seed=1, rollouts=ROLLOUTS)


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


def clone() -> Policy:
    """Drives straight on with half the power, a little moved by all that it sees."""
    rng = np.random.default_rng(3)
    sizes = [LAYOUT.size, *HIDDEN_SIZES, 2]
    weights = [
        rng.normal(0, 0.5 / np.sqrt(a), (b, a)).astype(np.float32)
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    biases = [np.zeros(size, np.float32) for size in sizes[1:]]
    biases[-1][1] = 0.5
    return replace(NOBODY, weights=tuple(weights), biases=tuple(biases))


def new_model(bank, tmp_path, monkeypatch, kind: str = "dummy", settings=SETTINGS):
    monkeypatch.setattr(apg, "NUMBERS", apg.NUMBERS._replace(rollout_steps=STEPS))
    processes = 1 if kind == "batch" else CARS
    env = make_vec_env(kind, bank, processes, CARS, settings, tmp_path)
    model = apg.make_model(env, 10**6, settings.seed, torch.device("cpu"))
    apg.start_from(model, clone())
    return model, env


def paid(env: VecEnv, driver: Policy) -> float:
    seen, total = env.reset(), 0.0
    for _ in range(STEPS):
        seen, rewards, dones, _ = env.step(driver.act(seen))
        assert not dones.any()
        total += float(rewards.sum(dtype=np.float64))
    return total


def test_gradient_is_the_difference_of_driving_again(bank, tmp_path, monkeypatch):
    """Undiscounted, all of it judged: the gradient of the whole pay by the driver's weights."""
    model, env = new_model(bank, tmp_path, monkeypatch)
    model.max_grad_norm = np.inf
    model.learn(STEPS * CARS)
    layers = actor_layers(model)
    by_bias = -layers[-1].bias.grad.numpy() * STEPS * CARS  # the loss is a mean over the steps
    env.close()

    for i in range(2):
        ways = []
        for change in (-1e-3, 1e-3):
            driver = clone()
            driver.biases[-1][i] += change
            other = make_vec_env("dummy", bank, CARS, CARS, SETTINGS, tmp_path)
            ways.append(paid(other, driver))
            other.close()
        assert by_bias[i] == pytest.approx((ways[1] - ways[0]) / 2e-3, rel=0.05)


@pytest.mark.parametrize("name", [*shipped_names(), "benchmarks/vehicles/gymkhana_std.yaml"])
def test_steering_of_no_shipped_car_is_too_slow_for_the_noise(name):
    task = training_task(read_vehicle(ROOT / name if "/" in name else name))
    assert apg.training_settings(task, 0).rollouts.noise[0] == apg.NUMBERS.steering_noise


def test_noise_on_the_steering_is_no_more_than_it_follows():
    steering, pedals = apg.NUMBERS.steering_noise, apg.NUMBERS.pedal_noise
    for full_s, noise in ((0.2, steering), (0.5, steering), (2.0, 0.2 * 0.05 / 2.0)):
        task = TASK._replace(vehicle=RACECAR._replace(steering_full_s=full_s))
        settings = apg.training_settings(task, 0)
        assert settings.rollouts.noise == pytest.approx((noise, pedals))


def test_who_learns_slowly_guesses_as_quickly(bank, tmp_path):
    """The guesser's own rate stays."""
    settings = SETTINGS._replace(rollouts=ROLLOUTS._replace(adapts=True))
    for first in (apg.NUMBERS.learning_rate_first, 1e-5):
        numbers = algorithms.with_learning_rate(apg.NUMBERS, first)
        env = make_vec_env("dummy", bank, CARS, CARS, settings, tmp_path)
        model = apg.make_model(env, 10**6, 0, torch.device("cpu"), numbers=numbers)
        speeds = [group["speed"] for group in model.policy.optimizer.param_groups]
        env.close()
        assert speeds[0] == 1.0
        assert first * speeds[1] == pytest.approx(3.0 * apg.NUMBERS.learning_rate_first)


def test_the_same_in_a_batch_as_one_by_one(bank, tmp_path, monkeypatch):
    """So few cars have a group each."""
    weights = []
    for kind in ("dummy", "batch"):
        model, env = new_model(bank, tmp_path, monkeypatch, kind)
        model.learn(2 * STEPS * CARS)
        weights.append([layer.weight.detach().numpy() for layer in actor_layers(model)])
        env.close()
    for one, many in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, many)
    assert not np.array_equal(weights[0][0], clone().weights[0])


def test_only_what_is_known_far_enough_ahead_is_learnt_from(bank, tmp_path, monkeypatch):
    settings = SETTINGS._replace(rollouts=ROLLOUTS._replace(lookahead_steps=STEPS + 1))
    model, env = new_model(bank, tmp_path, monkeypatch, settings=settings)
    model.learn(STEPS * CARS)
    for layer, weight in zip(actor_layers(model), clone().weights, strict=True):
        np.testing.assert_array_equal(layer.weight.detach().numpy(), weight)
    env.close()


def test_the_driver_is_paid_more_after_learning(bank, tmp_path, monkeypatch):
    """Anew from the same starts, over the stretch from which it learns each time."""
    model, env = new_model(bank, tmp_path, monkeypatch)
    before = paid(env, clone())
    for _ in range(30):
        env.envs = make_vec_env("dummy", bank, CARS, CARS, SETTINGS, tmp_path).envs
        model.learn(STEPS * CARS)
    env.close()
    env = make_vec_env("dummy", bank, CARS, CARS, SETTINGS, tmp_path)
    assert paid(env, apg.driver_of(model, NOBODY)) > before
    env.close()


# ---------------------------------------------------------------- as stable-baselines3 has it


class Calls(BaseCallback):
    """Notes the calls, of steps in a row the first one; stops the training after so many."""

    def __init__(self, steps: int):
        super().__init__()
        self.left, self.calls, self.seen = steps, [], set()

    def _on_training_start(self) -> None:
        self.calls.append("training_start")

    def _on_rollout_start(self) -> None:
        self.calls.append("rollout_start")

    def _on_step(self) -> bool:
        if self.calls[-1] != "step":
            self.calls.append("step")
        self.seen |= set(self.locals)
        self.left -= 1
        return self.left > 0

    def _on_rollout_end(self) -> None:
        self.calls.append("rollout_end")

    def _on_training_end(self) -> None:
        self.calls.append("training_end")


def test_callbacks_are_called_as_ppo_calls_them(bank, tmp_path, monkeypatch):
    """Only that a whole rollout is one step; at the end of all, and stopped in the second one."""
    model, env = new_model(bank, tmp_path, monkeypatch)
    ppo = PPO("MlpPolicy", env, n_steps=STEPS, batch_size=STEPS * CARS, n_epochs=1, device="cpu")
    for limit, ppo_limit in ((3, 3 * STEPS), (2, STEPS + 5)):
        calls = []
        for learner, steps in ((model, limit), (ppo, ppo_limit)):
            callback = Calls(steps)
            learner.learn(2 * STEPS * CARS, callback)
            calls.append(callback.calls)
            assert {"infos", "total_timesteps", "callback"} <= callback.seen
        assert calls[0] == calls[1]
        assert model.num_timesteps == 2 * STEPS * CARS
    env.close()


def test_learning_goes_on_or_begins_anew(bank, tmp_path, monkeypatch):
    model, env = new_model(bank, tmp_path, monkeypatch)
    assert model.learn(1) is model  # a whole rollout
    assert model.num_timesteps == STEPS * CARS
    resets = []
    reset = env.reset
    env.reset = lambda: resets.append(1) or reset()
    seen = model._last_obs
    model.learn(STEPS * CARS, reset_num_timesteps=False)
    assert model.num_timesteps == 2 * STEPS * CARS and not resets and model._n_updates == 2
    assert not np.array_equal(model._last_obs, seen)
    model.learn(STEPS * CARS)
    assert model.num_timesteps == STEPS * CARS and resets and model._n_updates == 3
    env.close()


def test_a_stop_is_after_the_rollout_without_an_update(bank, tmp_path, monkeypatch):
    """And going on drives on from where the cars are."""
    model, env = new_model(bank, tmp_path, monkeypatch)
    model.learn(2 * STEPS * CARS, Calls(1))
    assert (model.num_timesteps, model._n_updates) == (STEPS * CARS, 0)
    for layer, weight in zip(actor_layers(model), clone().weights, strict=True):
        np.testing.assert_array_equal(layer.weight.detach().numpy(), weight)
    np.testing.assert_array_equal(
        model._last_obs, [car.block.observations[0] for car in env.get_attr("cars")]
    )
    model.learn(STEPS * CARS, reset_num_timesteps=False)
    assert (model.num_timesteps, model._n_updates) == (2 * STEPS * CARS, 1)
    env.close()


def test_logs_are_those_of_stable_baselines3(bank, tmp_path, monkeypatch):
    settings = SETTINGS._replace(task=TASK._replace(time_limit_s=0.5))
    model, env = new_model(bank, tmp_path, monkeypatch, settings=settings)
    dumped = []

    class Kept(Logger):
        def dump(self, step=0):
            dumped.append((step, dict(self.name_to_value)))
            super().dump(step)

    model.set_logger(Kept(None, []))
    model.learn(4 * STEPS * CARS, log_interval=2)
    assert [step for step, _ in dumped] == [2 * STEPS * CARS, 4 * STEPS * CARS]
    assert dumped[-1][1].keys() >= {
        "rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps", "train/learning_rate",
        "train/gradient_norm", "train/usable",
    }  # fmt: skip
    env.close()
