"""From the ground to pixels and back: a camera behind a car, or above the whole circuit."""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.vehicle import Vehicle
from racing_env.tracks.geometry import Track

# that a car at rest is wide; the view widens with speed, to half of it at the car's top speed
CLOSE_PX = 24.0


class Camera(NamedTuple):
    """Maps the ground to pixels: `forward` is up on the picture, `origin` at `anchor`."""

    origin: np.ndarray  # (2,) m
    forward_rad: float
    px_per_m: float
    anchor: tuple[float, float]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Pixels (…, 2) of points (…, 2) in metres."""
        cos, sin = math.cos(self.forward_rad), math.sin(self.forward_rad)
        turn = self.px_per_m * np.array([[sin, -cos], [-cos, -sin]])
        return (points - self.origin) @ turn + np.array(self.anchor)

    def ground(self, pixels: np.ndarray) -> np.ndarray:
        """Points (…, 2) in metres under pixels (…, 2)."""
        cos, sin = math.cos(self.forward_rad), math.sin(self.forward_rad)
        back = np.array([[sin, -cos], [-cos, -sin]]) / self.px_per_m
        return (pixels - np.array(self.anchor)) @ back + self.origin


def camera_behind(
    state: np.ndarray,
    s_m: float,
    track: Track,
    size: tuple[int, int],
    scale: float,
    vehicle: Vehicle,
) -> Camera:
    """Looks along the track at s_m from behind a car, from higher up the faster it goes.

    state: (STATE_SIZE,); size: of the picture in pixels; scale: pixels per pixel of the final one.
    """
    station = s_m / track.step_m
    i, n = int(station) % track.x_m.size, track.x_m.size
    share, ends = station % 1.0, track.psi_rad[[i, (i + 1) % n]]
    speed = max(state[dyn.VX], 0.0)
    cos, sin = ((1.0 - share, share) @ np.column_stack([np.cos(ends), np.sin(ends)])).tolist()
    return Camera(
        origin=state[[dyn.X, dyn.Y]],
        forward_rad=math.atan2(sin, cos),
        px_per_m=scale * CLOSE_PX / vehicle.width_m / (1.0 + speed / vehicle.top_speed_mps),
        anchor=(0.5 * size[0], 0.74 * size[1]),
    )


def camera_above(points: np.ndarray, corner: np.ndarray, size: np.ndarray) -> Camera:
    """North up, all points (n, 2) within the rectangle of pixels of this corner and size."""
    low, high = points.min(axis=0), points.max(axis=0)
    anchor_x, anchor_y = (corner + 0.5 * size).tolist()
    return Camera(
        0.5 * (low + high), 0.5 * math.pi, float(np.min(size / (high - low))), (anchor_x, anchor_y)
    )
