"""What the flag `--track` takes: files, folders of them, built-in names, random circuits."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.common.files import is_folder, reading
from racing_env.common.workers import Workers, worker_context
from racing_env.tracks.circuit import Circuit, prepare_circuit
from racing_env.tracks.circuit_kind import kinds_for
from racing_env.tracks.feasibility import passable
from racing_env.tracks.generator import BUILT_IN, built_in_track
from racing_env.tracks.geometry import Track
from racing_env.tracks.random_track import random_track
from racing_env.tracks.reader import YAML_SUFFIXES, is_map, is_race_line, read_track

RANDOM_COUNT_MAX = 10_000
FILES_IN_FOLDERS = (".csv", ".npy", ".yaml", ".yml")


class TrackMaker(NamedTuple):
    """A circuit that was asked for, not made yet; it can be sent to another process."""

    name: str  # the file, or what else was asked for
    make: Callable[[], Track]
    is_file: bool = False  # of this machine: another that is to make it may not have it


def load_circuits(
    specs: Sequence[str], vehicle: Vehicle, workers: Workers | None = None
) -> list[Circuit]:
    """Circuits named by `specs` (see `load_tracks`), with line and profile, in order.

    workers: who prepares them; None for this process alone.
    Raises InputError for a spec that names none, and for a circuit that the vehicle cannot get
    round.
    """
    jobs = [
        (maker.name, maker.make() if maker.is_file else maker.make, vehicle)
        for maker in track_makers(specs, vehicle)
    ]
    if workers is None or workers.number <= 1 or len(jobs) == 1:
        return [_prepare(job) for job in jobs]
    first = _prepare(jobs[0])  # compiles what the workers then find in the cache
    worker_context(__name__)
    with workers.pool(at_most=len(jobs) - 1) as pool:
        return [first, *pool.imap(_prepare, jobs[1:])]


def _prepare(job: tuple[str, Track | Callable[[], Track], Vehicle]) -> Circuit:
    name, track, vehicle = job
    return passable(prepare_circuit(track() if callable(track) else track, vehicle), name)


def load_tracks(specs: Sequence[str], vehicle: Vehicle) -> list[Track]:
    """Tracks named by each of `specs`, in order.

    A spec is the path of a file (see `racing_env.tracks.reader`), a folder (its files by name, but
    for hidden ones and race lines), a built-in name, or `random[:SEED[:COUNT]]` (seed 0, one
    circuit; such as the car's class races on). Raises InputError for anything else, and for a file
    that is not a circuit for the vehicle.
    """
    return [maker.make() for maker in track_makers(specs, vehicle)]


def track_makers(specs: Sequence[str], vehicle: Vehicle) -> list[TrackMaker]:
    """Each circuit that `specs` name; what can be checked without making it is checked here.

    Raises as `load_tracks` does.
    """
    return [maker for spec in specs for maker in _resolve(spec, vehicle)]


def _resolve(spec: str, vehicle: Vehicle) -> list[TrackMaker]:
    if spec == "random" or spec.startswith("random:"):
        return _random_tracks(spec, vehicle)
    if spec in BUILT_IN:
        return [TrackMaker(spec, partial(built_in_track, spec, vehicle))]
    path = Path(spec)
    if is_folder(path):
        with reading(path):
            files = sorted(file for file in path.iterdir() if _holds_a_circuit(file))
        if not files:
            raise InputError(
                f"{spec}: the folder has no file of a circuit (.csv, .npy, .yaml of a map with its "
                "image); at least one is needed"
            )
        return [TrackMaker(str(file), partial(read_track, file, vehicle), True) for file in files]
    if path.exists():
        return [TrackMaker(spec, partial(read_track, path, vehicle), True)]
    raise InputError(
        f"track {spec!r}: no such file or name; possible are a file, a folder of them, "
        f"random[:SEED[:COUNT]], or one of {', '.join(BUILT_IN)}"
    )


def _holds_a_circuit(file: Path) -> bool:
    """Whether a file in a folder is meant: others lie there that hold something else."""
    suffix = file.suffix.lower()
    if file.name.startswith(".") or suffix not in FILES_IN_FOLDERS or file.is_dir():
        return False
    if suffix in YAML_SUFFIXES:
        return is_map(file)
    return suffix != ".csv" or not is_race_line(file)


def _random_tracks(spec: str, vehicle: Vehicle) -> list[TrackMaker]:
    """The first circuit of a seed is the same however many are asked for.

    They are of the kind that the car's class races on: see `circuit_kind`.
    """
    match = re.fullmatch(r"random(?::(\d{1,18}))?(?::(\d{1,9}))?", spec, re.ASCII)
    count = int(match[2] or 1) if match else 0
    if match is None or not 1 <= count <= RANDOM_COUNT_MAX:
        raise InputError(
            f"track {spec!r}: is not random[:SEED[:COUNT]]; whole numbers are needed, SEED >= 0 "
            f"and COUNT from 1 to {RANDOM_COUNT_MAX}, such as random:7 or random:7:20"
        )
    kinds_for(vehicle)  # refuses a car for which there are none
    seed = np.random.SeedSequence(int(match[1] or 0))
    return [
        TrackMaker(f"{spec}, number {i + 1}", partial(random_track, child, vehicle))
        for i, child in enumerate(seed.spawn(count))
    ]
