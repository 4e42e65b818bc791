import numpy as np
import pytest
from cars import RACECAR

from racing_env.car.dynamics import VX
from racing_env.learning.shared_block import Block, new_block
from racing_env.learning.training_cars import TrainingCars, TrainingSettings
from racing_env.simulation.adaptation import LAST_ASKED, SEEN_ANY, SUMS
from racing_env.simulation.layouts import layout_named
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.rewards import RewardWeights
from racing_env.simulation.task import on_any_road, training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

TASK = training_task(RACECAR)
SETTINGS = TrainingSettings(TASK._replace(time_limit_s=3.0), seed=4)


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


def new_cars(bank, count: int, first_car: int = 0, settings=SETTINGS) -> TrainingCars:
    return TrainingCars(bank, new_block(count, LAYOUT.size), first_car, settings)


def drive(cars: TrainingCars, first: int, steps: int = 150):
    """The copied blocks of some steps with random actions; each car's depend on its number."""
    cars.reset()
    blocks = []
    for step in range(steps):
        for car in range(len(cars.block.rewards)):
            rng = np.random.default_rng([step, first + car])
            cars.block.actions[car] = rng.uniform(-1, 1, 2) * (0.3, 1.0)
        cars.step()
        blocks.append(Block(*(array.copy() for array in cars.block)))
    return blocks


def test_a_car_drives_the_same_in_any_batch(bank):
    together = drive(new_cars(bank, 4), 0)
    alone = drive(new_cars(bank, 1, first_car=2), 2)
    for many, one in zip(together, alone, strict=True):
        for field in ("observations", "rewards", "terminations", "truncations"):
            np.testing.assert_array_equal(getattr(many, field)[2:3], getattr(one, field))


def test_cars_see_by_the_layout_of_their_task(bank):
    centre = layout_named("centre-preview-1", "the test")
    settings = SETTINGS._replace(task=SETTINGS.task._replace(layout=centre.name))
    ours, others = drive(new_cars(bank, 3, settings=settings), 0), drive(new_cars(bank, 3), 0)
    for by_centre, by_line in zip(ours, others, strict=True):
        np.testing.assert_array_equal(by_centre.rewards, by_line.rewards)
        assert (by_centre.observations != by_line.observations).any(axis=1).all()
    cars = new_cars(bank, 3, settings=settings)
    drive(cars, 0)
    seen, simulator = np.empty_like(cars.block.observations), cars.simulator
    centre.observe(
        simulator.state, simulator.cars, bank, centre.scaling(RACECAR), simulator.sensors,
        simulator.noise, np.arange(3), seen,
    )  # fmt: skip
    np.testing.assert_array_equal(cars.block.observations, seen)


def test_seeds_differ(bank):
    first = drive(new_cars(bank, 2), 0, 2)
    other = drive(new_cars(bank, 2, settings=SETTINGS._replace(seed=5)), 0, 2)
    assert not np.array_equal(first[0].observations, other[0].observations)


def test_returns_are_the_sums_of_rewards(bank):
    cars = new_cars(bank, 6)
    blocks = drive(cars, 0)
    rewards = np.array([block.rewards for block in blocks])
    over = np.array([block.terminations | block.truncations for block in blocks])
    assert over.sum() > 6
    for car in range(6):
        ends = np.flatnonzero(over[:, car])
        for start, end in zip(ends[:-1] + 1, ends[1:], strict=False):
            assert blocks[end].lengths[car] == end - start + 1
            total = rewards[start : end + 1, car].sum(dtype=np.float64)
            assert blocks[end].returns[car].sum() == pytest.approx(total, abs=1e-4)


def test_ended_cars_start_anew(bank):
    blocks = drive(new_cars(bank, 6), 0)
    limit = round(SETTINGS.task.time_limit_s / SETTINGS.task.control_step_s)
    for block in blocks:
        assert not (block.terminations & block.truncations).any()
        over = block.terminations | block.truncations
        assert (block.lengths[block.truncations] == limit).all()
        # the new start is seen, the last sight of the old episode is kept
        assert (block.observations[over] != block.last_observations[over]).any(axis=1).all()


