import warnings

import gymnasium as gym
import numpy as np
import pytest
from cars import RACECAR
from gymnasium.utils.env_checker import check_env
from racing_env.learning.training_env import TrainingEnv
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import BatchVecEnv
from racing_env.simulation.simulator import REWARD_TERMS
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

SETTINGS = TrainingSettings(seed=6, episode_s=6.0)


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


def test_each_car_drives_as_in_a_batch(bank, tmp_path):
    cars = 3
    actions = np.random.default_rng(0).uniform(-1, 1, (200, cars, 2)).astype(np.float32)
    actions *= np.array([0.3, 1.0], np.float32)
    batch = BatchVecEnv(bank, 1, cars, SETTINGS, tmp_path)
    try:
        first = batch.reset()
        steps = [batch.step(action) for action in actions]
    finally:
        batch.close()
    ends = 0
    for car in range(cars):
        env = TrainingEnv(bank, car, SETTINGS)
        seen, _ = env.reset()
        np.testing.assert_array_equal(seen, first[car])
        for action, (observations, rewards, dones, infos) in zip(actions, steps, strict=True):
            seen, reward, terminated, truncated, info = env.step(action[car])
            assert reward == rewards[car] and (terminated or truncated) == dones[car]
            if dones[car]:
                ends += 1
                np.testing.assert_array_equal(seen, infos[car]["terminal_observation"])
                assert truncated == infos[car]["TimeLimit.truncated"]
                assert info["episode"] == infos[car]["episode"]
                seen, _ = env.reset()
            np.testing.assert_array_equal(seen, observations[car])
    assert ends > cars


def test_contract_of_an_environment(bank):
    """Gymnasium's own check but for its demand that a reset with a seed repeats the start: a
    training car has one stream for all its episodes, named by its number.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3_check_env(TrainingEnv(bank, 0, SETTINGS))
    env = TrainingEnv(bank, 0, SETTINGS)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # of there being no render mode and no spec
        for name in ("check_reset_seed", "check_reset_seed_determinism"):
            patch.setattr(f"gymnasium.utils.env_checker.{name}", lambda env: None, raising=False)
        patch.setattr(
            "gymnasium.utils.env_checker.check_step_determinism", lambda env: None, raising=False
        )
        check_env(env, skip_render_check=True)
    assert isinstance(env, gym.Env)


def test_observations_are_copies(bank):
    env = TrainingEnv(bank, 0, SETTINGS)
    seen, _ = env.reset()
    kept = seen.copy()
    env.step(np.array([0.1, 1.0], np.float32))
    np.testing.assert_array_equal(seen, kept)


def test_returns_of_an_episode_are_named(bank):
    env = TrainingEnv(bank, 0, SETTINGS)
    env.reset()
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(np.array([0.0, 1.0], np.float32))
        over = terminated or truncated
    assert set(info["episode"]) == {"r", "l", *REWARD_TERMS}
