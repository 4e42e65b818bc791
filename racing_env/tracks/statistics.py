"""Figures by which generated circuits are held against real ones."""

import numpy as np

from racing_env.tracks.circuit_kind import CircuitKind
from racing_env.tracks.geometry import Track


def track_statistics(track: Track, nearly_straight_radpm: float) -> dict[str, float]:
    """Figures of a circuit, in SI units; curvature below the one given counts as none."""
    kappa = np.abs(track.kappa_radpm)
    width = track.width_left_m + track.width_right_m
    turning = np.abs(np.sum(track.kappa_radpm)) * track.step_m
    inside = np.where(track.kappa_radpm > 0.0, track.width_left_m, track.width_right_m)
    return {
        "length_m": track.length_m,
        "width_mean_m": float(width.mean()),
        "width_min_m": float(width.min()),
        "width_max_m": float(width.max()),
        "straight_share": float(np.mean(kappa < nearly_straight_radpm)),
        "radius_min_m": float(1.0 / kappa.max()),
        "inside_radius_m": float(np.min(1.0 / np.maximum(kappa, 1e-9) - inside)),
        "kappa_99_radpm": float(np.quantile(kappa, 0.99)),
        "longest_straight_m": longest_run(kappa < nearly_straight_radpm)[1] * track.step_m,
        "turning_per_lap": float(np.sum(kappa) * track.step_m / max(turning, 1e-9)),
        "corners": float(_corner_count(track, nearly_straight_radpm)),
        "width_change_pm": float(np.abs(np.diff(width)).mean() / track.step_m),
    }


def looks_real(track: Track, kind: CircuitKind) -> bool:
    """Whether a circuit is like the real ones of its kind."""
    statistics = track_statistics(track, kind.nearly_straight_radpm)
    bounds = {
        "length_m": kind.length_m,
        "width_mean_m": kind.mean_width_m,
        "straight_share": kind.straight_share,
        "radius_min_m": kind.tightest_m,
        "inside_radius_m": (kind.inside_m, np.inf),
        "kappa_99_radpm": kind.curvature_99_radpm,
        "longest_straight_m": (0.0, kind.longest_straight_m),
    }
    return all(low <= statistics[key] <= high for key, (low, high) in bounds.items())


def _corner_count(track: Track, nearly_straight_radpm: float) -> int:
    curved = np.abs(track.kappa_radpm) > nearly_straight_radpm
    side = np.where(curved, np.sign(track.kappa_radpm), 0.0)
    return int(np.sum((side != np.roll(side, 1)) & (side != 0.0)))


def longest_run(flags: np.ndarray) -> tuple[int, int]:
    """First index and length of the longest run of True in a periodic array."""
    if flags.all():
        return 0, flags.size
    breaks = np.flatnonzero(~flags)
    runs = np.diff(np.append(breaks, breaks[0] + flags.size)) - 1
    longest = int(np.argmax(runs))
    return int(breaks[longest]) + 1, int(runs[longest])
