"""The racing line: faster than the least curved, inside the track, symmetric, smooth."""

import numpy as np
import pytest
from cars import RACECAR, scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from simple_tracks import rounded_square, star

from racing_env.car.speed_profile import profile_time, speed_profile
from racing_env.tracks.generator import generate_track
from racing_env.tracks.geometry import Track, mirror_track, scaled_track
from racing_env.tracks.line_geometry import line_geometry, offset_bounds
from racing_env.tracks.minimum_curvature import line_problem, minimum_curvature_line
from racing_env.tracks.racing_line import racing_line

MARGIN_M = 0.1


def least_curved(track: Track) -> np.ndarray:
    problem = line_problem(track, RACECAR, MARGIN_M)
    return problem.within_bounds(minimum_curvature_line(problem))


def lap_time_s(track: Track, offset_m: np.ndarray) -> float:
    line = line_geometry(track, offset_m)
    speed = speed_profile(line.kappa_radpm, line.step_m, RACECAR)
    return float(profile_time(speed, line.step_m)[-1])


def sharpest_change(track: Track, offset_m: np.ndarray) -> float:
    """Of lateral acceleration on the speed profile [m/s^3]."""
    line = line_geometry(track, offset_m)
    speed = speed_profile(line.kappa_radpm, line.step_m, RACECAR)
    change = np.roll(line.kappa_radpm, -1) - line.kappa_radpm
    return float(np.max(np.abs(change) / line.step_m * speed**3))


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_a_lap_is_faster_than_on_the_least_curved_line(seed: int) -> None:
    track = generate_track(seed, RACECAR)
    ours, least = racing_line(track, RACECAR, MARGIN_M), least_curved(track)
    assert 0.95 < lap_time_s(track, ours) / lap_time_s(track, least) < 0.9995
    assert sharpest_change(track, ours) < 1.5 * sharpest_change(track, least)


@settings(max_examples=15, deadline=None)
@given(
    depth=st.floats(0.0, 0.25),
    lobes=st.integers(1, 5),
    half_width_m=st.floats(1.05, 10.0),
)
def test_a_lap_is_never_slower(depth: float, lobes: int, half_width_m: float) -> None:
    track = star(100.0, depth, lobes, half_width_m, half_width_m)
    faster = lap_time_s(track, racing_line(track, RACECAR, MARGIN_M))
    assert faster <= lap_time_s(track, least_curved(track)) * (1.0 + 1e-9)


@pytest.mark.parametrize("size", [0.25, 0.1])
def test_a_scaled_track_has_the_scaled_line(size: float) -> None:
    """No number is for one car only: within what the iterations make of rounding."""
    track = star(150.0, 0.15, 3, 7.0, 5.0)
    offset = racing_line(track, RACECAR, MARGIN_M)
    small = racing_line(scaled_track(track, size), scaled(RACECAR, size), size * MARGIN_M)
    np.testing.assert_allclose(small, size * offset, atol=0.05 * size)


def test_the_same_line_every_time() -> None:
    track = star(150.0, 0.15, 3, 7.0, 5.0)
    once, again = (racing_line(track, RACECAR, MARGIN_M) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_curvature_of_the_line_is_smooth() -> None:
    track = rounded_square(150.0, 30.0, 12.0)
    line = line_geometry(track, racing_line(track, RACECAR, MARGIN_M))
    jump = np.abs(np.diff(line.kappa_radpm, 2))
    assert jump.max() < 0.1 * np.abs(line.kappa_radpm).max()


def test_mirrored_track_has_the_mirrored_line() -> None:
    track = star(150.0, 0.15, 3, 7.0, 5.0)
    offset = racing_line(track, RACECAR, MARGIN_M)
    mirrored = racing_line(mirror_track(track), RACECAR, MARGIN_M)
    np.testing.assert_allclose(mirrored, -offset, atol=0.05)


@settings(max_examples=25, deadline=None)
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
    offset = racing_line(track, RACECAR, margin_m)
    lower, upper = offset_bounds(track, RACECAR, margin_m)
    assert np.all(lower <= upper)
    assert np.all((lower <= offset) & (offset <= upper))
    assert np.all(upper <= track.width_left_m - 1.0 + 1e-12)
    assert np.all(lower >= 1.0 - track.width_right_m - 1e-12)
