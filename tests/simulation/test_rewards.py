"""What a driver is paid for, and what he is not."""

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled, simulator_on, stations
from shapes import circle_track

from racing_env.car import dynamics as dyn
from racing_env.car.conditions import DELAY_STEPS
from racing_env.car.scales import REFERENCE, scales_of
from racing_env.drivers.expert import expert_actions
from racing_env.simulation.motion import ON_TRACK
from racing_env.simulation.rewards import (
    BORDER_DEPTH_MAX,
    REWARD_TERMS,
    TERMS,
    RewardWeights,
    reward_weights,
)
from racing_env.simulation.task import racing_task
from racing_env.tracks import bank
from racing_env.tracks.circuit import Circuit, prepare_circuit


@pytest.fixture(scope="module")
def circuits() -> list[Circuit]:
    return [circuit_named(4), circuit_named("hairpins")]


@pytest.fixture(scope="module")
def round_circuit() -> Circuit:
    """A circle of 100 m radius, 14 m wide, driven to the left."""
    return prepare_circuit(circle_track(), RACECAR)


def test_progress_pays_for_the_profiles_time(circuits):
    weights = RewardWeights(progress_per_s=1.0)
    simulator = simulator_on(circuits[:1], 1, racing_task(RACECAR)._replace(weights=weights))
    simulator.place(0, 0)
    paid, terms = 0.0, np.zeros(len(REWARD_TERMS))
    while simulator.cars.laps[0] < 1:
        simulator.step(expert_actions(simulator, np.array([0.8])))
        assert simulator.cars.ended[0] == ON_TRACK
        paid += simulator.cars.rewards[0, 0]
        terms += simulator.cars.rewards[0]
        assert (simulator.cars.rewards[0, 1:] <= 0.0).all()
    overrun = simulator.cars.distance_m[0] - circuits[0].track.length_m
    # a lap, and the few metres past the line at the profile's speed there
    assert 0.0 <= paid - circuits[0].lap_time_s < 2.0 * overrun / circuits[0].line_speed_mps[0]
    assert terms[REWARD_TERMS.index("end")] == 0.0


def test_border_and_slip_cost_only_where_they_should(round_circuit):
    simulator = simulator_on([round_circuit], 2)
    simulator.place(0, 0, line_offset_m=-round_circuit.line_offset_m[0], speed_mps=10.0)
    simulator.place(1, 0, line_offset_m=50.0, speed_mps=10.0)
    simulator.step(np.zeros((2, 2)))
    border = simulator.cars.rewards[:, REWARD_TERMS.index("border")]
    assert border[0] == 0.0
    assert border[1] < 0.0
    slip = REWARD_TERMS.index("slip")
    assert (simulator.cars.rewards[:, slip] == 0.0).all()
    simulator.state[dyn.VY, 0] = 6.0
    simulator.step(np.zeros((2, 2)))
    assert simulator.cars.rewards[0, slip] < 0.0


def test_what_the_steering_is_asked_for_at_once_costs_by_its_square(round_circuit):
    """Of what reaches it: an action that is on its way costs when it is there."""
    task = racing_task(RACECAR)
    task = task._replace(weights=task.weights._replace(steering_per_s=2.0))
    simulator = simulator_on([round_circuit], 3, task)
    for car in range(3):
        simulator.place(car, 0, speed_mps=10.0)
    simulator.state[dyn.STEER, 1] = 0.25 * RACECAR.steering_max_rad
    simulator.cars.conditions[2, DELAY_STEPS] = 1.0
    term, costs = REWARD_TERMS.index("steering"), []
    for _ in range(2):
        costs.append(simulator.cars.rewards[:, term].copy())
        simulator.step(np.tile([-0.5, 0.0], (3, 1)))
    np.testing.assert_allclose(simulator.cars.rewards[2, term], -2.0 * 0.5**2 * 0.05)
    np.testing.assert_allclose(costs[1], [-2.0 * 0.5**2 * 0.05, -2.0 * 0.75**2 * 0.05, 0.0])
    assert -2.0 * 0.5**2 * 0.05 < simulator.cars.rewards[0, term] < 0.0  # it is nearer by then


def test_each_term_has_a_name_and_a_meaning():
    simulator = simulator_on(["oval"])
    assert simulator.cars.rewards.shape == (1, len(REWARD_TERMS))
    assert list(TERMS) == list(REWARD_TERMS) and all(TERMS.values())


def test_the_border_costs_by_the_square_of_the_depth_and_no_more_than_its_limit(round_circuit):
    """Zones beyond: 0.4 m inside begins it, the border is 1 zone, and at most 4 zones count."""
    task = racing_task(RACECAR)._replace(run_off_m=50.0)
    simulator = simulator_on([round_circuit], 5, task)
    rooms = np.array([0.5, 0.3, 0.0, -0.4, -5.0])
    for car, room in enumerate(rooms):
        simulator.place(car, 0, speed_mps=10.0)
        row = stations(simulator.circuits)[simulator.cars.station[car]]
        inward = np.array([-row[bank.SIN], row[bank.COS]])
        simulator.state[[dyn.X, dyn.Y], car] = row[[bank.X, bank.Y]] + inward * (
            row[bank.ROOM_LEFT] - room
        )
    simulator.locate()
    simulator.step(np.zeros((5, 2)))
    zones = np.clip(1.0 - simulator.cars.room_m / 0.4, 0.0, BORDER_DEPTH_MAX)
    np.testing.assert_allclose(simulator.cars.room_m, rooms, atol=0.05)
    border = simulator.cars.rewards[:, REWARD_TERMS.index("border")]
    np.testing.assert_allclose(border, -0.5 * zones**2 * task.control_step_s, atol=1e-12)
    assert border[0] == 0.0 and border[4] == -0.5 * 16.0 * task.control_step_s


def test_weights_are_of_the_reference_car_and_scaled_for_another():
    assert reward_weights(REFERENCE) == RewardWeights()
    scales = scales_of(scaled(RACECAR, 0.25))
    weights = reward_weights(scales)
    assert weights == RewardWeights()._replace(
        progress_per_s=0.2, border_per_s=1.0, border_zone_m=0.1, slip_per_s=0.2
    )
