"""Whole rollouts by a network and their gradient, against driving them again."""

import numpy as np
import pytest
from cars import RACECAR, simulator_on
from loops import HIDDEN, drive, driver_parameters, loop_numbers, pulled_back

from racing_env.car import dynamics as dyn
from racing_env.drivers.expert import expert_actions
from racing_env.simulation.closed_loop import LoopNumbers, _is_told
from racing_env.simulation.layouts import layouts
from racing_env.simulation.perceptron import parameters_of
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import Task, training_task

TASK = training_task(RACECAR)
TASK = TASK._replace(weights=TASK.weights._replace(steering_per_s=0.5))  # each term is paid
NUMBERS = loop_numbers(TASK)
STEPS = 16
CARS = 3


def at_speed(task: Task = TASK) -> Simulator:
    """Cars that the expert has driven for a second, in corners and on straights."""
    simulator = simulator_on(["club", "oval"], CARS, task)
    for car in range(CARS):
        simulator.place(car, car % 2, 130.0 * car + 60.0, line_offset_m=0.3, speed_mps=20.0)
    for _ in range(20):
        simulator.step(expert_actions(simulator, np.full(CARS, 0.8)))
    return simulator


@pytest.fixture(scope="module")
def start() -> Simulator:
    return at_speed()


@pytest.fixture(scope="module")
def parameters(start) -> np.ndarray:
    return driver_parameters(start.layout.size)


def gradient_of(start: Simulator, parameters: np.ndarray, numbers: LoopNumbers, steps: int, **how):
    driven = drive(start, parameters, numbers, steps, **how)
    return pulled_back(driven, parameters, numbers)[0].astype(np.float64)


# --- driving ------------------------------------------------------------------------------------


def test_it_drives_as_the_simulator_does(start, parameters):
    """By the network's actions with the noise, cut to the action space; to the last bit."""
    noise = np.random.default_rng(0).normal(0.0, 0.6, (STEPS, CARS, 2)).astype(np.float32)
    driven = drive(start, parameters, NUMBERS, STEPS, noise)
    tape, again = driven.tape, start.subset(np.ones(CARS, dtype=bool))
    paid = np.zeros_like(driven.paid)
    np.testing.assert_array_equal(tape.actions, np.clip(tape.out + noise, -1.0, 1.0))
    assert (np.abs(tape.actions) == 1.0).any()
    for step in range(STEPS):
        np.testing.assert_array_equal(tape.seen[step], again.observe())
        np.testing.assert_array_equal(tape.state[step], again.state)
        np.testing.assert_array_equal(tape.station[step], again.cars.station)
        np.testing.assert_array_equal(tape.fraction[step], again.cars.fraction)
        again.step(tape.actions[step])
        paid += again.cars.rewards
        np.testing.assert_array_equal(tape.after[step], again.state)
        np.testing.assert_array_equal(tape.after_station[step], again.cars.station)
        np.testing.assert_array_equal(tape.after_fraction[step], again.cars.fraction)
        np.testing.assert_array_equal(tape.after_offset[step], again.cars.offset_m)
    np.testing.assert_array_equal(driven.paid, paid)
    np.testing.assert_array_equal(tape.seen[STEPS], again.observe())
    np.testing.assert_array_equal(driven.episodes.steps, STEPS)
    assert not (tape.terminated | tape.truncated).any()
    assert np.isnan(driven.episodes.trouble_m).all()


def test_actions_that_are_no_numbers_move_nobody(start, parameters):
    broken = np.full_like(parameters, np.inf)  # infinities of both signs meet
    simulator = start.subset(np.ones(CARS, dtype=bool))
    with pytest.raises(AssertionError):
        drive(simulator, broken, NUMBERS, STEPS)
    np.testing.assert_array_equal(simulator.state, start.state)


def beside_the_track(task: Task = TASK) -> Simulator:
    """One car that is soon too far off; the other ones go on."""
    simulator = at_speed(task)
    simulator.state[dyn.PSI, 1] += 0.5
    return simulator


def put_back(simulator: Simulator, car: int) -> None:
    simulator.place(car, 1, 300.0, speed_mps=25.0)


