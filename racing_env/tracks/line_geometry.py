"""Lines beside the centre line of a track: their geometry, their bounds, and how both change.

The lateral offset n(s) from the centre line is a periodic uniform cubic B-spline, so the curvature
of the line is continuous.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from racing_env.car.vehicle import Vehicle
from racing_env.tracks.geometry import Track

MIN_STRETCH = 0.2  # lower bound of 1 - kappa n, so that neighbouring normals do not cross


class LineGeometry(NamedTuple):
    """A line at the stations of its track, all arrays (n,)."""

    heading_rad: np.ndarray  # relative to the tangent of the centre line
    kappa_radpm: np.ndarray  # positive to the left
    step_m: np.ndarray  # arc length of the line from station i to station i + 1


class Spline(NamedTuple):
    """Periodic uniform cubic B-spline at the stations, four non-zero weights a station."""

    columns: np.ndarray  # (n, 4) indices of the control points
    value: np.ndarray  # (n, 4)
    first: np.ndarray  # (n, 4) per metre of centre line
    second: np.ndarray  # (n, 4) per square metre
    size: int  # number of control points

    def matrix(self, weights: np.ndarray) -> sparse.csc_matrix:
        n = len(weights)
        pointers = np.arange(0, 4 * n + 1, 4)
        shape = (n, self.size)
        return sparse.csr_matrix((weights.ravel(), self.columns.ravel(), pointers), shape).tocsc()


def periodic_spline(stations: int, step_m: float, spacing_m: float) -> Spline:
    size = max(8, round(stations * step_m / spacing_m))
    knot_m = stations * step_m / size
    position = np.arange(stations) * size / stations
    cell = np.floor(position).astype(int)
    t = position - cell
    columns = (cell[:, None] + np.arange(-1, 3)) % size
    value = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    first = np.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2], axis=1)
    second = np.stack([1 - t, 3 * t - 2, 1 - 3 * t, t], axis=1)
    return Spline(columns, value / 6, first / (2 * knot_m), second / knot_m**2, size)


def _slope(values: np.ndarray, step_m: float) -> np.ndarray:
    """Periodic derivative of fourth order."""
    near = np.roll(values, -1) - np.roll(values, 1)
    far = np.roll(values, -2) - np.roll(values, 2)
    return (8.0 * near - far) / (12.0 * step_m)


def line_geometry(track: Track, offset_m: np.ndarray) -> LineGeometry:
    """Heading, curvature and arc length of the line at `offset_m` (n,), left of the centre line.

    With T, N the tangent and normal of the centre line and a = 1 - kappa n, the line has
    p' = a T + n' N and p'' = (-kappa' n - 2 kappa n') T + (a kappa + n'') N.
    """
    kappa = track.kappa_radpm
    first = _slope(offset_m, track.step_m)
    second = _slope(first, track.step_m)
    stretch = 1.0 - kappa * offset_m
    turn = _slope(kappa, track.step_m) * offset_m + 2.0 * kappa * first
    speed = np.hypot(stretch, first)
    kappa_line = (stretch * (stretch * kappa + second) + first * turn) / speed**3
    step = 0.5 * track.step_m * (speed + np.roll(speed, -1))
    return LineGeometry(np.arctan2(first, stretch), kappa_line, step)


def offset_bounds(
    track: Track, vehicle: Vehicle, margin_m: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest offset (n,) [m] that keep the car `margin_m` inside both borders.

    Where the track is too narrow for the margin, half of the room there is remains.
    """
    room = track.width_right_m + track.width_left_m - vehicle.width_m
    inset = 0.5 * vehicle.width_m + np.minimum(margin_m, 0.25 * np.maximum(room, 0.0))
    lower = inset - track.width_right_m
    upper = track.width_left_m - inset
    crossing = (1.0 - MIN_STRETCH) / np.maximum(np.abs(track.kappa_radpm), 1e-6)
    left = np.where(track.kappa_radpm > 0, np.minimum(upper, crossing), upper)
    right = np.where(track.kappa_radpm < 0, np.maximum(lower, -crossing), lower)
    return np.minimum(right, upper), np.maximum(left, lower)


class Linearised(NamedTuple):
    """A line at the stations, and its derivatives by the four control points of each station."""

    kappa_radpm: np.ndarray  # (n,)
    stretch: np.ndarray  # (n,) length of the line over length of the centre line
    kappa_rows: np.ndarray  # (n, 4) derivatives of the curvature
    stretch_rows: np.ndarray  # (n, 4) derivatives of the stretch


def linearise(track: Track, spline: Spline, control: np.ndarray) -> Linearised:
    """The line of these control points (size,), by the equations of `line_geometry`."""
    offset, first, second = (
        np.einsum("ij,ij->i", weights, control[spline.columns])
        for weights in (spline.value, spline.first, spline.second)
    )
    kappa = track.kappa_radpm
    slope = _slope(kappa, track.step_m)
    along = 1.0 - kappa * offset
    bend = along * kappa + second
    turn = slope * offset + 2.0 * kappa * first
    area = along * bend + first * turn
    stretch = np.hypot(along, first)
    shrink = 3.0 * area / stretch**2
    by_offset = first * slope - kappa * bend - kappa**2 * along + shrink * along * kappa
    by_first = turn + 2.0 * kappa * first - shrink * first
    return Linearised(
        area / stretch**3,
        stretch,
        (by_offset / stretch**3)[:, None] * spline.value
        + (by_first / stretch**3)[:, None] * spline.first
        + (along / stretch**3)[:, None] * spline.second,
        (-kappa * along / stretch)[:, None] * spline.value
        + (first / stretch)[:, None] * spline.first,
    )
