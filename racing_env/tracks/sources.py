"""What the flag `--track` takes: CSV files, folders of them, built-in names, random circuits."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.common.files import is_folder, reading
from racing_env.common.workers import parallel_map
from racing_env.tracks.circuit import Circuit, prepare_circuit
from racing_env.tracks.generator import BUILT_IN, built_in_track, generate_track
from racing_env.tracks.geometry import Track
from racing_env.tracks.reader import read_track

RANDOM_COUNT_MAX = 10_000


def load_circuits(specs: Sequence[str], vehicle: Vehicle, workers: int = 1) -> list[Circuit]:
    """Circuits named by `specs` (see `load_tracks`), with line and profile, in order.

    Raises InputError for a spec that names none.
    """
    jobs = [(make, vehicle) for make in track_makers(specs, vehicle)]
    if workers <= 1 or len(jobs) == 1:
        return [_prepare(job) for job in jobs]
    first = _prepare(jobs[0])  # compiles what the workers then find in the cache
    return [first, *parallel_map(_prepare, jobs[1:], min(workers, len(jobs) - 1))]


def _prepare(job: tuple[Callable[[], Track], Vehicle]) -> Circuit:
    make, vehicle = job
    return prepare_circuit(make(), vehicle)


def load_tracks(specs: Sequence[str], vehicle: Vehicle) -> list[Track]:
    """Tracks named by each of `specs`, in order.

    A spec is the path of a CSV file, a folder (its *.csv files by name), a built-in name, or
    `random[:SEED[:COUNT]]` (seed 0, one circuit). Raises InputError for anything else, and for a
    file that is not a circuit for the vehicle.
    """
    return [make() for make in track_makers(specs, vehicle)]


def track_makers(specs: Sequence[str], vehicle: Vehicle) -> list[Callable[[], Track]]:
    """For each circuit that `specs` name, a function that makes it and that can be sent to another
    process; what can be checked without making it is checked here. Raises as `load_tracks` does.
    """
    return [make for spec in specs for make in _resolve(spec, vehicle)]


def _resolve(spec: str, vehicle: Vehicle) -> list[Callable[[], Track]]:
    if spec == "random" or spec.startswith("random:"):
        return _random_tracks(spec, vehicle)
    if spec in BUILT_IN:
        return [partial(built_in_track, spec, vehicle)]
    path = Path(spec)
    if is_folder(path):
        with reading(path):
            files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".csv")
        if not files:
            raise InputError(f"{spec}: the folder has no .csv file; at least one is needed")
        return [partial(read_track, file, vehicle) for file in files]
    if path.exists():
        return [partial(read_track, path, vehicle)]
    raise InputError(
        f"track {spec!r}: no such file or name; possible are a CSV file, a folder of them, "
        f"random[:SEED[:COUNT]], or one of {', '.join(BUILT_IN)}"
    )


def _random_tracks(spec: str, vehicle: Vehicle) -> list[Callable[[], Track]]:
    """The first circuit of a seed is the same however many are asked for."""
    match = re.fullmatch(r"random(?::(\d{1,18}))?(?::(\d{1,9}))?", spec, re.ASCII)
    count = int(match[2] or 1) if match else 0
    if match is None or not 1 <= count <= RANDOM_COUNT_MAX:
        raise InputError(
            f"track {spec!r}: is not random[:SEED[:COUNT]]; whole numbers are needed, SEED >= 0 "
            f"and COUNT from 1 to {RANDOM_COUNT_MAX}, such as random:7 or random:7:20"
        )
    seed = np.random.SeedSequence(int(match[1] or 0))
    return [partial(generate_track, child, vehicle) for child in seed.spawn(count)]
