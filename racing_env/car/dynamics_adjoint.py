"""The motion's adjoint: gradients pulled back through a control step of `racing_env.car.dynamics`.

Given how much something grows with each number of the state after a step, these functions say how
much it grows with each number before it and with the action: reverse accumulation, as in Griewank
and Walther, "Evaluating Derivatives", SIAM 2008, written out for the equations of the motion. That
costs a few forward steps, whatever the number of inputs; differences would cost one for each.
Tests hold them to differences of the motion itself. Where the motion has a corner, the gradient is
that of the side on which the car is.
"""

import math

import numpy as np

from racing_env.car.arithmetic import PI, arctangent, cosine, sine, wrapped_angle
from racing_env.car.conditions import FACTORS, conditioned
from racing_env.car.dynamics import (
    AX,
    AY,
    BRAKE,
    DRIVE,
    PSI,
    STEER,
    VX,
    VY,
    YAW_RATE,
    X,
    Y,
    actuator_at_stages,
    actuator_rates,
    rates,
)
from racing_env.car.kernels import inlined, kernel
from racing_env.car.loads import LOAD_FLOOR_N, wheel_loads_n
from racing_env.car.powertrain import FADE_MPS, SLOWEST_MPS, drive_force_n, top_speed_fade
from racing_env.car.precision import in_single_precision, single
from racing_env.car.similarity import mass_scale, speed_scale
from racing_env.car.tyre import (
    SLIP_SPEED_FLOOR_MPS,
    axle_tyres,
    combined_forces_n,
    peak_side_force_n,
)

STAGES = 4
# What the rates depend on: the turn since the step's start, then these rows of the state
STATE_ROWS = (PSI, VX, VY, YAW_RATE, AX, AY, STEER, DRIVE, BRAKE)
STAGE_NUMBERS = 9
LANES = 8  # cars that are worked on together
# Rows of the table that a block of cars is worked on in; actuators are the last three of a nine.
HERE, START, END, BY_HERE, BY_START, BY_END = 0, 9, 18, 27, 36, 45
MIDDLE, BY_MIDDLE, BY_PLACE, ACTION, BY_ACTION, CONDITIONS, WORK_ROWS = 54, 57, 60, 62, 64, 66, 71
ACTUATORS = 6  # the first of them among the nine
# The side force that is left beside a force along falls with infinite slope at the end of grip; its
# slope is that at this share of the grip.
LEAST_SIDE_SHARE = 0.02


@inlined
def add_slip_gradient(state, car, vehicle, by_front, by_rear, out):
    """Add a gradient by one car's `axle_slips`, as one by its state, to out (STATE_SIZE, n)."""
    vx, vy, yaw_rate = state[VX, car], state[VY, car], state[YAW_RATE, car]
    floor = SLIP_SPEED_FLOOR_MPS * speed_scale(vehicle)
    per_speed = 1.0 / max(vx, floor)
    front = (vy + yaw_rate * vehicle.cog_to_front_m) * per_speed
    rear = (vy - yaw_rate * vehicle.cog_to_rear_m) * per_speed
    by_front_tangent = -by_front / (1.0 + front * front)
    by_rear_tangent = -by_rear / (1.0 + rear * rear)
    by_turn = by_front_tangent * vehicle.cog_to_front_m - by_rear_tangent * vehicle.cog_to_rear_m
    out[STEER, car] += by_front
    out[VY, car] += (by_front_tangent + by_rear_tangent) * per_speed
    out[YAW_RATE, car] += by_turn * per_speed
    if vx > floor:
        out[VX, car] -= (by_front_tangent * front + by_rear_tangent * rear) * per_speed


@inlined
def _side_force_slopes(slip_tangent, load_n, tyre):
    """`side_force_n`, and its derivatives by the tangent and by the load."""
    slip = arctangent(slip_tangent)
    stiff_slip = tyre.b * slip
    bent_slip = stiff_slip - tyre.e * (stiff_slip - arctangent(stiff_slip))
    angle = tyre.c * arctangent(bent_slip)
    inside = min(max(angle, -PI), PI)
    shape = sine(inside)
    peak = peak_side_force_n(load_n, tyre)
    by_bend = tyre.c / (1.0 + bent_slip * bent_slip)
    by_stiff = 1.0 - tyre.e + tyre.e / (1.0 + stiff_slip * stiff_slip)
    by_tangent = tyre.b / (1.0 + slip_tangent * slip_tangent)
    slope = cosine(inside) if abs(angle) < PI else 0.0
    by_load = tyre.friction * (1.0 + 2.0 * tyre.load_sensitivity / tyre.nominal_load_n * load_n)
    return peak * shape, peak * slope * by_bend * by_stiff * by_tangent, shape * by_load


