"""The classical expert: follows the racing line by feed-forward steering, preview and feedback.

Steering: the angle that holds the line's curvature in steady state (geometry plus the slip angles
that the axles need), corrected by an optimal regulator's share of each error of the pose predicted
a moment ahead (`racing_env.drivers.steering_feedback`). Pedals: the
profile's acceleration plus a share of the speed error. Both are held back where the tyres would
pass their peak, because this tyre's side force falls off steeply behind it.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.conditions import (
    DELAY_STEPS,
    MOST_DELAY_STEPS,
    NOMINAL,
    Conditions,
    conditioned,
)
from racing_env.car.kernels import kernel
from racing_env.car.loads import grip_n, resistance_n, wheel_loads_n
from racing_env.car.scales import Scales
from racing_env.car.similarity import speed_scale
from racing_env.car.tyre import (
    SLIP_SPEED_FLOOR_MPS,
    axle_tyres,
    peak_slip_rad,
    slip_of_force_rad,
)
from racing_env.drivers.steering_feedback import steering_feedback
from racing_env.simulation.motion import ON_TRACK
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task
from racing_env.tracks import bank


class Gains(NamedTuple):
    """How the expert tracks the line; tuned on generated circuits with cars of three kinds."""

    preview_s: float = 0.1  # at which the line's curvature is steered ahead of the car
    steering_speed_floor_mps: float = 3.0  # at which the line's curvature is steered at least
    speed_per_s: float = 4.0  # acceleration per m/s of speed error
    front_slip_share: float = 0.95  # of the tyre's peak: where steering is clamped
    rear_slip_share: float = 0.55  # of the peak: where pedals and steering begin to yield
    catch: float = 2.0  # how fast the front lets go then
    drive_share: float = 0.85  # of the force at which the tyres of an axle would slip
    brake_share: float = 0.92


# The expert's pace is a factor on the speed profile; below 1 is slower than the tyres would allow.
# That of demonstrations is one for all circuits, so that what the clone is shown (the profile) and
# what it does stay in one relation; slow enough that the expert recovers from most disturbances.
DEMONSTRATION_PACE = 0.90
PACES = tuple(np.round(np.arange(1.0, 0.699, -0.01), 2))


@kernel
def steering_rad(state, car, speed, kappa, offset, course, vehicle, gains, feedback):
    """Steering angle for the line's curvature (1/m), at an offset (m) and a course (rad) from it.

    Geometry and the slip angles that the axles need in steady state; feedback of what differs.
    """
    lateral = speed * speed * kappa
    wheelbase = vehicle.cog_to_front_m + vehicle.cog_to_rear_m
    fl, fr, rl, rr = wheel_loads_n(speed, state[dyn.AX, car], lateral, vehicle)
    front_share = vehicle.cog_to_rear_m / wheelbase
    force = vehicle.mass_kg * lateral
    front_tyre, rear_tyre = axle_tyres(vehicle)
    # each wheel of an axle taken to bear half of its load
    front_slip = slip_of_force_rad(0.5 * force * front_share, 0.5 * (fl + fr), front_tyre)
    rear_slip = slip_of_force_rad(0.5 * force * (1.0 - front_share), 0.5 * (rl + rr), rear_tyre)
    straight_on = math.atan(wheelbase * kappa) + front_slip - rear_slip
    # The nose points as much out of the course as the rear tyres' slip wants it to.
    drift = math.atan2(state[dyn.VY, car], speed)
    steady_drift = vehicle.cog_to_rear_m * kappa - rear_slip
    errors = (
        offset,
        speed * course,
        course - drift + steady_drift,
        state[dyn.YAW_RATE, car] - speed * kappa,
        state[dyn.STEER, car] - straight_on,
    )
    place = min(speed / feedback.speed_step_mps, feedback.gains.shape[0] - 1.001)
    low = int(place)
    steering = straight_on
    for i in range(len(errors)):
        first, second = feedback.gains[low, i], feedback.gains[low + 1, i]
        steering -= (first + (place - low) * (second - first)) * errors[i]
    # Keep the front tyres before their peak, whatever the feedback asks for; and where the rear
    # ones near theirs, let go of the front in the same measure, or the car turns round.
    front_slip, rear_slip = dyn.axle_slips(state, car, vehicle)
    straight = state[dyn.STEER, car] - front_slip  # the angle at which the front wheels just roll
    most = gains.front_slip_share * peak_slip_rad(front_tyre)
    rear_free = gains.rear_slip_share * peak_slip_rad(rear_tyre)
    let_go = gains.catch * max(abs(rear_slip) - rear_free, 0.0)
    let_go = min(let_go, 2.0 * most)  # at the most from one clamp to the other
    left_most = most - let_go if rear_slip > 0.0 else most
    right_most = most - let_go if rear_slip < 0.0 else most
    return min(max(steering, straight - right_most), straight + left_most)


@kernel
def _slipping_force_n(loads, share_front, vehicle):
    """Force (N) of the whole car at which the first axle's tyres slip; loads: of the wheels (N)."""
    front_tyre, rear_tyre = axle_tyres(vehicle)
    front = front_tyre.friction * (loads[0] + loads[1]) / max(share_front, 1e-9)
    rear = rear_tyre.friction * (loads[2] + loads[3]) / max(1.0 - share_front, 1e-9)
    return min(front, rear)


