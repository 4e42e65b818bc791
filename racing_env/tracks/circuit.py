"""A circuit: a track with its racing line and speed profile, prepared once and cached on disk."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from racing_env.car.scales import scales_of
from racing_env.car.speed_profile import profile_time, speed_profile
from racing_env.car.vehicle import Vehicle
from racing_env.common.kernel_cache import sources_digest
from racing_env.tracks.array_cache import Arrays, cached_arrays
from racing_env.tracks.geometry import TRACK_ARRAYS, Track, mirror_track
from racing_env.tracks.line_geometry import line_geometry
from racing_env.tracks.racing_line import racing_line

LINE_MARGIN_M = 0.5  # between the border and the car on its line; another's goes with its width
LINE_ARRAYS = (
    "line_offset_m",
    "line_heading_rad",
    "line_kappa_radpm",
    "line_speed_mps",
    "line_time_s",
)


# What decides line and profile of a track, as it was imported.
SOURCES = sources_digest(
    [
        Path(__file__),
        *(
            Path(__file__).with_name(name)
            for name in ("line_geometry.py", "minimum_curvature.py", "racing_line.py")
        ),
        *(Path(__file__).parents[1] / "car").glob("*.py"),
    ]
)


@dataclass(frozen=True, eq=False)
class Circuit:
    """A track and how a car drives it; all arrays (n,), at the stations of the track."""

    track: Track
    vehicle: Vehicle
    line_offset_m: np.ndarray  # lateral offset of the racing line, positive to the left
    line_heading_rad: np.ndarray  # relative to the tangent of the centre line
    line_kappa_radpm: np.ndarray  # curvature of the racing line
    line_speed_mps: np.ndarray  # quasi-steady-state speed profile, no safety factor
    line_time_s: np.ndarray  # when the profile reaches each station, 0 at the first
    lap_time_s: float  # of the profile


def prepare_circuit(track: Track, vehicle: Vehicle, cache_dir: str | Path | None = None) -> Circuit:
    """Racing line and speed profile of a track, from the cache where it has them.

    The cache is keyed by content: track, vehicle, and the sources of line and profile. See
    `cached_arrays`.
    """
    arrays = cached_arrays(
        _content_key(track, vehicle),
        partial(_compute, track, vehicle),
        partial(_is_line, track.x_m.shape),
        cache_dir,
    )
    line = {name: arrays[name] for name in LINE_ARRAYS}
    return Circuit(track, vehicle, **line, lap_time_s=float(arrays["lap_time_s"]))


def circuits_content(circuits: Sequence[Circuit]) -> list[dict[str, Any]]:
    """What circuits are, by content and not by name, to be compared with others.

    weighted_sum: a number to which every value of the track contributes differently.
    """
    return [
        {
            "length_m": circuit.track.length_m,
            "profile_lap_s": circuit.lap_time_s,
            "weighted_sum": _weighted_sum(circuit.track),
        }
        for circuit in circuits
    ]


def _weighted_sum(track: Track) -> float:
    values = np.stack([getattr(track, name) for name in TRACK_ARRAYS])
    weights = np.sin(np.arange(1.0, values.size + 1.0) ** 1.5).reshape(values.shape)
    return float(np.sum(weights * values))


def mirror_circuit(circuit: Circuit) -> Circuit:
    """The same circuit with left and right exchanged; the line is the mirrored line."""
    return replace(
        circuit,
        track=mirror_track(circuit.track),
        line_offset_m=-circuit.line_offset_m,
        line_heading_rad=-circuit.line_heading_rad,
        line_kappa_radpm=-circuit.line_kappa_radpm,
    )


def _compute(track: Track, vehicle: Vehicle) -> Arrays:
    margin_m = LINE_MARGIN_M * scales_of(vehicle).width
    circuit = circuit_on_line(track, vehicle, racing_line(track, vehicle, margin_m))
    arrays = {name: getattr(circuit, name) for name in LINE_ARRAYS}
    return {**arrays, "lap_time_s": np.array(circuit.lap_time_s)}


def _is_line(shape: tuple[int, ...], arrays: Arrays) -> bool:
    """Whether arrays are those of a line and profile on a track whose arrays are of this shape."""
    if arrays.keys() != {*LINE_ARRAYS, "lap_time_s"} or arrays["lap_time_s"].shape != ():
        return False
    return float(arrays["lap_time_s"]) > 0.0 and all(
        arrays[name].shape == shape for name in LINE_ARRAYS
    )


def circuit_on_line(track: Track, vehicle: Vehicle, offset_m: np.ndarray) -> Circuit:
    """A track with a line at these offsets (n,) from its centre line, and the profile on it."""
    line = line_geometry(track, offset_m)
    speed = speed_profile(line.kappa_radpm, line.step_m, vehicle)
    time = profile_time(speed, line.step_m)
    return Circuit(
        track, vehicle, offset_m, line.heading_rad, line.kappa_radpm, speed, time[:-1],
        float(time[-1]),
    )  # fmt: skip


def _content_key(track: Track, vehicle: Vehicle) -> str:
    digest = hashlib.sha256(SOURCES.encode())
    digest.update(repr(tuple(vehicle)).encode())
    digest.update(repr((len(track.x_m), float(track.step_m))).encode())
    for name in TRACK_ARRAYS:
        digest.update(np.ascontiguousarray(getattr(track, name), dtype=np.float64).tobytes())
    return digest.hexdigest()
