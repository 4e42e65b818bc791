"""Tracks of simple shapes, and points beside their centre lines."""

import numpy as np

from racing_env.car.scales import REFERENCE
from racing_env.tracks.geometry import Track, track_from_centre_line


def star(radius_m: float, depth: float, lobes: int, right_m: float, left_m: float) -> Track:
    """A wavy ring: r = radius (1 + depth cos(lobes angle))."""
    angle = np.linspace(0.0, 2.0 * np.pi, 300, endpoint=False)
    radius = radius_m * (1.0 + depth * np.cos(lobes * angle))
    widths = np.full(angle.size, right_m), np.full(angle.size, left_m)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return track_from_centre_line("star", x, y, *widths, REFERENCE)


def ring() -> Track:
    """One that the racecar laps in a dozen seconds."""
    return star(30.0, 0.1, 3, 5.0, 5.0)


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
