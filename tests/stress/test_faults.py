"""What a killed run, a full disk or a second run leaves, with the means of stress/faults.py."""

import resource
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from processes import call

from racing_env.common.files import locked_folder
from stress import faults

SCRIPTS = ("collect_demonstrations.py", "train_bc.py", "train_rl.py", "evaluate.py")
# what shows that a stage has something to lose
FIRST_RESULT = {
    "demonstrations": "manifest.json", "bc": "checkpoint/round.pt", "rl": "checkpoint/training.pt"
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Runs a stage, and those before it, to the end, once; returns its folder and its seconds."""
    folder = tmp_path_factory.mktemp("whole")
    seconds: dict[str, float] = {}

    def run_until(name: str):
        for stage in faults.STAGES:
            if stage not in seconds:
                seconds[stage] = faults.run_whole(stage, folder)
            if stage == name:
                return folder, seconds[stage]
        raise KeyError(name)

    return run_until


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        ("demonstrations", 1),
        ("rl", 1),  # of cloning, whose parts are tested alone, only the slow ones
        *[pytest.param(name, 20, marks=pytest.mark.slow) for name in faults.STAGES],
    ],
)
def test_killed_again_and_again_and_gone_on_with(whole, tmp_path, name, kills):
    folder, seconds = whole(name)
    rng = np.random.default_rng(kills)
    met = faults.kill_again_and_again(name, folder, tmp_path, kills, seconds, rng)
    assert met["kills"] == kills and met["identical_results"] >= 1


@pytest.mark.parametrize(
    "name", ["demonstrations", "rl", pytest.param("bc", marks=pytest.mark.slow)]
)
def test_full_disk(whole, tmp_path, monkeypatch, name):
    """No file may grow any more, as soon as there is something to lose."""
    folder, _ = whole(name)
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # its files would not grow either
    stage, out = faults.STAGES[name], tmp_path / name
    process = faults.start(stage, folder, out)
    deadline = time.monotonic() + faults.HANG_S
    while not (out / FIRST_RESULT[name]).exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, 100))
    error = faults.end_of(process)
    if process.returncode == 0:
        pytest.skip("it was done before the disk was full")
    last = error.splitlines()[-1]
    assert process.returncode == 2 and "Traceback" not in error, error
    assert last.startswith("error: ") and str(out) in last and "cannot be written" in last
    faults.check_whole(out)
    process = faults.start(stage, folder, out)
    error = faults.end_of(process)
    assert process.returncode == 0, error
    assert stage.results(out) == stage.results(folder / name)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error of a script that refused its input."""
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: "), done
    return lines[0]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_second_run_in_the_same_folder_is_refused(script, tmp_path):
    with locked_folder(tmp_path / "out"):
        line = refused(call(script, "--out", tmp_path / "out"))
    assert "another run is at work there" in line and str(tmp_path / "out") in line
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder nobody can write to")
def test_a_folder_that_cannot_be_written_to(script):
    assert "/sys/kernel" in refused(call(script, "--out", "/sys/kernel"))


NO_NAME = "x" * 300  # longer than a file system takes


@pytest.mark.parametrize(
    "arguments",
    [
        ("collect_demonstrations.py", "--track", NO_NAME),
        ("train_bc.py", "--data", NO_NAME),
        ("train_rl.py", "--policy", NO_NAME),
        ("evaluate.py", "--driver", NO_NAME),
        ("evaluate.py", "--reference", NO_NAME),
        ("evaluate.py", "--json", NO_NAME),
        ("evaluate.py", "--out", NO_NAME),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_path_that_cannot_be_looked_up(arguments, tmp_path):
    out = () if "--out" in arguments else ("--out", tmp_path / "out")
    line = refused(call(*arguments, *out))
    assert NO_NAME in line and "cannot be " in line
