"""A car made smaller in every way drives the same in scaled time: no number is for one car only.

By Froude's similarity: lengths go with the size, masses with its cube, speeds and times with its
root, accelerations and angles not at all. Sizes of a quarter and a sixteenth have roots of
a half and a quarter: the small car's numbers are then the large one's times powers of two, and what
is similar is so to the last bit.
"""

from dataclasses import replace

import numpy as np
import pytest
from cars import RACECAR, circuit_named, nominal, scaled, scatter, simulator_on
from loops import drive, driver_parameters, loop_numbers, pulled_back

from racing_env import DEFAULT_LAYOUT
from racing_env.car import dynamics as dyn
from racing_env.car import speed_profile as profile
from racing_env.car.dynamics_adjoint import step_dynamics_adjoint
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.drivers.expert import expert_actions
from racing_env.laps import evaluation as ev
from racing_env.simulation.layouts import layouts
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task, training_task
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.geometry import scaled_track
from racing_env.tracks.line_geometry import line_geometry

QUARTER, TENTH, SIXTEENTH = 0.25, 0.1, 0.0625
# How the numbers of a state go with the size.
STATE = {"X": 1, "Y": 1, "VX": 0.5, "VY": 0.5, "YAW_RATE": -0.5, "DRIVE": 3, "BRAKE": 3}
PACE = 0.85
for_every_layout = pytest.mark.parametrize("layout", layouts())
SLOW_LAYOUTS = [  # half a minute to compile each one's gradients
    pytest.param(name, marks=pytest.mark.slow) for name in layouts() if name != DEFAULT_LAYOUT
]


def where_count(*arguments: object, constants: str):
    """A case that fails where these constants do not go with the car."""
    return pytest.param(*arguments, id=constants)


def state_scales(size: float) -> np.ndarray:
    scales = np.ones((dyn.STATE_SIZE, 1))
    for name, exponent in STATE.items():
        scales[getattr(dyn, name)] = size**exponent
    return scales


def scaled_circuit(circuit: Circuit, size: float) -> Circuit:
    """The same circuit, line and profile for the scaled car, without computing them again."""
    return replace(
        circuit,
        track=scaled_track(circuit.track, size),
        vehicle=scaled(circuit.vehicle, size),
        line_offset_m=size * circuit.line_offset_m,
        line_kappa_radpm=circuit.line_kappa_radpm / size,
        line_speed_mps=size**0.5 * circuit.line_speed_mps,
        line_time_s=size**0.5 * circuit.line_time_s,
        lap_time_s=size**0.5 * circuit.lap_time_s,
    )


def pair(circuits: list[Circuit], n: int, size: float, task_for=racing_task, layout=None):
    """Simulators of the racecar and of the scaled one, the same cars at the same places."""
    small = [scaled_circuit(circuit, size) for circuit in circuits]
    arguments = () if layout is None else (layout,)
    ours = simulator_on(circuits, n, task_for(RACECAR, *arguments))
    theirs = simulator_on(small, n, task_for(scaled(RACECAR, size), *arguments))
    return ours, theirs


def copy_scaled(ours: Simulator, theirs: Simulator, size: float) -> None:
    for car in range(ours.n):
        theirs.place(car, int(ours.cars.circuit[car]))
    theirs.state[:] = ours.state * state_scales(size)
    theirs.cars.station[:] = ours.cars.station
    theirs.cars.room_m[:] = ours.cars.room_m * size
    theirs.locate()


# --- forces and motion --------------------------------------------------------------------------


# At 30 m/s, accelerating out of a left-hand bend: no floor, no limit.
FAST = {"vx": 30.0, "vy": 0.5, "yaw_rate": 0.3, "ax": 2.0, "ay": 6.0, "steer": 0.05,
        "drive_n": 3e3, "brake_n": 0.0}  # fmt: skip
