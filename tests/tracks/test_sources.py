"""What `--track` takes, and circuits that worker processes prepare."""

import numpy as np
import pytest
from cars import RACECAR

from racing_env.common.errors import InputError
from racing_env.tracks.generator import built_in_track
from racing_env.tracks.reader import write_track
from racing_env.tracks.sources import load_circuits, load_tracks


def test_circuits_are_the_same_for_every_number_of_workers():
    specs = ["club", "random:3:2"]
    one, two = load_circuits(specs, RACECAR, 1), load_circuits(specs, RACECAR, 2)
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
    with pytest.raises(InputError, match=r"random\[:SEED\[:COUNT\]\]|no \.csv file") as error:
        load_tracks([spec], RACECAR)
    assert "\n" not in str(error.value)


def test_folder_without_circuits_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no \.csv file"):
        load_tracks([str(tmp_path)], RACECAR)
