"""The minimum-curvature line: less curved than any other, symmetric, inside the track."""

import numpy as np
from cars import RACECAR
from simple_tracks import rounded_square, star

from racing_env.tracks.geometry import Track, mirror_track
from racing_env.tracks.line_geometry import line_geometry, offset_bounds
from racing_env.tracks.minimum_curvature import line_problem, minimum_curvature_line

MARGIN_M = 0.1


def least_curved(track: Track, margin_m: float = MARGIN_M) -> np.ndarray:
    """Its offsets."""
    problem = line_problem(track, RACECAR, margin_m)
    return problem.within_bounds(minimum_curvature_line(problem))


def bending(track: Track, offset_m: np.ndarray) -> float:
    line = line_geometry(track, offset_m)
    return float(np.sum(line.kappa_radpm**2 * line.step_m))


def test_circle_is_driven_on_its_outer_border() -> None:
    track = star(100.0, 0.0, 1, 6.0, 4.0)
    offset = least_curved(track, margin_m=0.2)
    np.testing.assert_allclose(offset, -(6.0 - 1.0 - 0.2), atol=0.02)
    line = line_geometry(track, offset)
    np.testing.assert_allclose(line.kappa_radpm, 1.0 / 104.8, rtol=1e-3)
    np.testing.assert_allclose(line.heading_rad, 0.0, atol=1e-3)


def test_corner_is_taken_outside_apex_outside() -> None:
    track = rounded_square(200.0, 20.0, 12.0)
    offset = least_curved(track, margin_m=0.1)
    apex = int(np.argmin(np.abs(np.unwrap(track.psi_rad) - track.psi_rad[0] - 0.75 * np.pi)))
    assert offset[apex] > 4.5  # inside border of a left-hand corner
    assert offset[apex - 100 : apex].min() < -4.5
    assert offset[apex : apex + 100].min() < -4.5
    assert bending(track, offset) < 0.5 * bending(track, np.zeros(offset.size))


def test_no_small_change_of_the_line_bends_less() -> None:
    track = star(150.0, 0.15, 3, 6.0, 6.0)
    offset = least_curved(track)
    lower, upper = offset_bounds(track, RACECAR, MARGIN_M)
    best = bending(track, offset)
    phase = 2.0 * np.pi * np.arange(offset.size) / offset.size
    for waves in (1, 2, 3, 5, 9, 12):
        for shift in (0.0, 1.0, 2.0, 3.0):
            changed = np.clip(offset + 0.1 * np.cos(waves * phase + shift), lower, upper)
            assert bending(track, changed) > 0.998 * best


def test_mirrored_track_has_the_mirrored_line() -> None:
    track = star(150.0, 0.15, 3, 7.0, 5.0)
    offset = least_curved(track)
    mirrored = least_curved(mirror_track(track))
    np.testing.assert_allclose(mirrored, -offset, atol=0.05)


def test_corner_tighter_than_half_the_width() -> None:
    track = rounded_square(150.0, 6.0, 20.0)
    assert np.max(track.kappa_radpm) * 9.0 > 1.0  # the normals cross inside the border
    offset = least_curved(track)
    assert np.all(1.0 - track.kappa_radpm * offset >= 0.2 - 1e-9)
    line = line_geometry(track, offset)
    assert np.all(np.isfinite(line.kappa_radpm)) and np.all(line.step_m > 0)
