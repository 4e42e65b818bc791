"""Motion of many cars at once: forces of the double-track model and their integration.

Equations as in Christ et al., "Time-optimal trajectory planning for a race car considering variable
tyre-road friction coefficients", Vehicle System Dynamics, 2019; x forward, y left, angles
anti-clockwise. The state of n cars is one array of shape (STATE_SIZE, n): a row per quantity, so
that the loop over cars is a plain loop over contiguous memory, which the compiler vectorises. For
the same reason the force model has no branches, and its arc tangent and sine are polynomials.
"""

import math

import numpy as np

from racing_env.car.arithmetic import cosine, sine, wrapped_angle
from racing_env.car.conditions import FACTORS, POWER, conditioned
from racing_env.car.kernels import inlined, kernel
from racing_env.car.loads import axle_loads_n, drag_n, wheel_loads_n
from racing_env.car.powertrain import drive_force_n, top_speed_fade, wheel_shares_n
from racing_env.car.precision import in_single_precision, single
from racing_env.car.tyre import (
    axle_slips_rad,
    axle_tyres,
    slip_stiffness_n_per_rad,
    wheel_force_n,
)

X, Y, PSI, VX, VY, YAW_RATE, STEER, DRIVE, BRAKE, AX, AY = range(11)
STATE_SIZE = 11

SUBSTEPS = 2  # at least, of a control step
# Runge-Kutta is stable up to 2.79 of a substep times the fastest rate. The reference car has 3.43
# at the floor of its slip's speed, so that below 5 m/s it turns by itself, by 0.025 rad/s. It is
# let off, as a third substep would cost a half more; a car that is stiffer gets what it needs.
SUBSTEP_RATE_MAX = 2.5
TOLERATED_RATE = 3.5


@inlined
def axle_slips(state, car, vehicle):
    """Slip angles (rad) of one car's front and rear axle, as the tyres feel them."""
    return axle_slips_rad(
        state[VX, car], state[VY, car], state[YAW_RATE, car], state[STEER, car], vehicle
    )


@inlined
def accelerations(vx, vy, yaw_rate, ax, ay, steer, drive_n, brake_n, vehicle):
    """Accelerations of the car: along (m/s2), across (m/s2), about the vertical (rad/s2).

    The first two are specific forces in the car's frame, without the terms of the turning frame;
    ax and ay are the filtered ones, steer the angle of the front wheels (rad).
    """
    fl, fr, rl, rr = wheel_loads_n(vx, ax, ay, vehicle)
    front_tyre, rear_tyre = axle_tyres(vehicle)
    drive_n = drive_force_n(drive_n, vx, vehicle) * top_speed_fade(vx, vehicle)
    drive_front, drive_rear = wheel_shares_n(drive_n, vehicle.drive_share_front)
    brake_front, brake_rear = wheel_shares_n(brake_n, vehicle.brake_share_front)

    # Front wheels are turned: their velocities go into the wheel's frame, their forces back. The
    # angle stays within a quarter turn, where the sine's polynomial serves the cosine too.
    sin_steer = sine(steer)
    cos_steer = math.sqrt(1.0 - sin_steer * sin_steer)
    half_track = 0.5 * vehicle.axle_track_m
    left_x = vx - yaw_rate * half_track
    right_x = vx + yaw_rate * half_track
    front_y = vy + yaw_rate * vehicle.cog_to_front_m
    rear_y = vy - yaw_rate * vehicle.cog_to_rear_m

    fl_x, fl_y = wheel_force_n(
        cos_steer * left_x + sin_steer * front_y, cos_steer * front_y - sin_steer * left_x,
        fl, drive_front, brake_front, front_tyre,
    )  # fmt: skip
    fr_x, fr_y = wheel_force_n(
        cos_steer * right_x + sin_steer * front_y, cos_steer * front_y - sin_steer * right_x,
        fr, drive_front, brake_front, front_tyre,
    )  # fmt: skip
    rl_x, rl_y = wheel_force_n(left_x, rear_y, rl, drive_rear, brake_rear, rear_tyre)
    rr_x, rr_y = wheel_force_n(right_x, rear_y, rr, drive_rear, brake_rear, rear_tyre)
    left_along = cos_steer * fl_x - sin_steer * fl_y
    right_along = cos_steer * fr_x - sin_steer * fr_y
    left_across = sin_steer * fl_x + cos_steer * fl_y
    right_across = sin_steer * fr_x + cos_steer * fr_y

    # Left is paired with right first, so that the mirror image has the same sums to the last bit.
    force_x = (left_along + right_along) + (rl_x + rr_x) - drag_n(vx, vehicle)
    force_y = (left_across + right_across) + (rl_y + rr_y)
    torque = (
        vehicle.cog_to_front_m * (left_across + right_across)
        - vehicle.cog_to_rear_m * (rl_y + rr_y)
        + half_track * ((right_along - left_along) + (rr_x - rl_x))
    )
    # Reciprocals of constants leave the loop over the cars; divisions by them would not.
    per_mass = 1.0 / vehicle.mass_kg
    return force_x * per_mass, force_y * per_mass, torque * (1.0 / vehicle.yaw_inertia_kgm2)


