"""Cars under way: places on their circuits, distance, laps, and how episodes begin and end."""

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled, scatter, simulator_on, stations
from shapes import circle_track

from racing_env.car import dynamics as dyn
from racing_env.drivers.expert import expert_actions
from racing_env.simulation.motion import (
    BACKWARDS,
    OFF_TRACK,
    ON_TRACK,
    STANDING,
    STANDING_LIMIT_S,
)
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import CONTROL_STEP_S, racing_task
from racing_env.tracks import bank
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit, prepare_circuit

STEP_S = CONTROL_STEP_S


@pytest.fixture(scope="module")
def circuits() -> list[Circuit]:
    return [circuit_named(4), circuit_named("hairpins")]


@pytest.fixture(scope="module")
def round_circuit() -> Circuit:
    """A circle of 100 m radius, 14 m wide, driven to the left."""
    return prepare_circuit(circle_track(), RACECAR)


def test_curvilinear_position_agrees_with_the_plane(circuits):
    simulator = simulator_on(circuits, 16)
    scatter(simulator, 5)
    table, cars = stations(simulator.circuits), simulator.cars
    for _ in range(15):
        simulator.step(expert_actions(simulator, np.full(16, 0.7)))
        on_track = cars.ended == ON_TRACK
        row = simulator.circuits.first[cars.circuit] + cars.station
        following = (
            simulator.circuits.first[cars.circuit]
            + (cars.station + 1) % simulator.circuits.count[cars.circuit]
        )
        share = cars.fraction[:, None]
        foot = (1.0 - share) * table[row] + share * table[following]
        normal = np.column_stack([-foot[:, bank.SIN], foot[:, bank.COS]])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        place = foot[:, [bank.X, bank.Y]] + cars.offset_m[:, None] * normal
        error = np.linalg.norm(place - simulator.state[[dyn.X, dyn.Y]].T, axis=1)
        assert error[on_track].max() < 0.05


def test_distance_follows_the_place_on_the_circuit(circuits):
    simulator = simulator_on(circuits[:1], 4)
    length = circuits[0].track.length_m
    for car in range(4):
        simulator.place(car, 0, length - 30.0 - 10.0 * car, speed_mps=20.0)
    start = simulator.place_s_m()
    for _ in range(80):
        simulator.step(expert_actions(simulator, np.full(4, 0.7)))
    assert (simulator.cars.ended == ON_TRACK).all()
    assert (simulator.place_s_m() < start).all()  # the finish line has been crossed
    moved = simulator.place_s_m() - start + length
    np.testing.assert_allclose(simulator.cars.distance_m, moved, atol=1e-6)


