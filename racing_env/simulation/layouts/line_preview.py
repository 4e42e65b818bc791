"""The car's own state, the racing line with its profile, and both a few seconds ahead.

Room is how far the car's centre may move before it is off the track. Preview points lie where the
car would be after PREVIEW_S at its present speed, at least at PREVIEW_SPEED_FLOOR_MPS (both of the
reference car; another's are scaled).
"""

import math
from typing import NamedTuple

from racing_env.car import dynamics as dyn
from racing_env.car.arithmetic import cosine, sine, wrapped_angle
from racing_env.car.dynamics_adjoint import add_slip_gradient
from racing_env.car.kernels import inlined, kernel
from racing_env.car.similarity import length_scale, speed_scale, time_scale
from racing_env.simulation import closed_loop
from racing_env.simulation.layout import Layout, Quantity, scaled, scaled_slope
from racing_env.simulation.motion import move
from racing_env.simulation.motion_adjoint import slope
from racing_env.tracks import bank

PREVIEW_S = (0.1, 0.2, 0.35, 0.5, 0.7, 0.95, 1.25, 1.6, 2.1, 2.7, 3.5, 4.5)
PREVIEW_SPEED_FLOOR_MPS = 10.0
NEAREST_M = 1e-6  # to a preview point, which has no bearing otherwise
PREVIEW_FEATURES = 5
# Rows of the state that are seen as they are, in order
STATE_SEEN = (
    dyn.VX, dyn.VY, dyn.YAW_RATE, dyn.STEER, dyn.DRIVE, dyn.BRAKE, dyn.AX, dyn.AY
)  # fmt: skip
OWN_STATE = len(STATE_SEEN)


class LineColumns(NamedTuple):
    """Columns of the bank's table that hold the line which a driver sees."""

    x: int = bank.LINE_X
    y: int = bank.LINE_Y
    cos: int = bank.LINE_COS
    sin: int = bank.LINE_SIN
    kappa: int = bank.LINE_KAPPA
    room_left: int = bank.LINE_ROOM_LEFT
    room_right: int = bank.LINE_ROOM_RIGHT


RACING_LINE = LineColumns()


def quantities(line: str) -> tuple[Quantity, ...]:
    """The table for a driver who sees this line."""
    own = (
        Quantity("vx_mps", "speed forward", 50.0, "speed"),
        Quantity("vy_mps", "speed to the left", 5.0, "speed", sign=-1),
        Quantity("yaw_rate_radps", "yaw rate", 1.0, "turn_rate", sign=-1),
        Quantity("steer_rad", "steering angle of the front wheels", 1.0, "steering_max_rad",
                 sign=-1),
        Quantity("drive_n", "drive force", 1.0, "drive_force_max_n"),
        Quantity("brake_n", "brake force", 1.0, "brake_force_max_n"),
        Quantity("ax_mps2", "acceleration forward, filtered as the wheel loads feel it", 10.0,
                 "acceleration"),
        Quantity("ay_mps2", "acceleration to the left, likewise", 15.0, "acceleration", sign=-1),
        Quantity("line_offset_m", f"offset from the {line}, left positive", 2.0, "width", sign=-1),
        Quantity("line_heading_sin", f"sine of the heading relative to the {line}", 1.0 / 3.0,
                 sign=-1),
        Quantity("profile_minus_speed_mps", "profile speed minus speed", 10.0, "speed"),
        Quantity("line_kappa_radpm", f"curvature of the {line}", 0.04, "curvature", sign=-1),
        Quantity("room_left_m", "room to the left of the car", 2.0, "width", cap=2.0,
                 partner="room_right_m"),
        Quantity("room_right_m", "room to the right of the car", 2.0, "width", cap=2.0,
                 partner="room_left_m"),
        Quantity("front_slip_rad", "slip angle of the front axle", 0.1, "front_slip", sign=-1),
        Quantity("rear_slip_rad", "slip angle of the rear axle", 0.1, "rear_slip", sign=-1),
    )  # fmt: skip
    return own + tuple(quantity for ahead_s in PREVIEW_S for quantity in _ahead(line, ahead_s))