@inlined
def moved_towards(value, target, most):
    """value moved to target, by `most` at the most."""
    return value + min(max(target - value, -most), most)


@inlined
def actuator_at_stages(value, target, rate, h):
    """Rate-limited actuator at the middle and the end of a step of h seconds.

    The end value is exact. The middle one is such that the Runge-Kutta weights (1, 4, 1)/6 give
    the exact mean over the step, also when the actuator reaches its target half-way.
    """
    move = target - value
    reach = abs(move) * (1.0 / (rate * h))  # in steps
    end = moved_towards(value, target, h * rate)
    mean = target - 0.5 * move * reach
    settled_middle = 0.25 * (6.0 * mean - value - end)
    return (0.5 * (value + end) if reach >= 1.0 else settled_middle), end


@inlined
def actuator_rates(vehicle):
    """Largest rates of steering (rad/s), drive and brake (N/s)."""
    return (
        vehicle.steering_max_rad / vehicle.steering_full_s,
        vehicle.drive_force_max_n / vehicle.drive_full_s,
        vehicle.brake_force_max_n / vehicle.brake_full_s,
    )


@inlined
def rates(psi, vx, vy, yaw_rate, ax, ay, steer, drive_n, brake_n, vehicle):
    """Time derivatives of (x, y, psi, vx, vy, yaw_rate, ax, ay) in the step's start frame."""
    now_ax, now_ay, yaw_acceleration = accelerations(
        vx, vy, yaw_rate, ax, ay, steer, drive_n, brake_n, vehicle
    )
    per_filter_s = 1.0 / vehicle.load_filter_s
    # psi is the turn since the start of the control step: a fraction of a radian
    sin_psi = sine(min(max(psi, -1.5), 1.5))
    cos_psi = math.sqrt(1.0 - sin_psi * sin_psi)
    return (
        vx * cos_psi - vy * sin_psi,
        vx * sin_psi + vy * cos_psi,
        yaw_rate,
        now_ax + vy * yaw_rate,
        now_ay - vx * yaw_rate,
        yaw_acceleration,
        (now_ax - ax) * per_filter_s,
        (now_ay - ay) * per_filter_s,
    )