WEAK = RACECAR._replace(power_max_w=2e3)
FORCES = [
    pytest.param(RACECAR, {}, QUARTER, id="in a bend"),
    pytest.param(RACECAR, {"vx": 15.0, "drive_n": 0.0, "brake_n": 9e3}, QUARTER, id="braking"),
    where_count(RACECAR, {"vx": 3.0}, QUARTER, constants="tyre.SLIP_SPEED_FLOOR_MPS"),
    where_count(
        RACECAR, {"vx": 0.3, "vy": 0.0, "yaw_rate": 0.0, "drive_n": 0.0, "brake_n": 1e3}, QUARTER,
        constants="tyre.STOP_SPEED_MPS",
    ),
    where_count(RACECAR, {"ay": 25.0}, QUARTER, constants="loads.LOAD_FLOOR_N"),
    where_count(RACECAR, {}, TENTH, constants="loads.LOAD_FLOOR_N"),
    where_count(
        WEAK, {"vx": 1.5, "vy": 0.0, "yaw_rate": 0.0, "ay": 0.0, "steer": 0.0}, QUARTER,
        constants="powertrain.SLOWEST_MPS",
    ),
    where_count(
        RACECAR, {"vx": RACECAR.top_speed_mps - 0.75}, QUARTER,
        constants="powertrain.FADE_MPS",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("vehicle", "changes", "size"), FORCES)
def test_forces_are_similar(vehicle: Vehicle, changes: dict, size: float):
    """The same accelerations; about the vertical, one over the size."""
    scales = {"vx": 0.5, "vy": 0.5, "yaw_rate": -0.5, "drive_n": 3, "brake_n": 3}
    ours = FAST | changes
    theirs = {name: value * size ** scales.get(name, 0) for name, value in ours.items()}
    expected = dyn.accelerations(*ours.values(), vehicle)
    found = dyn.accelerations(*theirs.values(), scaled(vehicle, size))
    np.testing.assert_allclose(found, np.multiply(expected, [1.0, 1.0, 1.0 / size]), rtol=1e-9)


def test_a_drive_at_speed_is_similar_to_the_last_bit():
    """Two seconds of any steering, moderate pedals, at speeds where nothing has a floor."""
    rng = np.random.default_rng(0)
    ours = np.zeros((dyn.STATE_SIZE, 20))
    ours[dyn.VX] = rng.uniform(25.0, 55.0, 20)
    theirs, small = ours * state_scales(QUARTER), scaled(RACECAR, QUARTER)
    scratch = dyn.new_scratch()
    for _ in range(40):
        actions = rng.uniform(-0.1, 0.3, (20, 2))
        dyn.step_dynamics(ours, actions.copy(), nominal(20), RACECAR, 0.05, dyn.SUBSTEPS, scratch)
        dyn.step_dynamics(theirs, actions.copy(), nominal(20), small, 0.025, dyn.SUBSTEPS, scratch)
    np.testing.assert_array_equal(theirs, ours * state_scales(QUARTER))


# --- the speed profile --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "tolerance"),
    [
        (QUARTER, 1e-4),
        where_count(
            QUARTER, 1e-9,
            constants="speed_profile.SPEED_STEP_MPS, CORNER_SPEED_STEP_MPS",
        ),
        where_count(TENTH, 1e-4, constants="loads.LOAD_FLOOR_N"),
    ],
)  # fmt: skip
def test_the_profile_is_similar_on_a_similar_line(size: float, tolerance: float):
    circuit = circuit_named("club")
    line = line_geometry(circuit.track, circuit.line_offset_m)
    speed = profile.speed_profile(
        line.kappa_radpm / size, size * line.step_m, scaled(RACECAR, size)
    )
    np.testing.assert_allclose(speed, size**0.5 * circuit.line_speed_mps, rtol=tolerance)