@inlined
def _wheel_adjoint(v_along, v_across, load_n, drive_n, brake_n, tyre, by_along, by_across):
    """Of `wheel_force_n`: gradient by its first five arguments from that by its two results; and
    the two results.
    """
    per_stop = 1.0 / tyre.stop_speed_mps
    direction = min(max(v_along * per_stop, -1.0), 1.0)
    resisting_n = brake_n + tyre.rolling_resistance * load_n
    asked_n = drive_n - direction * resisting_n
    per_speed = 1.0 / max(v_along, tyre.slip_speed_floor_mps)
    slip_tangent = -v_across * per_speed
    along, across_max = combined_forces_n(asked_n, load_n, tyre)
    free, free_by_tangent, free_by_load = _side_force_slopes(slip_tangent, load_n, tyre)
    across = min(max(free, -across_max), across_max)

    grip = tyre.friction * load_n
    capped = abs(free) > across_max
    slides = abs(asked_n) > grip  # nothing is left for the side, however large the grip
    by_free = 0.0 if capped else by_across
    by_cap = (by_across if free > 0.0 else -by_across) if capped and not slides else 0.0
    by_cap = by_cap / max(across_max, LEAST_SIDE_SHARE * grip)
    by_along = by_along - along * by_cap
    by_asked = 0.0 if slides else by_along
    by_grip = grip * by_cap + ((by_along if asked_n > 0.0 else -by_along) if slides else 0.0)
    by_tangent = by_free * free_by_tangent
    by_direction = -by_asked * resisting_n if abs(v_along) < tyre.stop_speed_mps else 0.0
    by_speed = -by_tangent * slip_tangent * per_speed
    return (
        by_direction * per_stop + (by_speed if v_along > tyre.slip_speed_floor_mps else 0.0),
        -by_tangent * per_speed,
        by_free * free_by_load
        + tyre.friction * by_grip
        - by_asked * direction * tyre.rolling_resistance,
        by_asked,
        -by_asked * direction,
        along,
        across,
    )


