"""Demonstrations on disk: a folder of `.npy` shards and a manifest, readable memory-mapped.

A shard is a few whole episodes, one file per field; fields are named as Gymnasium and Minari name
them. The manifest lists the shards that are complete, so a shard that a crash left half-written
does not exist for a reader.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from racing_env.car.vehicle import RACECAR, Vehicle
from racing_env.common.errors import InputError, first_difference
from racing_env.common.files import refuse_special_file, replaced_atomically, write_json
from racing_env.simulation import observation

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MANIFEST_SIZE_MAX_BYTES = 100_000_000
FIELDS: dict[str, tuple[type, tuple[int, ...]]] = {
    "observations": (np.float32, (observation.SIZE,)),
    "actions": (np.float32, (2,)),  # what the car did
    "expert_actions": (np.float32, (2,)),  # what the expert would have done: the label
    "rewards": (np.float32, ()),
    "terminations": (np.bool_, ()),
    "truncations": (np.bool_, ()),
}


@dataclass(frozen=True, eq=False)
class Episode:
    """One drive: arrays by field name, all of length T, and what is to be said about it."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]  # circuit, laps, lap_time_s, end; the same for every worker count


class DatasetWriter:
    """Appends episodes, in the order given, to a data set; `flush` completes a shard.

    With `resume`, goes on behind the episodes that an earlier writer of the same settings
    completed. Raises InputError if the folder holds a data set and `resume` is not set, or one
    with other settings.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any], resume: bool = False):
        self.folder = Path(folder)
        self.manifest: dict[str, Any] = dataset_header() | {
            "settings": dict(settings),
            "shards": [],
            "episodes": [],
        }
        self._pending: list[Episode] = []
        path = self.folder / MANIFEST
        if not path.exists():
            return
        if not resume:
            raise InputError(
                f"{self.folder}: already holds a data set; use --resume to go on with it, "
                "or another --out"
            )
        found = read_manifest(self.folder)
        if found["settings"] != self.manifest["settings"]:
            raise InputError(
                f"{path}: was collected with {found['settings']}, asked for are "
                f"{self.manifest['settings']}; use the same flags or another --out"
            )
        self.manifest = found

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
            checksums[field] = _checksum(values)
        start = 0
        for episode in self._pending:
            steps = len(episode.arrays["rewards"])
            place = {"shard": shard, "start": start, "steps": steps}
            self.manifest["episodes"].append(place | dict(episode.facts))
            start += steps
        self.manifest["shards"].append({"name": shard, "steps": length, "sha256": checksums})
        write_json(self.folder / MANIFEST, self.manifest)
        self._pending = []


def dataset_header(vehicle: Vehicle = RACECAR) -> dict[str, Any]:
    """What a reader must agree with."""
    return {
        "format_version": FORMAT_VERSION,
        "observation_layout": observation.LAYOUT,
        "observation_size": observation.SIZE,
        "vehicle": vehicle._asdict(),
    }


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a data set; raises InputError if it is none that this program can read."""
    path = _own_file(folder, MANIFEST)
    try:
        if path.stat().st_size > MANIFEST_SIZE_MAX_BYTES:
            raise InputError(f"{path}: larger than {MANIFEST_SIZE_MAX_BYTES} bytes, not a manifest")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder}: no {MANIFEST} there; expected a folder that collect_demonstrations.py wrote"
        ) from None
    except InputError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("settings"), dict):
        raise InputError(f"{path}: not a manifest, expected a JSON object with settings")
    for name, wanted in dataset_header().items():
        if manifest.get(name) != wanted:
            found, expected = first_difference(json.dumps(manifest.get(name)), json.dumps(wanted))
            raise InputError(f"{path}: {name} is {found}, expected {expected}")
    _check_entries(path, manifest)
    return manifest


def _check_entries(path: Path, manifest: dict[str, Any]) -> None:
    """Every shard and episode entry is of the right form, and lies inside the folder."""
    steps = {}
    for i, shard in enumerate(_entries(path, manifest, "shards")):
        name, sums = f"shard-{i:05d}", shard.get("sha256")
        if shard.get("name") != name:  # nothing else is ever opened
            raise InputError(f"{path}: shard {i} is named {shard.get('name')!r:.60}, not {name}")
        if not _is_count(shard.get("steps"), 1):
            raise InputError(f"{path}: {name} has {shard.get('steps')!r:.60} steps, not 1 or more")
        if not isinstance(sums, dict) or set(sums) != set(FIELDS):
            raise InputError(f"{path}: {name} has no sha256 for each of {', '.join(FIELDS)}")
        steps[name] = shard["steps"]
    for i, episode in enumerate(_entries(path, manifest, "episodes")):
        start: Any = episode.get("start")
        count: Any = episode.get("steps")
        holder = episode.get("shard")
        if not (isinstance(holder, str) and _is_count(start, 0) and _is_count(count, 1)
                and start + count <= steps.get(holder, 0)):  # fmt: skip
            raise InputError(
                f"{path}: episode {i} is rows {start!r:.30} + {count!r:.30} of {holder!r:.60}, "
                "which no shard has"
            )


def _own_file(folder: str | Path, name: str) -> Path:
    """A file of a data set; raises InputError for a link that leads out of its folder."""
    path = Path(folder) / name
    refuse_special_file(path)
    if path.is_symlink() and path.resolve().parent != Path(folder).resolve():
        raise InputError(f"{path}: is a link out of the folder; the file itself is needed there")
    return path


def _entries(path: Path, manifest: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = manifest.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: {key} is not a list of JSON objects")
    return entries


def _is_count(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def open_shard(folder: str | Path, shard: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A shard's fields as read-only memory maps; raises InputError naming a file that is wrong."""
    arrays: dict[str, np.ndarray] = {}
    for field, (dtype, shape) in FIELDS.items():
        path = _own_file(folder, f"{shard['name']}.{field}.npy")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a damaged header: it is refused below
                values = np.lib.format.open_memmap(path, mode="r")  # reads no pickles, no archives
        except Exception as error:  # a damaged header raises anything, down to TokenError
            reason = str(error).partition("\n")[0]
            raise InputError(f"{path}: not a readable array ({reason})") from None
        if values.dtype != dtype or values.shape != (shard["steps"], *shape):
            raise InputError(
                f"{path}: is {values.dtype} {values.shape}, "
                f"expected {np.dtype(dtype)} {(shard['steps'], *shape)}"
            )
        arrays[field] = values
    return arrays


def _checksum(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def verify_checksums(folder: str | Path, manifest: Mapping[str, Any]) -> None:
    """Read every shard once and compare it with the manifest; raises InputError at a mismatch."""
    for shard in manifest["shards"]:
        for field, values in open_shard(folder, shard).items():
            if _checksum(values) != shard["sha256"][field]:
                raise InputError(
                    f"{Path(folder) / shard['name']}.{field}.npy: does not match its checksum in "
                    f"{MANIFEST}; collect it again"
                )


def episode_rows(manifest: Mapping[str, Any]) -> Sequence[tuple[int, int, int]]:
    """(shard index, first row, rows) of every episode."""
    index = {shard["name"]: i for i, shard in enumerate(manifest["shards"])}
    return [(index[e["shard"]], e["start"], e["steps"]) for e in manifest["episodes"]]