@pytest.mark.parametrize(
    "speed_mps",
    [
        30.0,
        where_count(0.5, constants="powertrain.SLOWEST_MPS"),
    ],
)
def test_the_largest_drive_force_is_similar(speed_mps: float):
    expected = QUARTER**3 * profile._largest_drive_force(speed_mps, WEAK)
    small = scaled(WEAK, QUARTER)
    assert profile._largest_drive_force(QUARTER**0.5 * speed_mps, small) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["oval", "hairpins", 4])
@pytest.mark.parametrize("size", [QUARTER, where_count(TENTH, constants="loads.LOAD_FLOOR_N")])
def test_a_prepared_circuit_is_similar(name: str | int, size: float):
    """Line and profile computed anew; where the line may lie without a loss, it may differ."""
    ours, theirs = circuit_named(name), circuit_named(name, scaled(RACECAR, size))
    assert theirs.lap_time_s == pytest.approx(size**0.5 * ours.lap_time_s, rel=3e-4)
    np.testing.assert_allclose(theirs.line_offset_m, size * ours.line_offset_m, atol=2.0 * size)


# --- what is seen, paid and driven --------------------------------------------------------------


@for_every_layout
@pytest.mark.parametrize("task_for", [racing_task, training_task])
@pytest.mark.parametrize(
    "size",
    [
        QUARTER,
        where_count(
            SIXTEENTH,
            constants="tyre.SLIP_SPEED_FLOOR_MPS, also in expert._act; loads.LOAD_FLOOR_N",
        ),
    ],
)
def test_the_expert_drives_sees_and_is_paid_the_same(layout: str, task_for, size: float):
    """Ten seconds at speed, of cars beside the line and on it."""
    ours, theirs = pair([circuit_named("club"), circuit_named(4)], 12, size, task_for, layout)
    for car in range(12):
        for simulator, scale in ((ours, 1.0), (theirs, size)):
            simulator.place(
                car, car % 2, scale * 150.0 * car, scale * (0.3 * (car % 3)), 0.0,
                scale**0.5 * 12.0,
            )  # fmt: skip
    paces, steps = np.full(12, 0.75), 200
    paid = np.zeros((2, len(REWARD_TERMS)))
    for _ in range(steps):
        actions = [expert_actions(simulator, paces) for simulator in (ours, theirs)]
        np.testing.assert_allclose(actions[1], actions[0], atol=1e-6)
        ours.step(actions[0])
        theirs.step(actions[1])
        np.testing.assert_array_equal(theirs.cars.ended, ours.cars.ended)
        np.testing.assert_allclose(theirs.observe(), ours.observe(), atol=1e-4)
        np.testing.assert_allclose(theirs.cars.rewards, ours.cars.rewards, atol=1e-9, rtol=1e-7)
        paid += [simulator.cars.rewards.sum(axis=0) for simulator in (ours, theirs)]
    np.testing.assert_allclose(theirs.cars.distance_m, size * ours.cars.distance_m, rtol=1e-6)
    assert not ours.cars.ended.any() and paid[0, 0] > 5.0  # or little has been shown


@for_every_layout
def test_what_is_seen_is_similar_to_the_last_bit(layout: str):
    ours, theirs = pair([circuit_named("club")], 30, QUARTER, racing_task, layout)
    scatter(ours, 0)
    copy_scaled(ours, theirs, QUARTER)
    np.testing.assert_array_equal(theirs.observe(), ours.observe())


def training_for_all_terms(vehicle: Vehicle, layout: str = DEFAULT_LAYOUT):
    """Training in which steering has a price, too."""
    task = training_task(vehicle, layout)
    price = 0.5 * scales_of(vehicle).turn_rate
    return task._replace(weights=task.weights._replace(steering_per_s=price))