@inlined
def substeps_of(vehicle, dt_s):
    """Runge-Kutta steps in a control step of dt_s that the car's fastest motion needs.

    It is fastest where the slip angle's speed is at its floor: sideways (C_f + C_r) / (m v), in yaw
    (C_f l_f^2 + C_r l_r^2) / (I v), in 1/s, with the axles' cornering stiffnesses.
    """
    front_load, rear_load = axle_loads_n(0.0, vehicle)
    front_tyre, rear_tyre = axle_tyres(vehicle)
    front = slip_stiffness_n_per_rad(front_load, front_tyre)
    rear = slip_stiffness_n_per_rad(rear_load, rear_tyre)
    torque = front * vehicle.cog_to_front_m**2 + rear * vehicle.cog_to_rear_m**2
    fastest = max((front + rear) / vehicle.mass_kg, torque / vehicle.yaw_inertia_kgm2)
    fastest = max(fastest / front_tyre.slip_speed_floor_mps, 1.0 / vehicle.load_filter_s)
    if dt_s * fastest <= TOLERATED_RATE * SUBSTEPS:
        return SUBSTEPS
    return int(math.ceil(dt_s * fastest / SUBSTEP_RATE_MAX))


@inlined
def _substep(
    psi, vx, vy, r, ax, ay, steer0, drive0, brake0, steering, pedals, vehicle, h
):  # fmt: skip
    """A Runge-Kutta step of h seconds: what (x, y, psi, vx, vy, yaw_rate, ax, ay) gain, and the
    actuators (steer, drive, brake) after it.

    The actuators move at their largest rate towards the target, which is known at each stage.
    """
    steer_target = steering * vehicle.steering_max_rad
    drive_target = max(pedals, 0.0) * vehicle.drive_force_max_n
    brake_target = max(-pedals, 0.0) * vehicle.brake_force_max_n
    steer_rate, drive_rate, brake_rate = actuator_rates(vehicle)
    steer1, steer2 = actuator_at_stages(steer0, steer_target, steer_rate, h)
    drive1, drive2 = actuator_at_stages(drive0, drive_target, drive_rate, h)
    brake1, brake2 = actuator_at_stages(brake0, brake_target, brake_rate, h)
    x_1, y_1, psi_1, vx_1, vy_1, r_1, ax_1, ay_1 = rates(
        psi, vx, vy, r, ax, ay, steer0, drive0, brake0, vehicle
    )
    k = 0.5 * h
    x_2, y_2, psi_2, vx_2, vy_2, r_2, ax_2, ay_2 = rates(
        psi + k * psi_1, vx + k * vx_1, vy + k * vy_1, r + k * r_1,
        ax + k * ax_1, ay + k * ay_1, steer1, drive1, brake1, vehicle,
    )  # fmt: skip
    x_3, y_3, psi_3, vx_3, vy_3, r_3, ax_3, ay_3 = rates(
        psi + k * psi_2, vx + k * vx_2, vy + k * vy_2, r + k * r_2,
        ax + k * ax_2, ay + k * ay_2, steer1, drive1, brake1, vehicle,
    )  # fmt: skip
    x_4, y_4, psi_4, vx_4, vy_4, r_4, ax_4, ay_4 = rates(
        psi + h * psi_3, vx + h * vx_3, vy + h * vy_3, r + h * r_3,
        ax + h * ax_3, ay + h * ay_3, steer2, drive2, brake2, vehicle,
    )  # fmt: skip
    k = h * (1.0 / 6.0)
    return (
        k * (x_1 + 2.0 * (x_2 + x_3) + x_4),
        k * (y_1 + 2.0 * (y_2 + y_3) + y_4),
        k * (psi_1 + 2.0 * (psi_2 + psi_3) + psi_4),
        k * (vx_1 + 2.0 * (vx_2 + vx_3) + vx_4),
        k * (vy_1 + 2.0 * (vy_2 + vy_3) + vy_4),
        k * (r_1 + 2.0 * (r_2 + r_3) + r_4),
        k * (ax_1 + 2.0 * (ax_2 + ax_3) + ax_4),
        k * (ay_1 + 2.0 * (ay_2 + ay_3) + ay_4),
        steer2,
        drive2,
        brake2,
    )


_single_substep = in_single_precision(_substep)
_single_conditioned = in_single_precision(conditioned)