def test_clocks_are_staggered(bank):
    blocks = drive(new_cars(bank, 32), 0, 60)
    ends = [int((block.terminations | block.truncations).sum()) for block in blocks]
    assert max(ends) <= 16 and sum(ends) >= 32


def test_retries_start_shortly_before_the_accident(bank):
    cars = new_cars(bank, 1, settings=SETTINGS._replace(task=TASK._replace(time_limit_s=20.0)))
    cars.reset()
    retried = others = 0
    length_m = bank.count * bank.step_m
    for _ in range(4000):
        place_m, circuit = cars.simulator.place_s_m()[0], cars.simulator.cars.circuit[0]
        cars.block.actions[0] = (0.3, 1.0)
        cars.step()
        if cars.block.terminations[0]:
            back_m = (place_m - cars.simulator.place_s_m()[0]) % length_m[circuit]
            same = cars.simulator.cars.circuit[0] == circuit
            retried += same and 50.0 < back_m < 222.0
            others += not (same and 50.0 < back_m < 222.0)
    assert 0.2 < retried / (retried + others) < 0.75


def test_tight_starts_are_shortly_before_the_slowest_place_of_the_slower_circuits(bank):
    starts = SETTINGS.task.starts._replace(tight_share=1.0, retry_share=0.0)
    task = SETTINGS.task._replace(starts=starts)
    cars = new_cars(bank, 60, settings=SETTINGS._replace(task=task))
    cars.reset()
    of_car = cars.simulator.cars.circuit
    slower = min(range(2), key=lambda c: cars.slowest_mps[c])
    assert np.mean(of_car == slower) > 0.9  # of eight draws, all are seldom of the other
    length_m = bank.count[of_car] * bank.step_m[of_car]
    back_m = (cars.slowest_m[of_car] - cars.simulator.place_s_m()) % length_m
    assert (back_m > starts.least_retry_back_m - 2.0).all()
    assert (back_m < starts.largest_retry_back_m + 2.0).all()
    assert np.ptp(back_m) > 0.5 * (starts.largest_retry_back_m - starts.least_retry_back_m)


def test_trouble_is_where_the_car_is_outside_whatever_it_costs(bank):
    """With weights of zero the rewards say nothing of where a car is."""
    free = RewardWeights(progress_per_s=0.0, border_per_s=0.0, slip_per_s=0.0, end=0.0)
    places = []
    for weights in (RewardWeights(), free):
        task = TASK._replace(weights=weights, time_limit_s=20.0)
        cars = new_cars(bank, 4, settings=SETTINGS._replace(task=task))
        cars.reset()
        cars.block.actions[:] = (0.3, 1.0)
        for _ in range(100):
            cars.step()
            places.append(cars.trouble_m.copy())
    costly, costless = np.split(np.array(places), 2)
    assert np.isfinite(costly).any()
    np.testing.assert_array_equal(costless, costly)


def test_who_starts_at_speed_is_under_the_same_conditions_and_remembers_them(bank):
    task = on_any_road(training_task(RACECAR))._replace(time_limit_s=1.0)
    cars = new_cars(bank, 6, settings=SETTINGS._replace(task=task))
    cars.reset()
    simulator, kept, others = cars.simulator, 0, 0
    for _ in range(10):
        simulator.memory[:] = rng_like(simulator.memory)
        before, memory = simulator.cars.conditions.copy(), simulator.memory.copy()
        for car in range(6):
            cars.start(car)
            fast = simulator.state[VX, car] > 0.0
            same = (simulator.cars.conditions[car] == before[car]).all()
            assert same == fast
            sums = simulator.memory[car, SUMS:SEEN_ANY]
            np.testing.assert_array_equal(sums, memory[car, SUMS:SEEN_ANY] if fast else 0.0)
            assert simulator.memory[car, SEEN_ANY] == 0.0  # nothing was seen of this drive yet
            assert not simulator.memory[car, LAST_ASKED:].any()
            kept, others = kept + fast, others + (not fast)
    assert kept > 15 and others > 10


def test_an_episode_of_a_nominal_task_is_nominal(bank):
    cars = new_cars(bank, 6)
    drive(cars, 0)
    assert not cars.simulator.cars.conditions.any()


def rng_like(array: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).random(array.shape)
