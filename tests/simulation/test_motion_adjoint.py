"""Gradients of a car's place and of its pay, against differences of finding and paying it."""

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled, scatter, simulator_on

from racing_env.car import dynamics as dyn
from racing_env.simulation.gradients import state_changes
from racing_env.simulation.motion import line_time
from racing_env.simulation.motion_adjoint import (
    add_pay_gradient,
    add_place_gradient,
    line_time_slope,
)
from racing_env.simulation.rewards import REWARD_TERMS, pay
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import training_task
from racing_env.tracks import bank

N = 60


@pytest.fixture(scope="module", params=[1.0, 0.1], ids=["racecar", "a tenth of it"])
def cars(request) -> Simulator:
    """All over two circuits, some beside the track; some at a circuit's last station."""
    vehicle = scaled(RACECAR, request.param)
    circuits = [circuit_named(name, vehicle) for name in ("hairpins", 4)]
    task = training_task(vehicle)
    task = task._replace(weights=task.weights._replace(steering_per_s=0.5))  # each term is paid
    simulator = simulator_on(circuits, N, task)
    scatter(simulator, 3)
    rng, scales = np.random.default_rng(0), simulator.circuits.scales
    simulator.state[dyn.VX] = scales.speed * rng.uniform(2.0, 40.0, N)
    simulator.state[dyn.VY] = scales.speed * rng.normal(0.0, 2.0, N)
    simulator.state[dyn.YAW_RATE] = scales.turn_rate * rng.normal(0.0, 0.3, N)
    simulator.state[dyn.STEER] = rng.normal(0.0, 0.1, N)
    simulator.state[[dyn.X, dyn.Y]] += scales.width * rng.normal(0.0, 1.5, (2, N))
    table, first, count = (
        simulator.circuits.table,
        simulator.circuits.first,
        simulator.circuits.count,
    )
    for car in (0, 1):
        rows = table[[first[car] + count[car] - 1, first[car]]]
        place_m = rows[:, [bank.X, bank.Y]].mean(axis=0) + simulator.circuits.origin_m[car]
        simulator.state[[dyn.X, dyn.Y], car] = place_m
        simulator.cars.station[car] = 0
    for _ in range(2):  # from far off, a place is found more exactly the second time
        simulator.locate()
    np.testing.assert_array_equal(simulator.cars.station[:2], count - 1)
    return simulator


def places(simulator: Simulator, row: int, change: float) -> tuple[np.ndarray, np.ndarray]:
    """Stations with their fractions, and offsets (m), after a change of the state."""
    other = simulator.subset(np.ones(simulator.n, dtype=bool))
    other.state[row] += change
    other.locate()
    return other.cars.station + other.cars.fraction, other.cars.offset_m


def test_place_is_the_difference_of_finding_it_again(cars):
    """By x and y alone."""
    table = cars.cars
    ours = np.zeros((2, dyn.STATE_SIZE, N))
    for car in range(N):
        for what, by in enumerate(((1.0, 0.0), (0.0, 1.0))):
            add_place_gradient(
                cars.state, car, cars.circuits, table.circuit[car], table.station[car],
                table.fraction[car], *by, ours[what],
            )  # fmt: skip
    assert not ours[:, dyn.PSI :].any()
    change = 1e-6 * cars.circuits.scales.length
    inside = (table.fraction > 1e-4) & (table.fraction < 1.0 - 1e-4)  # no corner there
    assert inside.sum() > 0.9 * N
    for row in (dyn.X, dyn.Y):
        ways = [places(cars, row, sign * change) for sign in (-1.0, 1.0)]
        for what in range(2):
            expected = (ways[1][what] - ways[0][what]) / (2.0 * change)
            np.testing.assert_allclose(
                ours[what, row, inside], expected[inside], rtol=1e-4,
                atol=1e-5 * np.abs(expected).max(),
            )  # fmt: skip