def test_ends_and_trouble(parameters):
    """Where a car is outside the track, last of all where its episode is terminated."""
    outside = []
    start = beside_the_track()
    for steps in range(1, 60):
        driven = drive(start, parameters, NUMBERS, steps, restart=put_back)
        ended = driven.tape.terminated[-1, 1]
        outside.append(driven.episodes.trouble_m[1])
        if ended:
            break
    assert ended and np.isnan(outside[0]) and np.isfinite(outside[-2])
    assert len(set(outside[-3:])) == 3  # it goes on
    end, step_m = steps - 1, start.circuits.step_m[1]
    place = driven.tape.after_station[end, 1] + driven.tape.after_fraction[end, 1]
    assert outside[-1] == place * step_m
    assert not driven.tape.terminated[:, [0, 2]].any() and not driven.tape.truncated.any()
    longer = drive(start, parameters, NUMBERS, steps + 5, restart=put_back)
    assert longer.tape.terminated[:, 1].sum() == 1
    assert longer.tape.station[end + 1, 1] == int(300.0 / step_m)  # after it, another episode
    assert longer.tape.after_station[end, 1] == driven.tape.after_station[end, 1]


def test_episodes_are_truncated_at_their_limit(start, parameters):
    driven = drive(start, parameters, NUMBERS._replace(limit_steps=5), 12, restart=put_back)
    np.testing.assert_array_equal(np.flatnonzero(driven.tape.truncated[:, 0]), [4, 9])
    assert not driven.tape.terminated.any()


# --- gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", layouts())
def test_gradient_is_the_difference_of_driving_again(layout: str):
    """By the network's biases at its outputs, and in directions of all of its parameters."""
    start = at_speed(TASK._replace(layout=layout))
    parameters = driver_parameters(start.layout.size)
    ours = gradient_of(start, parameters, NUMBERS, STEPS)
    rng = np.random.default_rng(0)
    directions = list(np.eye(len(parameters))[-2:])
    parts = parameters_of(np.arange(len(parameters)), start.layout.size, HIDDEN, 2)
    for part in parts:  # of a layer's weights or biases alone
        directions.append(np.zeros(len(parameters)))
        directions[-1][part.ravel()] = rng.choice([-1.0, 1.0], part.size)
    found, expected = [], []
    for direction in directions:
        change = (2e-3 / np.linalg.norm(direction) * direction).astype(np.float32)
        ways = [
            drive(start, parameters + sign * change, NUMBERS, STEPS).paid.sum()
            for sign in (-1.0, 1.0)
        ]
        expected.append((ways[1] - ways[0]) / 2e-3 / 2.0)
        found.append(ours @ change.astype(np.float64) / 2e-3)
    size = np.abs(expected).max()
    assert size > 0.01
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.01 * size)


def by_bias_step_by_step(
    start: Simulator, parameters: np.ndarray, steps: int, discount: float, lookahead: int
) -> np.ndarray:
    """Gradient (2,) by the last biases: of each action what it is worth, by changing it alone."""
    change = 1e-3
    base = drive(start, parameters, NUMBERS, steps)
    total = np.zeros(2)
    for step in range(steps - lookahead + 1):
        for i in range(2):
            worth = []
            for sign in (-1.0, 1.0):
                noise = np.zeros((steps, CARS, 2), np.float32)
                noise[step, :, i] = sign * change
                upto = [
                    drive(start, parameters, NUMBERS, k, noise[:k]).paid.sum(axis=1) if k else 0.0
                    for k in range(step, steps + 1)
                ]
                worth.append(
                    sum(discount**k * (upto[k + 1] - upto[k]) for k in range(steps - step))
                )
            slope = 1.0 - base.tape.out[step, :, i].astype(np.float64) ** 2
            total[i] += ((worth[1] - worth[0]) / (2.0 * change) * slope).sum()
    return total


@pytest.mark.parametrize(("discount", "lookahead"), [(1.0, 1), (0.7, 1), (0.0, 1), (0.9, 4)])
def test_discount_and_lookahead(start, parameters, discount: float, lookahead: int):
    """What follows counts less the later; an action too near the end is not learnt from."""
    steps = 6
    numbers = NUMBERS._replace(discount=discount, lookahead_steps=lookahead)
    driven = drive(start, parameters, numbers, steps)
    ours, usable, _ = pulled_back(driven, parameters, numbers)
    assert usable == CARS * (steps - lookahead + 1)
    expected = by_bias_step_by_step(start, parameters, steps, discount, lookahead)
    np.testing.assert_allclose(ours[-2:], expected, rtol=0.03, atol=0.02 * np.abs(expected).max())


