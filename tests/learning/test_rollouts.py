"""Training cars that drive whole rollouts by themselves, in whichever process they are."""

import multiprocessing

import numpy as np
import pytest
from cars import RACECAR
from loops import driver_parameters

from racing_env.common.errors import InputError
from racing_env.learning.rollouts import RolloutCars, group_slices, new_cars
from racing_env.learning.shared_block import EPISODES_KEPT, new_block
from racing_env.learning.training_cars import RolloutSettings, TrainingCars, TrainingSettings
from racing_env.learning.vector_env import make_vec_env, shared_out
from racing_env.simulation.adaptation import (
    PRIOR_WEIGHT,
    new_adaptation,
    parameters,
    speed_factor,
)
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.task import on_any_road, training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

STEPS = 16
TASK = training_task(RACECAR)._replace(time_limit_s=2.0)
ROLLOUTS = RolloutSettings(
    STEPS, lookahead_steps=4, discount=0.99, action_gradient_limit=1.0, noise=(0.02, 0.5), hidden=8
)
SETTINGS = TrainingSettings(TASK, seed=2, rollouts=ROLLOUTS)
PARAMETERS = driver_parameters(LAYOUT.size)


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


@pytest.fixture
def opened(bank, tmp_path):
    """Makes environments that are closed after the test."""
    envs = []

    def open_env(kind: str, processes: int, cars: int, settings=SETTINGS):
        envs.append(make_vec_env(kind, bank, processes, cars, settings, tmp_path))
        return envs[-1]

    yield open_env
    for env in envs:
        env.close()
    assert not multiprocessing.active_children()


def one_group(bank, count: int, settings=SETTINGS, first_car: int = 0) -> RolloutCars:
    block = new_block(count, LAYOUT.size, 1, settings.parameters)
    cars = new_cars(bank, block, first_car, settings)
    assert isinstance(cars, RolloutCars)
    cars.reset()
    return cars


def driven(cars: RolloutCars, number: int = 0) -> RolloutCars:
    cars.block.parameters[:], cars.block.number[0] = PARAMETERS, number
    cars.rollout()
    return cars


def rollouts(env, count: int, first: int = 0):
    """All that comes of some rollouts, and where the cars are then."""
    made = [env.rollout(PARAMETERS, number) for number in range(first, first + count)]
    return made, env.observations, env.snapshots()


def assert_same(ours, theirs) -> None:
    """To the last bit."""
    for one, other in zip(ours[0], theirs[0], strict=True):
        assert one.gradient.any() and np.isfinite(one.gradient).all()
        np.testing.assert_array_equal(one.gradient, other.gradient)
        np.testing.assert_array_equal(one.sizes, other.sizes)
        assert (one.usable, one.infos) == (other.usable, other.infos)
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_who_learns_to_adapt_is_shown_a_faster_profile_than_who_drives_in_earnest(bank):
    """By the care: that is the reserve."""
    settings = TrainingSettings(on_any_road(TASK), 2, ROLLOUTS._replace(adapts=True))
    learning = one_group(bank, 1, settings)
    learning.block.parameters[:] = 0.0  # guesses are the middle of the ranges, and nothing is sure
    learning.drive()
    earnest = new_adaptation(LAYOUT, RACECAR, np.zeros(parameters(), dtype=np.float32))
    deviation = np.float32(1.0 / np.sqrt(PRIOR_WEIGHT))
    shown = speed_factor.py_func(np.float32(0.0), deviation, earnest)
    assert 0.9 * learning.tape.speed_factor[0, 0] < shown < learning.tape.speed_factor[0, 0]


@pytest.mark.parametrize("cars", [1, 3, 15, 16, 17, 31, 32, 47, 64, 100, 128, 129, 500])
def test_groups_have_each_car_once_whatever_the_processes(cars: int):
    groups = group_slices(cars)
    assert [car for group in groups for car in range(group.start, group.stop)] == list(range(cars))
    sizes = {group.stop - group.start for group in groups[:-1]}
    assert len(sizes) <= 1 and max(sizes | {1}) <= 8
    assert len(groups) >= min(cars, 16)
    for processes in range(1, min(cars, 16) + 1):
        shares = shared_out(cars, processes, SETTINGS)
        assert len(shares) == processes
        assert [group for share in shares for group in share.groups] == groups
    with pytest.raises(ValueError, match=f"{cars} cars are too few for {len(groups) + 1} proc"):
        shared_out(cars, len(groups) + 1, SETTINGS)


def test_sums_are_the_same_for_every_number_of_processes(opened):
    """40 cars are 20 groups, in one, two, three and five processes."""
    runs = []
    for workers in (0, 1, 2, 4):
        env = opened("batch", workers, 40)
        env.reset()
        runs.append(rollouts(env, 3))
    assert any(made.infos for made in runs[0][0])
    for run in runs[1:]:
        assert_same(runs[0], run)


@pytest.mark.parametrize("kind", ["dummy", "subproc"])
def test_the_same_as_stable_baselines3_s_own(opened, kind: str):
    """So few cars are a group each."""
    runs = []
    for env in (opened("batch", 1, 3), opened(kind, 3, 3)):
        env.reset()
        runs.append(rollouts(env, 3))
    assert_same(*runs)


def test_a_snapshot_goes_on_as_it_would_have(opened):
    """In other cars too, whatever they have done."""
    env, other = opened("batch", 0, 5), opened("batch", 0, 5, SETTINGS._replace(seed=7))
    env.reset()
    rollouts(env, 2)
    snapshots = env.snapshots()
    wanted = rollouts(env, 2, first=2)
    other.reset()
    rollouts(other, 1)
    for cars in (env, other):
        cars.restore(snapshots)
        np.testing.assert_array_equal(cars.snapshots(), snapshots)
        assert_same(rollouts(cars, 2, first=2), wanted)


