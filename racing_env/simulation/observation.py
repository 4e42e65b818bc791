"""What a driver sees: the car's own state, the racing line, and both a few seconds ahead.

| index | meaning | scaled by |
| --- | --- | --- |
| 0, 1 | speed forward, left | 50, 5 m/s |
| 2 | yaw rate | 1 rad/s |
| 3 | steering angle of the wheels | full lock |
| 4, 5 | drive force, brake force | their largest |
| 6, 7 | acceleration forward, left (filtered) | 10, 15 m/s2 |
| 8 | offset from the racing line, left positive | 2 m |
| 9 | heading relative to the racing line (sine) | 1/3 |
| 10 | profile speed minus speed | 10 m/s |
| 11 | curvature of the line | 0.04 1/m |
| 12, 13 | room left of the car, right of the car, at most 4 m | 2 m |
| 14, 15 | slip angle of the front, rear axle | 0.1 rad |
| 16 + 5k | bearing of the line at preview point k (sine) | 0.5 |
| 17 + 5k | curvature of the line there | 0.04 1/m |
| 18 + 5k | profile speed there minus speed | 20 m/s |
| 19 + 5k, 20 + 5k | room left, right of the line there, at most 8 m | 4 m |

Room is how far the car's centre may move before it is off the track. Preview points lie where the
car would be after PREVIEW_S at its present speed, at least at PREVIEW_SPEED_FLOOR_MPS.
"""

import math

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.arithmetic import cosine, sine, wrapped_angle
from racing_env.car.dynamics import axle_slips
from racing_env.car.kernels import inlined
from racing_env.tracks import bank as bank

LAYOUT = "line-preview-1"
PREVIEW_S = (0.1, 0.2, 0.35, 0.5, 0.7, 0.95, 1.25, 1.6, 2.1, 2.7, 3.5, 4.5)
PREVIEW_SPEED_FLOOR_MPS = 10.0
EGO_SIZE = 16
PREVIEW_FEATURES = 5
SIZE = EGO_SIZE + PREVIEW_FEATURES * len(PREVIEW_S)
LIMIT = 5.0  # every number is clipped to [-LIMIT, LIMIT]


def mirror_signs_and_order() -> tuple[np.ndarray, np.ndarray]:
    """(signs, order) with which `observation[order] * signs` is what the mirror image sees.

    The mirrored car, circuit and action (steering negated) behave the same exactly.
    """
    signs = np.ones(SIZE, dtype=np.float32)
    order = np.arange(SIZE)
    signs[[1, 2, 3, 7, 8, 9, 11, 14, 15]] = -1.0
    order[[12, 13]] = [13, 12]
    for start in range(EGO_SIZE, SIZE, PREVIEW_FEATURES):
        signs[[start, start + 1]] = -1.0
        order[[start + 3, start + 4]] = [start + 4, start + 3]
    return signs, order


@inlined
def _clipped(value):
    return min(max(value, -LIMIT), LIMIT)


@inlined
def observe(state, car, table, first, count, step_m, station, fraction, offset, vehicle, out):
    """Fill out (SIZE,) with the observation of one car at its curvilinear position."""
    row = first + station
    next_row = first + (station + 1 if station + 1 < count else 0)
    vx = state[dyn.VX, car]
    psi = wrapped_angle(state[dyn.PSI, car])
    cos, sin = cosine(psi), sine(psi)
    x, y = state[dyn.X, car], state[dyn.Y, car]
    line_cos = bank.blend(table, row, next_row, fraction, bank.LINE_COS)
    line_sin = bank.blend(table, row, next_row, fraction, bank.LINE_SIN)
    room_left = bank.blend(table, row, next_row, fraction, bank.ROOM_LEFT) - offset
    room_right = bank.blend(table, row, next_row, fraction, bank.ROOM_RIGHT) + offset
    front_slip, rear_slip = axle_slips(state, car, vehicle)

    out[0] = _clipped(vx / 50.0)
    out[1] = _clipped(state[dyn.VY, car] / 5.0)
    out[2] = _clipped(state[dyn.YAW_RATE, car])
    out[3] = _clipped(state[dyn.STEER, car] / vehicle.steering_max_rad)
    out[4] = _clipped(state[dyn.DRIVE, car] / vehicle.drive_force_max_n)
    out[5] = _clipped(state[dyn.BRAKE, car] / vehicle.brake_force_max_n)
    out[6] = _clipped(state[dyn.AX, car] / 10.0)
    out[7] = _clipped(state[dyn.AY, car] / 15.0)
    line_room_left = bank.blend(table, row, next_row, fraction, bank.LINE_ROOM_LEFT)
    out[8] = _clipped((line_room_left - room_left) / 2.0)
    out[9] = _clipped(3.0 * (sin * line_cos - cos * line_sin))
    line_speed = bank.blend(table, row, next_row, fraction, bank.LINE_SPEED)
    out[10] = _clipped((line_speed - vx) / 10.0)
    out[11] = _clipped(bank.blend(table, row, next_row, fraction, bank.LINE_KAPPA) / 0.04)
    out[12] = _clipped(min(room_left, 4.0) / 2.0)
    out[13] = _clipped(min(room_right, 4.0) / 2.0)
    out[14] = _clipped(front_slip / 0.1)
    out[15] = _clipped(rear_slip / 0.1)

    preview_stations_per_s = max(vx, PREVIEW_SPEED_FLOOR_MPS) / step_m
    base = EGO_SIZE
    for preview_s in PREVIEW_S:
        ahead = station + fraction + preview_stations_per_s * preview_s
        ahead_station = int(ahead)
        ahead_fraction = ahead - ahead_station
        while ahead_station >= count:  # a remainder would take longer than all the rest
            ahead_station -= count
        row = first + ahead_station
        next_row = first + (ahead_station + 1 if ahead_station + 1 < count else 0)
        dx = bank.blend(table, row, next_row, ahead_fraction, bank.LINE_X) - x
        dy = bank.blend(table, row, next_row, ahead_fraction, bank.LINE_Y) - y
        distance = math.sqrt(dx * dx + dy * dy) + 1e-6
        across = (cos * dy - sin * dx) / distance
        left = bank.blend(table, row, next_row, ahead_fraction, bank.LINE_ROOM_LEFT)
        right = bank.blend(table, row, next_row, ahead_fraction, bank.LINE_ROOM_RIGHT)
        speed = bank.blend(table, row, next_row, ahead_fraction, bank.LINE_SPEED)
        kappa = bank.blend(table, row, next_row, ahead_fraction, bank.LINE_KAPPA)
        out[base] = _clipped(across / 0.5)
        out[base + 1] = _clipped(kappa / 0.04)
        out[base + 2] = _clipped((speed - vx) / 20.0)
        out[base + 3] = _clipped(min(left, 8.0) / 4.0)
        out[base + 4] = _clipped(min(right, 8.0) / 4.0)
        base += PREVIEW_FEATURES
