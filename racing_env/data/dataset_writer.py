"""Writing demonstrations: episodes, appended to a data set a shard at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from racing_env.car.vehicle import Vehicle
from racing_env.common.content import refuse_difference
from racing_env.common.errors import InputError
from racing_env.common.files import replaced_atomically, write_json
from racing_env.data.dataset import FIELDS, FORMAT_VERSION, MANIFEST, checksum, read_dataset
from racing_env.simulation.task import Task


@dataclass(frozen=True, eq=False)
class Episode:
    """One drive: arrays by field name, all of length T, and what is to be said about it."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]  # circuit, laps, lap_time_s, end; the same for every worker count


@dataclass(frozen=True, eq=False)
class Origin:
    """What episodes were made with. All of it decides them, but for the names of the tracks."""

    settings: Mapping[str, Any]  # such as the seed
    tracks: Sequence[str]  # what --track was given, from which a later stage makes them again
    circuits: Sequence[Mapping[str, Any]]  # by content, see `racing_env.tracks.circuit`
    vehicle: Vehicle
    task: Task

    def record(self) -> dict[str, Any]:
        """What is compared, ready for JSON."""
        return {
            "settings": dict(self.settings),
            "vehicle": self.vehicle._asdict(),
            "task": self.task.record(),
            "circuits": [dict(circuit) for circuit in self.circuits],
        }


class DatasetWriter:
    """Appends episodes, in the order given, to a data set; `flush` completes a shard.

    With `resume`, goes on behind the episodes that an earlier writer of the same origin completed.
    Raises InputError if the folder holds a data set and `resume` is not set, or one of another
    origin.
    """

    def __init__(self, folder: str | Path, origin: Origin, resume: bool = False):
        self.folder = Path(folder)
        made_with = origin.record()
        self.manifest: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "tracks": list(origin.tracks),
            **made_with,
            "shards": [],
            "episodes": [],
        }
        self._pending: list[Episode] = []
        refuse_existing(folder, resume)
        if not (self.folder / MANIFEST).exists():
            return
        earlier = read_dataset(self.folder)
        found = {name: earlier.manifest[name] for name in made_with}
        # with fields that are younger than the file
        found |= {"vehicle": earlier.vehicle._asdict(), "task": earlier.task_record}
        way_out = "use the same, or another --out"
        refuse_difference(self.folder / MANIFEST, found, made_with, way_out)
        self.manifest = earlier.manifest

    @property
    def episodes(self) -> int:
        """Episodes that are safely on disk."""
        return len(self.manifest["episodes"])

    @property
    def pending(self) -> int:
        """Episodes that wait for `flush`."""
        return len(self._pending)

    def add(self, episode: Episode) -> None:
        self._pending.append(episode)

    def flush(self) -> None:
        """Write the pending episodes as a shard and name it in the manifest."""
        if not self._pending:
            return
        shard = f"shard-{len(self.manifest['shards']):05d}"
        length = sum(len(episode.arrays["rewards"]) for episode in self._pending)
        checksums = {}
        for field in FIELDS:
            values = np.concatenate([episode.arrays[field] for episode in self._pending])
            path = self.folder / f"{shard}.{field}.npy"
            with replaced_atomically(path) as temporary, temporary.open("wb") as file:
                np.save(file, values, allow_pickle=False)
            checksums[field] = checksum(values)
        start = 0
        for episode in self._pending:
            steps = len(episode.arrays["rewards"])
            place = {"shard": shard, "start": start, "steps": steps}
            self.manifest["episodes"].append(place | dict(episode.facts))
            start += steps
        self.manifest["shards"].append({"name": shard, "steps": length, "sha256": checksums})
        write_json(self.folder / MANIFEST, self.manifest)
        self._pending = []


def refuse_existing(
    folder: str | Path,
    resume: bool,
    way_out: str = "use --resume to go on with it, or another --out",
) -> None:
    """Raise InputError if a folder holds a data set that is not to be gone on with."""
    if not resume and (Path(folder) / MANIFEST).exists():
        raise InputError(f"{folder}: already holds a data set; {way_out}")