@kernel
def pedals_n(state, car, target_speed, acceleration, vehicle, gains):
    """Longitudinal force (N) for a speed (m/s) and the profile's acceleration (m/s2)."""
    vx = state[dyn.VX, car]
    wanted = acceleration + gains.speed_per_s * (target_speed - vx)
    force = vehicle.mass_kg * wanted + resistance_n(vx, vehicle)
    # what the lateral force leaves of the grip, by the acceleration that is felt
    used = min(vehicle.mass_kg * abs(state[dyn.AY, car]) / grip_n(vx, vehicle), 0.97)
    left = math.sqrt(1.0 - used * used)
    loads = wheel_loads_n(vx, state[dyn.AX, car], state[dyn.AY, car], vehicle)
    _, rear_slip = dyn.axle_slips(state, car, vehicle)
    _, rear_tyre = axle_tyres(vehicle)
    guard = (1.0 - abs(rear_slip) / peak_slip_rad(rear_tyre)) / (1.0 - gains.rear_slip_share)
    guard = min(max(guard, 0.0), 1.0)
    if force > 0.0:
        most = gains.drive_share * _slipping_force_n(loads, vehicle.drive_share_front, vehicle)
        return min(force, most * left) * guard
    most = gains.brake_share * _slipping_force_n(loads, vehicle.brake_share_front, vehicle)
    return max(force, -most * left) * guard


@kernel
def _act(state, cars, circuits, paces, gains, feedback, out):
    """Actions (n, 2) of the expert for all cars; paces (n,): factors on the speed profile."""
    slowest = SLIP_SPEED_FLOOR_MPS * speed_scale(circuits.vehicle)
    for car in range(state.shape[1]):
        factors = cars.conditions[car]
        vehicle = conditioned(
            circuits.vehicle, factors[0], factors[1], factors[2], factors[3], factors[4]
        )
        c = cars.circuit[car]
        first, count, step_m = circuits.first[c], circuits.count[c], circuits.step_m[c]
        table = circuits.table
        vx, vy = state[dyn.VX, car], state[dyn.VY, car]
        yaw_rate, psi = state[dyn.YAW_RATE, car], state[dyn.PSI, car]
        turned = psi + 0.5 * gains.preview_s * yaw_rate
        x = state[dyn.X, car] + gains.preview_s * (vx * math.cos(turned) - vy * math.sin(turned))
        y = state[dyn.Y, car] + gains.preview_s * (vx * math.sin(turned) + vy * math.cos(turned))
        psi += gains.preview_s * yaw_rate
        station, fraction, offset = bank.project(
            table, first, count, step_m, cars.station[car],
            x - circuits.origin_m[c, 0], y - circuits.origin_m[c, 1],
        )  # fmt: skip
        row = first + station
        next_row = first + (station + 1 if station + 1 < count else 0)
        offset += bank.blend(table, row, next_row, fraction, bank.LINE_ROOM_LEFT)
        offset -= bank.blend(table, row, next_row, fraction, bank.ROOM_LEFT)
        line_cos = bank.blend(table, row, next_row, fraction, bank.LINE_COS)
        line_sin = bank.blend(table, row, next_row, fraction, bank.LINE_SIN)
        # direction of travel, not of the nose: what has to point along the line
        course = psi + math.atan2(vy, max(vx, slowest))
        sine = math.sin(course) * line_cos - math.cos(course) * line_sin
        course = math.asin(min(max(sine, -1.0), 1.0))
        kappa = bank.blend(table, row, next_row, fraction, bank.LINE_KAPPA)
        pace = paces[car]
        target = pace * bank.blend(table, row, next_row, fraction, bank.LINE_SPEED)
        passed_s = bank.next_line_time(circuits, c, station) - table[row, bank.LINE_TIME]
        gained = table[next_row, bank.LINE_SPEED] - table[row, bank.LINE_SPEED]
        acceleration = pace * pace * gained / max(passed_s, 1e-6)
        speed = max(vx, gains.steering_speed_floor_mps)
        steering = steering_rad(
            state, car, speed, kappa, offset, course, vehicle, gains, feedback
        )  # fmt: skip
        force = pedals_n(state, car, target, acceleration, vehicle, gains)
        out[car, 0] = min(max(steering / vehicle.steering_max_rad, -1.0), 1.0)
        full = vehicle.drive_force_max_n if force > 0.0 else vehicle.brake_force_max_n
        out[car, 1] = min(max(force / full, -1.0), 1.0)


