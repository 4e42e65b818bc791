"""Quasi-steady-state speed profile: how fast this car can go along a line of given curvature.

The car is in equilibrium at every station: its tyres carry the lateral acceleration kappa * v**2,
and what grip, power and brakes leave is the longitudinal acceleration. Two passes over the closed
line, one forwards with the largest acceleration and one backwards with the largest deceleration,
give the profile (Heilmeier, Wischnewski, Hermansdorfer, Betz, Lienkamp, Lohmann, "Minimum curvature
trajectory planning and control for an autonomous race car", Vehicle System Dynamics, 2020).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from racing_env.car.kernels import inlined, kernel
from racing_env.car.loads import drag_n, grip_n, resistance_n, wheel_loads_n
from racing_env.car.powertrain import drive_force_n, wheel_shares_n
from racing_env.car.similarity import speed_scale
from racing_env.car.tyre import axle_tyres, combined_forces_n, peak_side_force_n
from racing_env.car.vehicle import Vehicle

# Of the reference car; another's are scaled with its speed.
SPEED_STEP_MPS = 0.5
CORNER_SPEED_STEP_MPS = 0.02
LATERAL_POINTS = 33


class GripTable(NamedTuple):
    """Largest accelerations of one car, at speeds i * speed_step_mps.

    The second axis of `forward_mps2` and `braking_mps2` is the angle asin(|a_y| / a_y,max) in
    equal steps from 0 to pi/2, which resolves the steep end of the friction ellipse.
    """

    speed_step_mps: float
    top_speed_mps: float  # where drive force, power and resistance are in balance
    lateral_mps2: np.ndarray  # (speeds,) largest lateral acceleration at constant speed
    forward_mps2: np.ndarray  # (speeds, LATERAL_POINTS) largest acceleration, >= 0 to top speed
    braking_mps2: np.ndarray  # (speeds, LATERAL_POINTS) largest deceleration, as a number <= 0


@inlined
def _axle_force_n(left_load_n, right_load_n, wheel_n, tyre):
    """Longitudinal force that one axle transmits and the lateral force that it has left.

    wheel_n: wanted of each wheel, on top of its rolling resistance. The axle takes the slip angle
    that gives most, so the lateral force is the tyre's peak, or less where combined slip caps it.
    """
    longitudinal = 0.0
    lateral = 0.0
    for load in (left_load_n, right_load_n):
        along, across_max = combined_forces_n(wheel_n - tyre.rolling_resistance * load, load, tyre)
        longitudinal += along
        lateral += min(peak_side_force_n(load, tyre), across_max)
    return longitudinal, lateral


@kernel
def steady_state(force_n, speed_mps, lateral_mps2, car):
    """Equilibrium under a drive (> 0) or brake (< 0) force `force_n` wanted of the whole car.

    Returns the longitudinal acceleration [m/s^2] and whether both axles can hold the lateral
    acceleration: front m a_y l_r / L, rear m a_y l_f / L.
    """
    front_tyre, rear_tyre = axle_tyres(car)
    share_front = car.drive_share_front if force_n > 0.0 else car.brake_share_front
    front_wheel, rear_wheel = wheel_shares_n(force_n, share_front)
    drag = drag_n(speed_mps, car)
    acceleration = 0.0
    front_lateral = 0.0
    rear_lateral = 0.0
    for _ in range(12):  # load transfer closes a loop of gain mu h / L, about 0.13
        fl, fr, rl, rr = wheel_loads_n(speed_mps, acceleration, lateral_mps2, car)
        front_force, front_lateral = _axle_force_n(fl, fr, front_wheel, front_tyre)
        rear_force, rear_lateral = _axle_force_n(rl, rr, rear_wheel, rear_tyre)
        acceleration = (front_force + rear_force - drag) / car.mass_kg
    demand = car.mass_kg * abs(lateral_mps2) / (car.cog_to_front_m + car.cog_to_rear_m)
    within_grip = (
        demand * car.cog_to_rear_m <= front_lateral and demand * car.cog_to_front_m <= rear_lateral
    )
    return acceleration, within_grip


@kernel
def _largest_drive_force(speed_mps, car):
    return drive_force_n(car.drive_force_max_n, speed_mps, car)


@kernel
def _force_for_constant_speed(speed_mps, car):
    """Drive force [N] that balances the resistance at `speed_mps`, or the largest there is."""
    return min(resistance_n(speed_mps, car), _largest_drive_force(speed_mps, car))


@kernel
def _largest_lateral(speed_mps, car):
    """Largest lateral acceleration [m/s^2] at constant speed, by bisection up to twice the grip."""
    force = _force_for_constant_speed(speed_mps, car)
    low = 0.0
    high = 2.0 * grip_n(speed_mps, car) / car.mass_kg
    for _ in range(40):
        middle = 0.5 * (low + high)
        if steady_state(force, speed_mps, middle, car)[1]:
            low = middle
        else:
            high = middle
    return low


@kernel
def _extreme_acceleration(steady_force_n, limit_force_n, speed_mps, lateral_mps2, car):
    """Acceleration at the force nearest to `limit_force_n` that keeps the lateral acceleration."""
    acceleration, within_grip = steady_state(limit_force_n, speed_mps, lateral_mps2, car)
    if within_grip:
        return acceleration
    low, high = steady_force_n, limit_force_n
    for _ in range(30):
        middle = 0.5 * (low + high)
        if steady_state(middle, speed_mps, lateral_mps2, car)[1]:
            low = middle
        else:
            high = middle
    return steady_state(low, speed_mps, lateral_mps2, car)[0]


@kernel
def _fill_table(speeds_mps, lateral, forward, braking, car):
    for i in range(speeds_mps.size):
        speed = speeds_mps[i]
        constant = _force_for_constant_speed(speed, car)
        drive = max(_largest_drive_force(speed, car), constant)
        lateral[i] = _largest_lateral(speed, car)
        for j in range(forward.shape[1]):
            a_y = lateral[i] * math.sin(0.5 * math.pi * j / (forward.shape[1] - 1))
            forward[i, j] = _extreme_acceleration(constant, drive, speed, a_y, car)
            braking[i, j] = _extreme_acceleration(constant, -car.brake_force_max_n, speed, a_y, car)


def _top_speed(vehicle: Vehicle) -> float:
    """Speed at which the largest drive force only just balances the resistance [m/s]."""
    low, high = 0.0, vehicle.top_speed_mps
    if steady_state(_largest_drive_force(high, vehicle), high, 0.0, vehicle)[0] >= 0.0:
        return high
    for _ in range(50):
        middle = 0.5 * (low + high)
        if steady_state(_largest_drive_force(middle, vehicle), middle, 0.0, vehicle)[0] > 0.0:
            low = middle
        else:
            high = middle
    return low


@lru_cache(maxsize=16)
def grip_table(vehicle: Vehicle) -> GripTable:
    """Largest forward and braking accelerations over speed and lateral acceleration."""
    step = SPEED_STEP_MPS * speed_scale(vehicle)
    speeds = np.arange(0.0, vehicle.top_speed_mps + 2.0 * step, step)
    lateral = np.empty(speeds.size)
    forward = np.empty((speeds.size, LATERAL_POINTS))
    braking = np.empty((speeds.size, LATERAL_POINTS))
    _fill_table(speeds, lateral, forward, braking, vehicle)
    for array in (lateral, forward, braking):
        array.flags.writeable = False
    return GripTable(step, _top_speed(vehicle), lateral, forward, braking)


@kernel
def _look_up(table, lateral_limit_mps2, speed_step_mps, speed_mps, lateral_mps2):
    """Bilinear interpolation in one of the acceleration tables."""
    speed = min(speed_mps / speed_step_mps, lateral_limit_mps2.size - 1.001)
    i = int(speed)
    f = speed - i
    limit = (1.0 - f) * lateral_limit_mps2[i] + f * lateral_limit_mps2[i + 1]
    angle = math.asin(min(abs(lateral_mps2) / limit, 1.0)) / (0.5 * math.pi)
    angle = min(angle * (table.shape[1] - 1), table.shape[1] - 1.001)
    j = int(angle)
    g = angle - j
    return (1.0 - f) * ((1.0 - g) * table[i, j] + g * table[i, j + 1]) + f * (
        (1.0 - g) * table[i + 1, j] + g * table[i + 1, j + 1]
    )


@inlined
def next_speed(
    speed_mps, kappa, kappa_next, step_m, direction, table, lateral_limit_mps2, speed_step_mps
):
    """Speed [m/s] at the next station, in the direction of a pass, by one of the tables."""
    square = speed_mps * speed_mps
    gain = direction * _look_up(
        table, lateral_limit_mps2, speed_step_mps, speed_mps, kappa * square
    )
    middle = max(square + gain * step_m, 0.0)
    at_middle = 0.5 * (kappa + kappa_next) * middle
    gain = direction * _look_up(
        table, lateral_limit_mps2, speed_step_mps, math.sqrt(middle), at_middle
    )
    return math.sqrt(max(square + 2.0 * gain * step_m, 0.0))


@kernel
def _pass(speed, kappa, steps, start, direction, table, lateral_limit, speed_step):
    """Limit `speed` in place, once round from `start`, by one of the acceleration tables."""
    n = speed.size
    for k in range(n):
        i = (start + direction * k) % n
        following = (i + direction) % n
        step = steps[i] if direction > 0 else steps[following]
        reached = next_speed(
            speed[i], kappa[i], kappa[following], step, direction, table, lateral_limit, speed_step
        )
        speed[following] = min(speed[following], reached)


class ProfilePasses(NamedTuple):
    """The profile as it comes about: each speed (n,) is at most the one before."""

    start: int  # station from which both passes go round
    cornering_mps: np.ndarray  # in steady state
    forward_mps: np.ndarray  # that can be reached, accelerating
    speed_mps: np.ndarray  # from which the car can still brake: the profile


def cornering_speed(curvature_radpm: np.ndarray, vehicle: Vehicle) -> np.ndarray:
    """Largest steady speed [m/s] on each curvature [1/m], at most the top speed."""
    table = grip_table(vehicle)
    speeds = table.speed_step_mps * np.arange(1, table.lateral_mps2.size)
    fine = np.arange(speeds[0], speeds[-1], CORNER_SPEED_STEP_MPS * speed_scale(vehicle))
    largest = np.interp(fine, speeds, table.lateral_mps2[1:]) / fine**2
    largest = np.minimum.accumulate(largest)
    speed = np.interp(-np.abs(curvature_radpm), -largest, fine)
    return np.minimum(speed, table.top_speed_mps)


def profile_passes(
    curvature_radpm: np.ndarray, step_lengths_m: np.ndarray, vehicle: Vehicle
) -> ProfilePasses:
    """Quasi-steady-state speed along a closed line, and what it comes from.

    curvature_radpm: (n,) at the stations; step_lengths_m: (n,) from station i to i + 1 (cyclic).
    """
    table = grip_table(vehicle)
    kappa = np.ascontiguousarray(curvature_radpm, dtype=np.float64)
    steps = np.ascontiguousarray(step_lengths_m, dtype=np.float64)
    speeds = [cornering_speed(kappa, vehicle)]
    # The slowest station keeps its speed in both passes, so one round from there closes the loop.
    start = int(np.argmin(speeds[0]))
    for direction, limits in ((1, table.forward_mps2), (-1, table.braking_mps2)):
        speeds.append(speeds[-1].copy())
        _pass(speeds[-1], kappa, steps, start, direction, limits, table.lateral_mps2,
              table.speed_step_mps)  # fmt: skip
    return ProfilePasses(start, *speeds)


def speed_profile(
    curvature_radpm: np.ndarray, step_lengths_m: np.ndarray, vehicle: Vehicle
) -> np.ndarray:
    """Quasi-steady-state speed (n,) [m/s] along a closed line, as `profile_passes` finds it."""
    return profile_passes(curvature_radpm, step_lengths_m, vehicle).speed_mps


def profile_time(speed_mps: np.ndarray, step_lengths_m: np.ndarray) -> np.ndarray:
    """Time (n + 1,) [s] at which each station is reached; the last entry is the lap time.

    Constant acceleration between stations, so that dt = 2 ds / (v_i + v_{i+1}).
    """
    dt_s = 2.0 * step_lengths_m / (speed_mps + np.roll(speed_mps, -1))
    return np.concatenate(([0.0], np.cumsum(dt_s)))
