"""Random circuits from a cache: one takes several candidates, and most of a stage's set-up."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import scipy

from racing_env.car.vehicle import Vehicle
from racing_env.common.kernel_cache import sources_digest
from racing_env.tracks.array_cache import Arrays, cached_arrays
from racing_env.tracks.generator import generate_track, random_name
from racing_env.tracks.geometry import TRACK_ARRAYS, Track

# What decides a random circuit beside its seed and the car, as it was imported.
SOURCES = sources_digest(
    [
        *(
            Path(__file__).with_name(f"{name}.py")
            for name in ("circuit_kind", "generator", "geometry", "polygon", "rounded_polygon",
                         "statistics")
        ),
        *(Path(__file__).parents[1] / "car").glob("*.py"),
    ]
)  # fmt: skip


def random_track(
    seed: np.random.SeedSequence, vehicle: Vehicle, cache_dir: str | Path | None = None
) -> Track:
    """`generate_track`, from the cache where it has it."""
    decided_by = (
        SOURCES, np.__version__, scipy.__version__, seed.entropy, seed.spawn_key, tuple(vehicle)
    )  # fmt: skip
    key = hashlib.sha256(repr(decided_by).encode()).hexdigest()
    arrays = cached_arrays(key, partial(_generated, seed, vehicle), _is_track, cache_dir)
    values = {name: arrays[name] for name in TRACK_ARRAYS}
    return Track(random_name(seed), float(arrays["step_m"]), **values)


def _generated(seed: np.random.SeedSequence, vehicle: Vehicle) -> Arrays:
    track = generate_track(seed, vehicle)
    arrays = {name: getattr(track, name) for name in TRACK_ARRAYS}
    return {**arrays, "step_m": np.array(track.step_m, np.float64)}


def _is_track(arrays: Arrays) -> bool:
    if arrays.keys() != {*TRACK_ARRAYS, "step_m"} or arrays["step_m"].shape != ():
        return False
    shapes = {arrays[name].shape for name in TRACK_ARRAYS}
    return len(shapes) == 1 and len(shapes.pop()) == 1 and float(arrays["step_m"]) > 0.0
