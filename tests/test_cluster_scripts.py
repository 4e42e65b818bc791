"""The scripts on a cluster: the files of one machine, and good endings."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from clusters import cluster_of, kill
from processes import ROOT, run, run_without, start

from racing_env.common.kernel_cache import cache_folder, compiled_kernels

pytest.importorskip("ray")

COLLECT = "collect_demonstrations.py"
TRACKS = ["--track", "oval", "club"]
TIMES = ("run.json", "summary.json", "curve.csv", "learning_curve.png")  # or what flags were given


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def address(cluster):
    return cluster.address


def files(folder: Path) -> dict[str, bytes]:
    """All but what has times in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in TIMES and not path.name.startswith("events.")
    }


def run_well(script: str, *arguments: object, cwd: Path) -> None:
    done = run(script, *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "ray" not in (done.stdout + done.stderr).lower()


def test_demonstrations_are_those_of_one_machine(cluster, address, tmp_path):
    flags = ["--episodes", 5, *TRACKS, "--out"]
    run_well(COLLECT, *flags, "here", "--workers", 1, cwd=tmp_path)
    run_well(COLLECT, *flags, "there", "--cluster", address, cwd=tmp_path)
    assert len(files(tmp_path / "here")) > 3
    assert files(tmp_path / "there") == files(tmp_path / "here")
    # nothing had to be compiled there, if the kernels are for this processor
    there = cluster.kernels / cache_folder().name
    kernels = {name: (there / name).read_bytes() for name in compiled_kernels()}
    assert kernels == compiled_kernels()
    assert len(list(there.rglob("*.nb[ci]"))) == len(kernels) > 50


@pytest.mark.slow
def test_drivers_and_their_laps_are_those_of_one_machine(address, tmp_path):
    """Cloning with a DAgger round, reinforcement learning and the evaluation."""
    stages = [
        (COLLECT, ["--episodes", 4, *TRACKS, "--out", "data"]),
        ("train_bc.py", ["--data", "data", "--epochs", 3, "--dagger-rounds", 1,
                         "--judge-on", "oval", "--out", "bc"]),
        ("train_rl.py", ["--policy", "bc/policy.safetensors", "--timesteps", 41_000, *TRACKS,
                         "--judge-on", "oval", "club", "--out", "rl"]),
        ("evaluate.py", ["--driver", "expert", "rl/policy.safetensors", "--track", "random:3:6",
                         "--laps", 1, "--out", "evaluation"]),
    ]  # fmt: skip
    for folder, more in (("here", ["--workers", 1]), ("there", ["--cluster", address])):
        (tmp_path / folder).mkdir()
        for script, flags in stages:
            if script == "train_rl.py" and folder == "here":
                more = ["--envs", 1]
            run_well(script, *flags, *more, cwd=tmp_path / folder)
            more = ["--workers", 1] if folder == "here" else more
    here, there = files(tmp_path / "here"), files(tmp_path / "there")
    for name in ("bc/checkpoint/round.pt", "rl/checkpoint/training.pt", "evaluation/report.html"):
        here.pop(name), there.pop(name)  # have times in them, too
    assert "rl/policy.safetensors" in here and "evaluation/results.json" in here
    assert there == here


@pytest.mark.parametrize("script", [COLLECT, "evaluate.py"])
@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:1"])
def test_an_address_without_a_cluster_is_refused_in_one_line(script, address, tmp_path):
    done = run(script, "--track", "oval", "--out", "out", "--cluster", address, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.replace("'", "").startswith(f"error: --cluster {address}: ")
    assert done.stderr.count("\n") == 1


def test_without_a_cluster_nothing_of_ray_is_loaded(tmp_path):
    flags = ["--episodes", 1, "--track", "oval", "--workers", 1, "--out", tmp_path / "out"]
    done = run_without("ray", COLLECT, *flags)
    assert done.returncode == 0, done.stderr


def test_a_machine_without_ray_is_told_how_to_get_it(tmp_path):
    (tmp_path / "ray.py").write_text("raise ImportError('No module named ray')")
    done = subprocess.run(
        [sys.executable, str(ROOT / COLLECT), "--cluster", "auto", "--out", "out"], text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install -r requirements-cluster.txt" in done.stderr
    assert done.stderr.count("\n") == 1


def under_way(folder: Path, address: str, cwd: Path) -> subprocess.Popen[str]:
    """A collection with a shard on the disk."""
    process = start(COLLECT, "--episodes", 40, *TRACKS, "--out", folder, "--cluster", address,
                    cwd=cwd)  # fmt: skip
    deadline = time.monotonic() + 120.0
    while not (cwd / folder / "manifest.json").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.1)
    return process


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files that a collection has in the end."""
    folder = tmp_path_factory.mktemp("whole")
    run_well(COLLECT, "--episodes", 40, *TRACKS, "--out", "data", cwd=folder)
    return files(folder / "data")


@pytest.mark.slow
def test_ctrl_c_ends_it_and_resume_goes_on(address, tmp_path, whole):
    process = under_way(Path("data"), address, tmp_path)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume goes on" in said and "Traceback" not in said
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    flags = ["--episodes", 40, *TRACKS, "--out", "data", "--resume"]
    run_well(COLLECT, *flags, "--cluster", address, cwd=tmp_path)
    assert files(tmp_path / "data") == whole


@pytest.mark.slow
def test_a_script_that_is_killed_leaves_nothing(address, tmp_path):
    process = under_way(Path("data"), address, tmp_path)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


@pytest.mark.slow
def test_a_lost_head_ends_it_in_one_line_and_resume_goes_on(tmp_path, whole):
    with cluster_of(1) as cluster:
        address = cluster.address
        process = under_way(Path("data"), address, tmp_path)
        kill(cluster.head_node)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 2
    assert said.strip().splitlines()[-1].startswith(f"error: the cluster {address}: ")
    assert "Traceback" not in said and "does not answer" in said
    flags = ["--episodes", 40, *TRACKS, "--out", "data", "--resume"]
    run_well(COLLECT, *flags, cwd=tmp_path)
    assert files(tmp_path / "data") == whole


def test_the_chain_hands_the_cluster_to_each_stage(address, tmp_path):
    command = [ROOT / "train_optimized.sh", "--dry-run", "--out", tmp_path, "--cluster", address]
    done = subprocess.run(
        ["bash", *map(str, command)], capture_output=True, text=True,
        env={**os.environ, "VIRTUAL_ENV": sys.prefix, "BC_WORKERS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plan = done.stdout.splitlines()
    assert plan[:3] == ["demo workers: 2", "bc workers: 1", "rl envs: 2"]
    assert [f" --cluster {address} " in line for line in plan[3:]] == [True] * 4
    assert not any(" --envs " in line or " --drive-workers " in line for line in plan)


def test_the_chain_needs_a_cluster_at_the_address(tmp_path):
    for more in (["--dry-run"], []):
        done = subprocess.run(
            ["bash", str(ROOT / "train_optimized.sh"), "--out", str(tmp_path / "out"),
             "--cluster", "127.0.0.1:1", *more], capture_output=True, text=True,
            env={**os.environ, "VIRTUAL_ENV": sys.prefix},
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith("error: --cluster 127.0.0.1:1: ")
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
