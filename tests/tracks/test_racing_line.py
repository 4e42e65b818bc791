"""The racing line: inside the track, symmetric, less curved than the centre line, smooth."""

import numpy as np
import pytest
from cars import RACECAR
from hypothesis import given, settings
from hypothesis import strategies as st

from racing_env.car.scales import REFERENCE
from racing_env.tracks.geometry import Track, mirror_track, track_from_centre_line
from racing_env.tracks.racing_line import line_geometry, minimum_curvature_line, offset_bounds

MARGIN_M = 0.1


def star(radius_m: float, depth: float, lobes: int, right_m: float, left_m: float) -> Track:
    """A wavy ring: r = radius (1 + depth cos(lobes angle))."""
    angle = np.linspace(0.0, 2.0 * np.pi, 300, endpoint=False)
    radius = radius_m * (1.0 + depth * np.cos(lobes * angle))
    widths = np.full(angle.size, right_m), np.full(angle.size, left_m)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return track_from_centre_line("star", x, y, *widths, REFERENCE)


def rounded_square(straight_m: float, radius_m: float, width_m: float) -> Track:
    """Four straights joined by four left-hand quarter circles; the first corner is at the start."""
    turn = np.linspace(0.0, 0.5 * np.pi, 12, endpoint=False)
    corner = radius_m * np.stack([np.sin(turn) - 1.0, -np.cos(turn)], axis=1)
    along = np.linspace(0.0, straight_m, max(2, round(straight_m / 5.0)), endpoint=False)
    straight = np.stack([np.zeros(along.size), along], axis=1)
    shift = np.array([0.5 * straight_m + radius_m, -0.5 * straight_m])
    side = np.concatenate([corner, straight]) + shift
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])  # anti-clockwise
    x, y = np.concatenate([side @ np.linalg.matrix_power(quarter, k).T for k in range(4)]).T
    half = np.full(x.size, 0.5 * width_m)
    return track_from_centre_line("square", x, y, half, half, REFERENCE)


def points(track: Track, offset_m: np.ndarray) -> np.ndarray:
    return np.stack(
        [
            track.x_m - offset_m * np.sin(track.psi_rad),
            track.y_m + offset_m * np.cos(track.psi_rad),
        ],
        axis=1,
    )


def bending(track: Track, offset_m: np.ndarray) -> float:
    line = line_geometry(track, offset_m)
    return float(np.sum(line.kappa_radpm**2 * line.step_m))


def test_circle_is_driven_on_its_outer_border() -> None:
    track = star(100.0, 0.0, 1, 6.0, 4.0)
    offset = minimum_curvature_line(track, RACECAR, margin_m=0.2)
    np.testing.assert_allclose(offset, -(6.0 - 1.0 - 0.2), atol=0.02)
    line = line_geometry(track, offset)
    np.testing.assert_allclose(line.kappa_radpm, 1.0 / 104.8, rtol=1e-3)
    np.testing.assert_allclose(line.heading_rad, 0.0, atol=1e-3)


def test_corner_is_taken_outside_apex_outside() -> None:
    track = rounded_square(200.0, 20.0, 12.0)
    offset = minimum_curvature_line(track, RACECAR, margin_m=0.1)
    apex = int(np.argmin(np.abs(np.unwrap(track.psi_rad) - track.psi_rad[0] - 0.75 * np.pi)))
    assert offset[apex] > 4.5  # inside border of a left-hand corner
    assert offset[apex - 100 : apex].min() < -4.5
    assert offset[apex : apex + 100].min() < -4.5
    assert bending(track, offset) < 0.5 * bending(track, np.zeros(offset.size))


def test_no_small_change_of_the_line_bends_less() -> None:
    track = star(150.0, 0.15, 3, 6.0, 6.0)
    offset = minimum_curvature_line(track, RACECAR, MARGIN_M)
    lower, upper = offset_bounds(track, RACECAR, MARGIN_M)
    best = bending(track, offset)
    phase = 2.0 * np.pi * np.arange(offset.size) / offset.size
    for waves in (1, 2, 3, 5, 9, 12):
        for shift in (0.0, 1.0, 2.0, 3.0):
            changed = np.clip(offset + 0.1 * np.cos(waves * phase + shift), lower, upper)
            assert bending(track, changed) > 0.998 * best


def test_geometry_agrees_with_the_points_of_the_line() -> None:
    track = star(120.0, 0.2, 4, 7.0, 5.0)
    offset = minimum_curvature_line(track, RACECAR, MARGIN_M)
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


def test_curvature_of_the_line_is_smooth() -> None:
    track = rounded_square(150.0, 30.0, 12.0)
    line = line_geometry(track, minimum_curvature_line(track, RACECAR, MARGIN_M))
    jump = np.abs(np.diff(line.kappa_radpm, 2))
    assert jump.max() < 0.1 * np.abs(line.kappa_radpm).max()


def test_a_closed_line_turns_once() -> None:
    track = star(120.0, 0.2, 3, 6.0, 6.0)
    line = line_geometry(track, minimum_curvature_line(track, RACECAR, MARGIN_M))
    assert np.sum(line.kappa_radpm * line.step_m) == pytest.approx(2.0 * np.pi, rel=1e-3)


def test_mirrored_track_has_the_mirrored_line() -> None:
    track = star(150.0, 0.15, 3, 7.0, 5.0)
    offset = minimum_curvature_line(track, RACECAR, MARGIN_M)
    mirrored = minimum_curvature_line(mirror_track(track), RACECAR, MARGIN_M)
    np.testing.assert_allclose(mirrored, -offset, atol=0.05)


def test_corner_tighter_than_half_the_width() -> None:
    track = rounded_square(150.0, 6.0, 20.0)
    assert np.max(track.kappa_radpm) * 9.0 > 1.0  # the normals cross inside the border
    offset = minimum_curvature_line(track, RACECAR, MARGIN_M)
    assert np.all(1.0 - track.kappa_radpm * offset >= 0.2 - 1e-9)
    line = line_geometry(track, offset)
    assert np.all(np.isfinite(line.kappa_radpm)) and np.all(line.step_m > 0)


@settings(max_examples=25)
@given(
    depth=st.floats(0.0, 0.25),
    lobes=st.integers(1, 5),
    right_m=st.floats(1.05, 10.0),
    left_m=st.floats(1.05, 10.0),
    margin_m=st.floats(0.0, 1.0),
)
def test_line_keeps_inside_every_track(
    depth: float, lobes: int, right_m: float, left_m: float, margin_m: float
) -> None:
    track = star(100.0, depth, lobes, right_m, left_m)
    offset = minimum_curvature_line(track, RACECAR, margin_m)
    lower, upper = offset_bounds(track, RACECAR, margin_m)
    assert np.all(lower <= upper)
    assert np.all((lower <= offset) & (offset <= upper))
    assert np.all(upper <= track.width_left_m - 1.0 + 1e-12)
    assert np.all(lower >= 1.0 - track.width_right_m - 1e-12)
