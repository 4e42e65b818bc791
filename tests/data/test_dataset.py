import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from demonstrations import episode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racing_env.common.errors import InputError
from racing_env.data import dataset
from racing_env.data.dataset import (
    FIELDS,
    DatasetWriter,
    episode_rows,
    open_shard,
    read_manifest,
    verify_checksums,
)

SETTINGS = {"seed": 3, "tracks": ["club"]}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data set of two shards with three episodes."""
    write(tmp_path, range(3))
    return tmp_path


def write(folder: Path, numbers, resume: bool = False, flush_last: bool = True) -> None:
    writer = DatasetWriter(folder, SETTINGS, resume)
    for number in numbers:
        writer.add(episode(number, steps=4 + number))
        if number % 2:
            writer.flush()
    if flush_last:
        writer.flush()


def read(folder: Path) -> list[dict[str, np.ndarray]]:
    manifest = read_manifest(folder)
    shards = [open_shard(folder, shard) for shard in manifest["shards"]]
    return [
        {field: shards[shard][field][start : start + steps] for field in FIELDS}
        for shard, start, steps in episode_rows(manifest)
    ]


def test_what_is_written_is_read(folder):
    episodes = read(folder)
    assert len(episodes) == 3
    for number, found in enumerate(episodes):
        for field, values in episode(number, steps=4 + number).arrays.items():
            np.testing.assert_array_equal(found[field], values)
            assert found[field].dtype == values.dtype
    manifest = read_manifest(folder)
    assert [entry["laps"] for entry in manifest["episodes"]] == [0, 1, 2]
    assert manifest["settings"] == SETTINGS
    verify_checksums(folder, manifest)


def test_shards_are_memory_maps_that_cannot_be_written(folder):
    shard = open_shard(folder, read_manifest(folder)["shards"][0])
    for values in shard.values():
        assert isinstance(values, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


def test_nothing_pending_writes_nothing(tmp_path):
    DatasetWriter(tmp_path / "none", SETTINGS).flush()
    assert not (tmp_path / "none").exists()


def test_resumed_is_the_same_as_uninterrupted(folder, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    write(whole, range(6))
    write(parts, range(3), flush_last=False)  # episode 2 is lost with the writer
    write(parts, range(2, 6), resume=True)
    assert {f.name: f.read_bytes() for f in whole.iterdir()} == {
        f.name: f.read_bytes() for f in parts.iterdir()
    }


def test_existing_data_set_is_kept_unless_resumed_with_its_settings(folder):
    with pytest.raises(InputError, match="already holds a data set; use --resume"):
        DatasetWriter(folder, SETTINGS)
    with pytest.raises(InputError, match="was collected with"):
        DatasetWriter(folder, SETTINGS | {"seed": 4}, resume=True)
    assert DatasetWriter(folder, SETTINGS, resume=True).episodes == 3


@pytest.mark.parametrize("files_written", range(len(FIELDS)))
def test_crash_within_a_shard_leaves_the_earlier_ones(folder, monkeypatch, files_written):
    writer = DatasetWriter(folder, SETTINGS, resume=True)
    writer.add(episode(3))
    saved: list[np.ndarray] = []

    def save(file, values, allow_pickle):
        if len(saved) == files_written:
            file.write(b"half of")
            raise KeyboardInterrupt
        saved.append(values)
        np.lib.format.write_array(file, values)

    monkeypatch.setattr(dataset.np, "save", save)
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    monkeypatch.undo()
    assert len(read(folder)) == 3
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]
    write(folder, [3], resume=True)
    assert len(read(folder)) == 4


def change(folder: Path, **entries) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def use(folder: Path) -> None:
    """All that a reader does with a data set."""
    manifest = read_manifest(folder)
    verify_checksums(folder, manifest)
    read(folder)


def assert_refused(folder: Path, *words: str) -> None:
    with pytest.raises(InputError) as error:
        use(folder)
    message = str(error.value)
    assert "\n" not in message and str(folder) in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b"\x00" * 64, b'{"a":1}']
)
def test_manifest_that_is_no_manifest(folder, text):
    (folder / "manifest.json").write_bytes(text)
    assert_refused(folder, "manifest.json")


def test_manifest_is_missing_or_a_folder(folder, tmp_path):
    (folder / "manifest.json").unlink()
    assert_refused(folder, "collect_demonstrations.py")
    (folder / "manifest.json").mkdir()
    assert_refused(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"format_version": 2}, {"format_version": None}, {"observation_layout": "other"},
        {"observation_size": 75}, {"vehicle": {}}, {"settings": None}, {"shards": None},
        {"shards": [None]}, {"shards": {}}, {"episodes": None}, {"episodes": ["shard-00000"]},
    ],
    ids=str,
)  # fmt: skip
def test_manifest_of_another_kind(folder, entries):
    change(folder, **entries)
    assert_refused(folder, next(iter(entries)))


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "shard-00001", "", None, 5, ["a"]])
def test_shard_names_cannot_lead_elsewhere(folder, name):
    shards = read_manifest(folder)["shards"]
    shards[0]["name"] = name
    change(folder, shards=shards)
    assert_refused(folder, "shard 0")


@pytest.mark.parametrize("entry", ["start", "steps", "shard"])
@pytest.mark.parametrize("value", [-1, 10**30, 0.5, "0", True, None, [], "shard-00009\n"])
def test_episodes_lie_in_their_shards(folder, entry, value):
    episodes = read_manifest(folder)["episodes"]
    episodes[1][entry] = value
    change(folder, episodes=episodes)
    assert_refused(folder, "episode 1")


@pytest.mark.parametrize("steps", [0, -1, 2**62, "9", 9.0, None])
def test_shards_have_the_steps_that_the_manifest_says(folder, steps):
    shards = read_manifest(folder)["shards"]
    shards[1]["steps"] = steps
    change(folder, shards=shards, episodes=[])
    assert_refused(folder, "shard-00001")


def test_missing_file(folder):
    (folder / "shard-00001.actions.npy").unlink()
    assert_refused(folder, "shard-00001.actions.npy")


@pytest.mark.parametrize("name", ["shard-00001.actions.npy", "manifest.json"])
def test_links_out_of_the_folder_are_refused(folder, tmp_path_factory, name):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / name
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)  # the very same content
    with pytest.raises(InputError, match=f"{name}: is a link out of the folder"):
        verify_checksums(folder, read_manifest(folder))


@pytest.mark.parametrize("name", ["shard-00001.actions.npy", "manifest.json"])
def test_pipes_are_refused_and_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match="is not an ordinary file"):
        verify_checksums(folder, read_manifest(folder))


def test_a_huge_manifest_is_not_read(folder):
    os.truncate(folder / "manifest.json", 10**12)  # sparse
    with pytest.raises(InputError, match="larger than"):
        read_manifest(folder)


def test_truncated_file(folder):
    path = folder / "shard-00000.observations.npy"
    whole = path.read_bytes()
    for size in [0, 1, 7, 10, 60, 200, len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert_refused(folder, path.name)


def test_array_of_another_type(folder):
    path = folder / "shard-00000.rewards.npy"
    values = np.load(path)
    for other in [values.astype(np.float64), values.astype(">f4"), values[:-1], values[:, None]]:
        np.save(path, other)
        assert_refused(folder, path.name, "expected float32")


def test_archive_in_place_of_an_array(folder):
    path = folder / "shard-00000.rewards.npy"
    with path.open("wb") as file:
        np.savez(file, values=np.zeros(3))
    assert_refused(folder, path.name)


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_are_not_executed(folder, tmp_path):
    path = folder / "shard-00000.rewards.npy"
    sprung = tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    assert_refused(folder, path.name)
    np.save(path, np.array([Trap(sprung)] * 9, dtype=object), allow_pickle=True)
    assert_refused(folder, path.name)
    assert not sprung.exists()


def test_header_that_is_too_long(folder):
    path = folder / "shard-00000.rewards.npy"
    path.write_bytes(b"\x93NUMPY\x02\x00" + (1 << 20).to_bytes(4, "little") + b" " * (1 << 20))
    assert_refused(folder, path.name)


def test_changed_number_does_not_match_its_checksum(folder):
    path = folder / "shard-00001.expert_actions.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert_refused(folder, path.name, "checksum")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_reported(folder, data):
    """Whatever byte is changed, the reader works or refuses: it never crashes."""
    files = sorted(folder.iterdir())
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(
            st.integers(0, 255)
        )
    path.write_bytes(content)
    try:
        use(folder)
    except InputError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)
