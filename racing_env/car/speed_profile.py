"""Quasi-steady-state speed profile: how fast this car can go along a line of given curvature.

The car is in equilibrium at every station: its tyres carry the lateral acceleration kappa * v**2,
and what grip, power and brakes leave is the longitudinal acceleration. Two passes over the closed
line, one forwards with the largest acceleration and one backwards with the largest deceleration,
give the profile (Heilmeier, Wischnewski, Hermansdorfer, Betz, Lienkamp, Lohmann, "Minimum curvature
trajectory planning and control for an autonomous race car", Vehicle System Dynamics, 2020).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from racing_env.car.kernels import kernel
from racing_env.car.vehicle import GRAVITY_MPS2, Vehicle

SPEED_STEP_MPS = 0.5
LATERAL_POINTS = 33
MIN_LOAD_N = 10.0


class GripTable(NamedTuple):
    """Largest accelerations of one car, at speeds i * SPEED_STEP_MPS.

    The second axis of `forward_mps2` and `braking_mps2` is the angle asin(|a_y| / a_y,max) in
    equal steps from 0 to pi/2, which resolves the steep end of the friction ellipse.
    """

    top_speed_mps: float  # where drive force, power and resistance are in balance
    lateral_mps2: np.ndarray  # (speeds,) largest lateral acceleration at constant speed
    forward_mps2: np.ndarray  # (speeds, LATERAL_POINTS) largest acceleration, >= 0 to top speed
    braking_mps2: np.ndarray  # (speeds, LATERAL_POINTS) largest deceleration, as a number <= 0


@kernel
def _axle_force(axle_load_n, transfer_n, wheel_force_n, car):
    """Longitudinal force [N] that one axle transmits and the lateral force [N] it has left.

    `wheel_force_n` is wanted of each wheel, on top of its rolling resistance. Per wheel
    |F_x| <= mu F_z, then |F_y| <= min(mu F_z (1 + eps F_z / F_z0), sqrt((mu F_z)**2 - F_x**2)).
    """
    longitudinal = 0.0
    lateral = 0.0
    for side in (-1.0, 1.0):
        load = max(0.5 * axle_load_n + side * transfer_n, MIN_LOAD_N)
        grip = car.friction * load
        force = min(max(wheel_force_n - car.rolling_resistance * load, -grip), grip)
        peak = grip * (1.0 + car.tyre_load_sensitivity * load / car.tyre_nominal_load_n)
        longitudinal += force
        lateral += min(peak, np.sqrt(grip * grip - force * force))
    return longitudinal, lateral


@kernel
def steady_state(force_n, speed_mps, lateral_mps2, car):
    """Equilibrium under a drive (> 0) or brake (< 0) force `force_n` wanted of the whole car.

    Returns the longitudinal acceleration [m/s^2] and whether both axles can hold the lateral
    acceleration: front m a_y l_r / L, rear m a_y l_f / L.
    """
    wheelbase = car.cog_to_front_m + car.cog_to_rear_m
    speed_squared = speed_mps * speed_mps
    weight = car.mass_kg * GRAVITY_MPS2
    front_static = weight * car.cog_to_rear_m / wheelbase + car.lift_front_kgpm * speed_squared
    rear_static = weight * car.cog_to_front_m / wheelbase + car.lift_rear_kgpm * speed_squared
    drag = car.drag_kgpm * speed_squared
    front_share = car.drive_share_front if force_n > 0.0 else car.brake_share_front
    roll = car.mass_kg * lateral_mps2 * car.cog_height_m / car.axle_track_m
    acceleration = 0.0
    front_lateral = 0.0
    rear_lateral = 0.0
    for _ in range(12):  # load transfer closes a loop of gain mu h / L, about 0.13
        shift = car.mass_kg * acceleration * car.cog_height_m / wheelbase
        front_force, front_lateral = _axle_force(
            front_static - shift, roll * car.roll_share_front, 0.5 * front_share * force_n, car
        )
        rear_force, rear_lateral = _axle_force(
            rear_static + shift,
            roll * (1.0 - car.roll_share_front),
            0.5 * (1.0 - front_share) * force_n,
            car,
        )
        acceleration = (front_force + rear_force - drag) / car.mass_kg
    demand = car.mass_kg * abs(lateral_mps2) / wheelbase
    held = (
        demand * car.cog_to_rear_m <= front_lateral and demand * car.cog_to_front_m <= rear_lateral
    )
    return acceleration, held


@kernel
def _force_for_constant_speed(speed_mps, car):
    """Drive force [N] that balances the resistance at `speed_mps`, or the largest there is."""
    speed_squared = speed_mps * speed_mps
    load = car.mass_kg * GRAVITY_MPS2 + speed_squared * (car.lift_front_kgpm + car.lift_rear_kgpm)
    resistance = car.drag_kgpm * speed_squared + car.rolling_resistance * load
    return min(resistance, _largest_drive_force(speed_mps, car))


@kernel
def _largest_drive_force(speed_mps, car):
    return min(car.drive_force_max_n, car.power_max_w / max(speed_mps, 1.0))


@kernel
def _largest_lateral(speed_mps, car):
    """Largest lateral acceleration [m/s^2] at constant speed, by bisection."""
    force = _force_for_constant_speed(speed_mps, car)
    low = 0.0
    high = (
        2.0
        * car.friction
        * (GRAVITY_MPS2 + speed_mps**2 * (car.lift_front_kgpm + car.lift_rear_kgpm) / car.mass_kg)
    )
    for _ in range(40):
        middle = 0.5 * (low + high)
        if steady_state(force, speed_mps, middle, car)[1]:
            low = middle
        else:
            high = middle
    return low


@kernel
def _extreme_acceleration(held_force_n, limit_force_n, speed_mps, lateral_mps2, car):
    """Acceleration at the force nearest to `limit_force_n` that keeps the lateral acceleration."""
    acceleration, held = steady_state(limit_force_n, speed_mps, lateral_mps2, car)
    if held:
        return acceleration
    low, high = held_force_n, limit_force_n
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
            a_y = lateral[i] * np.sin(0.5 * np.pi * j / (forward.shape[1] - 1))
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
    speeds = np.arange(0.0, vehicle.top_speed_mps + 2.0 * SPEED_STEP_MPS, SPEED_STEP_MPS)
    lateral = np.empty(speeds.size)
    forward = np.empty((speeds.size, LATERAL_POINTS))
    braking = np.empty((speeds.size, LATERAL_POINTS))
    _fill_table(speeds, lateral, forward, braking, vehicle)
    for array in (lateral, forward, braking):
        array.flags.writeable = False
    return GripTable(_top_speed(vehicle), lateral, forward, braking)


@kernel
def _look_up(table, lateral_limit_mps2, speed_mps, lateral_mps2):
    """Bilinear interpolation in one of the acceleration tables."""
    speed = min(speed_mps / SPEED_STEP_MPS, lateral_limit_mps2.size - 1.001)
    i = int(speed)
    f = speed - i
    limit = (1.0 - f) * lateral_limit_mps2[i] + f * lateral_limit_mps2[i + 1]
    angle = np.arcsin(min(abs(lateral_mps2) / limit, 1.0)) / (0.5 * np.pi)
    angle = min(angle * (table.shape[1] - 1), table.shape[1] - 1.001)
    j = int(angle)
    g = angle - j
    return (1.0 - f) * ((1.0 - g) * table[i, j] + g * table[i, j + 1]) + f * (
        (1.0 - g) * table[i + 1, j] + g * table[i + 1, j + 1]
    )


@kernel
def _pass(speed, kappa, steps, start, direction, table, lateral_limit):
    """Limit `speed` in place, once round from `start`, by one of the acceleration tables."""
    n = speed.size
    for k in range(n):
        i = (start + direction * k) % n
        following = (i + direction) % n
        step = steps[i] if direction > 0 else steps[following]
        square = speed[i] * speed[i]
        gain = direction * _look_up(table, lateral_limit, speed[i], kappa[i] * square)
        middle = max(square + gain * step, 0.0)
        kappa_middle = 0.5 * (kappa[i] + kappa[following])
        gain = direction * _look_up(table, lateral_limit, np.sqrt(middle), kappa_middle * middle)
        speed[following] = min(speed[following], np.sqrt(max(square + 2.0 * gain * step, 0.0)))


def cornering_speed(curvature_radpm: np.ndarray, vehicle: Vehicle) -> np.ndarray:
    """Largest steady speed [m/s] on each curvature [1/m], at most the top speed."""
    table = grip_table(vehicle)
    speeds = SPEED_STEP_MPS * np.arange(1, table.lateral_mps2.size)
    fine = np.arange(0.5, speeds[-1], 0.02)
    largest = np.interp(fine, speeds, table.lateral_mps2[1:]) / fine**2
    largest = np.minimum.accumulate(largest)
    speed = np.interp(-np.abs(curvature_radpm), -largest, fine)
    return np.minimum(speed, table.top_speed_mps)


def speed_profile(
    curvature_radpm: np.ndarray, step_lengths_m: np.ndarray, vehicle: Vehicle
) -> np.ndarray:
    """Quasi-steady-state speed (n,) [m/s] along a closed line.

    curvature_radpm: (n,) at the stations; step_lengths_m: (n,) from station i to i + 1 (cyclic).
    """
    table = grip_table(vehicle)
    kappa = np.ascontiguousarray(curvature_radpm, dtype=np.float64)
    steps = np.ascontiguousarray(step_lengths_m, dtype=np.float64)
    speed = cornering_speed(kappa, vehicle)
    # The slowest station keeps its speed in both passes, so one round from there closes the loop.
    start = int(np.argmin(speed))
    _pass(speed, kappa, steps, start, 1, table.forward_mps2, table.lateral_mps2)
    _pass(speed, kappa, steps, start, -1, table.braking_mps2, table.lateral_mps2)
    return speed


def profile_time(speed_mps: np.ndarray, step_lengths_m: np.ndarray) -> np.ndarray:
    """Time (n + 1,) [s] at which each station is reached; the last entry is the lap time.

    Constant acceleration between stations, so that dt = 2 ds / (v_i + v_{i+1}).
    """
    dt_s = 2.0 * step_lengths_m / (speed_mps + np.roll(speed_mps, -1))
    return np.concatenate(([0.0], np.cumsum(dt_s)))
