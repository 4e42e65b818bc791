"""Minimum-curvature line: where on the track the squared curvature is least.

Gauss-Newton minimises the integral of the squared curvature over the arc length, with the borders
as bounds at every station (after Heilmeier et al., "Minimum curvature trajectory planning and
control for an autonomous race car", Vehicle System Dynamics, 2020, but on the exact curvature and
repeated until it converges).
"""

from typing import NamedTuple

import numpy as np
import piqp
from scipy import sparse

from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.tracks.geometry import Track
from racing_env.tracks.line_geometry import Spline, linearise, offset_bounds, periodic_spline

# With a dimension: for the reference car; another's are scaled.
KNOT_SPACING_M = 3.0
MAX_ITERATIONS = 40
TRUST_RADIUS_M = 4.0  # largest change of the offset in the first iteration
TOLERANCE = 1e-4  # relative improvement of the objective that ends the iteration
DAMPING = 1e-9  # (1/m^4) keeps the quadratic programs strictly convex


class LineProblem(NamedTuple):
    """What lines there are: splines between bounds at the stations of a track."""

    track: Track
    spline: Spline
    offsets_of: sparse.csc_matrix  # (n, size) offsets from control points
    lower_m: np.ndarray  # (n,) bounds of the offset
    upper_m: np.ndarray
    radius_m: float  # largest change of the offset in an iteration
    damping: float  # of squared control points, beside squared curvature [1/m^4]

    def within_bounds(self, control: np.ndarray) -> np.ndarray:
        """Offsets (n,) of control points that keep the bounds but for the solver's tolerance."""
        return np.clip(self.offsets_of @ control, self.lower_m, self.upper_m)


def line_problem(track: Track, vehicle: Vehicle, margin_m: float) -> LineProblem:
    """Lines that keep the car's side `margin_m` inside both borders, see `offset_bounds`."""
    scales = scales_of(vehicle)
    spline = periodic_spline(len(track.x_m), track.step_m, KNOT_SPACING_M * scales.length)
    return LineProblem(
        track, spline, spline.matrix(spline.value), *offset_bounds(track, vehicle, margin_m),
        TRUST_RADIUS_M * scales.width, DAMPING * scales.curvature**4,
    )  # fmt: skip


def best_step(
    problem: LineProblem,
    hessian: sparse.spmatrix,
    gradient: np.ndarray,
    control: np.ndarray,
    radius_m: float,
    limits: tuple[sparse.spmatrix, np.ndarray, np.ndarray] | None = None,
) -> np.ndarray | None:
    """Control points x within bounds and radius that minimise d' H d / 2 + g' d, d = x - control.

    limits: a matrix A and what A x is to be between, beside the bounds. None if the solver finds no
    solution.
    """
    # The solver's tolerances are absolute. In these units cars of any size are the same to it.
    length = problem.radius_m
    scale = 1.0 / (length**2 * hessian.diagonal().mean())
    hessian = sparse.csc_matrix(hessian) * (scale * length**2)
    hessian.sort_indices()  # what the solver takes for granted
    gradient = gradient * (scale * length) - hessian @ (control / length)
    offset = problem.offsets_of @ control
    rows = problem.offsets_of
    lower = np.clip(offset - radius_m, problem.lower_m, problem.upper_m)
    upper = np.clip(offset + radius_m, problem.lower_m, problem.upper_m)
    if limits is not None:
        rows = sparse.csc_matrix(sparse.vstack([rows, limits[0]]))
        lower, upper = np.append(lower, limits[1]), np.append(upper, limits[2])
    solver = piqp.SparseSolver()
    solver.settings.eps_abs = 1e-6
    solver.settings.eps_rel = 1e-6
    solver.setup(hessian, gradient, None, None, rows, lower / length, upper / length)
    if solver.solve() != piqp.PIQP_SOLVED:
        return None
    return length * solver.result.x


def _residual(problem: LineProblem, control: np.ndarray) -> tuple[np.ndarray, sparse.csc_matrix]:
    """Residual kappa sqrt(ds / step) (n,) and its Jacobian by the control points."""
    line = linearise(problem.track, problem.spline, control)
    root = np.sqrt(line.stretch)
    rows = (
        root[:, None] * line.kappa_rows
        + (0.5 * line.kappa_radpm / root)[:, None] * line.stretch_rows
    )
    return line.kappa_radpm * root, problem.spline.matrix(rows)


def minimum_curvature_line(problem: LineProblem) -> np.ndarray:
    """Control points (size,) of the line."""
    damping = problem.damping * sparse.identity(problem.spline.size)
    control = np.zeros(problem.spline.size)
    residual, rows = _residual(problem, control)
    cost = np.inf  # the centre line need not be inside the bounds: any first step is accepted
    radius_m = problem.radius_m
    for _ in range(MAX_ITERATIONS):
        solution = best_step(problem, rows.T @ rows + damping, rows.T @ residual, control, radius_m)
        if solution is None:
            break
        trial_residual, trial_rows = _residual(problem, solution)
        trial_cost = trial_residual @ trial_residual
        if trial_cost > cost:
            radius_m *= 0.3
            continue
        gain = cost - trial_cost
        control, cost, residual, rows = solution, trial_cost, trial_residual, trial_rows
        if gain < TOLERANCE * cost:
            break
    return control
