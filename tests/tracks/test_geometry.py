"""Track geometry against closed forms."""

import numpy as np
import pytest
from cars import RACECAR, scaled
from crossings import crossing
from shapes import assert_same_track, circle_track, distance_to_polyline, eight_track

from racing_env.car.scales import REFERENCE, scales_of
from racing_env.tracks.generator import generate_track
from racing_env.tracks.geometry import (
    borders,
    mirror_track,
    scaled_track,
    track_from_centre_line,
)


def circle(radius_m: float = 100.0, n: int = 126) -> tuple[np.ndarray, ...]:
    angle = np.arange(n) * (2 * np.pi / n)
    x, y = radius_m * np.cos(angle), radius_m * np.sin(angle)
    return x, y, np.full(n, 5.0), np.full(n, 7.0)


def test_circle_has_its_closed_form():
    track = track_from_centre_line("circle", *circle(), REFERENCE)
    assert track.length_m == pytest.approx(2 * np.pi * 100, rel=1e-4)
    assert track.step_m == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(track.kappa_radpm, 0.01, rtol=1e-3)
    np.testing.assert_allclose(np.diff(track.psi_rad), 0.01 * track.step_m, rtol=1e-3)
    np.testing.assert_allclose(track.width_right_m, 5.0, atol=0.01)
    np.testing.assert_allclose(track.width_left_m, 7.0, atol=0.01)
    right, left = borders(track)
    np.testing.assert_allclose(np.hypot(*right.T), 105.0, atol=0.01)
    np.testing.assert_allclose(np.hypot(*left.T), 93.0, atol=0.01)


def test_curvature_matches_the_turning_of_a_circle_driven_clockwise():
    x, y, right, left = circle()
    track = track_from_centre_line("circle", x, -y, right, left, REFERENCE)
    np.testing.assert_allclose(track.kappa_radpm, -0.01, rtol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_geometry_is_consistent(seed):
    track = generate_track(seed, RACECAR)
    gap = np.hypot(np.roll(track.x_m, -1) - track.x_m, np.roll(track.y_m, -1) - track.y_m)
    np.testing.assert_allclose(gap, track.step_m, rtol=0.01)
    heading = np.arctan2(
        np.roll(track.y_m, -1) - np.roll(track.y_m, 1),
        np.roll(track.x_m, -1) - np.roll(track.x_m, 1),
    )
    assert np.abs((heading - track.psi_rad + np.pi) % (2 * np.pi) - np.pi).max() < 0.02
    turning = np.sum(track.kappa_radpm) * track.step_m
    assert abs(turning) == pytest.approx(2 * np.pi, abs=0.01)
    np.testing.assert_allclose(
        np.diff(track.psi_rad),
        0.5 * (track.kappa_radpm[1:] + track.kappa_radpm[:-1]) * track.step_m,
        atol=2e-3,
    )


def test_smoothing_removes_ripple_and_moves_no_border():
    """Ripples of a decimetre: the curvature they cause goes, the borders stay where they were."""
    rng = np.random.default_rng(1)
    clean = generate_track(3, RACECAR)
    at = np.arange(0, clean.x_m.size, 5)
    ripple = 0.1 * rng.normal(size=at.size)
    x = clean.x_m[at] - ripple * np.sin(clean.psi_rad[at])
    y = clean.y_m[at] + ripple * np.cos(clean.psi_rad[at])
    right, left = clean.width_right_m[at] + ripple, clean.width_left_m[at] - ripple
    track = track_from_centre_line("rippled", x, y, right, left, REFERENCE)

    raw = np.gradient(np.gradient(ripple, 5.0), 5.0)
    straight = np.abs(clean.kappa_radpm) < 1e-3
    assert track.kappa_radpm[: straight.size][straight[: track.x_m.size]].std() < raw.std()
    for border, expected in zip(borders(track), borders(clean), strict=True):
        gentle = np.abs(clean.kappa_radpm) < 0.02  # where the border is a smooth curve as well
        distance = distance_to_polyline(expected[gentle], border)
        assert np.quantile(distance, 0.99) < 0.1
        assert distance.max() < 0.3


def test_smoothing_keeps_close_to_the_points():
    x, y, right, left = circle(radius_m=12.0, n=15)  # a hairpin's radius
    track = track_from_centre_line("tight", x, y, right, left, REFERENCE)
    assert np.abs(np.hypot(track.x_m, track.y_m) - 12.0).max() < 0.1


def test_mirror_swaps_left_and_right():
    track = generate_track(5, RACECAR)
    mirrored = mirror_track(track)
    np.testing.assert_array_equal(mirrored.kappa_radpm, -track.kappa_radpm)
    np.testing.assert_array_equal(mirrored.width_left_m, track.width_right_m)
    right, left = borders(track)
    mirrored_right, mirrored_left = borders(mirrored)
    np.testing.assert_allclose(mirrored_right, left * [1, -1], atol=1e-9)
    np.testing.assert_allclose(mirrored_left, right * [1, -1], atol=1e-9)
    assert_same_track(mirror_track(mirrored), track)


def test_crossing_finds_nothing_on_a_circle_and_one_on_an_eight():
    assert crossing(circle_track()) is None
    track = eight_track()
    found = crossing(track)
    assert found is not None
    assert np.hypot(track.x_m[list(found)], track.y_m[list(found)]).max() < 2.0


@pytest.mark.parametrize("size", [0.25, 0.1])
def test_a_smaller_car_s_track_is_the_track_made_smaller(size):
    """Stations and smoothing go with the car."""
    model = scales_of(scaled(RACECAR, size))
    x, y, right, left = circle()
    x = x * (1.0 + 0.1 * np.sin(7.0 * np.arange(x.size)))  # something to smooth
    ours = track_from_centre_line("track", x, y, right, left, REFERENCE)
    theirs = track_from_centre_line("track", *(size * v for v in (x, y, right, left)), model)
    assert theirs.step_m == pytest.approx(size * ours.step_m)
    assert_same_track(scaled_track(theirs, 1.0 / size), ours, tolerance=1e-7)


def test_a_scaled_track_is_the_same_shape():
    track = circle_track()
    small = scaled_track(track, 0.1)
    assert small.length_m == pytest.approx(0.1 * track.length_m)
    np.testing.assert_allclose(borders(small), np.multiply(0.1, borders(track)))
    np.testing.assert_array_equal(small.psi_rad, track.psi_rad)
    assert_same_track(scaled_track(small, 10.0), track)
