"""The script as its users start it; where nothing depends on the process, within the tests' own."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cars import RACECAR, circuit_named
from processes import call, run, start

from racing_env.common.command_line import available_cores
from racing_env.common.files import read_columns
from racing_env.data.dataset import read_dataset
from racing_env.data.dataset_writer import DatasetWriter, Episode, Origin
from racing_env.drivers.policy import load_policy
from racing_env.learning.network import policy_network
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.task import demonstration_task
from racing_env.tracks.circuit import circuits_content
from racing_env.tracks.reader import write_track

BUDGET = ("--epochs", 4, "--dagger-rounds", 2, "--judge-on", "club", "--seed", 1)


def train(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return call("train_bc.py", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Demonstrations on a circuit that lies in a file: the oval."""
    folder = tmp_path_factory.mktemp("demonstrations")
    write_track(circuit_named("oval").track, folder / "oval.csv")
    done = call(
        "collect_demonstrations.py", "--track", folder / "oval.csv", "--episodes", 4,
        "--workers", 1, "--out", "data", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "data"


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    done = run(
        "train_bc.py", *BUDGET, "--data", data, "--workers", 1, "--out", "bc", cwd=folder
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "bc", done


def results(folder: Path) -> dict[str, bytes]:
    """What must not depend on the number of workers, nor on interruptions."""
    files = {"policy.safetensors": (folder / "policy.safetensors").read_bytes()}
    for path in sorted(folder.glob("dagger-*/*")):
        files[f"{path.parent.name}/{path.name}"] = path.read_bytes()
    with (folder / "curve.csv").open() as file:
        files["curve"] = repr([row | {"wall_s": ""} for row in csv.DictReader(file)]).encode()
    return files


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_policy_is_left_even_if_it_finishes_no_lap(trained):
    folder, done = trained
    policy = load_policy(folder / "policy.safetensors")
    assert policy.record["made_by"] == "train_bc.py" and policy.record["seed"] == "1"
    summary = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["laps_finished"] == 0 and summary["lap_ratio"] is None
    assert summary["examples_per_s"] > 0
    assert len(done.stdout.splitlines()) == 5  # a header and the four rounds
    assert len(done.stderr.splitlines()) < 10
    driven = [read_dataset(folder / f"dagger-0{i}").manifest for i in (1, 2)]
    assert [manifest["settings"]["round"] for manifest in driven] == [1, 2]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_results_are_the_same_for_every_number_of_workers(trained, data, tmp_path, workers):
    done = train(*BUDGET, "--data", data, "--workers", workers, "--out", "bc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "bc") == results(trained[0])
    summary = json.loads((tmp_path / "bc" / "summary.json").read_text())
    assert summary["workers"] == workers
    assert summary["drive_workers"] == (max(available_cores() - 1, 1) if workers else 1)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["checkpoint/round.pt", "dagger-02/manifest.json"])
def test_interrupted_and_resumed_gives_the_same(trained, data, tmp_path, moment):
    arguments = (*BUDGET, "--data", data, "--workers", 1, "--out", "bc")
    process = start("train_bc.py", *arguments, cwd=tmp_path)
    deadline = time.monotonic() + 120.0
    while not (tmp_path / "bc" / moment).exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    load_policy(tmp_path / "bc" / "policy.safetensors")
    done = train(*arguments, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "bc") == results(trained[0])


def test_wall_time_goes_on_where_an_earlier_start_was(trained, data, tmp_path):
    shutil.copytree(trained[0], tmp_path / "bc")
    before = json.loads((tmp_path / "bc" / "summary.json").read_text())["wall_s"]
    done = train(*BUDGET, "--data", data, "--out", "bc", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    curve = read_columns(tmp_path / "bc" / "curve.csv", ["wall_s"])["wall_s"]
    after = json.loads((tmp_path / "bc" / "summary.json").read_text())["wall_s"]
    assert curve[0] < curve[-1] < before and curve[-1] < after  # though nothing was left to do


def test_more_rounds_than_epochs(data, tmp_path):
    done = train("--epochs", 1, "--data", data, "--workers", 0, "--out", "bc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "bc").glob("dagger-*"))


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in done.stderr
    for word in words:
        assert word in last


def test_loss_that_is_not_finite_stops(tmp_path):
    (tmp_path / "data").mkdir()
    steps = 50
    arrays = {
        "observations": np.full((steps, LAYOUT.size), np.nan, np.float32),
        "actions": np.zeros((steps, 2), np.float32),
        "expert_actions": np.zeros((steps, 2), np.float32),
        "rewards": np.zeros(steps, np.float32),
        "terminations": np.zeros(steps, bool),
        "truncations": np.zeros(steps, bool),
    }
    content = circuits_content([circuit_named("oval")])
    origin = Origin({}, ["oval"], content, RACECAR, demonstration_task(RACECAR))
    writer = DatasetWriter(tmp_path / "data", origin)
    for _ in range(3):
        writer.add(Episode(arrays, {"circuit": "oval", "laps": 0}))
    writer.flush()
    done = train("--data", "data", "--workers", 0, "--out", "new", cwd=tmp_path)
    assert_refused(done, "not finite from epoch 1 on")
    assert not (tmp_path / "new" / "policy.safetensors").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "0"],
        ["--batch-size", "x"],
        ["--workers", "-1"],
        ["--drive-workers", "0"],
        ["--device", "tpu"],
    ],
    ids=str,
)
def test_bad_flags(tmp_path, arguments):
    done = train(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert arguments[0] in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--out", "text.txt"], "text.txt"),
        (["--out", "BC"], "use --resume"),
        (["--out", "BC", "--resume"], "made with seed 1, asked for is 0"),
        (
            [*BUDGET, "--out", "BC", "--resume", "--judge-on", "oval"],
            "made with judges.1.length_m ",
        ),
        ([*BUDGET, "--out", "BC", "--resume", "--data", "fewer"], "made with demonstrations "),
        (["--out", "broken", "--resume"], "not a readable checkpoint"),
        (["--data", "damaged"], "does not match its checksum"),
        (["--data", "trackless"], "tracks are [], not names"),
        (["--data", "club"], "club: was made with circuits.1.length_m "),
        (["--data", "costly"], "costly: was made with task.weights.slip_per_s 0.3, asked for is"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_exit_code_2(trained, data, tmp_path, arguments, word):
    (tmp_path / "text.txt").write_text("nothing\n")
    (tmp_path / "broken" / "checkpoint").mkdir(parents=True)
    (tmp_path / "broken" / "checkpoint" / "round.pt").write_bytes(b"PK\x03\x04 nothing")
    shutil.copytree(data, tmp_path / "damaged")
    with (tmp_path / "damaged" / "shard-00000.expert_actions.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    found = read_dataset(data).manifest
    weights = found["task"]["weights"] | {"slip_per_s": 0.3}
    for name, change in {
        "trackless": {"tracks": []},
        "club": {"tracks": ["club"]},
        "costly": {"task": found["task"] | {"weights": weights}},
        "fewer": {"episodes": found["episodes"][:3]},
    }.items():
        manifest = shutil.copytree(data, tmp_path / name) / "manifest.json"
        manifest.write_text(json.dumps(found | change))
    before = contents(trained[0])
    arguments = [str(trained[0]) if a == "BC" else a for a in arguments]
    done = train("--workers", 0, "--data", data, *arguments, cwd=tmp_path)
    assert_refused(done, word)
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""
    assert contents(trained[0]) == before


def test_a_checkpoint_with_another_optimiser_is_refused(trained, data, tmp_path):
    """Such as one before the parameters became views of one."""
    checkpoint = shutil.copytree(trained[0], tmp_path / "bc") / "checkpoint" / "round.pt"
    saved = torch.load(checkpoint, weights_only=True)
    optimizer = torch.optim.Adam(policy_network(LAYOUT.size).parameters())
    torch.save(saved | {"optimizer": optimizer.state_dict()}, checkpoint)
    done = train(*BUDGET, "--data", data, "--out", "bc", "--resume", cwd=tmp_path)
    assert_refused(done, "round.pt: is of another version of this program")


def test_a_circuit_that_was_edited_since_is_refused(trained, data, tmp_path):
    """By what is in its file: where that lies does not matter."""
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(trained[0], tmp_path / "bc")
    circuit, file = circuit_named("oval"), tmp_path / "oval.csv"
    write_track(circuit.track, file)
    manifest = tmp_path / "data" / "manifest.json"
    record = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(record | {"tracks": [str(file)]}))
    new = ("--data", "data", "--epochs", 1, "--judge-on", "club", "--out", "new")
    assert train(*new, cwd=tmp_path).returncode == 0
    before = contents(tmp_path / "bc")

    width = circuit.track.width_left_m.copy()
    width[100] -= 0.01
    write_track(replace(circuit.track, width_left_m=width), file)
    for arguments in ((*new, "--out", "newer"), (*BUDGET, "--data", "data", "--out", "bc")):
        done = train(*arguments, "--resume", cwd=tmp_path)
        assert_refused(done, "error: data: was made with circuits.1.", "collect it again")
        assert len(done.stderr.splitlines()) == 1 and done.stdout == ""
    assert contents(tmp_path / "bc") == before and not contents(tmp_path / "newer")
