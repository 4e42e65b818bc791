"""Data sets read: what is written comes back, and whatever is damaged is refused by name."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from demonstrations import TASK, episode, made_up_origin, read_episodes, write_made_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racing_env.common.errors import InputError
from racing_env.data.dataset import read_dataset
from racing_env.data.dataset_writer import DatasetWriter


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data set of two shards with three episodes."""
    write_made_up(tmp_path, range(3))
    return tmp_path


def test_what_is_written_is_read(folder):
    episodes = read_episodes(folder)
    assert len(episodes) == 3
    for number, found in enumerate(episodes):
        for field, values in episode(number, steps=4 + number).arrays.items():
            np.testing.assert_array_equal(found[field], values)
            assert found[field].dtype == values.dtype
    data = read_dataset(folder)
    assert [entry["laps"] for entry in data.manifest["episodes"]] == [0, 1, 2]
    assert data.manifest["settings"] == made_up_origin().settings
    data.verify_checksums()


def test_the_digest_is_of_all_episodes_and_of_what_they_were_made_with(tmp_path):
    def digest(name: str, numbers, **settings) -> str:
        writer = DatasetWriter(tmp_path / name, made_up_origin(**settings))
        for number in numbers:
            writer.add(episode(number))
        writer.flush()
        return read_dataset(tmp_path / name).digest()

    same = digest("a", [0, 1])
    assert digest("b", [0, 1]) == same
    assert len({same, digest("c", [1, 0]), digest("d", [0]), digest("e", [0, 1], seed=4)}) == 4


def test_shards_are_memory_maps_that_cannot_be_written(folder):
    shard = read_dataset(folder).shard(0)
    for values in shard.values():
        assert isinstance(values, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


def change(folder: Path, **entries) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def use(folder: Path) -> None:
    """All that a reader does with a data set."""
    read_dataset(folder).verify_checksums()
    read_episodes(folder)


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
        {"format_version": 1}, {"format_version": None}, {"vehicle": {}}, {"vehicle": None},
        {"vehicle": {"mass_kg": "heavy"}}, {"settings": None}, {"task": None}, {"circuits": None},
        {"tracks": None}, {"tracks": []}, {"tracks": [5]}, {"tracks": "club"}, {"shards": None},
        {"shards": [None]}, {"shards": {}}, {"episodes": None}, {"episodes": ["shard-00000"]},
    ],
    ids=str,
)  # fmt: skip
def test_manifest_of_another_kind(folder, entries):
    change(folder, **entries)
    assert_refused(folder, next(iter(entries)))


@pytest.mark.parametrize("name", ["other", None, 5, "a\nb"])
def test_an_unknown_layout_is_refused(folder, name):
    change(folder, task=TASK.record() | {"layout": name})
    assert_refused(folder, "observation layout")


def test_episodes_of_another_layouts_size_are_refused(folder):
    path = folder / "shard-00000.observations.npy"
    np.save(path, np.load(path)[:, :-1])
    assert_refused(folder, path.name, "expected float32 (9, 76)")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "shard-00001", "", None, 5, ["a"]])
def test_shard_names_cannot_lead_elsewhere(folder, name):
    shards = read_dataset(folder).manifest["shards"]
    shards[0]["name"] = name
    change(folder, shards=shards)
    assert_refused(folder, "shard 0")


@pytest.mark.parametrize("entry", ["start", "steps", "shard"])
@pytest.mark.parametrize("value", [-1, 10**30, 0.5, "0", True, None, [], "shard-00009\n"])
def test_episodes_lie_in_their_shards(folder, entry, value):
    episodes = read_dataset(folder).manifest["episodes"]
    episodes[1][entry] = value
    change(folder, episodes=episodes)
    assert_refused(folder, "episode 1")


@pytest.mark.parametrize("steps", [0, -1, 2**62, "9", 9.0, None])
def test_shards_have_the_steps_that_the_manifest_says(folder, steps):
    shards = read_dataset(folder).manifest["shards"]
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
        read_dataset(folder).verify_checksums()


@pytest.mark.parametrize("name", ["shard-00001.actions.npy", "manifest.json"])
def test_pipes_are_refused_and_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match="is not an ordinary file"):
        read_dataset(folder).verify_checksums()


def test_a_huge_manifest_is_not_read(folder):
    os.truncate(folder / "manifest.json", 10**12)  # sparse
    with pytest.raises(InputError, match="larger than"):
        read_dataset(folder)


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