def test_place_past_the_centre_of_a_corner_has_no_gradient(cars):
    """Where no pair of stations encloses the car, its fraction is 0 and its place jumps."""
    c, count = 0, cars.circuits.count[0]
    table = cars.circuits.table[cars.circuits.first[0] :][:count]
    tight = int(np.argmax(table[:, bank.KAPPA]))
    beyond = 3.0 / table[tight, bank.KAPPA]
    other = cars.subset(np.arange(N) == 0)
    origin_m = cars.circuits.origin_m[0]
    other.state[dyn.X] = origin_m[0] + table[tight, bank.X] - beyond * table[tight, bank.SIN]
    other.state[dyn.Y] = origin_m[1] + table[tight, bank.Y] + beyond * table[tight, bank.COS]
    ours = np.zeros_like(other.state)
    add_place_gradient(other.state, 0, other.circuits, c, tight, 0.0, 1.0, 1.0, ours)
    assert not ours.any()


def test_time_of_the_profile(cars):
    """Over the last station too, behind which a lap's time begins anew."""
    circuits, table = cars.circuits, cars.cars
    for car in range(N):
        c, station = table.circuit[car], table.station[car]
        gained = line_time(circuits, c, station, 0.75) - line_time(circuits, c, station, 0.25)
        assert line_time_slope(circuits, c, station) == pytest.approx(2.0 * gained, rel=1e-9)
        assert gained > 0.0


def test_pay_is_the_difference_of_paying_again(cars):
    """By the state, the time gained and the place, which counts by the room to the nearer side."""
    circuits, table, task = cars.circuits, cars.cars, cars.task
    weights, dt_s, vehicle = task.weights, task.control_step_s, cars.vehicle
    gained_s, demand = 0.9 * dt_s, np.linspace(-0.4, 0.4, N)
    changes, pays = state_changes(circuits.scales), np.zeros(len(REWARD_TERMS))
    terms = np.zeros((N, len(REWARD_TERMS)))

    def paid(
        state: np.ndarray, car: int, gained_s: float, fraction: float, offset: float, demand: float
    ) -> float:
        c, station = table.circuit[car], table.station[car]
        first = circuits.first[c]
        rows = (first + station, first + (station + 1) % circuits.count[c], fraction)
        left, right = (
            bank.blend(circuits.table, *rows, column)
            for column in (bank.ROOM_LEFT, bank.ROOM_RIGHT)
        )
        room = min(left - offset, right + offset)
        pay(pays, state, car, gained_s, room, demand, False, weights, vehicle, dt_s)
        terms[car] = pays
        return float(pays.sum())

    before = cars.state.copy()
    ours, by_place = np.zeros((dyn.STATE_SIZE, N)), np.zeros((4, N))
    expected, by_place_expected = np.zeros_like(ours), np.zeros_like(by_place)
    for car in range(N):
        place = (table.fraction[car], table.offset_m[car])
        by_place[:, car] = add_pay_gradient(
            cars.state, car, circuits, table.circuit[car], table.station[car], *place, gained_s,
            demand[car], weights, dt_s, changes, pays, ours,
        )  # fmt: skip
        for row in range(dyn.STATE_SIZE):
            ways = []
            for sign in (-1.0, 1.0):
                other = before.copy()
                other[row] += 1e-4 * sign * changes[row]
                ways.append(paid(other, car, gained_s, *place, demand[car]))
            expected[row, car] = (ways[1] - ways[0]) / (2e-4 * changes[row])
        for i, tiny in enumerate((1e-4 * dt_s, 1e-7, 1e-5 * circuits.scales.width, 1e-5)):
            now, ways = [gained_s, *place, demand[car]], []
            for sign in (-1.0, 1.0):
                other = now.copy()
                other[i] += sign * tiny
                ways.append(paid(before, car, *other))
            by_place_expected[i, car] = (ways[1] - ways[0]) / (2.0 * tiny)
    np.testing.assert_array_equal(cars.state, before)
    assert (terms[:, :4] != 0.0).any(axis=0).all()  # each term that has a gradient
    for found, theirs in ((ours, expected), (by_place, by_place_expected)):
        size = np.abs(theirs).max(axis=1, keepdims=True)
        near = np.abs(found - theirs) <= 0.02 * size + 1e-12
        assert near.mean() > 0.98  # the rest is at a corner of the pay
    assert (np.abs(by_place_expected) > 0.0).any(axis=1).all()
    nearer_left = by_place_expected[2] < 0.0
    assert nearer_left.any() and (by_place_expected[2] > 0.0).any()
