"""The car's own state, the racing line with its profile, and both a few seconds ahead.

Room is how far the car's centre may move before it is off the track. Preview points lie where the
car would be after PREVIEW_S at its present speed, at least at PREVIEW_SPEED_FLOOR_MPS (both of the
reference car; another's are scaled).
"""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.arithmetic import cosine, sine, wrapped_angle
from racing_env.car.conditions import POWER
from racing_env.car.dynamics_adjoint import add_slip_gradient
from racing_env.car.kernels import inlined
from racing_env.car.similarity import length_scale, speed_scale, time_scale
from racing_env.simulation.layout import Quantity, scale
from racing_env.simulation.layout_kernels import new_layout
from racing_env.simulation.motion_adjoint import slope
from racing_env.tracks import bank

PREVIEW_S = (0.1, 0.2, 0.35, 0.5, 0.7, 0.95, 1.25, 1.6, 2.1, 2.7, 3.5, 4.5)
PREVIEW_SPEED_FLOOR_MPS = 10.0
NEAREST_M = 1e-6  # to a preview point, which has no bearing otherwise
OWN_FEATURES = 16  # before those of the first preview point
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
def observe_line(state, car, cars, circuits, line, scaling, out):
    """Fill out (size,) with what one car's driver sees of a line; line: its `LineColumns`.

    In single precision from the first differences of places on, as the table and out are.
    """
    c = cars.circuit[car]
    table, first, count = circuits.table, circuits.first[c], circuits.count[c]
    station, fraction = cars.station[car], np.float32(cars.fraction[car])
    offset = np.float32(cars.offset_m[car])
    row = first + station
    next_row = first + (station + 1 if station + 1 < count else 0)
    vx = np.float32(state[dyn.VX, car])
    psi = wrapped_angle(state[dyn.PSI, car])
    cos, sin = np.float32(cosine(psi)), np.float32(sine(psi))
    line_cos = bank.blend(table, row, next_row, fraction, line.cos)
    line_sin = bank.blend(table, row, next_row, fraction, line.sin)
    room_left = bank.blend(table, row, next_row, fraction, bank.ROOM_LEFT) - offset
    room_right = bank.blend(table, row, next_row, fraction, bank.ROOM_RIGHT) + offset

    out[0] = vx
    out[1] = state[dyn.VY, car]
    out[2] = state[dyn.YAW_RATE, car]
    out[3] = state[dyn.STEER, car]
    # as the driver knows the motor, who is not told how strong it is
    out[4] = state[dyn.DRIVE, car] / (1.0 + cars.conditions[car, POWER])
    out[5] = state[dyn.BRAKE, car]
    out[6] = state[dyn.AX, car]
    out[7] = state[dyn.AY, car]
    out[8] = bank.blend(table, row, next_row, fraction, line.room_left) - room_left
    out[9] = sin * line_cos - cos * line_sin
    out[10] = bank.blend(table, row, next_row, fraction, bank.LINE_SPEED) - vx
    out[11] = bank.blend(table, row, next_row, fraction, line.kappa)
    out[12] = room_left
    out[13] = room_right
    out[14], out[15] = dyn.axle_slips(state, car, circuits.vehicle)

    x = state[dyn.X, car] - circuits.origin_m[c, 0]
    y = state[dyn.Y, car] - circuits.origin_m[c, 1]
    nearest = np.float32(NEAREST_M * length_scale(circuits.vehicle))
    floor = PREVIEW_SPEED_FLOOR_MPS * speed_scale(circuits.vehicle)
    seconds = time_scale(circuits.vehicle)
    stations_per_preview_s = max(state[dyn.VX, car], floor) / circuits.step_m[c] * seconds
    i = OWN_FEATURES
    for preview_s in PREVIEW_S:
        ahead = station + cars.fraction[car] + stations_per_preview_s * preview_s
        ahead_station = int(ahead)
        ahead_fraction = np.float32(ahead - ahead_station)
        while ahead_station >= count:  # a remainder would take longer than all the rest
            ahead_station -= count
        row = first + ahead_station
        next_row = first + (ahead_station + 1 if ahead_station + 1 < count else 0)
        line_x, line_y = table[row, line.x], table[row, line.y]
        dx = np.float32(line_x - x) + ahead_fraction * (table[next_row, line.x] - line_x)
        dy = np.float32(line_y - y) + ahead_fraction * (table[next_row, line.y] - line_y)
        out[i] = (cos * dy - sin * dx) / (math.sqrt(dx * dx + dy * dy) + nearest)
        out[i + 1] = bank.blend(table, row, next_row, ahead_fraction, line.kappa)
        out[i + 2] = bank.blend(table, row, next_row, ahead_fraction, bank.LINE_SPEED) - vx
        out[i + 3] = bank.blend(table, row, next_row, ahead_fraction, line.room_left)
        out[i + 4] = bank.blend(table, row, next_row, ahead_fraction, line.room_right)
        i += PREVIEW_FEATURES
    scale(out, scaling)


