"""Tracks of plain shapes, and how two tracks or lines are compared."""

import numpy as np
from scipy.spatial import cKDTree

from racing_env.car.scales import REFERENCE
from racing_env.tracks.geometry import Track, track_from_centre_line


def circle_track(
    radius_m: float = 100.0, half_width_m: float = 7.0, points: int = 128, turn: float = 1.0
) -> Track:
    """A circle about the origin; turn is 1 to the left, -1 to the right."""
    angle = np.linspace(0.0, 2.0 * np.pi, points, endpoint=False)
    half = np.full(points, half_width_m)
    x, y = radius_m * np.cos(angle), turn * radius_m * np.sin(angle)
    return track_from_centre_line("circle", x, y, half, half, REFERENCE)


def eight_track() -> Track:
    """A figure of eight, which crosses itself at the origin."""
    angle = np.arange(200) * (2 * np.pi / 200) + 0.01
    half = np.full(200, 5.0)
    x, y = 300 * np.sin(angle), 150 * np.sin(2 * angle)
    return track_from_centre_line("eight", x, y, half, half, REFERENCE)


def assert_same_track(a: Track, b: Track, tolerance: float = 1e-9) -> None:
    for field in ("x_m", "y_m", "psi_rad", "kappa_radpm", "width_right_m", "width_left_m"):
        np.testing.assert_allclose(getattr(a, field), getattr(b, field), atol=tolerance)


def distance_to_polyline(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance of each point (n,) to a closed line, to within centimetres."""
    fine = np.linspace(0, 1, 20, endpoint=False)[None, :, None]
    fine = line[:, None] + fine * (np.roll(line, -1, axis=0) - line)[:, None]
    return cKDTree(fine.reshape(-1, 2)).query(points)[0]
