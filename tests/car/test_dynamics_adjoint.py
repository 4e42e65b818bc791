"""The motion's adjoint against differences of the motion itself, for cars of all kinds."""

import numpy as np
import pytest
from cars import RACECAR, nominal, scaled

from racing_env.car import dynamics as dyn
from racing_env.car.dynamics_adjoint import LANES, add_slip_gradient, step_dynamics_adjoint
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import read_vehicle, shipped_names
from racing_env.simulation.task import CONTROL_STEP_S

CARS = {name: read_vehicle(name) for name in shipped_names()} | {"model": scaled(RACECAR, 0.2)}
N = 5 * LANES + 3
for_every_car = pytest.mark.parametrize("vehicle", CARS.values(), ids=CARS)


def step_s(vehicle: Vehicle) -> float:
    return CONTROL_STEP_S * scales_of(vehicle).time


def at_speed(vehicle: Vehicle, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cars on their way, their actuators far from or near to their targets: state and actions."""
    scales = scales_of(vehicle)
    drive, brake = np.maximum(rng.uniform(-1.0, 1.0, (2, N)), 0.0)
    rows = {
        "X": 50.0 * scales.length * rng.normal(size=N),
        "Y": 50.0 * scales.length * rng.normal(size=N),
        "PSI": rng.uniform(-3.1, 3.1, N),
        "VX": scales.speed * rng.uniform(8.0, 55.0, N),
        "VY": scales.speed * rng.normal(0.0, 0.6, N),
        "YAW_RATE": scales.turn_rate * rng.normal(0.0, 0.3, N),
        "STEER": rng.normal(0.0, 0.05, N),
        "DRIVE": vehicle.drive_force_max_n * drive,
        "BRAKE": vehicle.brake_force_max_n * brake * (drive == 0.0),
        "AX": scales.acceleration * rng.normal(0.0, 3.0, N),
        "AY": scales.acceleration * rng.normal(0.0, 6.0, N),
    }
    state = np.zeros((dyn.STATE_SIZE, N))
    for name, values in rows.items():
        state[getattr(dyn, name)] = values
    actions = np.stack([rng.normal(0.0, 0.1, N), rng.uniform(-1.0, 1.0, N)], axis=1)
    near = rng.random(N) < 0.5  # to be reached within a substep
    actions[near, 0] = state[dyn.STEER, near] / vehicle.steering_max_rad
    actions[near, 1] = (drive - brake * (drive == 0.0))[near]
    actions[near] += rng.normal(0.0, 0.03, (int(near.sum()), 2))
    return state, np.clip(actions, -0.99, 0.99)


def sliding(vehicle: Vehicle, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Side forces past their peak and cut by the circle, wheels locked and spinning."""
    state, actions = at_speed(vehicle, rng)
    scales = scales_of(vehicle)
    state[dyn.VY] = scales.speed * rng.normal(0.0, 5.0, N)
    state[dyn.YAW_RATE] = scales.turn_rate * rng.normal(0.0, 1.0, N)
    state[dyn.DRIVE] = vehicle.drive_force_max_n * (np.arange(N) % 3 == 0)
    state[dyn.BRAKE] = vehicle.brake_force_max_n * (np.arange(N) % 3 == 1)
    state[dyn.AY] = scales.acceleration * rng.normal(0.0, 12.0, N)  # wheels off the ground
    return state, actions


def at_top_speed(vehicle: Vehicle, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where the motor fades."""
    state, actions = at_speed(vehicle, rng)
    state[dyn.VX] = vehicle.top_speed_mps - scales_of(vehicle).speed * rng.uniform(-0.2, 3.0, N)
    state[dyn.DRIVE], state[dyn.BRAKE] = vehicle.drive_force_max_n, 0.0
    return state, actions


def stopping(vehicle: Vehicle, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Brakes that fade out, slip angles with a floor under their speed."""
    state, actions = at_speed(vehicle, rng)
    scales = scales_of(vehicle)
    state[dyn.VX] = scales.speed * rng.uniform(-0.3, 5.0, N)
    state[dyn.VY] *= 0.1
    state[dyn.YAW_RATE] *= 0.1
    state[dyn.DRIVE] *= rng.random(N) < 0.5
    state[dyn.BRAKE] = vehicle.brake_force_max_n * rng.random(N) * (state[dyn.DRIVE] == 0.0)
    return state, actions


def stepped(state: np.ndarray, actions: np.ndarray, vehicle: Vehicle) -> np.ndarray:
    state, dt_s = state.copy(), step_s(vehicle)
    scratch = dyn.new_scratch()
    substeps = dyn.substeps_of(vehicle, dt_s)
    dyn.step_dynamics(
        state, actions.copy(), nominal(state.shape[1]), vehicle, dt_s, substeps, scratch
    )
    return state


def stepped_in_double(state: np.ndarray, actions: np.ndarray, vehicle: Vehicle) -> np.ndarray:
    """The same equations in double precision, for differences of a millionth."""
    dt_s, state = step_s(vehicle), state.copy()
    substeps = dyn.substeps_of(vehicle, dt_s)
    gained_rows = (dyn.VX, dyn.VY, dyn.YAW_RATE, dyn.AX, dyn.AY)
    for car in range(state.shape[1]):
        gained, (x, y, turn) = np.zeros(len(gained_rows)), np.zeros(3)
        now = state[gained_rows, car]
        actuators = state[[dyn.STEER, dyn.DRIVE, dyn.BRAKE], car]
        for _ in range(substeps):
            step_x, step_y, step_turn, *rest = dyn._substep(
                turn, *(now + gained), *actuators, *actions[car], vehicle, dt_s / substeps
            )
            x, y, turn = x + step_x, y + step_y, turn + step_turn
            gained += rest[: len(gained)]
            actuators = rest[len(gained) :]
        psi = state[dyn.PSI, car]
        state[dyn.X, car] += np.cos(psi) * x - np.sin(psi) * y
        state[dyn.Y, car] += np.sin(psi) * x + np.cos(psi) * y
        state[dyn.PSI, car] += turn
        state[gained_rows, car] += gained
        state[[dyn.STEER, dyn.DRIVE, dyn.BRAKE], car] = actuators
    return state


def pulled_back(
    state: np.ndarray, actions: np.ndarray, vehicle: Vehicle, of_what_follows: np.ndarray
) -> np.ndarray:
    """Gradients (STATE_SIZE + 2, n) by the state and by the action."""
    by_state, by_action = of_what_follows.copy(), np.zeros(actions.shape)
    dt_s = step_s(vehicle)
    step_dynamics_adjoint(
        state, stepped(state, actions, vehicle), actions, nominal(len(actions)), vehicle, dt_s,
        dyn.substeps_of(vehicle, dt_s), by_state, by_action,
    )  # fmt: skip
    return np.concatenate([by_state, by_action.T])


def of_what_follows(vehicle: Vehicle, n: int = N) -> np.ndarray:
    """A gradient (STATE_SIZE, n) by the state after a step, in which each number counts."""
    scales = scales_of(vehicle)
    size = np.ones((dyn.STATE_SIZE, 1))
    size[[dyn.X, dyn.Y], 0] = scales.length * 0.1
    size[[dyn.VX, dyn.VY], 0] = scales.speed
    size[dyn.YAW_RATE] = scales.turn_rate * 0.3
    size[[dyn.STEER, dyn.PSI], 0] = 0.1
    size[[dyn.DRIVE, dyn.BRAKE], 0] = scales.force * 1e3
    size[[dyn.AX, dyn.AY], 0] = scales.acceleration
    return np.random.default_rng(9).normal(size=(dyn.STATE_SIZE, n)) / size


def one_sided(
    state: np.ndarray, actions: np.ndarray, vehicle: Vehicle, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Slopes (STATE_SIZE + 2, n) to the left and to the right, of what the adjoint pulls back."""
    scales = scales_of(vehicle)
    change = np.full(dyn.STATE_SIZE + 2, 1e-6)
    change[[dyn.X, dyn.Y]] *= scales.length
    change[[dyn.VX, dyn.VY]] *= scales.speed
    change[dyn.YAW_RATE] *= scales.turn_rate
    change[[dyn.DRIVE, dyn.BRAKE]] *= 1e4 * scales.force
    change[[dyn.AX, dyn.AY]] *= scales.acceleration
    now = stepped_in_double(state, actions, vehicle)
    slopes = []
    for sign in (-1.0, 1.0):
        side = []
        for row in range(dyn.STATE_SIZE + 2):
            other, others_actions = state.copy(), actions.copy()
            if row < dyn.STATE_SIZE:
                other[row] += sign * change[row]
            else:
                others_actions[:, row - dyn.STATE_SIZE] += sign * change[row]
            moved = stepped_in_double(other, others_actions, vehicle) - now
            moved[dyn.PSI] = (moved[dyn.PSI] + np.pi) % (2.0 * np.pi) - np.pi
            side.append((weights * moved).sum(axis=0) / (sign * change[row]))
        slopes.append(np.array(side))
    return slopes[0], slopes[1]


@for_every_car
@pytest.mark.parametrize("draw", [at_speed, sliding, at_top_speed, stopping])
def test_it_is_the_difference_of_moving_again(vehicle: Vehicle, draw):
    """At a corner of the motion the slope on one side, or between them; few cars are at one.

    None but cars with a wheel at the very end of its grip, whose slope is not let grow endless, are
    beside it.
    """
    state, actions = draw(vehicle, np.random.default_rng(1))
    weights = of_what_follows(vehicle)
    left, right = one_sided(state, actions, vehicle, weights)
    ours = pulled_back(state, actions, vehicle, weights)
    size = np.abs(left).mean(axis=1, keepdims=True)
    assert (size > 0.0).all()
    low, high = np.minimum(left, right), np.maximum(left, right)
    beside = np.maximum(np.maximum(low - ours, ours - high), 0.0) / size
    assert (beside > 5e-3).any(axis=0).sum() <= 2
    assert ((high - low) / size > 1e-2).mean() < 0.06
    assert np.median(np.abs(ours - 0.5 * (left + right)) / size) < 1e-4


@for_every_car
def test_a_car_alone_has_the_same_gradient_as_in_a_batch(vehicle: Vehicle):
    """To the last bit, whatever its place in a batch that need not fill the processor's vectors."""
    state, actions = at_speed(vehicle, np.random.default_rng(2))
    weights = of_what_follows(vehicle)
    together = pulled_back(state, actions, vehicle, weights)
    for cars in ([0], [7], [N - 1], [3, 30], list(range(5, 5 + LANES + 1))):
        few = pulled_back(
            np.ascontiguousarray(state[:, cars]), actions[cars], vehicle,
            np.ascontiguousarray(weights[:, cars]),
        )  # fmt: skip
        np.testing.assert_array_equal(few, together[:, cars])


def test_nothing_follows_from_nothing():
    state, actions = sliding(RACECAR, np.random.default_rng(3))
    assert not pulled_back(state, actions, RACECAR, np.zeros((dyn.STATE_SIZE, N))).any()


def test_the_cut_of_the_heading_is_no_jump():
    """A car that heads along -x, where the angle goes from pi to -pi, has a small gradient."""
    state, actions = np.zeros((dyn.STATE_SIZE, 2)), np.zeros((2, 2))
    state[dyn.VX], state[dyn.PSI] = 20.0, (3.14159, -3.14159)
    weights = np.zeros((dyn.STATE_SIZE, 2))
    weights[dyn.PSI] = 1.0
    ours = pulled_back(state, actions, RACECAR, weights)
    np.testing.assert_allclose(ours[dyn.PSI], 1.0, atol=1e-9)


@for_every_car
def test_slip_angles(vehicle: Vehicle):
    """Of both axles, added to what is there; slow cars too, which have a floor of speed."""
    rng = np.random.default_rng(4)
    state = at_speed(vehicle, rng)[0]
    slow = stopping(vehicle, rng)[0]
    state[:, ::2] = slow[:, ::2]
    by_front, by_rear = rng.normal(size=(2, N))
    ours = np.ones((dyn.STATE_SIZE, N))
    for car in range(N):
        add_slip_gradient(state, car, vehicle, by_front[car], by_rear[car], ours)
    expected = np.ones((dyn.STATE_SIZE, N))
    change = 1e-6 * scales_of(vehicle).speed
    for row in range(dyn.STATE_SIZE):
        values = []
        for sign in (-1.0, 1.0):
            other = state.copy()
            other[row] += sign * change
            slips = np.array([dyn.axle_slips(other, car, vehicle) for car in range(N)])
            values.append(by_front * slips[:, 0] + by_rear * slips[:, 1])
        expected[row] += (values[1] - values[0]) / (2.0 * change)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)