def test_they_drive_as_cars_that_are_stepped_from_outside(bank):
    """Places, ends, new starts and what episodes were paid are those of `TrainingCars.step`."""
    ours = one_group(bank, 6)
    block = new_block(6, LAYOUT.size)
    theirs = TrainingCars(bank, block, 0, SETTINGS._replace(rollouts=None))
    theirs.reset()
    ends = 0
    for number in range(6):
        driven(ours, number)
        returns, lengths = [[] for _ in range(6)], [[] for _ in range(6)]
        for step in range(STEPS):
            np.testing.assert_array_equal(ours.tape.seen[step], block.observations)
            block.actions[:] = ours.tape.actions[step]
            theirs.step()
            np.testing.assert_array_equal(ours.tape.terminated[step], block.terminations)
            np.testing.assert_array_equal(ours.tape.truncated[step], block.truncations)
            for car in np.flatnonzero(block.terminations | block.truncations):
                returns[car].append(block.returns[car].copy())
                lengths[car].append(block.lengths[car])
        theirs.save()
        np.testing.assert_array_equal(ours.block.snapshots, block.snapshots)
        np.testing.assert_array_equal(ours.block.observations, block.observations)
        assert ours.block.ended.tolist() == [len(lengths[car]) for car in range(6)]
        for car, ended in enumerate(ours.block.ended.tolist()):
            np.testing.assert_array_equal(ours.block.ended_lengths[car, :ended], lengths[car])
            if ended:
                np.testing.assert_array_equal(
                    ours.block.ended_returns[car, :ended], returns[car]
                )  # fmt: skip
            ends += ended
    assert ends > 12


def test_episodes_that_ended_are_reported(opened):
    """As SB3's Monitor has them; of a car that ended more often than a block can hold, the last."""
    env = opened("batch", 0, 4)
    env.reset()
    made = [env.rollout(PARAMETERS, number) for number in range(4)]
    episodes = [info["episode"] for rollout in made for info in rollout.infos]
    assert len(episodes) > 4
    for episode in episodes:
        assert list(episode) == ["r", "l", *REWARD_TERMS]
        assert episode["r"] == pytest.approx(sum(episode[term] for term in REWARD_TERMS))
        assert 1 <= episode["l"] <= 40
    assert all(set(info) == {"episode"} for rollout in made for info in rollout.infos)

    short = SETTINGS._replace(task=TASK._replace(time_limit_s=TASK.control_step_s))
    env = opened("batch", 0, 2, short)
    env.reset()
    infos = env.rollout(PARAMETERS, 0).infos
    assert [info["episode"]["l"] for info in infos] == [1] * 2 * EPISODES_KEPT


def test_noise_is_each_cars_own_and_each_rollouts(bank):
    """With the deviations that are asked for, whoever else is in the group; the same again."""
    many = ROLLOUTS._replace(steps=200, noise=(0.02, 0.08))
    settings = SETTINGS._replace(rollouts=many)
    cars = driven(one_group(bank, 3, settings))
    noise = cars.tape.noise.copy()
    np.testing.assert_allclose(noise.std(axis=0), [[0.02, 0.08]] * 3, rtol=0.2)
    np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=0.02)
    assert len(np.unique(noise[0, :, 0])) == 3
    alone = driven(one_group(bank, 1, settings, first_car=2))
    np.testing.assert_array_equal(alone.tape.noise[:, 0], noise[:, 2])
    assert not np.isin(driven(cars, 1).tape.noise, noise).any()
    np.testing.assert_array_equal(driven(cars, 0).tape.noise, noise)
    none = SETTINGS._replace(rollouts=ROLLOUTS._replace(noise=(0.0, 0.0)))
    assert not driven(one_group(bank, 1, none)).tape.noise.any()


def test_a_share_of_the_cars_rollouts_is_quiet(bank):
    settings = SETTINGS._replace(rollouts=ROLLOUTS._replace(steps=2, quiet_share=0.5))
    cars = one_group(bank, 8, settings)
    quiet = np.array([~driven(cars, number).tape.noise.any(axis=(0, 2)) for number in range(12)])
    assert 0.3 < quiet.mean() < 0.7 and quiet.any(axis=0).all() and not quiet.all(axis=0).any()


def test_what_is_learnt_is_counted(bank):
    """Nothing of a rollout is left in the sums of the next one."""
    few = ROLLOUTS._replace(steps=6)
    endless = SETTINGS._replace(task=TASK._replace(time_limit_s=1000.0), rollouts=few)
    cars = one_group(bank, 2, endless)
    for number in range(2):
        driven(cars, number)
        assert not cars.block.ended.any()
        assert cars.block.usable[0] == 2 * (6 - ROLLOUTS.lookahead_steps + 1)
        assert 0.0 < cars.block.sizes.max() <= 2 * 6 * ROLLOUTS.action_gradient_limit


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_bad_input(bank, broken: float):
    cars = one_group(bank, 2)
    cars.block.parameters[:] = broken  # infinities of both signs meet
    with pytest.raises(InputError, match="actions are not finite numbers"):
        cars.rollout()


def test_such_weights_end_a_worker_not_the_wait(opened):
    env = opened("batch", 1, 2)
    env.reset()
    with pytest.raises((ChildProcessError, InputError)):
        env.rollout(np.full_like(PARAMETERS, np.nan), 0)