def test_laps_are_counted_from_the_start_and_timed_within_the_step(round_circuit):
    simulator = simulator_on([round_circuit], 1)
    length = round_circuit.track.length_m
    simulator.place(0, 0, 0.3 * length, speed_mps=20.0)
    cars = simulator.cars
    distance, time = [0.0], [0.0]
    while cars.laps[0] < 3:
        simulator.step(expert_actions(simulator, np.array([0.7])))
        assert cars.ended[0] == ON_TRACK
        distance.append(float(cars.distance_m[0]))
        time.append(float(cars.time_s[0]))
        assert cars.laps[0] == int(distance[-1] // length)
    crossings = np.interp(np.arange(4) * length, distance, time)
    assert cars.lap_start_s[0] == pytest.approx(crossings[3], abs=1e-9)
    assert cars.lap_time_s[0] == pytest.approx(crossings[3] - crossings[2], abs=1e-9)


def test_lap_time_on_a_circle_at_constant_speed(round_circuit):
    """Moved by hand at 31 m/s on the centre line, a lap takes length / 31 s."""
    simulator = simulator_on([round_circuit], 1)
    simulator.place(0, 0)
    length, speed = round_circuit.track.length_m, 31.0
    cars, state = simulator.cars, simulator.state
    for k in range(1, 1 + int(2.2 * length / (speed * STEP_S))):
        angle = ((k - 1) * speed * STEP_S) / 100.0
        state[:, 0] = 0.0
        state[[dyn.X, dyn.Y, dyn.PSI, dyn.VX], 0] = (
            100.0 * np.cos(angle), 100.0 * np.sin(angle), angle + 0.5 * np.pi, speed
        )  # fmt: skip
        state[dyn.YAW_RATE, 0] = speed / 100.0
        simulator.step(np.zeros((1, 2)))
    assert cars.laps[0] == 2
    assert cars.lap_time_s[0] == pytest.approx(length / speed, abs=0.01)


@pytest.mark.parametrize("heading, reason", [(0.0, OFF_TRACK), (np.pi, BACKWARDS)])
def test_leaving_the_track_and_turning_round_end_an_episode(circuits, heading, reason):
    simulator = simulator_on(circuits, 1)
    simulator.place(0, 0, 50.0, heading_rad=heading, speed_mps=25.0)
    for _ in range(200):
        simulator.step(np.array([[1.0, 0.2]]))
        if simulator.cars.ended[0] != ON_TRACK:
            break
    assert simulator.cars.ended[0] == reason
    assert simulator.cars.rewards[0, REWARD_TERMS.index("end")] == -simulator.task.weights.end


def test_a_standing_car_ends_after_the_limit(circuits):
    simulator = simulator_on(circuits, 1)
    simulator.place(0, 0)
    ends = []
    for _ in range(round(STANDING_LIMIT_S / STEP_S) + 2):
        simulator.step(np.array([[0.0, -1.0]]))
        ends.append(int(simulator.cars.ended[0]))
    assert ends.index(STANDING) == pytest.approx(STANDING_LIMIT_S / STEP_S, abs=1)
    simulator.place(0, 0)
    assert simulator.cars.standing_s[0] == 0.0
    assert simulator.cars.ended[0] == ON_TRACK


@pytest.mark.parametrize("run_off", [0.0, -0.4, 1.5])
def test_the_car_ends_half_its_width_inside_the_border(round_circuit, run_off):
    """Or so far beyond, where there is a run-off area; below zero the task is stricter."""
    simulator = simulator_on([round_circuit], 1, racing_task(RACECAR)._replace(run_off_m=run_off))
    simulator.place(0, 0, speed_mps=20.0)
    offsets = []
    while simulator.cars.ended[0] == ON_TRACK:
        simulator.step(np.array([[0.0, 0.0]]))
        offsets.append(-simulator.cars.offset_m[0])
    admissible = 7.0 - 0.5 * RACECAR.width_m + run_off
    assert simulator.cars.ended[0] == OFF_TRACK
    assert offsets[-2] <= admissible + 1e-3 < offsets[-1] + 2e-3


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_place_is_cut_at_the_border(circuits, side):
    simulator = simulator_on(circuits, 1, racing_task(RACECAR)._replace(run_off_m=-0.2))
    simulator.place(0, 1, 100.0, line_offset_m=side * 50.0, speed_mps=1.5)
    row = simulator.circuits.first[1] + simulator.cars.station[0]
    room = simulator.circuits.table[row, bank.ROOM_LEFT if side > 0.0 else bank.ROOM_RIGHT]
    assert side * simulator.cars.offset_m[0] == pytest.approx(room - 0.25, abs=0.02)
    simulator.step(np.zeros((1, 2)))
    assert simulator.cars.ended[0] == ON_TRACK


def test_room_is_to_the_nearer_border(round_circuit):
    simulator = simulator_on([round_circuit], 3)
    for car, aside_m in enumerate((-50.0, -round_circuit.line_offset_m[0], 50.0)):
        simulator.place(car, 0, line_offset_m=aside_m, speed_mps=10.0)
    half = 7.0 - 0.5 * RACECAR.width_m
    np.testing.assert_allclose(simulator.cars.room_m, [0.05, half, 0.05], atol=0.02)
    simulator.step(np.zeros((3, 2)))
    expected = half - np.abs(simulator.cars.offset_m)
    np.testing.assert_allclose(simulator.cars.room_m, expected, atol=0.02)


def test_standing_is_to_the_scale_of_the_car():
    """Half the speed and half the time for a car of a quarter of the size."""
    model = scaled(RACECAR, 0.25)
    circuits = pack_circuits([circuit_named("oval", model)])
    simulator = Simulator(circuits, 1, racing_task(model))
    simulator.place(0, 0)
    steps = 0
    while simulator.cars.ended[0] == ON_TRACK:
        simulator.state[dyn.VX, 0] = 0.4
        simulator.step(np.zeros((1, 2)))
        steps += 1
    assert simulator.cars.ended[0] == STANDING
    assert simulator.cars.time_s[0] == pytest.approx(0.5 * STANDING_LIMIT_S, abs=0.03)
    assert steps == pytest.approx(STANDING_LIMIT_S / STEP_S, abs=1)
    simulator.place(0, 0, speed_mps=0.6)
    simulator.step(np.array([[0.0, 0.5]]))
    assert simulator.cars.standing_s[0] == 0.0
