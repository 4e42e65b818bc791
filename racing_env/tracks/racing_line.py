"""Racing line: where on the track a lap of the speed profile takes least time.

It begins as the minimum-curvature line. Each iteration moves it by a quadratic program: the
gradient is that of the lap time, the Hessian that of a weighted squared curvature, whose weights
have the lap time's own gradient by the curvature where the tyres limit the speed. A profile knows
nothing of how fast a car can change its lateral acceleration, so such changes have a price.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter1d

from racing_env.car.profile_gradient import lap_time_gradient
from racing_env.car.scales import scales_of
from racing_env.car.speed_profile import speed_profile
from racing_env.car.vehicle import GRAVITY_MPS2, Vehicle
from racing_env.tracks.geometry import Track
from racing_env.tracks.line_geometry import Linearised, line_geometry, linearise
from racing_env.tracks.minimum_curvature import (
    LineProblem,
    best_step,
    line_problem,
    minimum_curvature_line,
)

# With a dimension: for the reference car; another's are scaled.
BUILD_UP_S = 1.0  # for the grip's lateral acceleration, see `_price_of_changes`
MAX_ITERATIONS = 12
TOLERANCE = 1e-3  # relative improvement that ends the iteration
SMOOTHING_STATIONS = 4.0  # of the gradient: the slowest station of a bend stands for those about it
WEIGHT_EVERYWHERE = 0.3  # of squared curvature, over its mean weight
STRAIGHT_RADPM = 1e-3  # curvature below which a weight would grow without bound
FULL_LOCK_SHARE = 0.8  # of the curvature at full lock: the rest is for slip and for errors
STIFFNESS = 10.0  # factor on the Hessian in the first iteration


class _Line(NamedTuple):
    """A line and what the next is found from."""

    control: np.ndarray  # (size,)
    lap_time_s: float  # of its profile
    cost: float  # lap time and price of changes [s]
    gradient: np.ndarray  # (size,) of the cost
    kappa_radpm: np.ndarray  # (n,)
    kappa_by_control: sparse.csc_matrix  # (n, size)
    weights: np.ndarray  # (n,) of squared curvature [s m^2]


def racing_line(track: Track, vehicle: Vehicle, margin_m: float) -> np.ndarray:
    """Lateral offset (n,) [m] of the racing line from the centre line, positive to the left.

    Everywhere within `offset_bounds`: the car's side stays `margin_m` inside both borders. Its lap
    is never slower than that of the minimum-curvature line.
    """
    problem = line_problem(track, vehicle, margin_m)
    control = minimum_curvature_line(problem)
    prices = _price_of_changes(problem, control, vehicle)
    line = best = _line(problem, control, prices, vehicle)
    tightest = FULL_LOCK_SHARE * math.tan(vehicle.steering_max_rad) / vehicle.wheelbase_m
    tightest = max(tightest, np.abs(line.kappa_radpm).max())
    damping = problem.damping * line.weights.mean() * sparse.identity(len(control))
    stiffness = STIFFNESS
    for _ in range(MAX_ITERATIONS):
        weights = sparse.diags(stiffness * line.weights) + prices
        hessian = line.kappa_by_control.T @ (weights @ line.kappa_by_control) + damping
        solution = best_step(
            problem, hessian, line.gradient, line.control, problem.radius_m,
            _curvature_limits(line, tightest),
        )  # fmt: skip
        if solution is None:
            break
        step = solution - line.control
        expected = -(line.gradient @ step + 0.5 * step @ (hessian @ step))
        trial = _line(problem, solution, prices, vehicle)
        gain = line.cost - trial.cost
        too_tight = np.abs(trial.kappa_radpm).max() > 1.001 * tightest
        if gain < 0.1 * expected or too_tight:
            stiffness *= 3.0
            continue
        if gain > 0.7 * expected:
            stiffness /= 2.0
        elif gain < 0.25 * expected:
            stiffness *= 2.0
        line = trial
        best = min(best, line, key=lambda line: line.lap_time_s)
        if gain < TOLERANCE * line.cost:
            break
    return problem.within_bounds(best.control)


def _curvature_limits(
    line: _Line, tightest_radpm: float
) -> tuple[sparse.csc_matrix, np.ndarray, np.ndarray]:
    """For `best_step`: curvature at most the tightest, where the line comes near to that."""
    near = np.flatnonzero(np.abs(line.kappa_radpm) > 0.5 * tightest_radpm)
    rows = line.kappa_by_control[near]
    constant = line.kappa_radpm[near] - rows @ line.control
    limit = np.maximum(tightest_radpm, np.abs(line.kappa_radpm[near]))
    return rows, -limit - constant, limit - constant


def _price_of_changes(
    problem: LineProblem, control: np.ndarray, vehicle: Vehicle
) -> sparse.csc_matrix:
    """Q (n, n) for which kappa' Q kappa / 2 is the price [s] of changes of lateral acceleration.

    With b the build-up time over the grip, times d(kappa v^2)/dt at the speeds v of the profile on
    the line of these control points, it is the integral of b^2 over time. Where borders force that
    line to change faster than the grip in the build-up time, the price grows with b alone.
    """
    line = line_geometry(problem.track, problem.within_bounds(control))
    speed = speed_profile(line.kappa_radpm, line.step_m, vehicle)
    scales = scales_of(vehicle)
    time_s = BUILD_UP_S * scales.time
    per_change = time_s * speed**3 / (scales.acceleration * GRAVITY_MPS2 * line.step_m)
    build_up = per_change * (np.roll(line.kappa_radpm, -1) - line.kappa_radpm)
    prices = 2.0 * per_change**2 * line.step_m / speed / np.hypot(1.0, build_up)
    n = len(speed)
    changes = sparse.csr_matrix((np.ones(n), (np.arange(n), np.roll(np.arange(n), -1))))
    changes = changes - sparse.identity(n)
    return sparse.csc_matrix(changes.T @ sparse.diags(prices) @ changes)


def _line(
    problem: LineProblem, control: np.ndarray, prices: sparse.csc_matrix, vehicle: Vehicle
) -> _Line:
    geometry = line_geometry(problem.track, problem.within_bounds(control))
    lap = lap_time_gradient(geometry.kappa_radpm, geometry.step_m, vehicle)
    line = linearise(problem.track, problem.spline, control)
    by_kappa = gaussian_filter1d(lap.by_curvature, SMOOTHING_STATIONS, mode="wrap")
    by_stretch = 0.5 * problem.track.step_m * (lap.by_step + np.roll(lap.by_step, 1))
    change = prices @ line.kappa_radpm
    kappa_by_control = problem.spline.matrix(line.kappa_rows)
    stretch_by_control = problem.spline.matrix(line.stretch_rows)
    return _Line(
        control,
        lap.lap_time_s,
        lap.lap_time_s + 0.5 * float(line.kappa_radpm @ change),
        kappa_by_control.T @ (by_kappa + change) + stretch_by_control.T @ by_stretch,
        line.kappa_radpm,
        kappa_by_control,
        _weights(line, by_kappa, scales_of(vehicle).curvature),
    )


def _weights(line: Linearised, by_kappa: np.ndarray, curvature_scale: float) -> np.ndarray:
    """Weights w (n,) for which w kappa is the gradient, and some weight where there is none."""
    kappa = line.kappa_radpm
    own = np.maximum(by_kappa * np.sign(kappa), 0.0)
    own = own / np.maximum(np.abs(kappa), STRAIGHT_RADPM * curvature_scale)
    mean = np.abs(by_kappa @ kappa) / (kappa**2 @ line.stretch)
    return (own + WEIGHT_EVERYWHERE * mean * line.stretch) / (1.0 + WEIGHT_EVERYWHERE)