@cache
def gains_for(scales: Scales) -> Gains:
    """The gains for a car."""
    reference = Gains()
    return reference._replace(
        preview_s=reference.preview_s * scales.time,
        speed_per_s=reference.speed_per_s * scales.turn_rate,
        steering_speed_floor_mps=reference.steering_speed_floor_mps * scales.speed,
    )


def expert_actions(simulator: Simulator, paces: np.ndarray) -> np.ndarray:
    """The expert's actions (n, 2) float64 in [-1, 1] for all cars of a simulator; paces: (n,).

    He knows the conditions, and steers the car that he will have when his action reaches it.
    """
    actions = np.empty((simulator.n, 2))
    _act(
        _state_when_felt(simulator),
        simulator.cars,
        simulator.circuits,
        paces,
        gains_for(simulator.circuits.scales),
        steering_feedback(simulator.vehicle, simulator.task.control_step_s),
        actions,
    )
    return actions


def _state_when_felt(simulator: Simulator) -> np.ndarray:
    """The states (STATE_SIZE, n) in which an action of now will meet the cars."""
    cars, task = simulator.cars, simulator.task
    delay = cars.conditions[:, DELAY_STEPS]
    if not delay.any():
        return simulator.state
    state, felt = simulator.state.copy(), simulator.state.copy()
    substeps = dyn.substeps_of(simulator.vehicle, task.control_step_s)
    for k in range(math.ceil(delay.max())):
        ages = np.arange(MOST_DELAY_STEPS) + k + 1
        weights = np.maximum(1.0 - np.abs(delay[:, None] - ages), 0.0)
        weights[:, 0] += 1.0 - weights.sum(axis=1)  # what is not known yet is as the last
        before = state.copy()
        dyn.step_dynamics(
            state, (weights[:, :, None] * cars.asked).sum(axis=1), cars.conditions,
            simulator.vehicle, task.control_step_s, substeps, dyn.new_scratch(),
        )  # fmt: skip
        share = np.clip(delay - k, 0.0, 1.0)
        moved = state - before
        moved[dyn.PSI] = (moved[dyn.PSI] + math.pi) % (2.0 * math.pi) - math.pi
        felt = np.where(share > 0.0, before + share * moved, felt)
    return felt


def fastest_paces(
    circuits: bank.CircuitBank, laps: int = 3, conditions: Conditions = NOMINAL
) -> tuple[np.ndarray, np.ndarray]:
    """For each circuit the pace whose last lap is fastest, and that lap's time (s).

    Drives all paces at once, from a standing start; both arrays (circuits,), NaN where no pace
    finishes all the laps.
    """
    paces = np.tile(np.array(PACES), len(circuits.count))
    simulator = Simulator(circuits, len(paces), racing_task(circuits.vehicle))
    for car in range(simulator.n):
        simulator.place(car, car // len(PACES), conditions=conditions)
    best_pace = np.full(len(circuits.count), np.nan)
    best_s = np.full(len(circuits.count), np.inf)
    while simulator.n:
        simulator.step(expert_actions(simulator, paces))
        cars = simulator.cars
        over = cars.ended != ON_TRACK
        finished = ~over & (cars.laps >= laps)
        for i in np.flatnonzero(finished):
            if cars.lap_time_s[i] < best_s[cars.circuit[i]]:
                best_s[cars.circuit[i]] = cars.lap_time_s[i]
                best_pace[cars.circuit[i]] = paces[i]
        lap_s = cars.time_s - cars.lap_start_s
        beaten = (cars.laps == laps - 1) & (lap_s > best_s[cars.circuit])
        keep = ~(over | finished | beaten)
        if not keep.all():
            simulator, paces = simulator.subset(keep), paces[keep]
    return best_pace, np.where(np.isfinite(best_s), best_s, np.nan)
