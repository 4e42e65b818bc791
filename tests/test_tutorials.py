"""The tutorials do what they say: their commands are run as they are written, but for what each
test names.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from clusters import cluster_of
from processes import ROOT

from racing_env.drivers.policy import load_policy

FOLDER = ROOT / "docs" / "tutorials"
PYTHON = ".venv/bin/python"


def blocks(name: str, language: str = "sh") -> list[str]:
    """What is to be typed, in its order."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [dedent(block) for _, block in found]


def replaced(text: str, changes: dict[str, str]) -> str:
    """With what is written put in place of what it is in a test."""
    for written, instead in changes.items():
        assert written in text, written
        text = text.replace(written, instead)
    return text


@pytest.fixture
def here(tmp_path) -> Path:
    """A folder with what the root of the repository has, and room for what is written."""
    folder = tmp_path / "here"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.suffix == ".py" or path.name in ("policies", "train_optimized.sh"):
            (folder / path.name).symlink_to(path)
    return folder


def run(commands: str, folder: Path) -> str:
    """What they print; the active environment stands for `.venv`."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, text=True, timeout=900,
        env=os.environ | {"VIRTUAL_ENV": sys.prefix}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_tutorial_is_tested():
    tested = set(re.findall(r'"(\w+\.md)"', Path(__file__).read_text(encoding="utf-8")))
    assert {path.name for path in FOLDER.iterdir()} == tested


@pytest.mark.slow
def test_from_a_file_of_a_circuit_to_a_driver(here):
    commands = replaced(
        "".join(blocks("circuit.md")),
        {PYTHON: sys.executable, "--practice my.csv": "--practice my.csv --timesteps 41000"},
    )
    out = run(commands, here)
    assert re.search(r"^my +\d\.\d\d km .* 4/4 .* 4/4 .* 4/4$", out, re.MULTILINE)
    for folder in ("my", "my/after"):
        assert (here / "runs" / folder / "report.html").exists()


@pytest.mark.slow
def test_from_a_file_of_a_car_to_a_driver(here):
    run(replaced("".join(blocks("car.md")), {PYTHON: sys.executable}), here)
    assert load_policy(here / "runs/my_car/rl/policy.safetensors").vehicle.mass_kg == 4.1
    for folder in ("my_car", "my_car/more"):
        assert (here / "runs" / folder / "report.html").exists()


def test_from_a_driver_to_onnx_on_another_machine(here, tmp_path):
    """One where nothing can be imported but numpy, onnxruntime and what Python has."""
    there = tmp_path / "there"
    there.mkdir()
    export, send, drive = blocks("onnx.md")
    (program,) = blocks("onnx.md", "python")
    (here / "drive_onnx.py").write_text(program, encoding="utf-8")
    nothing_to_install = {f"{PYTHON.replace('python', 'pip')} install": "true"}
    run(replaced(export, nothing_to_install | {PYTHON: sys.executable}), here)
    run(replaced(send, {"scp": "cp", "OTHER:": str(there)}), here)
    install, _, start = drive.partition("\n")
    assert install.endswith("pip install numpy onnxruntime")
    (there / "bare.py").write_text(BARE, encoding="utf-8")
    out = run(replaced(start, {"racing/bin/python": f"{sys.executable} -I bare.py"}), there)
    assert out.startswith("76 inputs, a step is 0.05 s: vx_mps, ")
    found = re.search(r"^(\d+) steps; .* (\d+\.\d\d) % of full lock$", out, re.MULTILINE)
    assert found
    steps, percent = int(found[1]), float(found[2])
    policy = load_policy(ROOT / "policies" / "racecar.safetensors")
    seen, asked = (
        np.load(there / f"shard-00000.{field}.npy") for field in ("observations", "expert_actions")
    )
    memory = policy.new_memory(1)
    steering = [policy.act(row[None], memory)[0, 0] for row in seen]
    assert steps == len(seen) > 500
    assert percent == pytest.approx(100 * np.abs(steering - asked[:, 0]).mean(), abs=0.011)


BARE = """
import runpy, sys
from importlib.machinery import PathFinder

class Refused:
    def find_spec(name, path=None, target=None):
        found = PathFinder.find_spec(name, path)
        if path is None and found and "site-packages" in str(found.origin):
            if name not in ("numpy", "onnxruntime"):
                raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Refused)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.slow
def test_from_one_machine_to_a_cluster(here):
    pytest.importorskip("ray")
    start, compare, end = blocks("cluster.md")
    assert re.findall(r"ray start .*--num-cpus=1$", start, re.MULTILINE)
    assert end.endswith("/ray stop\n")
    with cluster_of(start.count("--num-cpus=1")) as cluster:  # others' clusters may run here, too
        changes = {PYTHON: sys.executable, "127.0.0.1:6379": cluster.address,
                   "--episodes 10": "--episodes 4"}  # fmt: skip
        run(replaced(compare, changes), here)
    assert (here / "runs/together/shard-00000.observations.npy").exists()
