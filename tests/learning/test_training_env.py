"""One training car as an environment of Gymnasium's."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from cars import RACECAR
from gymnasium.utils.env_checker import check_env as gym_check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.training_env import TrainingEnv
from racing_env.learning.vector_env import BatchVecEnv
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

TASK = training_task(RACECAR)
SETTINGS = TrainingSettings(TASK._replace(time_limit_s=6.0), seed=6)


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


def test_it_sees_by_the_layout_of_its_task(bank):
    env = TrainingEnv(bank, 0, SETTINGS._replace(task=TASK._replace(layout="centre-preview-1")))
    np.testing.assert_array_equal(env.reset()[0], env.cars.simulator.observe()[0])
    assert env.cars.simulator.layout.name == "centre-preview-1"


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
    env = TrainingEnv(bank, 0, SETTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3_check_env(env)
        warnings.filterwarnings("ignore", message=".*(render|spec)")
        gym_check_env(env)
    assert isinstance(env, gym.Env)


def test_a_seed_decides_what_follows(bank):
    """And stable-baselines3's seeds, the run's and the car's number together, are the run's."""
    action = np.array([0.1, 1.0], np.float32)

    def driven(env, seed):
        return [env.reset(seed=seed)[0], *(env.step(action)[0] for _ in range(5)), env.reset()[0]]

    env = TrainingEnv(bank, 0, SETTINGS)
    first, other, again = (np.array(driven(env, seed)) for seed in (6, 7, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=1).all()
    unseeded, _ = TrainingEnv(bank, 0, SETTINGS).reset()  # its settings have seed 6
    np.testing.assert_array_equal(first[0], unseeded)
    car_3, _ = TrainingEnv(bank, 3, SETTINGS).reset()
    seeded, _ = TrainingEnv(bank, 3, SETTINGS._replace(seed=1)).reset(seed=6 + 3)
    np.testing.assert_array_equal(car_3, seeded)
    TrainingEnv(bank, 3, SETTINGS).reset(seed=0)  # less than the car's number


def test_reset_in_mid_episode_begins_another(bank):
    env = TrainingEnv(bank, 0, SETTINGS)
    seen = [env.reset()[0], env.reset()[0]]
    for _ in range(3):
        env.step(np.array([0.0, 1.0], np.float32))
    seen.append(env.reset()[0])
    assert len({values.tobytes() for values in seen}) == 3
    assert env.cars.episode[0] == 3


def test_reset_after_an_end_hands_out_the_start_that_was_made(bank):
    env = TrainingEnv(bank, 0, SETTINGS)
    env.reset()
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(np.array([0.0, 1.0], np.float32))
        over = terminated or truncated
    episode = env.cars.episode[0]
    seen, _ = env.reset()
    assert env.cars.episode[0] == episode
    np.testing.assert_array_equal(seen, env.block.observations[0])
    env.reset()
    assert env.cars.episode[0] == episode + 1


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
