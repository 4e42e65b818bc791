import numpy as np
import pytest
from cars import RACECAR

from racing_env.car import dynamics as dyn
from racing_env.drawing.camera import Camera, camera_above, camera_behind
from racing_env.tracks.generator import built_in_track


def test_camera_maps_there_and_back():
    camera = Camera(np.array([100.0, -20.0]), 0.7, 8.0, (480.0, 400.0))
    points = np.random.default_rng(0).uniform(-200, 200, (50, 2))
    np.testing.assert_allclose(camera.ground(camera(points)), points, atol=1e-9)
    ahead = np.array([100.0 + 10.0 * np.cos(0.7), -20.0 + 10.0 * np.sin(0.7)])
    np.testing.assert_allclose(camera(ahead), [480.0, 320.0], atol=1e-9)
    left = np.array([100.0 - 10.0 * np.sin(0.7), -20.0 + 10.0 * np.cos(0.7)])
    np.testing.assert_allclose(camera(left), [400.0, 400.0], atol=1e-9)


def test_the_camera_behind_looks_along_the_track_from_higher_up_at_speed():
    track = built_in_track("club", RACECAR)
    station = 40
    state = np.zeros(dyn.STATE_SIZE)
    state[[dyn.X, dyn.Y]] = track.x_m[station], track.y_m[station]
    slow = camera_behind(state, station * track.step_m, track, (960, 540), 1.0, RACECAR)
    ahead = slow(np.array([track.x_m[station + 20], track.y_m[station + 20]]))
    assert ahead[1] < slow.anchor[1] - 100.0  # up on the picture
    state[dyn.VX] = 70.0
    fast = camera_behind(state, station * track.step_m, track, (960, 540), 1.0, RACECAR)
    assert fast.px_per_m == pytest.approx(0.5 * slow.px_per_m)


def test_the_heading_is_blended_across_the_end_of_the_lap():
    track = built_in_track("oval", RACECAR)
    state = np.zeros(dyn.STATE_SIZE)
    headings = [
        camera_behind(state, s_m, track, (960, 540), 1.0, RACECAR).forward_rad
        for s_m in track.length_m + np.array([-0.75, -0.5, -0.25, 0.0]) * track.step_m
    ]
    assert np.abs(np.diff(np.unwrap(headings))).max() < 0.01


def test_the_camera_above_fits_all_points_into_its_rectangle():
    points = np.random.default_rng(1).uniform(-800, 500, (40, 2))
    corner, size = np.array([100.0, 20.0]), np.array([400.0, 300.0])
    pixels = camera_above(points, corner, size)(points)
    assert (pixels >= corner - 1e-6).all() and (pixels <= corner + size + 1e-6).all()
    assert np.ptp(pixels, axis=0) == pytest.approx(size, rel=0.5)