@inlined
def accelerations_adjoint(
    vx, vy, yaw_rate, ax, ay, steer, drive_n, brake_n, vehicle, by_x, by_y, by_turn
):
    """Of `accelerations`: gradient by its first eight arguments from that by its three results."""
    wheelbase = vehicle.cog_to_front_m + vehicle.cog_to_rear_m
    load_floor = LOAD_FLOOR_N * mass_scale(vehicle)
    fl, fr, rl, rr = wheel_loads_n(vx, ax, ay, vehicle)
    front_tyre, rear_tyre = axle_tyres(vehicle)
    power_floor = SLOWEST_MPS * speed_scale(vehicle)
    unfaded_n = drive_force_n(drive_n, vx, vehicle)
    fade = top_speed_fade(vx, vehicle)
    driven_n = unfaded_n * fade
    drive_front = 0.5 * vehicle.drive_share_front
    drive_rear = 0.5 - drive_front
    brake_front = 0.5 * vehicle.brake_share_front
    brake_rear = 0.5 - brake_front

    sin = sine(steer)
    cos = math.sqrt(1.0 - sin * sin)
    half_track = 0.5 * vehicle.axle_track_m
    left_x, right_x = vx - yaw_rate * half_track, vx + yaw_rate * half_track
    front_y = vy + yaw_rate * vehicle.cog_to_front_m
    rear_y = vy - yaw_rate * vehicle.cog_to_rear_m

    # from the car's forces to those of the wheels
    by_force_x = by_x * (1.0 / vehicle.mass_kg)
    by_force_y = by_y * (1.0 / vehicle.mass_kg)
    by_torque = by_turn * (1.0 / vehicle.yaw_inertia_kgm2)
    by_left_x = by_force_x - half_track * by_torque
    by_right_x = by_force_x + half_track * by_torque
    by_front_y = by_force_y + vehicle.cog_to_front_m * by_torque
    by_rear_y = by_force_y - vehicle.cog_to_rear_m * by_torque

    fl_vx, fl_vy = cos * left_x + sin * front_y, cos * front_y - sin * left_x
    fr_vx, fr_vy = cos * right_x + sin * front_y, cos * front_y - sin * right_x
    fl_a, fl_c, fl_load, fl_drive, fl_brake, fl_x, fl_y = _wheel_adjoint(
        fl_vx, fl_vy, fl, driven_n * drive_front, brake_n * brake_front, front_tyre,
        cos * by_left_x + sin * by_front_y, cos * by_front_y - sin * by_left_x,
    )  # fmt: skip
    fr_a, fr_c, fr_load, fr_drive, fr_brake, fr_x, fr_y = _wheel_adjoint(
        fr_vx, fr_vy, fr, driven_n * drive_front, brake_n * brake_front, front_tyre,
        cos * by_right_x + sin * by_front_y, cos * by_front_y - sin * by_right_x,
    )  # fmt: skip
    rl_a, rl_c, rl_load, rl_drive, rl_brake, _, _ = _wheel_adjoint(
        left_x, rear_y, rl, driven_n * drive_rear, brake_n * brake_rear, rear_tyre,
        by_left_x, by_rear_y,
    )  # fmt: skip
    rr_a, rr_c, rr_load, rr_drive, rr_brake, _, _ = _wheel_adjoint(
        right_x, rear_y, rr, driven_n * drive_rear, brake_n * brake_rear, rear_tyre,
        by_right_x, by_rear_y,
    )  # fmt: skip

    # a turned wheel: its velocity and its force turn with it
    by_steer = fl_a * fl_vy - fl_c * fl_vx + fr_a * fr_vy - fr_c * fr_vx
    by_steer += by_front_y * (cos * fl_x - sin * fl_y) - by_left_x * (sin * fl_x + cos * fl_y)
    by_steer += by_front_y * (cos * fr_x - sin * fr_y) - by_right_x * (sin * fr_x + cos * fr_y)
    by_v_left = cos * fl_a - sin * fl_c + rl_a
    by_v_right = cos * fr_a - sin * fr_c + rr_a
    by_v_front = sin * (fl_a + fr_a) + cos * (fl_c + fr_c)
    by_v_rear = rl_c + rr_c

    # loads, but for wheels that hardly touch the road
    fl_load = fl_load if fl > load_floor else 0.0
    fr_load = fr_load if fr > load_floor else 0.0
    rl_load = rl_load if rl > load_floor else 0.0
    rr_load = rr_load if rr > load_floor else 0.0
    across = vehicle.cog_height_m / vehicle.axle_track_m * vehicle.mass_kg
    along = 0.5 * vehicle.cog_height_m / wheelbase * vehicle.mass_kg
    by_ax = along * ((rl_load + rr_load) - (fl_load + fr_load))
    by_ay = across * (
        vehicle.roll_share_front * (fr_load - fl_load)
        + (1.0 - vehicle.roll_share_front) * (rr_load - rl_load)
    )
    by_vx = by_v_left + by_v_right
    by_vx += vx * vehicle.lift_front_kgpm * (fl_load + fr_load)
    by_vx += vx * vehicle.lift_rear_kgpm * (rl_load + rr_load)
    by_vx -= by_force_x * 2.0 * vehicle.drag_kgpm * abs(vx)

    # the motor
    by_driven = drive_front * (fl_drive + fr_drive) + drive_rear * (rl_drive + rr_drive)
    limited = unfaded_n < drive_n
    by_vx -= by_driven * fade * (unfaded_n / vx if limited and vx > power_floor else 0.0)
    fading = fade > 0.0 and fade < 1.0
    fade_slope = 1.0 / (FADE_MPS * speed_scale(vehicle))
    by_vx -= by_driven * unfaded_n * (fade_slope if fading else 0.0)
    return (
        by_vx,
        by_v_front + by_v_rear,
        half_track * (by_v_right - by_v_left)
        + vehicle.cog_to_front_m * by_v_front
        - vehicle.cog_to_rear_m * by_v_rear,
        by_ax,
        by_ay,
        by_steer,
        0.0 if limited else by_driven * fade,
        brake_front * (fl_brake + fr_brake) + brake_rear * (rl_brake + rr_brake),
    )


