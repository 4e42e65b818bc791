"""Lines beside a centre line: their geometry, and how it changes with their control points."""

import numpy as np
import pytest
from cars import RACECAR
from simple_tracks import points, star

from racing_env.tracks.line_geometry import line_geometry, linearise
from racing_env.tracks.minimum_curvature import line_problem
from racing_env.tracks.racing_line import racing_line

MARGIN_M = 0.1


def test_geometry_agrees_with_the_points_of_the_line() -> None:
    track = star(120.0, 0.2, 4, 7.0, 5.0)
    offset = racing_line(track, RACECAR, MARGIN_M)
    line = line_geometry(track, offset)
    chord = np.roll(points(track, offset), -1, axis=0) - points(track, offset)
    length = np.hypot(*chord.T)
    heading = np.unwrap(np.arctan2(chord[:, 1], chord[:, 0]))
    np.testing.assert_allclose(line.step_m, length, rtol=2e-3)
    np.testing.assert_allclose(
        line.kappa_radpm[1:], np.diff(heading) / (0.5 * (length[1:] + length[:-1])), atol=1.5e-3
    )
    middle = track.psi_rad + line.heading_rad
    np.testing.assert_allclose(heading[1:-1], 0.5 * (middle[1:-1] + middle[2:]), atol=2e-3)


def test_a_closed_line_turns_once() -> None:
    track = star(120.0, 0.2, 3, 6.0, 6.0)
    line = line_geometry(track, racing_line(track, RACECAR, MARGIN_M))
    assert np.sum(line.kappa_radpm * line.step_m) == pytest.approx(2.0 * np.pi, rel=1e-3)


def test_derivatives_are_those_of_the_geometry() -> None:
    track = star(120.0, 0.2, 3, 6.0, 6.0)
    problem = line_problem(track, RACECAR, MARGIN_M)
    rng = np.random.default_rng(0)
    control, change = rng.normal(0.0, 0.3, (2, problem.spline.size))
    line = linearise(track, problem.spline, control)
    low, high = (
        linearise(track, problem.spline, control + shift * change) for shift in (-1e-5, 1e-5)
    )
    for quantity, rows in (("kappa_radpm", line.kappa_rows), ("stretch", line.stretch_rows)):
        slope = (getattr(high, quantity) - getattr(low, quantity)) / 2e-5
        found = problem.spline.matrix(rows) @ change
        np.testing.assert_allclose(found, slope, atol=1e-6 * np.abs(slope).max())


def test_two_ways_to_the_curvature_agree() -> None:
    track = star(120.0, 0.2, 3, 6.0, 6.0)
    problem = line_problem(track, RACECAR, MARGIN_M)
    smooth = np.cos(np.linspace(0.0, 8.0 * np.pi, problem.spline.size, endpoint=False))
    line = linearise(track, problem.spline, smooth)
    geometry = line_geometry(track, problem.offsets_of @ smooth)
    np.testing.assert_allclose(line.kappa_radpm, geometry.kappa_radpm, atol=1e-5)
    by_step = 0.5 * track.step_m * (line.stretch + np.roll(line.stretch, -1))
    np.testing.assert_allclose(by_step, geometry.step_m, rtol=1e-5)