def test_what_is_off_the_track_and_sliding_is_paid_the_same():
    """Each term at work, also where an episode ends; one step from each of many places."""
    ours, theirs = pair([circuit_named("club")], 60, QUARTER, training_for_all_terms)
    scatter(ours, 0)
    rng = np.random.default_rng(1)
    ours.state[dyn.VX] = rng.uniform(12.0, 40.0, 60)
    ours.state[dyn.VY] = rng.normal(0.0, 2.0, 60)
    ours.state[dyn.YAW_RATE] = rng.normal(0.0, 0.2, 60)
    ours.state[dyn.AY] = 0.0
    ours.state[dyn.X] += rng.normal(0.0, 4.0, 60)
    ours.state[dyn.Y] += rng.normal(0.0, 4.0, 60)
    for _ in range(2):  # from far off, a place is found more exactly the second time
        ours.locate()
    copy_scaled(ours, theirs, QUARTER)
    np.testing.assert_allclose(theirs.observe(), ours.observe(), atol=1e-5)
    for simulator in (ours, theirs):
        simulator.step(np.tile([0.2, 0.0], (60, 1)))
    np.testing.assert_array_equal(theirs.cars.ended, ours.cars.ended)
    np.testing.assert_allclose(theirs.cars.rewards, ours.cars.rewards, atol=1e-9)
    assert (ours.cars.rewards != 0.0).any(axis=0).all()  # of each term


@pytest.mark.parametrize(
    "size",
    [QUARTER, where_count(TENTH, constants="loads.LOAD_FLOOR_N")],
)
def test_the_experts_laps_take_scaled_time(size: float):
    """A standing and a flying lap, on line and profile of its own."""
    expert = ev.expert_driver(np.full(1, PACE))
    (ours,), (theirs,) = (
        ev.drive_laps([circuit_named("club", vehicle)], expert, laps=1)
        for vehicle in (RACECAR, scaled(RACECAR, size))
    )
    assert ours.finished and theirs.finished
    np.testing.assert_allclose(
        theirs.lap_times_s, size**0.5 * np.array(ours.lap_times_s), rtol=1e-3
    )


def test_gradients_of_a_step_are_similar():
    """By the action the same; by the state, over its scale."""
    ours, theirs = pair([circuit_named("club")], 6, QUARTER, training_task)
    for car in range(6):
        ours.place(car, 0, 120.0 * car, line_offset_m=0.3, speed_mps=20.0)
    actions = np.random.default_rng(0).uniform(-0.2, 0.4, (6, 2))
    for _ in range(5):
        ours.step(actions)
    copy_scaled(ours, theirs, QUARTER)
    rng = np.random.default_rng(1)
    of_what_follows = rng.normal(size=ours.state.shape) / np.maximum(np.abs(ours.state), 1.0)
    gradients = []
    for simulator, scales in ((ours, 1.0), (theirs, state_scales(QUARTER))):
        before, vehicle = simulator.state.copy(), simulator.vehicle
        dt_s = simulator.task.control_step_s
        simulator.step(actions)
        by_state, by_action = of_what_follows / scales, np.zeros((6, 2))
        step_dynamics_adjoint(
            before, simulator.state, actions, nominal(len(actions)), vehicle, dt_s,
            dyn.substeps_of(vehicle, dt_s), by_state, by_action,
        )  # fmt: skip
        gradients.append((by_state * scales, by_action))
    for expected, found in zip(*gradients, strict=True):
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("layout", [DEFAULT_LAYOUT, *SLOW_LAYOUTS])
def test_gradients_of_a_rollout_are_similar(layout: str):
    """The same, by the weights of a network that sees the same and is paid the same."""
    ours, theirs = pair([circuit_named("club")], 6, QUARTER, training_task, layout)
    for car in range(6):
        ours.place(car, 0, 120.0 * car, line_offset_m=0.3, speed_mps=20.0)
    copy_scaled(ours, theirs, QUARTER)
    parameters = driver_parameters(ours.layout.size)
    gradients = []
    for start in (ours, theirs):
        numbers = loop_numbers(start.task)
        gradients.append(pulled_back(drive(start, parameters, numbers, 10), parameters, numbers)[0])
    expected, found = gradients
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