# Of a block of cars in a step: first what is asked, then the state at the step's start, then what
# it has gained since, in the frame of the start, then the conditions. Rows have a constant length,
# by which the compiler knows that they do not overlap; a block fits the first cache.
BLOCK = 128
# Cars of a vector of the processor. The loop over what is left of them is not vectorised, so those
# of the last vector that are not there are moved as well, but for a few cars.
VECTOR, FEW = 16, 4
(
    ASKED_STEER, ASKED_PEDALS, VX_0, VY_0, YAW_RATE_0, AX_0, AY_0, STEER_NOW, DRIVE_NOW, BRAKE_NOW,
    GAIN_X, GAIN_Y, GAIN_PSI, GAIN_VX, GAIN_VY, GAIN_YAW_RATE, GAIN_AX, GAIN_AY,
    FRICTION_NOW, MASS_NOW, POWER_NOW, TYRE_STIFFNESS_NOW, DOWNFORCE_NOW,
) = range(0, 23 * BLOCK, BLOCK)  # fmt: skip
SCRATCH_SIZE = 23 * BLOCK


def new_scratch() -> np.ndarray:
    """What `step_dynamics` needs for its own use, for any number of cars."""
    return np.zeros(SCRATCH_SIZE, dtype=np.float32)


@kernel
def step_dynamics(state, action, conditions, vehicle, dt_s, substeps, scratch):
    """Advance n cars by one control step, in place: Runge-Kutta of fourth order.

    state: (STATE_SIZE, n) float64; action: (n, 2) in [-1, 1]: steering target / full lock (left
    positive), drive (> 0) or brake (< 0) fraction; conditions: (n, FACTORS or more), see
    `racing_env.car.conditions`; scratch: of `new_scratch`. The step is computed in single
    precision, in the frame of its start; what the state gains is added in double.
    """
    single_vehicle = single(vehicle)
    h = np.float32(dt_s / substeps)
    for first in range(0, state.shape[1], BLOCK):
        count = min(BLOCK, state.shape[1] - first)
        _enter(state, action, first, count, scratch)
        nominal = _enter_conditions(conditions, first, count, scratch)
        lanes = min(-(-count // VECTOR) * VECTOR, BLOCK) if count >= FEW else count
        for _ in range(substeps):
            if nominal:
                _advance(lanes, single_vehicle, h, scratch)
            else:
                _advance_conditioned(lanes, single_vehicle, h, scratch)
        _leave(state, action, conditions, first, count, vehicle, dt_s, scratch)


@inlined
def _enter(state, action, first, count, scratch):
    """Fill scratch for the cars from `first` on."""
    for i in range(count):
        car = first + i
        scratch[ASKED_STEER + i] = action[car, 0]
        scratch[ASKED_PEDALS + i] = action[car, 1]
        scratch[VX_0 + i] = state[VX, car]
        scratch[VY_0 + i] = state[VY, car]
        scratch[YAW_RATE_0 + i] = state[YAW_RATE, car]
        scratch[AX_0 + i] = state[AX, car]
        scratch[AY_0 + i] = state[AY, car]
        scratch[STEER_NOW + i] = state[STEER, car]
        scratch[DRIVE_NOW + i] = state[DRIVE, car]
        scratch[BRAKE_NOW + i] = state[BRAKE, car]
    scratch[GAIN_X:] = 0.0


@inlined
def _enter_conditions(conditions, first, count, scratch):
    """Fill scratch with the cars' conditions; returns whether they are nominal."""
    nominal = True
    for i in range(count):
        for k in range(FACTORS):
            nominal = nominal and conditions[first + i, k] == 0.0
            scratch[FRICTION_NOW + k * BLOCK + i] = conditions[first + i, k]
    return nominal


@inlined
def _advance(lanes, vehicle, h, scratch):
    """A Runge-Kutta step of h seconds, of so many columns of scratch, of cars as in their file."""
    for i in range(lanes):
        _advance_one(i, vehicle, h, scratch)


@inlined
def _advance_conditioned(lanes, vehicle, h, scratch):
    """The same under conditions. Constants of the car no longer leave the loop, which costs."""
    for i in range(lanes):
        own = _single_conditioned(
            vehicle, scratch[FRICTION_NOW + i], scratch[MASS_NOW + i], scratch[POWER_NOW + i],
            scratch[TYRE_STIFFNESS_NOW + i], scratch[DOWNFORCE_NOW + i],
        )  # fmt: skip
        _advance_one(i, own, h, scratch)


@inlined
def _advance_one(i, vehicle, h, scratch):
    """A Runge-Kutta step of h seconds, of column i of scratch."""
    (
        gain_x, gain_y, gain_psi, gain_vx, gain_vy, gain_yaw_rate, gain_ax, gain_ay,
        steer, drive, brake,
    ) = _single_substep(
        scratch[GAIN_PSI + i],
        scratch[VX_0 + i] + scratch[GAIN_VX + i],
        scratch[VY_0 + i] + scratch[GAIN_VY + i],
        scratch[YAW_RATE_0 + i] + scratch[GAIN_YAW_RATE + i],
        scratch[AX_0 + i] + scratch[GAIN_AX + i],
        scratch[AY_0 + i] + scratch[GAIN_AY + i],
        scratch[STEER_NOW + i], scratch[DRIVE_NOW + i], scratch[BRAKE_NOW + i],
        scratch[ASKED_STEER + i], scratch[ASKED_PEDALS + i], vehicle, h,
    )  # fmt: skip
    scratch[GAIN_X + i] += gain_x
    scratch[GAIN_Y + i] += gain_y
    scratch[GAIN_PSI + i] += gain_psi
    scratch[GAIN_VX + i] += gain_vx
    scratch[GAIN_VY + i] += gain_vy
    scratch[GAIN_YAW_RATE + i] += gain_yaw_rate
    scratch[GAIN_AX + i] += gain_ax
    scratch[GAIN_AY + i] += gain_ay
    scratch[STEER_NOW + i] = steer
    scratch[DRIVE_NOW + i] = drive
    scratch[BRAKE_NOW + i] = brake


@inlined
def _leave(state, action, conditions, first, count, vehicle, dt_s, scratch):
    """Add what was gained to the state of the cars from `first` on; move their actuators."""
    steer_rate, drive_rate, brake_rate = actuator_rates(vehicle)
    for i in range(count):
        car = first + i
        psi = wrapped_angle(state[PSI, car])
        cos_psi, sin_psi = cosine(psi), sine(psi)
        gain_x, gain_y = scratch[GAIN_X + i], scratch[GAIN_Y + i]
        state[X, car] += cos_psi * gain_x - sin_psi * gain_y
        state[Y, car] += sin_psi * gain_x + cos_psi * gain_y
        state[PSI, car] = wrapped_angle(psi + scratch[GAIN_PSI + i])
        state[VX, car] += scratch[GAIN_VX + i]
        state[VY, car] += scratch[GAIN_VY + i]
        state[YAW_RATE, car] += scratch[GAIN_YAW_RATE + i]
        state[AX, car] += scratch[GAIN_AX + i]
        state[AY, car] += scratch[GAIN_AY + i]
        target = action[car, 0] * vehicle.steering_max_rad
        state[STEER, car] = moved_towards(state[STEER, car], target, dt_s * steer_rate)
        power = 1.0 + conditions[car, POWER]
        target = max(action[car, 1], 0.0) * (vehicle.drive_force_max_n * power)
        state[DRIVE, car] = moved_towards(state[DRIVE, car], target, dt_s * (drive_rate * power))
        target = max(-action[car, 1], 0.0) * vehicle.brake_force_max_n
        state[BRAKE, car] = moved_towards(state[BRAKE, car], target, dt_s * brake_rate)
