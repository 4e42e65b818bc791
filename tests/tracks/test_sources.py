"""What `--track` takes, and circuits that worker processes prepare."""

import shutil

import numpy as np
import pytest
from cars import RACECAR
from circuit_files import oval_table, write_map, write_rows

from racing_env.common.errors import InputError
from racing_env.common.workers import LocalWorkers
from racing_env.tracks.generator import built_in_track
from racing_env.tracks.reader import write_track
from racing_env.tracks.sources import load_circuits, load_tracks, track_makers


def test_circuits_are_the_same_for_every_number_of_workers():
    specs = ["club", "random:3:2"]
    one, two = (load_circuits(specs, RACECAR, LocalWorkers(n)) for n in (1, 2))
    assert [circuit.track.name for circuit in one] == [circuit.track.name for circuit in two]
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(ours.line_speed_mps, theirs.line_speed_mps)


def test_load_tracks_takes_files_folders_names_and_random(tmp_path):
    for name in ("b", "a"):
        write_track(built_in_track("oval", RACECAR), tmp_path / f"{name}.csv")
    (tmp_path / "notes.txt").write_text("no circuit")
    tracks = load_tracks([str(tmp_path), "club", str(tmp_path / "b.csv"), "random:3:2"], RACECAR)
    assert [track.name for track in tracks] == [
        "a", "b", "club", "b", "random-3-0", "random-3-1",
    ]  # fmt: skip
    (alone,) = load_tracks(["random:3"], RACECAR)
    np.testing.assert_array_equal(alone.x_m, tracks[4].x_m)
    assert load_tracks(["random"], RACECAR)[0].name == "random-0-0"


BAD_SPECS = ["nowhere.csv", "ovall", "", "random:", "random:x", "random:1:0", "random:-1"]


@pytest.mark.parametrize("spec", [*BAD_SPECS, "random:1:2:3", "random:1:99999999"])
def test_load_tracks_says_what_is_possible(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"random\[:SEED\[:COUNT\]\]|no file of a circuit"
    ) as error:
        load_tracks([spec], RACECAR)
    assert "\n" not in str(error.value)


@pytest.fixture
def folder(tmp_path):
    """A folder as people have them: circuits in three formats among other things."""
    write_rows(tmp_path / "b.csv", oval_table().tolist())
    shutil.copy(tmp_path / "b.csv", tmp_path / "A.CSV")
    write_map(tmp_path)  # oval.yaml and oval.png
    np.save(tmp_path / "n.npy", np.zeros((3, 6)))
    (tmp_path / "._b.csv").write_bytes(b"\0\5\26\7")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "config.yaml").write_text("tracks: [a, b]\n")
    (tmp_path / "b_raceline.csv").write_text("# s_m; x_m; y_m; vx_mps\n0;1;2;3\n")
    (tmp_path / "old.csv").mkdir()
    return tmp_path


def test_a_folder_is_its_circuits_by_name(folder):
    names = [maker.name for maker in track_makers([str(folder)], RACECAR)]
    assert names == [str(folder / name) for name in ("A.CSV", "b.csv", "n.npy", "oval.yaml")]


def test_each_circuit_of_a_folder_is_read_once(folder):
    (folder / "n.npy").unlink()
    assert [t.name for t in load_tracks([str(folder)], RACECAR)] == ["A", "b", "oval"]


def test_a_folder_without_circuits_is_refused(tmp_path):
    (tmp_path / ".hidden.csv").write_text("")
    with pytest.raises(InputError, match="has no file of a circuit"):
        load_tracks([str(tmp_path)], RACECAR)


def test_what_the_car_cannot_get_round_is_refused_when_circuits_are_loaded(tmp_path):
    rows = [[x, y, 1.05, 1.05] for x, y, _, _ in oval_table()]
    path = write_rows(tmp_path / "narrow.csv", rows)
    with pytest.raises(InputError, match=r"narrow\.csv: the track is only 2\.\d+ m wide at"):
        load_circuits([str(path)], RACECAR)