@inlined
def add_line_gradient(
    state, car, c, station, fraction, offset, own_conditions, circuits, line, by_seen, out
):
    """Add to out (STATE_SIZE, n) what a gradient by what `observe_line` sees is by the state.

    by_seen: (size,), by the quantities in their units. Returns what it is by the car's fraction and
    by its offset.
    """
    table, first, count = circuits.table, circuits.first[c], circuits.count[c]
    row = first + station
    next_row = first + (station + 1 if station + 1 < count else 0)
    vx = state[dyn.VX, car]
    psi = wrapped_angle(state[dyn.PSI, car])
    cos, sin = cosine(psi), sine(psi)
    x = state[dyn.X, car] - circuits.origin_m[c, 0]
    y = state[dyn.Y, car] - circuits.origin_m[c, 1]
    line_cos = bank.blend(table, row, next_row, fraction, line.cos)
    line_sin = bank.blend(table, row, next_row, fraction, line.sin)

    for i in range(OWN_STATE):
        share = 1.0 + own_conditions[POWER] if STATE_SEEN[i] == dyn.DRIVE else 1.0
        out[STATE_SEEN[i], car] += by_seen[i] / share
    by_room_left = by_seen[12] - by_seen[8]  # the offset from the line is a difference of rooms
    by_offset = by_seen[13] - by_room_left
    by_fraction = by_seen[8] * slope(table, row, next_row, line.room_left)
    by_fraction += by_room_left * slope(table, row, next_row, bank.ROOM_LEFT)
    by_fraction += by_seen[13] * slope(table, row, next_row, bank.ROOM_RIGHT)
    by_fraction += by_seen[9] * sin * slope(table, row, next_row, line.cos)
    by_fraction -= by_seen[9] * cos * slope(table, row, next_row, line.sin)
    by_fraction += by_seen[10] * slope(table, row, next_row, bank.LINE_SPEED)
    by_fraction += by_seen[11] * slope(table, row, next_row, line.kappa)
    by_psi = by_seen[9] * (cos * line_cos + sin * line_sin)
    by_vx = -by_seen[10]
    add_slip_gradient(state, car, circuits.vehicle, by_seen[14], by_seen[15], out)

    nearest = NEAREST_M * length_scale(circuits.vehicle)
    floor = PREVIEW_SPEED_FLOOR_MPS * speed_scale(circuits.vehicle)
    seconds = time_scale(circuits.vehicle)
    preview_stations_per_s = max(vx, floor) / circuits.step_m[c]
    stations_per_speed = seconds / circuits.step_m[c] if vx > floor else 0.0
    by_x = by_y = 0.0
    i = OWN_FEATURES
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
        per_length = across / max(length, nearest)
        by_across = by_seen[i] * per_distance
        by_dx = -by_across * (sin + per_length * dx)
        by_dy = by_across * (cos - per_length * dy)
        by_psi -= by_seen[i] * along
        by_x -= by_dx
        by_y -= by_dy
        by_vx -= by_seen[i + 2]
        by_at = by_dx * slope(table, row, next_row, line.x)
        by_at += by_dy * slope(table, row, next_row, line.y)
        by_at += by_seen[i + 1] * slope(table, row, next_row, line.kappa)
        by_at += by_seen[i + 2] * slope(table, row, next_row, bank.LINE_SPEED)
        by_at += by_seen[i + 3] * slope(table, row, next_row, line.room_left)
        by_at += by_seen[i + 4] * slope(table, row, next_row, line.room_right)
        by_fraction += by_at
        by_vx += by_at * preview_s * stations_per_speed
        i += PREVIEW_FEATURES
    out[dyn.X, car] += by_x
    out[dyn.Y, car] += by_y
    out[dyn.PSI, car] += by_psi
    out[dyn.VX, car] += by_vx
    return by_fraction, by_offset


@inlined
def see(state, car, cars, circuits, scaling, out):
    observe_line(state, car, cars, circuits, RACING_LINE, scaling, out)


@inlined
def add_seen_gradient(
    state, car, c, station, fraction, offset, own_conditions, circuits, scaling, changes, probe,
    by_seen, out,
):  # fmt: skip
    return add_line_gradient(
        state, car, c, station, fraction, offset, own_conditions, circuits, RACING_LINE, by_seen,
        out,
    )  # fmt: skip


LAYOUT = new_layout("line-preview-1", quantities("racing line"), see, add_seen_gradient)
