"""A closed race track: smooth geometry by arc length."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from racing_env.car.scales import Scales

TRACK_ARRAYS = ("x_m", "y_m", "psi_rad", "kappa_radpm", "width_right_m", "width_left_m")

# For the reference car; another's are scaled with its length.
STATION_M = 1.0  # about what stations are apart
SMOOTHING_WAVELENGTH_M = 25.0  # ripples of this length are halved, shorter ones vanish


@dataclass(frozen=True, eq=False)
class Track:
    """A closed circuit, sampled uniformly by arc length of its smoothed centre line.

    Station i lies at `i * step_m`; the last is not repeated. All arrays are float64, shape (n,).
    `psi_rad` is the heading of the tangent, unwrapped; `kappa_radpm` is positive to the left; the
    left normal is (-sin psi, cos psi).
    """

    name: str
    step_m: float
    x_m: np.ndarray
    y_m: np.ndarray
    psi_rad: np.ndarray
    kappa_radpm: np.ndarray
    width_right_m: np.ndarray
    width_left_m: np.ndarray

    @property
    def length_m(self) -> float:
        return self.x_m.size * self.step_m


def track_from_centre_line(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    width_right: np.ndarray,
    width_left: np.ndarray,
    scales: Scales,
) -> Track:
    """Track from points of a closed centre line, shape (n,) each, in metres, n >= 3.

    scales: of the car that is to drive there, for which stations are laid and the line is smoothed.

    The points are joined by a periodic cubic spline, which is then smoothed: measured centre lines
    have ripples of centimetres whose curvature a car would have to brake for. The widths take up
    the smoothing offset, so that the borders stay where the points put them.
    """
    points = np.column_stack([x, y]).astype(float)
    chord = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    knots = np.concatenate([[0.0], np.cumsum(chord)])
    station_m = STATION_M * scales.length
    n = max(round(knots[-1] / station_m), 16)
    t = np.arange(n) * (knots[-1] / n)
    raw = CubicSpline(knots, _closed(points), bc_type="periodic")(t)
    smooth = CubicSpline(
        np.append(t, knots[-1]),
        _closed(_low_pass(raw, t[1], SMOOTHING_WAVELENGTH_M * scales.length)),
        bc_type="periodic",
    )
    tangent = smooth(t, 1)
    speed = np.linalg.norm(tangent, axis=1)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / speed[:, None]
    offset = np.sum((smooth(t) - raw) * normal, axis=1)
    right = np.interp(t, knots, _closed(width_right)) + offset
    left = np.interp(t, knots, _closed(width_left)) - offset

    middle_speed = np.linalg.norm(smooth(t + 0.5 * t[1], 1), axis=1)
    arc = np.cumsum((speed + 4.0 * middle_speed + np.roll(speed, -1)) * t[1] / 6.0)  # Simpson
    arc = np.concatenate([[0.0], arc])
    n = max(round(arc[-1] / station_m), 16)
    s = np.arange(n) * (arc[-1] / n)
    t_at_s = CubicSpline(arc, np.append(t, knots[-1]))(s)
    (x_m, y_m), (dx, dy), (ddx, ddy) = (smooth(t_at_s, order).T for order in range(3))
    return Track(
        name=name,
        step_m=float(arc[-1] / n),
        x_m=np.ascontiguousarray(x_m),
        y_m=np.ascontiguousarray(y_m),
        psi_rad=np.unwrap(np.arctan2(dy, dx)),
        kappa_radpm=(dx * ddy - dy * ddx) / np.hypot(dx, dy) ** 3,
        width_right_m=np.interp(s, arc, _closed(right)),
        width_left_m=np.interp(s, arc, _closed(left)),
    )


def _closed(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, values[:1]])


def _low_pass(points: np.ndarray, step_m: float, wavelength_m: float) -> np.ndarray:
    """Periodic smoothing spline that penalises the third derivative, for uniformly spaced points.

    On a closed, uniformly sampled curve it is diagonal in the Fourier basis: Eilers, "A perfect
    smoother", Analytical Chemistry, 2003.
    """
    waves_per_m = np.fft.rfftfreq(points.shape[0], d=step_m)
    gain = 1.0 / (1.0 + (wavelength_m * waves_per_m) ** 6)
    return np.fft.irfft(np.fft.rfft(points, axis=0) * gain[:, None], n=points.shape[0], axis=0)


def borders(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Points of the right and of the left border, shape (n, 2) each, in metres."""
    centre = np.column_stack([track.x_m, track.y_m])
    normal = np.column_stack([-np.sin(track.psi_rad), np.cos(track.psi_rad)])
    right = centre - track.width_right_m[:, None] * normal
    return right, centre + track.width_left_m[:, None] * normal


def mirror_track(track: Track) -> Track:
    """The same circuit seen in a mirror: every left-hand corner becomes a right-hand one."""
    return replace(
        track,
        name=f"{track.name}-mirrored",
        y_m=-track.y_m,
        psi_rad=-track.psi_rad,
        kappa_radpm=-track.kappa_radpm,
        width_right_m=track.width_left_m.copy(),
        width_left_m=track.width_right_m.copy(),
    )


def scaled_track(track: Track, factor: float) -> Track:
    """The same circuit, so many times as large."""
    lengths = ("step_m", "x_m", "y_m", "width_right_m", "width_left_m")
    larger: dict[str, Any] = {name: factor * getattr(track, name) for name in lengths}
    return replace(track, **larger, kappa_radpm=track.kappa_radpm / factor)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
