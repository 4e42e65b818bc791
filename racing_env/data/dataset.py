"""Demonstrations on disk: a folder of `.npy` shards and a manifest, readable memory-mapped.

A shard is a few whole episodes, one file per field; fields are named as Gymnasium and Minari name
them. The manifest lists the shards that are complete, so a shard that a crash left half-written
does not exist for a reader.
"""

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from racing_env.car.vehicle import Vehicle, vehicle_from_record
from racing_env.common.errors import InputError
from racing_env.common.files import refuse_special_file
from racing_env.simulation.layout import Layout
from racing_env.simulation.layouts import layout_named
from racing_env.simulation.task import completed_data_record

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
MANIFEST_SIZE_MAX_BYTES = 100_000_000
OBSERVATION_SIZE = -1  # in a shape: the size of the layout
FIELDS: dict[str, tuple[type, tuple[int, ...]]] = {
    "observations": (np.float32, (OBSERVATION_SIZE,)),
    "actions": (np.float32, (2,)),  # what the car did
    "expert_actions": (np.float32, (2,)),  # what the expert would have done: the label
    "rewards": (np.float32, ()),
    "terminations": (np.bool_, ()),
    "truncations": (np.bool_, ()),
}


@dataclass(frozen=True)
class DataSet:
    """A data set that can be read: its manifest, and what that says it was made with."""

    folder: Path
    manifest: dict[str, Any]
    vehicle: Vehicle
    layout: Layout
    task_record: dict[str, Any]  # as `racing_env.simulation.task.Task.record` has it

    def shard(self, index: int) -> dict[str, np.ndarray]:
        """A shard's fields as read-only memory maps; raises InputError naming a file that is
        wrong.
        """
        entry = self.manifest["shards"][index]
        return {
            field: self._open(f"{entry['name']}.{field}.npy", dtype, (entry["steps"], *shape))
            for field, (dtype, shape) in shapes(self.layout.size).items()
        }

    def shards(self) -> list[dict[str, np.ndarray]]:
        """All shards; see `shard`."""
        return [self.shard(index) for index in range(len(self.manifest["shards"]))]

    def episode_rows(self) -> Sequence[tuple[int, int, int]]:
        """(shard index, first row, rows) of every episode."""
        index = {shard["name"]: i for i, shard in enumerate(self.manifest["shards"])}
        return [(index[e["shard"]], e["start"], e["steps"]) for e in self.manifest["episodes"]]

    def verify_checksums(self) -> None:
        """Read every shard once and compare it with the manifest; raises InputError at a
        mismatch.
        """
        for index, entry in enumerate(self.manifest["shards"]):
            for field, values in self.shard(index).items():
                if checksum(values) != entry["sha256"][field]:
                    raise InputError(
                        f"{self.folder / entry['name']}.{field}.npy: does not match its checksum "
                        f"in {MANIFEST}; collect it again"
                    )

    def digest(self) -> str:
        """Of all episodes and what they were made with, by the manifest's checksums."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    def _open(self, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
        path = _own_file(self.folder, name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a damaged header: it is refused below
                values = np.lib.format.open_memmap(path, mode="r")  # reads no pickles, no archives
        except Exception as error:  # a damaged header raises anything, down to TokenError
            reason = str(error).partition("\n")[0]
            raise InputError(f"{path}: not a readable array ({reason})") from None
        if values.dtype != dtype or values.shape != shape:
            raise InputError(
                f"{path}: is {values.dtype} {values.shape}, expected {np.dtype(dtype)} {shape}"
            )
        return values


def shapes(observation_size: int) -> dict[str, tuple[type, tuple[int, ...]]]:
    """FIELDS with the size of an observation filled in."""
    return {
        name: (dtype, tuple(observation_size if n == OBSERVATION_SIZE else n for n in shape))
        for name, (dtype, shape) in FIELDS.items()
    }


def read_dataset(folder: str | Path) -> DataSet:
    """A data set; raises InputError if it is none that this program can read."""
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
    if not isinstance(manifest, dict) or manifest.get("format_version") != FORMAT_VERSION:
        version = manifest.get("format_version") if isinstance(manifest, dict) else None
        raise InputError(
            f"{path}: format_version is {version!r:.30}, expected {FORMAT_VERSION}; "
            "collect it again"
        )
    for name, kind in (("settings", dict), ("vehicle", dict), ("task", dict), ("circuits", list),
                       ("tracks", list)):  # fmt: skip
        if not isinstance(manifest.get(name), kind):
            raise InputError(f"{path}: {name} is {manifest.get(name)!r:.60}, not a {kind.__name__}")
    vehicle = vehicle_from_record(manifest["vehicle"], f"{path}: its vehicle")
    if not manifest["tracks"] or not all(isinstance(name, str) for name in manifest["tracks"]):
        raise InputError(f"{path}: tracks are {manifest['tracks']!r:.60}, not names")
    layout = layout_named(str(manifest["task"].get("layout")), path)
    _check_entries(path, manifest)
    return DataSet(Path(folder), manifest, vehicle, layout, completed_data_record(manifest["task"]))


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


def checksum(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
