import numpy as np
import pytest
import torch
from cars import RACECAR
from stable_baselines3.common.vec_env import VecEnv

from racing_env.drivers.policy import Policy
from racing_env.learning import agents
from racing_env.learning.network import HIDDEN_SIZES
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import make_vec_env
from racing_env.simulation import observation
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

STEPS, CARS = 24, 6
SETTINGS = TrainingSettings(seed=1, tape_steps=STEPS, lookahead_steps=1, discount=1.0)


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


def clone() -> Policy:
    """Drives straight on with half the power, a little moved by all that it sees."""
    rng = np.random.default_rng(3)
    sizes = [observation.SIZE, *HIDDEN_SIZES, 2]
    weights = [
        rng.normal(0, 0.5 / np.sqrt(a), (b, a)).astype(np.float32)
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    biases = [np.zeros(size, np.float32) for size in sizes[1:]]
    biases[-1][1] = 0.5
    return Policy(tuple(weights), tuple(biases), {})


def new_model(bank, tmp_path, monkeypatch, kind: str = "dummy", settings=SETTINGS):
    monkeypatch.setattr(agents, "APG_STEPS", STEPS)
    processes = 1 if kind == "batch" else CARS
    env = make_vec_env(kind, bank, processes, CARS, settings, tmp_path)
    model = agents.apg(env, 0, torch.device("cpu"))
    agents.start_from(model, clone(), -20.0)
    agents.set_noise(model, [-20.0, -20.0])
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
    monkeypatch.setattr("racing_env.learning.training_cars.ACTION_GRADIENT_LIMIT", np.inf)
    model, env = new_model(bank, tmp_path, monkeypatch)
    model.max_grad_norm = np.inf
    model.learn(STEPS * CARS)
    layers = agents.actor_layers(model)
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


def test_the_same_in_a_batch_as_one_by_one(bank, tmp_path, monkeypatch):
    weights = []
    for kind in ("dummy", "batch"):
        model, env = new_model(bank, tmp_path, monkeypatch, kind)
        model.learn(2 * STEPS * CARS)
        weights.append([layer.weight.detach().numpy() for layer in agents.actor_layers(model)])
        env.close()
    for one, many in zip(*weights, strict=True):
        np.testing.assert_allclose(one, many, rtol=0, atol=1e-7)
    assert not np.array_equal(weights[0][0], clone().weights[0])


def test_only_what_is_known_far_enough_ahead_is_learnt_from(bank, tmp_path, monkeypatch):
    settings = SETTINGS._replace(lookahead_steps=STEPS + 1)
    model, env = new_model(bank, tmp_path, monkeypatch, settings=settings)
    model.learn(STEPS * CARS)
    for layer, weight in zip(agents.actor_layers(model), clone().weights, strict=True):
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
    assert paid(env, agents.driver_of(model, {})) > before
    env.close()