@inlined
def _rates_adjoint(
    psi, vx, vy, r, ax, ay, steer, drive_n, brake_n, vehicle,
    by_x, by_y, by_psi, by_vx, by_vy, by_r, by_ax, by_ay,
):  # fmt: skip
    """Of `rates`: gradient by its first nine arguments from that by its eight results."""
    per_filter_s = 1.0 / vehicle.load_filter_s
    sin = sine(min(max(psi, -1.5), 1.5))
    cos = math.sqrt(1.0 - sin * sin)
    to_vx, to_vy, to_r, to_ax, to_ay, to_steer, to_drive, to_brake = accelerations_adjoint(
        vx, vy, r, ax, ay, steer, drive_n, brake_n, vehicle,
        by_vx + by_ax * per_filter_s, by_vy + by_ay * per_filter_s, by_r,
    )  # fmt: skip
    return (
        by_y * (vx * cos - vy * sin) - by_x * (vx * sin + vy * cos),
        to_vx + by_x * cos + by_y * sin - by_vy * r,
        to_vy - by_x * sin + by_y * cos + by_vx * r,
        to_r + by_psi + by_vx * vy - by_vy * vx,
        to_ax - by_ax * per_filter_s,
        to_ay - by_ay * per_filter_s,
        to_steer,
        to_drive,
        to_brake,
    )


@inlined
def _actuator_adjoint(value, target, rate, h, by_middle, by_end):
    """Of `actuator_at_stages`: gradient by value and by target from that by its results."""
    reach = abs(target - value) * (1.0 / (rate * h))
    moving = reach >= 1.0
    by_value = by_middle + by_end if moving else by_middle * (1.5 * reach - 0.25)
    by_target = 0.0 if moving else by_middle * (1.25 - 1.5 * reach) + by_end
    return by_value, by_target


@inlined
def _copied(source, from_row, target, to_row, rows):
    """Copy rows (LANES,) of one table to another; an assignment of slices compiles slowly."""
    for row in range(rows):
        for i in range(LANES):
            target[to_row + row, i] = source[from_row + row, i]


@inlined
def _added(source, from_row, target, to_row, rows):
    """As `_copied`, but added to what is there."""
    for row in range(rows):
        for i in range(LANES):
            target[to_row + row, i] += source[from_row + row, i]


@inlined
def _cleared(target, to_row, rows):
    for row in range(rows):
        for i in range(LANES):
            target[to_row + row, i] = 0.0


@inlined
def _under_conditions(vehicle, work, i):
    """The car of a lane."""
    return conditioned(
        vehicle, work[CONDITIONS, i], work[CONDITIONS + 1, i], work[CONDITIONS + 2, i],
        work[CONDITIONS + 3, i], work[CONDITIONS + 4, i],
    )  # fmt: skip


@inlined
def _stage_inputs(vehicle, h, substeps, stages, work):
    """Fill stages with what the rates were computed from.

    The first of all are in HERE.
    """
    for substep in range(substeps):
        _copied(work, HERE, work, START, STAGE_NUMBERS)
        _copied(work, HERE, work, END, ACTUATORS)
        for i in range(LANES):
            own = _under_conditions(vehicle, work, i)
            steer_rate, drive_rate, brake_rate = actuator_rates(own)
            target = work[ACTION, i] * own.steering_max_rad
            work[MIDDLE, i], work[END + 6, i] = actuator_at_stages(
                work[HERE + 6, i], target, steer_rate, h
            )
            target = max(work[ACTION + 1, i], 0.0) * own.drive_force_max_n
            work[MIDDLE + 1, i], work[END + 7, i] = actuator_at_stages(
                work[HERE + 7, i], target, drive_rate, h
            )
            target = max(-work[ACTION + 1, i], 0.0) * own.brake_force_max_n
            work[MIDDLE + 2, i], work[END + 8, i] = actuator_at_stages(
                work[HERE + 8, i], target, brake_rate, h
            )
        for stage in range(STAGES):
            if stage == 1 or stage == 2:
                _copied(work, MIDDLE, work, HERE + ACTUATORS, 3)
            elif stage == 3:
                _copied(work, END + ACTUATORS, work, HERE + ACTUATORS, 3)
            _copied(work, HERE, stages, (substep * STAGES + stage) * STAGE_NUMBERS, STAGE_NUMBERS)
            if stage == 3 and substep + 1 == substeps:
                break  # where the last one leads to is known
            step_s = h if stage == 2 else 0.5 * h
            weight_s = h / 3.0 if stage == 1 or stage == 2 else h / 6.0
            for i in range(LANES):
                _, _, psi, vx, vy, r, ax, ay = rates(
                    work[HERE, i], work[HERE + 1, i], work[HERE + 2, i], work[HERE + 3, i],
                    work[HERE + 4, i], work[HERE + 5, i], work[HERE + 6, i], work[HERE + 7, i],
                    work[HERE + 8, i], _under_conditions(vehicle, work, i),
                )  # fmt: skip
                work[HERE, i] = work[START, i] + step_s * psi
                work[HERE + 1, i] = work[START + 1, i] + step_s * vx
                work[HERE + 2, i] = work[START + 2, i] + step_s * vy
                work[HERE + 3, i] = work[START + 3, i] + step_s * r
                work[HERE + 4, i] = work[START + 4, i] + step_s * ax
                work[HERE + 5, i] = work[START + 5, i] + step_s * ay
                work[END, i] += weight_s * psi
                work[END + 1, i] += weight_s * vx
                work[END + 2, i] += weight_s * vy
                work[END + 3, i] += weight_s * r
                work[END + 4, i] += weight_s * ax
                work[END + 5, i] += weight_s * ay
        _copied(work, END, work, HERE, STAGE_NUMBERS)


