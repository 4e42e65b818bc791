"""Minimum-curvature racing line: where on the track to drive.

The lateral offset n(s) from the centre line is a periodic uniform cubic B-spline, so the curvature
of the line is continuous. Gauss-Newton minimises the integral of the squared curvature over the
arc length, with the borders as bounds at every station (after Heilmeier et al., "Minimum curvature
trajectory planning and control for an autonomous race car", Vehicle System Dynamics, 2020, but on
the exact curvature and repeated until it converges).
"""

from typing import NamedTuple

import numpy as np
import piqp
from scipy import sparse

from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.tracks.geometry import Track

# With a dimension: for the reference car; another's are scaled.
KNOT_SPACING_M = 3.0
MIN_STRETCH = 0.2  # lower bound of 1 - kappa n, so that neighbouring normals do not cross
MAX_ITERATIONS = 40
TRUST_RADIUS_M = 4.0  # largest change of the offset in the first iteration
TOLERANCE = 1e-4  # relative improvement of the objective that ends the iteration
DAMPING = 1e-9  # (1/m^4) keeps the quadratic programs strictly convex


class LineGeometry(NamedTuple):
    """A line at the stations of its track, all arrays (n,)."""

    heading_rad: np.ndarray  # relative to the tangent of the centre line
    kappa_radpm: np.ndarray  # positive to the left
    step_m: np.ndarray  # arc length of the line from station i to station i + 1


class _Basis(NamedTuple):
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


def _spline_basis(stations: int, step_m: float, spacing_m: float) -> _Basis:
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
    return _Basis(columns, value / 6, first / (2 * knot_m), second / knot_m**2, size)


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


def _linearise(
    track: Track, basis: _Basis, control: np.ndarray
) -> tuple[np.ndarray, sparse.csc_matrix]:
    """Residual kappa_line sqrt(ds / step) (n,) and its Jacobian by the control points."""
    offset, first, second = (
        np.einsum("ij,ij->i", weights, control[basis.columns])
        for weights in (basis.value, basis.first, basis.second)
    )
    kappa = track.kappa_radpm
    slope = _slope(kappa, track.step_m)
    stretch = 1.0 - kappa * offset
    bend = stretch * kappa + second
    turn = slope * offset + 2.0 * kappa * first
    area = stretch * bend + first * turn
    square = stretch**2 + first**2
    scale = square**-1.25
    shrink = 2.5 * area / square
    by_offset = first * slope - kappa * bend - kappa**2 * stretch + shrink * stretch * kappa
    by_first = turn + 2.0 * kappa * first - shrink * first
    jacobian = basis.matrix(
        (scale * by_offset)[:, None] * basis.value
        + (scale * by_first)[:, None] * basis.first
        + (scale * stretch)[:, None] * basis.second
    )
    return scale * area, jacobian


def _solve(hessian, gradient, bounds_matrix, lower, upper):
    """Minimise x' H x / 2 + g' x with lower <= G x <= upper; None if there is no solution."""
    solver = piqp.SparseSolver()
    solver.settings.eps_abs = 1e-7
    solver.settings.eps_rel = 1e-7
    solver.setup(hessian, gradient, None, None, bounds_matrix, lower, upper)
    if solver.solve() != piqp.PIQP_SOLVED:
        return None
    return solver.result.x.copy()


def minimum_curvature_line(track: Track, vehicle: Vehicle, margin_m: float) -> np.ndarray:
    """Lateral offset (n,) [m] of the racing line from the centre line, positive to the left.

    Everywhere within `offset_bounds`: the car's side stays `margin_m` inside both borders.
    """
    scales = scales_of(vehicle)
    basis = _spline_basis(len(track.x_m), track.step_m, KNOT_SPACING_M * scales.length)
    damping = DAMPING * scales.curvature**4
    offsets_of = basis.matrix(basis.value)
    lower, upper = offset_bounds(track, vehicle, margin_m)

    control = np.zeros(basis.size)
    offset = np.zeros(len(track.x_m))
    residual, rows = _linearise(track, basis, control)
    cost = np.inf  # the centre line need not be inside the bounds: any first step is accepted
    radius_m = TRUST_RADIUS_M * scales.width
    for _ in range(MAX_ITERATIONS):
        solution = _solve(
            (rows.T @ rows + damping * sparse.identity(basis.size)).tocsc(),
            rows.T @ (residual - rows @ control) - damping * control,
            offsets_of,
            np.clip(offset - radius_m, lower, upper),
            np.clip(offset + radius_m, lower, upper),
        )
        if solution is None:
            break
        trial_residual, trial_rows = _linearise(track, basis, solution)
        trial_cost = trial_residual @ trial_residual
        if trial_cost > cost:
            radius_m *= 0.3
            continue
        gain = cost - trial_cost
        control, cost, residual, rows = solution, trial_cost, trial_residual, trial_rows
        offset = offsets_of @ control
        if gain < TOLERANCE * cost:
            break
    return np.clip(offset, lower, upper)