def _ahead(line: str, ahead_s: float) -> tuple[Quantity, ...]:
    """What is seen of the preview point that lies so far ahead."""
    at = f"_in_{ahead_s}s"
    where = f"{ahead_s} s ahead"
    return (
        Quantity(f"bearing_sin{at}", f"sine of the bearing of the {line} {where}", 0.5, sign=-1),
        Quantity(f"line_kappa_radpm{at}", f"curvature of the {line} there", 0.04, "curvature",
                 sign=-1),
        Quantity(f"profile_minus_speed_mps{at}", "profile speed there minus speed", 20.0, "speed"),
        Quantity(f"room_left_m{at}", f"room to the left of the {line} there", 4.0, "width",
                 cap=2.0, partner=f"room_right_m{at}"),
        Quantity(f"room_right_m{at}", f"room to the right of the {line} there", 4.0, "width",
                 cap=2.0, partner=f"room_left_m{at}"),
    )  # fmt: skip


@inlined
def observe_line(state, car, cars, circuits, line, limits, out):
    """Fill out (size,) with what one car's driver sees of a line; line: its `LineColumns`."""
    c = cars.circuit[car]
    table, first, count = circuits.table, circuits.first[c], circuits.count[c]
    station, fraction, offset = cars.station[car], cars.fraction[car], cars.offset_m[car]
    row = first + station
    next_row = first + (station + 1 if station + 1 < count else 0)
    vx = state[dyn.VX, car]
    psi = wrapped_angle(state[dyn.PSI, car])
    cos, sin = cosine(psi), sine(psi)
    x, y = state[dyn.X, car], state[dyn.Y, car]
    line_cos = bank.blend(table, row, next_row, fraction, line.cos)
    line_sin = bank.blend(table, row, next_row, fraction, line.sin)
    room_left = bank.blend(table, row, next_row, fraction, bank.ROOM_LEFT) - offset
    room_right = bank.blend(table, row, next_row, fraction, bank.ROOM_RIGHT) + offset
    front_slip, rear_slip = dyn.axle_slips(state, car, circuits.vehicle)

    out[0] = scaled(vx, limits, 0)
    out[1] = scaled(state[dyn.VY, car], limits, 1)
    out[2] = scaled(state[dyn.YAW_RATE, car], limits, 2)
    out[3] = scaled(state[dyn.STEER, car], limits, 3)
    out[4] = scaled(state[dyn.DRIVE, car], limits, 4)
    out[5] = scaled(state[dyn.BRAKE, car], limits, 5)
    out[6] = scaled(state[dyn.AX, car], limits, 6)
    out[7] = scaled(state[dyn.AY, car], limits, 7)
    line_room_left = bank.blend(table, row, next_row, fraction, line.room_left)
    out[8] = scaled(line_room_left - room_left, limits, 8)
    out[9] = scaled(sin * line_cos - cos * line_sin, limits, 9)
    out[10] = scaled(bank.blend(table, row, next_row, fraction, bank.LINE_SPEED) - vx, limits, 10)
    out[11] = scaled(bank.blend(table, row, next_row, fraction, line.kappa), limits, 11)
    out[12] = scaled(room_left, limits, 12)
    out[13] = scaled(room_right, limits, 13)
    out[14] = scaled(front_slip, limits, 14)
    out[15] = scaled(rear_slip, limits, 15)

    nearest = NEAREST_M * length_scale(circuits.vehicle)
    floor = PREVIEW_SPEED_FLOOR_MPS * speed_scale(circuits.vehicle)
    seconds = time_scale(circuits.vehicle)
    preview_stations_per_s = max(vx, floor) / circuits.step_m[c]
    i = 16
    for preview_s in PREVIEW_S:
        ahead = station + fraction + preview_stations_per_s * (preview_s * seconds)
        ahead_station = int(ahead)
        ahead_fraction = ahead - ahead_station
        while ahead_station >= count:  # a remainder would take longer than all the rest
            ahead_station -= count
        row = first + ahead_station
        next_row = first + (ahead_station + 1 if ahead_station + 1 < count else 0)
        dx = bank.blend(table, row, next_row, ahead_fraction, line.x) - x
        dy = bank.blend(table, row, next_row, ahead_fraction, line.y) - y
        distance = math.sqrt(dx * dx + dy * dy) + nearest
        across = (cos * dy - sin * dx) / distance
        left = bank.blend(table, row, next_row, ahead_fraction, line.room_left)
        right = bank.blend(table, row, next_row, ahead_fraction, line.room_right)
        speed = bank.blend(table, row, next_row, ahead_fraction, bank.LINE_SPEED)
        kappa = bank.blend(table, row, next_row, ahead_fraction, line.kappa)
        out[i] = scaled(across, limits, i)
        out[i + 1] = scaled(kappa, limits, i + 1)
        out[i + 2] = scaled(speed - vx, limits, i + 2)
        out[i + 3] = scaled(left, limits, i + 3)
        out[i + 4] = scaled(right, limits, i + 4)
        i += PREVIEW_FEATURES


