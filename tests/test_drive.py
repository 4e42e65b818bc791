"""The script as its users start it, with a program at the keys."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR
from demonstrations import write_made_up
from processes import ROOT, run, run_without
from simple_tracks import ring

pytest.importorskip("pygame", reason="driving needs the extra: requirements-render.txt")

import drive  # noqa: E402 - after the skip
from racing_env.common.errors import FileError, InputError  # noqa: E402
from racing_env.common.files import write_json  # noqa: E402
from racing_env.data.dataset import read_dataset  # noqa: E402
from racing_env.drawing import window  # noqa: E402
from racing_env.drivers.policy import load_policy  # noqa: E402
from racing_env.simulation.task import demonstration_task  # noqa: E402
from racing_env.tracks.reader import write_track  # noqa: E402

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
POLICY = ROOT / "policies" / "racecar.safetensors"


@pytest.fixture(scope="module")
def track(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tracks") / "ring.csv"
    write_track(ring(), path)
    return path


def play(end: str, *arguments: object, cwd: Path, prefix: tuple[str, ...] = (), **display: str):
    """The script with the keys pressed by `keyboard`; end: laps, close or interrupt."""
    environment = {name: value for name, value in os.environ.items() if name not in DISPLAYS}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [*prefix, sys.executable, "-m", "keyboard", end, *map(str, arguments)], cwd=cwd, text=True,
        env=environment | display, capture_output=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(track, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    done = play(
        "laps", "--track", track, "--against", POLICY, "--laps", 2, "--record", "mine", cwd=folder,
        SDL_VIDEODRIVER="dummy",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "mine", done


def test_the_table_has_the_laps_the_ghosts_and_the_gaps(recorded):
    header, *rows, legend, kept = recorded[1].stdout.splitlines()
    assert header.split() == ["lap", "time", "policies/racecar", "gap"]
    assert len(rows) == 2 and rows[0].endswith("standing") and "*" in rows[1]
    for row in rows:
        own_s, theirs_s, gap_s = (float(n) for n in re.findall(r"([+-]?\d+\.\d{3}) s", row))
        assert gap_s == pytest.approx(own_s - theirs_s, abs=0.002)
        assert 5.0 < theirs_s < own_s < 40.0
    assert legend == "* your best" and kept == "2 laps are kept in mine"
    assert recorded[1].stderr == ""


def test_laps_are_kept_as_demonstrations_of_the_car_and_the_task(recorded):
    data = read_dataset(recorded[0])
    data.verify_checksums()
    policy = load_policy(POLICY)
    assert data.vehicle == policy.vehicle and data.layout.name == policy.layout.name
    assert data.task_record == demonstration_task(RACECAR).record()
    times = [episode["lap_time_s"] for episode in data.manifest["episodes"]]
    shown = re.findall(r"([\d.]+) s +[\d.]+ s +[+-]", recorded[1].stdout)
    assert [f"{time:.3f}" for time in times] == shown
    for episode, shard in zip(data.manifest["episodes"], data.shards(), strict=True):
        assert episode["end"] == "lap" and episode["laps"] == 1 and episode["circuit"] == "ring"
        assert episode["steps"] == pytest.approx(episode["lap_time_s"] / 0.05, abs=1.5)
        np.testing.assert_array_equal(shard["actions"], shard["expert_actions"])
        assert np.abs(shard["actions"]).max() <= 1.0 and np.ptp(shard["actions"][:, 0]) > 0.1
        assert not shard["terminations"].any()
        assert shard["truncations"].tolist() == [False] * (episode["steps"] - 1) + [True]
    first, _ = data.shards()
    assert first["actions"][0, 1] > 0.0  # nothing of the wait for the driver


@pytest.mark.slow
def test_a_clone_of_the_laps_can_be_trained(recorded, track, tmp_path):
    done = run(
        "train_bc.py", "--data", recorded[0], "--epochs", 2, "--dagger-rounds", 0, "--workers", 0,
        "--drive-workers", 1, "--judge-on", track, "--out", "bc", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert load_policy(tmp_path / "bc" / "policy.safetensors").vehicle == RACECAR


@pytest.mark.parametrize(("end", "code"), [("close", 0), ("interrupt", 130)])
def test_laps_are_kept_however_the_drive_ends(track, tmp_path, end, code):
    done = play(end, "--track", track, "--record", "mine", cwd=tmp_path, SDL_VIDEODRIVER="dummy")
    assert done.returncode == code, done.stderr
    assert "1 lap is kept in mine" in done.stdout and "standing" in done.stdout
    assert done.stderr == ("interrupted; start again\n" if code else "")
    data = read_dataset(tmp_path / "mine")
    data.verify_checksums()
    assert len(data.manifest["episodes"]) == 1
    assert not list((tmp_path / "mine").glob(".unfinished-*"))


REFUSED = {
    "a track that is none": (("--track", "nowhere"), "track 'nowhere': no such file or name"),
    "several circuits": (("--track", "random:1:3"), "--track random:1:3: is 3 circuits"),
    "no policy": (("--against", "none.safetensors"), "none.safetensors: no such policy file"),
    "another car": (
        ("--against", POLICY, "--vehicle", "f1tenth"),
        "a condition in place of --vehicle",
    ),
    "no car": (("--vehicle", "spaceship"), "spaceship"),
    "a data set": (("--record", "full"), "full: already holds a data set; use another --record"),
    "a file": (("--record", "file"), "file: cannot be written"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_before_a_display_is_looked_for(tmp_path, monkeypatch, case):
    arguments, message = REFUSED[case]
    write_made_up(tmp_path / "full", [0, 1])
    write_json(tmp_path / "file", {})
    before = (tmp_path / "full" / "manifest.json").read_bytes()
    monkeypatch.setattr(window, "open_display", lambda: pytest.fail("it is"))
    monkeypatch.setattr(sys, "argv", ["drive.py", *map(str, arguments)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InputError, FileError)) as refused:
        drive.main()
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert (tmp_path / "full" / "manifest.json").read_bytes() == before


def test_without_a_display_one_line_says_so(tmp_path):
    done = play("never", "--record", "mine", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no display to open a window on (neither DISPLAY nor")
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "mine" / "run.json").exists()


def test_a_missing_pygame_is_named():
    done = run_without("pygame", "drive.py")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "pip install -r requirements-render.txt" in done.stderr


@pytest.mark.skipif(
    not shutil.which("xvfb-run"), reason="needs a virtual display: apt install xvfb"
)
def test_a_lap_on_a_virtual_display(track, tmp_path):
    done = play("close", "--track", track, cwd=tmp_path, prefix=("xvfb-run", "-a"))
    assert done.returncode == 0, done.stderr
    assert "* your best" in done.stdout
