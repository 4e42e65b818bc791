"""Data sets written: shard by shard, gone on with only as they were begun."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR, LaterVehicle
from demonstrations import TASK, episode, made_up_origin, read_episodes, write_made_up

from racing_env.common.errors import InputError
from racing_env.data import dataset_writer
from racing_env.data.dataset import FIELDS, MANIFEST, read_dataset
from racing_env.data.dataset_writer import DatasetWriter, refuse_existing

CLUB = {"name": "club", "length_m": 2000.0, "weighted_sum": 1.25}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data set of two shards with three episodes."""
    write_made_up(tmp_path, range(3))
    return tmp_path


def test_nothing_pending_writes_nothing(tmp_path):
    DatasetWriter(tmp_path / "none", made_up_origin()).flush()
    assert not (tmp_path / "none").exists()


def test_resumed_is_the_same_as_uninterrupted(folder, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    write_made_up(whole, range(6))
    write_made_up(parts, range(3), flush_last=False)  # episode 2 is lost with the writer
    write_made_up(parts, range(2, 6), resume=True)
    assert {f.name: f.read_bytes() for f in whole.iterdir()} == {
        f.name: f.read_bytes() for f in parts.iterdir()
    }


def test_an_existing_data_set_is_kept_unless_it_is_gone_on_with(folder):
    with pytest.raises(InputError, match="already holds a data set; use --resume"):
        DatasetWriter(folder, made_up_origin())
    with pytest.raises(InputError, match="already holds a data set; use --resume"):
        refuse_existing(folder, resume=False)
    refuse_existing(folder, resume=True)
    refuse_existing(folder / "nothing", resume=False)
    assert DatasetWriter(folder, made_up_origin(), resume=True).episodes == 3


CHANGED = {
    "seed": ({"settings": {"seed": 4}}, "settings.seed 3, asked for is 4"),
    "another setting": ({"settings": {"seed": 3, "x": 1}}, "settings.x nothing, asked for is 1"),
    "car": (
        {"vehicle": RACECAR._replace(friction_front=0.9)},
        "vehicle.friction_front 1.0, asked for is 0.9",
    ),
    "layout": (
        {"task": TASK._replace(layout="centre-preview-1")},
        "task.layout line-preview-1, asked for is centre-preview-1",
    ),
    "weights": (
        {"task": TASK._replace(weights=TASK.weights._replace(slip_per_s=0.2))},
        "task.weights.slip_per_s 0.1, asked for is 0.2",
    ),
    "starts": (
        {"task": TASK._replace(starts=TASK.starts._replace(standing_share=0.5))},
        "task.starts.standing_share 0.1, asked for is 0.5",
    ),
    "no time limit": (
        {"task": TASK._replace(time_limit_s=None)}, "task.time_limit_s 200.0, asked for is None"
    ),
    "content of a circuit": (
        {"circuits": [CLUB | {"weighted_sum": 1.26}]},
        "circuits.1.weighted_sum 1.25, asked for is 1.26",
    ),
    "number of circuits": (
        {"circuits": [CLUB] * 2}, "circuits 1 of them, asked for is 2"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGED)
def test_a_data_set_is_gone_on_with_only_as_it_was_begun(folder, case):
    changes, message = CHANGED[case]
    before = (folder / MANIFEST).read_bytes()
    with pytest.raises(InputError) as error:
        DatasetWriter(folder, replace(made_up_origin(), **changes), resume=True)
    assert str(error.value) == (
        f"{folder / MANIFEST}: was made with {message}; use the same, or another --out"
    )
    assert (folder / MANIFEST).read_bytes() == before


def test_names_of_tracks_and_last_digits_decide_nothing(folder):
    same = replace(
        made_up_origin(), tracks=["elsewhere/club.csv"],
        circuits=[CLUB | {"length_m": 2000.0 * (1.0 + 1e-12)}],
    )  # fmt: skip
    writer = DatasetWriter(folder, same, resume=True)
    assert writer.episodes == 3
    writer.add(episode(3))
    writer.flush()
    assert read_dataset(folder).manifest["tracks"] == ["club"]  # as it was begun


def test_an_older_data_set_is_gone_on_with_by_a_car_with_a_younger_field(folder, monkeypatch):
    monkeypatch.setattr("racing_env.car.vehicle.Vehicle", LaterVehicle)
    later = replace(made_up_origin(), vehicle=LaterVehicle(*RACECAR))
    assert read_dataset(folder).vehicle == later.vehicle
    assert DatasetWriter(folder, later, resume=True).episodes == 3
    other = replace(later, vehicle=later.vehicle._replace(wet_friction=0.9))
    with pytest.raises(InputError, match=r"vehicle\.wet_friction 1\.0, asked for is 0\.9"):
        DatasetWriter(folder, other, resume=True)


def test_the_manifest_says_what_the_episodes_were_made_with(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    origin = made_up_origin()
    assert {name: manifest[name] for name in origin.record()} == origin.record()
    assert manifest["tracks"] == ["club"] and manifest["format_version"] == 2
    data = read_dataset(folder)
    assert data.vehicle == RACECAR and data.layout.name == TASK.layout


@pytest.mark.parametrize("files_written", range(len(FIELDS)))
def test_crash_within_a_shard_leaves_the_earlier_ones(folder, monkeypatch, files_written):
    writer = DatasetWriter(folder, made_up_origin(), resume=True)
    writer.add(episode(3))
    saved: list[np.ndarray] = []

    def save(file, values, allow_pickle):
        if len(saved) == files_written:
            file.write(b"half of")
            raise KeyboardInterrupt
        saved.append(values)
        np.lib.format.write_array(file, values)

    monkeypatch.setattr(dataset_writer.np, "save", save)
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    monkeypatch.undo()
    assert len(read_episodes(folder)) == 3
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]
    write_made_up(folder, [3], resume=True)
    assert len(read_episodes(folder)) == 4


def test_an_older_data_set_is_gone_on_with_where_starts_have_a_younger_field(folder):
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["task"]["starts"]["retry_share"]  # whose default changes nothing
    path.write_text(json.dumps(manifest))
    assert DatasetWriter(folder, made_up_origin(), resume=True).episodes
    del manifest["task"]["weights"]["slip_per_s"]  # another term is another pay
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"task\.weights\.slip_per_s nothing"):
        DatasetWriter(folder, made_up_origin(), resume=True)