def alone(start: Simulator, car: int) -> Simulator:
    return start.subset(np.arange(CARS) == car)


def test_an_end_cuts_the_gradient(start, parameters):
    """What follows it is another episode: the sum of both parts."""
    numbers = NUMBERS._replace(lookahead_steps=0)
    one = alone(start, 0)
    cut = numbers._replace(limit_steps=7)
    ours = gradient_of(one, parameters, cut, 12, restart=put_back)
    second = alone(start, 0)
    put_back(second, 0)
    parts = [
        gradient_of(one, parameters, numbers, 7),
        gradient_of(second, parameters, numbers, 5),
    ]
    np.testing.assert_allclose(ours, sum(parts), rtol=1e-4, atol=1e-6 * np.abs(ours).max())
    assert np.abs(parts[1]).max() > 0.05 * np.abs(parts[0]).max()
    assert not np.allclose(ours, gradient_of(one, parameters, numbers, 12), rtol=0.01)


def test_all_is_known_of_what_follows_a_termination_and_nothing_of_a_truncation(parameters):
    start = alone(beside_the_track(), 1)
    steps = next(
        k for k in range(1, 60)
        if drive(start, parameters, NUMBERS, k, restart=put_back).tape.terminated[-1, 0]
    )  # fmt: skip
    far_ahead = NUMBERS._replace(lookahead_steps=100)
    driven = drive(start, parameters, far_ahead, steps + 3, restart=put_back)
    ours, usable, _ = pulled_back(driven, parameters, far_ahead)
    assert usable == steps
    until = gradient_of(start, parameters, NUMBERS, steps, restart=put_back)
    np.testing.assert_allclose(ours, until, rtol=1e-4, atol=1e-6 * np.abs(until).max())

    numbers = NUMBERS._replace(lookahead_steps=2, limit_steps=5)
    driven = drive(start, parameters, numbers, 9, restart=put_back)
    _, usable, _ = pulled_back(driven, parameters, numbers)
    assert driven.tape.truncated[4, 0] and usable == (5 - 2) + (4 - 2 + 1)


def test_a_steps_gradient_by_the_action_is_limited(start, parameters):
    """Its direction stays; what it hands on to the steps before shrinks with it."""
    one = alone(start, 0)
    driven = drive(one, parameters, NUMBERS, 1)
    free, _, sizes = pulled_back(driven, parameters, NUMBERS)
    for factor, expected in ((0.3, 0.3), (1.001, 1.0)):
        numbers = NUMBERS._replace(action_gradient_limit=factor * sizes.max())
        ours, _, limited = pulled_back(driven, parameters, numbers)
        np.testing.assert_allclose(ours, expected * free, rtol=1e-4)
        np.testing.assert_allclose(limited, expected * sizes, rtol=1e-6)

    driven = drive(one, parameters, NUMBERS, STEPS)
    _, _, free = pulled_back(driven, parameters, NUMBERS)
    limit = 0.1 * free.max() / STEPS
    _, _, sizes = pulled_back(driven, parameters, NUMBERS._replace(action_gradient_limit=limit))
    assert 0.5 * limit * STEPS < sizes.max() <= limit * STEPS * (1.0 + 1e-6)


def test_what_overflows_does_not_outlast_its_episode(start, parameters):
    """Zero times infinity would be no number, in all steps before."""
    numbers = NUMBERS._replace(limit_steps=7, lookahead_steps=6)
    driven = drive(alone(start, 0), parameters, numbers, 12, restart=put_back)
    driven.tape.after[10, dyn.VX] = np.inf
    ours, usable, _ = pulled_back(driven, parameters, numbers)
    assert usable == 1 and np.isfinite(ours).all() and ours.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e12])
def test_a_gradient_beyond_all_numbers_tells_nothing(value):
    """As of a car that spins for seconds; a training on such drives is in test_train_rl.py."""
    by_state, by_action = np.full((dyn.STATE_SIZE, 2), 1e3), np.full((2, 2), -1e3)
    assert _is_told.py_func(by_state, by_action, 0) and _is_told.py_func(by_state, by_action, 1)
    by_state[dyn.VY, 0] = by_action[1, 1] = value
    assert not _is_told.py_func(by_state, by_action, 0)
    assert not _is_told.py_func(by_state, by_action, 1)