@inlined
def _stage_adjoint(weight_s, step_s, vehicle, work):
    """Pull back through one Runge-Kutta stage, whose inputs are in HERE.

    weight_s: of its rates in the substep's end, whose gradient is in BY_END; step_s: in the next
    stage's inputs, whose gradient is in BY_HERE. That is overwritten with the gradient by this
    stage's inputs, which is added to BY_START, too, but for the actuators.
    """
    for i in range(LANES):
        psi, vx, vy, r, ax, ay, steer, drive, brake = _rates_adjoint(
            work[HERE, i], work[HERE + 1, i], work[HERE + 2, i], work[HERE + 3, i],
            work[HERE + 4, i], work[HERE + 5, i], work[HERE + 6, i], work[HERE + 7, i],
            work[HERE + 8, i], _under_conditions(vehicle, work, i),
            weight_s * work[BY_PLACE, i], weight_s * work[BY_PLACE + 1, i],
            weight_s * work[BY_END, i] + step_s * work[BY_HERE, i],
            weight_s * work[BY_END + 1, i] + step_s * work[BY_HERE + 1, i],
            weight_s * work[BY_END + 2, i] + step_s * work[BY_HERE + 2, i],
            weight_s * work[BY_END + 3, i] + step_s * work[BY_HERE + 3, i],
            weight_s * work[BY_END + 4, i] + step_s * work[BY_HERE + 4, i],
            weight_s * work[BY_END + 5, i] + step_s * work[BY_HERE + 5, i],
        )  # fmt: skip
        work[BY_HERE, i], work[BY_HERE + 1, i], work[BY_HERE + 2, i] = psi, vx, vy
        work[BY_HERE + 3, i], work[BY_HERE + 4, i], work[BY_HERE + 5, i] = r, ax, ay
        work[BY_HERE + 6, i], work[BY_HERE + 7, i], work[BY_HERE + 8, i] = steer, drive, brake
        work[BY_START, i] += psi
        work[BY_START + 1, i] += vx
        work[BY_START + 2, i] += vy
        work[BY_START + 3, i] += r
        work[BY_START + 4, i] += ax
        work[BY_START + 5, i] += ay


@inlined
def _actuators_adjoint(vehicle, h, work):
    """Pull back through a substep's actuators, whose values at its start are in HERE.

    BY_MIDDLE, BY_END: gradient by their values in the middle and at the end. That by those at the
    start is added to BY_START, that by the action to BY_ACTION.
    """
    for i in range(LANES):
        own = _under_conditions(vehicle, work, i)
        steer_rate, drive_rate, brake_rate = actuator_rates(own)
        pedals = work[ACTION + 1, i]
        by_value, by_target = _actuator_adjoint(
            work[HERE + 6, i], work[ACTION, i] * own.steering_max_rad, steer_rate, h,
            work[BY_MIDDLE, i], work[BY_END + 6, i],
        )  # fmt: skip
        work[BY_START + 6, i] += by_value
        work[BY_ACTION, i] += by_target * own.steering_max_rad
        by_value, by_drive = _actuator_adjoint(
            work[HERE + 7, i], max(pedals, 0.0) * own.drive_force_max_n, drive_rate, h,
            work[BY_MIDDLE + 1, i], work[BY_END + 7, i],
        )  # fmt: skip
        work[BY_START + 7, i] += by_value
        by_value, by_brake = _actuator_adjoint(
            work[HERE + 8, i], max(-pedals, 0.0) * own.brake_force_max_n, brake_rate, h,
            work[BY_MIDDLE + 2, i], work[BY_END + 8, i],
        )  # fmt: skip
        work[BY_START + 8, i] += by_value
        by_drive = by_drive * own.drive_force_max_n
        by_brake = by_brake * own.brake_force_max_n
        work[BY_ACTION + 1, i] += by_drive if pedals >= 0.0 else -by_brake


