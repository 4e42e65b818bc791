"""The script as its users start it; where nothing depends on the process, within the tests' own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ROOT, call, run, start
from shapes import circle_track

from racing_env.car.vehicle_files import SHIPPED
from racing_env.data.dataset import read_dataset
from racing_env.tracks.reader import write_track

SCRIPT = "collect_demonstrations.py"
BUDGET = ("--track", "oval", "--episodes", 21, "--seed", 6)


def collect(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return call(SCRIPT, *arguments, cwd=cwd)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        f.name: f.read_bytes()
        for f in folder.iterdir()
        if f.name not in ("summary.json", "run.json")
    }


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collected")
    done = run(SCRIPT, *BUDGET, "--workers", 1, "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out", done


def test_result_is_a_data_set_with_a_summary(collected):
    out, done = collected
    data = read_dataset(out)
    data.verify_checksums()
    manifest = data.manifest
    assert [shard["name"] for shard in manifest["shards"]] == [f"shard-0000{i}" for i in range(3)]
    assert len(manifest["episodes"]) == 21
    summary = json.loads((out / "summary.json").read_text())
    assert summary["episodes"] == 21 and summary["workers"] == 1
    assert summary["transitions"] == sum(shard["steps"] for shard in manifest["shards"])
    assert 0 < summary["speed_up"] == pytest.approx(summary["busy_s"] / summary["wall_s"])
    for row in ("circuits", "laps finished", "lap time", "transitions", "busy time", "speed-up"):
        assert any(line.startswith(row) for line in done.stdout.splitlines()), row
    assert len(done.stderr.splitlines()) < 10  # a bar in a log file is not redrawn all the time
    assert not {"\r", "\x1b"} & set(done.stderr + done.stdout)  # nor made for a screen
    assert re.search(r"100% 21/21 episodes, .* transitions/s, \d+ laps$", done.stderr.strip())
    (record,) = json.loads((out / "run.json").read_text())
    assert record["flags"]["track"] == ["oval"] and record["seed"] == record["flags"]["seed"]


def test_bytes_are_the_same_for_every_number_of_workers(collected, tmp_path):
    done = collect(*BUDGET, "--workers", 2, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(collected[0])


def test_interrupted_and_resumed_gives_the_same_bytes(collected, tmp_path):
    process = start(SCRIPT, *BUDGET, "--workers", 2, "--out", "out", cwd=tmp_path)
    summary = tmp_path / "out" / "summary.json"
    deadline = time.monotonic() + 60.0
    while not summary.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to the workers, too
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert error.splitlines()[-1] == ("interrupted; everything finished is saved, --resume goes on")
    assert 10 <= len(read_dataset(tmp_path / "out").manifest["episodes"]) < 21
    stopped = json.loads(summary.read_text())
    done = collect(*BUDGET, "--workers", 1, "--out", "out", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(collected[0])
    whole = json.loads(summary.read_text())
    assert whole["wall_s"] > stopped["wall_s"] and whole["busy_s"] > stopped["busy_s"]
    assert whole["transitions_per_s"] == pytest.approx(whole["transitions"] / whole["wall_s"])
    done = collect(*BUDGET, "--workers", 1, "--out", "out", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = json.loads(summary.read_text())  # of all starts, though this one drove nothing
    assert again["busy_s"] == whole["busy_s"] and again["wall_s"] >= whole["wall_s"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--episodes", "0"], ["--episodes", "many"], ["--workers", "-1"], ["--seed", "1.5"],
        ["--no-such-flag"],
    ],
    ids=str,
)  # fmt: skip
def test_bad_flags(tmp_path, arguments):
    done = collect(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert arguments[0] in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--track", "nowhere"], "nowhere"),
        (["--track", "text.txt"], "text.txt"),
        (["--track", "random:x"], "random:x"),
        (["--vehicle", "lorry"], "'lorry'"),
        (["--vehicle", "text.txt"], "text.txt"),
        (["--layout", "camera"], "--layout: observation layout 'camera' is unknown"),
        (["--out", "text.txt"], "text.txt"),
        (["--out", "DATA"], "use --resume"),
        (
            ["--out", "DATA", "--resume", "--seed", 7],
            "settings.seed 6, asked for is 7; use the same, or another --out",
        ),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_exit_code_2(collected, tmp_path, arguments, word):
    (tmp_path / "text.txt").write_text("nothing\n")
    before = contents(collected[0])
    arguments = [str(collected[0]) if a == "DATA" else a for a in arguments]
    done = collect("--episodes", 1, "--workers", 1, "--track", "oval", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")
    assert word in done.stderr
    assert contents(collected[0]) == before


FROM_FILES = ("--track", "ring.csv", "--vehicle", "car.toml", "--episodes", 2, "--workers", 1,
              "--out", "out")  # fmt: skip


@pytest.fixture(scope="module")
def collected_from_files(tmp_path_factory) -> Path:
    """A data set beside the files that it was made from, which are gone on with as they are."""
    folder = tmp_path_factory.mktemp("files")
    write_track(circle_track(), folder / "ring.csv")
    shutil.copy(SHIPPED / "racecar.toml", folder / "car.toml")
    for more in ((), ("--resume",)):
        done = collect(*FROM_FILES, *more, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def edited_csv(folder: Path) -> None:
    """A bump of a decimetre in the centre line: the file's name and length stay the same."""
    lines = (folder / "ring.csv").read_text().splitlines()
    x, *others = lines[20].split(",")
    lines[20] = ",".join([f"{float(x) + 0.1}", *others])
    (folder / "ring.csv").write_text("\n".join(lines) + "\n")


def edited_weights(folder: Path) -> None:
    """What is left of a program whose reward was another one: its numbers in the manifest."""
    path = folder / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["task"]["weights"]["slip_per_s"] = 0.15
    path.write_text(json.dumps(manifest))


def edited_car(folder: Path) -> None:
    path = folder / "car.toml"
    path.write_text(path.read_text().replace("friction = 1.0", "friction = 0.95"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edited_csv, "circuits.1."),
        (edited_weights, "task.weights.slip_per_s 0.15, asked for is 0.1;"),
        (edited_car, "vehicle.friction_front 1.0, asked for is 0.95;"),
    ],
)
def test_contents_are_compared_not_names(collected_from_files, tmp_path, edit, message):
    shutil.copytree(collected_from_files, tmp_path, dirs_exist_ok=True)
    edit(tmp_path)
    before = contents(tmp_path / "out")
    done = collect(*FROM_FILES, "--resume", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: out")
    assert f"manifest.json: was made with {message}" in done.stderr
    assert "use the same, or another --out" in done.stderr
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("script", ["collect_demonstrations.py", "train_bc.py"])
def test_help_imports_nothing_heavy_and_numpy_has_one_thread(script):
    code = (
        "import os, sys, runpy\n"
        "os.environ.pop('OMP_NUM_THREADS', None)\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'numpy':\n"
        "            assert os.environ['OMP_NUM_THREADS'] == '1'\n"
        "            print('watched')\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"sys.argv = [{script!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert not {'numba', 'scipy', 'torch', 'matplotlib'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith("watched") and "--resume" in done.stdout