@inlined
def add_line_gradient(
    state, car, c, station, fraction, offset, circuits, line, limits, by_seen, out
):
    """Add to out (STATE_SIZE, n) what a gradient by_seen (size,) of `observe_line` is by the state.

    Returns what it is by the car's fraction and by its offset.
    """
    table, first, count = circuits.table, circuits.first[c], circuits.count[c]
    row = first + station
    next_row = first + (station + 1 if station + 1 < count else 0)
    vx = state[dyn.VX, car]
    psi = wrapped_angle(state[dyn.PSI, car])
    cos, sin = cosine(psi), sine(psi)
    x, y = state[dyn.X, car], state[dyn.Y, car]
    line_cos = bank.blend(table, row, next_row, fraction, line.cos)
    line_sin = bank.blend(table, row, next_row, fraction, line.sin)
    room_left = bank.blend(table, row, next_row, fraction, bank.ROOM_LEFT) - offset
    room_right = bank.blend(table, row, next_row, fraction, bank.ROOM_RIGHT) + offset

    for i in range(OWN_STATE):
        value = state[STATE_SEEN[i], car]
        out[STATE_SEEN[i], car] += by_seen[i] * scaled_slope(value, limits, i)
    line_room_left = bank.blend(table, row, next_row, fraction, line.room_left)
    by_line_offset = by_seen[8] * scaled_slope(line_room_left - room_left, limits, 8)
    by_room_left = by_seen[12] * scaled_slope(room_left, limits, 12) - by_line_offset
    by_room_right = by_seen[13] * scaled_slope(room_right, limits, 13)
    by_offset = by_room_right - by_room_left
    by_fraction = by_line_offset * slope(table, row, next_row, line.room_left)
    by_fraction += by_room_left * slope(table, row, next_row, bank.ROOM_LEFT)
    by_fraction += by_room_right * slope(table, row, next_row, bank.ROOM_RIGHT)
    by_heading = by_seen[9] * scaled_slope(sin * line_cos - cos * line_sin, limits, 9)
    by_psi = by_heading * (cos * line_cos + sin * line_sin)
    by_fraction += by_heading * sin * slope(table, row, next_row, line.cos)
    by_fraction -= by_heading * cos * slope(table, row, next_row, line.sin)
    excess = bank.blend(table, row, next_row, fraction, bank.LINE_SPEED) - vx
    by_excess = by_seen[10] * scaled_slope(excess, limits, 10)
    by_fraction += by_excess * slope(table, row, next_row, bank.LINE_SPEED)
    by_vx = -by_excess
    kappa = bank.blend(table, row, next_row, fraction, line.kappa)
    by_kappa = by_seen[11] * scaled_slope(kappa, limits, 11)
    by_fraction += by_kappa * slope(table, row, next_row, line.kappa)
    front_slip, rear_slip = dyn.axle_slips(state, car, circuits.vehicle)
    add_slip_gradient(
        state, car, circuits.vehicle, by_seen[14] * scaled_slope(front_slip, limits, 14),
        by_seen[15] * scaled_slope(rear_slip, limits, 15), out,
    )  # fmt: skip

    nearest = NEAREST_M * length_scale(circuits.vehicle)
    floor = PREVIEW_SPEED_FLOOR_MPS * speed_scale(circuits.vehicle)
    seconds = time_scale(circuits.vehicle)
    preview_stations_per_s = max(vx, floor) / circuits.step_m[c]
    stations_per_speed = seconds / circuits.step_m[c] if vx > floor else 0.0
    by_x = by_y = 0.0
    i = 16
    for preview_s in PREVIEW_S:
        ahead = station + fraction + preview_stations_per_s * (preview_s * seconds)
        ahead_station = int(ahead)
        at = ahead - ahead_station
        while ahead_station >= count:
            ahead_station -= count
        row = first + ahead_station
        next_row = first + (ahead_station + 1 if ahead_station + 1 < count else 0)
        dx = bank.blend(table, row, next_row, at, line.x) - x
        dy = bank.blend(table, row, next_row, at, line.y) - y
        length = math.sqrt(dx * dx + dy * dy)
        per_distance = 1.0 / (length + nearest)
        along, across = (cos * dx + sin * dy) * per_distance, (cos * dy - sin * dx) * per_distance
        by_across = by_seen[i] * scaled_slope(across, limits, i)
        by_psi -= by_across * along
        per_length = per_distance / max(length, nearest)
        by_dx = by_across * (-sin * per_distance - across * dx * per_length)
        by_dy = by_across * (cos * per_distance - across * dy * per_length)
        by_x -= by_dx
        by_y -= by_dy
        by_at = by_dx * slope(table, row, next_row, line.x)
        by_at += by_dy * slope(table, row, next_row, line.y)
        kappa = bank.blend(table, row, next_row, at, line.kappa)
        by_at += (
            by_seen[i + 1] * scaled_slope(kappa, limits, i + 1)
            * slope(table, row, next_row, line.kappa)
        )  # fmt: skip
        excess = bank.blend(table, row, next_row, at, bank.LINE_SPEED) - vx
        by_excess = by_seen[i + 2] * scaled_slope(excess, limits, i + 2)
        by_vx -= by_excess
        by_at += by_excess * slope(table, row, next_row, bank.LINE_SPEED)
        left = bank.blend(table, row, next_row, at, line.room_left)
        by_at += (
            by_seen[i + 3] * scaled_slope(left, limits, i + 3)
            * slope(table, row, next_row, line.room_left)
        )  # fmt: skip
        right = bank.blend(table, row, next_row, at, line.room_right)
        by_at += (
            by_seen[i + 4] * scaled_slope(right, limits, i + 4)
            * slope(table, row, next_row, line.room_right)
        )  # fmt: skip
        by_fraction += by_at
        by_vx += by_at * preview_s * stations_per_speed
        i += PREVIEW_FEATURES
    out[dyn.X, car] += by_x
    out[dyn.Y, car] += by_y
    out[dyn.PSI, car] += by_psi
    out[dyn.VX, car] += by_vx
    return by_fraction, by_offset