@inlined
def _block_adjoint(vehicle, h, substeps, stages, work):
    """Pull back through the substeps of a block of cars: BY_END becomes the gradient by the start.

    HERE: the numbers at the start, ACTION: the actions.
    """
    _stage_inputs(vehicle, h, substeps, stages, work)
    _cleared(work, BY_ACTION, 2)
    for substep in range(substeps - 1, -1, -1):
        _cleared(work, BY_HERE, STAGE_NUMBERS)
        _cleared(work, BY_MIDDLE, 3)
        _copied(work, BY_END, work, BY_START, ACTUATORS)
        _cleared(work, BY_START + ACTUATORS, 3)
        for stage in range(STAGES - 1, -1, -1):
            step_s = 0.0 if stage == 3 else h if stage == 2 else 0.5 * h
            weight_s = h / 3.0 if stage == 1 or stage == 2 else h / 6.0
            _copied(stages, (substep * STAGES + stage) * STAGE_NUMBERS, work, HERE, STAGE_NUMBERS)
            _stage_adjoint(weight_s, step_s, vehicle, work)
            if stage == 3:
                _added(work, BY_HERE + ACTUATORS, work, BY_END + ACTUATORS, 3)
            elif stage == 0:
                _added(work, BY_HERE + ACTUATORS, work, BY_START + ACTUATORS, 3)
            else:
                _added(work, BY_HERE + ACTUATORS, work, BY_MIDDLE, 3)
        _actuators_adjoint(vehicle, h, work)
        _copied(work, BY_START, work, BY_END, STAGE_NUMBERS)


_single_block_adjoint = in_single_precision(_block_adjoint)


@kernel
def step_dynamics_adjoint(
    state, after, action, conditions, vehicle, dt_s, substeps, gradient, by_action
):
    """Pull a gradient back through `step_dynamics`.

    state, after: (STATE_SIZE, n) before and after the step with action (n, 2) under conditions
    (n, FACTORS or more); gradient: (STATE_SIZE, n), by the state after the step, overwritten with
    that by the state before it; by_action: (n, 2), filled. Computed in single precision, as the
    motion is.
    """
    n = state.shape[1]
    # One small table whose sizes the compiler knows: with rows of unknown length it would have to
    # ask which of them overlap, and not vectorise.
    work = np.zeros((WORK_ROWS, LANES), dtype=np.float32)
    stages = np.zeros((substeps * STAGES * STAGE_NUMBERS, LANES), dtype=np.float32)
    single_vehicle, h = single(vehicle), np.float32(dt_s / substeps)
    for first in range(0, n, LANES):
        count = min(LANES, n - first)
        for i in range(LANES):
            car = first + min(i, count - 1)
            psi = wrapped_angle(state[PSI, car])
            cos, sin = cosine(psi), sine(psi)
            by_x, by_y = gradient[X, car], gradient[Y, car]
            work[BY_PLACE, i] = cos * by_x + sin * by_y  # in the step's start frame
            work[BY_PLACE + 1, i] = cos * by_y - sin * by_x
            work[HERE, i], work[BY_END, i] = 0.0, gradient[PSI, car]
            work[ACTION, i], work[ACTION + 1, i] = action[car, 0], action[car, 1]
            for k in range(FACTORS):
                work[CONDITIONS + k, i] = conditions[car, k]
            for row in range(1, STAGE_NUMBERS):
                work[HERE + row, i] = state[STATE_ROWS[row], car]
                work[BY_END + row, i] = gradient[STATE_ROWS[row], car]
        _single_block_adjoint(single_vehicle, h, substeps, stages, work)
        for i in range(count):
            car = first + i
            by_x, by_y = gradient[X, car], gradient[Y, car]
            # the turn begins at none, whatever the heading, which turns the way that is made
            gradient[PSI, car] += by_y * (after[X, car] - state[X, car])
            gradient[PSI, car] -= by_x * (after[Y, car] - state[Y, car])
            by_action[car, 0], by_action[car, 1] = work[BY_ACTION, i], work[BY_ACTION + 1, i]
            for row in range(1, STAGE_NUMBERS):
                gradient[STATE_ROWS[row], car] = work[BY_END + row, i]