@inlined
def see(state, car, cars, circuits, limits, out):
    observe_line(state, car, cars, circuits, RACING_LINE, limits, out)


@inlined
def add_seen_gradient(
    state, car, c, station, fraction, offset, circuits, limits, changes, probe, by_seen, out
):
    return add_line_gradient(
        state, car, c, station, fraction, offset, circuits, RACING_LINE, limits, by_seen, out
    )


@kernel
def observe(state, cars, circuits, limits, indices, out):
    """See `racing_env.simulation.layout.Layout`."""
    for k in range(len(indices)):
        see(state, indices[k], cars, circuits, limits, out[k])


@kernel
def step(state, actions, cars, circuits, weights, dt_s, run_off_m, scratch, limits, out):
    """See `racing_env.simulation.layout.Layout`."""
    if not move(state, actions, cars, circuits, weights, dt_s, run_off_m, scratch):
        return False
    for car in range(len(out)):
        see(state, car, cars, circuits, limits, out[car])
    return True


@kernel
def drive(state, cars, circuits, numbers, limits, scratch, network, episodes, tape, first):
    """See `racing_env.simulation.layout.Layout`."""
    return closed_loop.drive(
        see, state, cars, circuits, numbers, limits, scratch, network, episodes, tape, first
    )


@kernel
def pull_back(circuits, numbers, limits, changes, probe, network, tape, gradient):
    """See `racing_env.simulation.layout.Layout`."""
    closed_loop.pull_back(
        add_seen_gradient, circuits, numbers, limits, changes, probe, network, tape, gradient
    )


LAYOUT = Layout("line-preview-1", quantities("racing line"), observe, step, drive, pull_back)
