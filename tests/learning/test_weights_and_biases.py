from pathlib import Path

import pytest
from processes import ROOT, run, run_without

from racing_env.common.errors import InputError
from racing_env.learning.weights_and_biases import tracked

SHIPPED = ROOT / "policies" / "racecar-nominal.safetensors"


def test_without_a_project_nothing_happens(tmp_path):
    with tracked(None, tmp_path / "out", {}):
        assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named_before_anything_else(tmp_path):
    arguments = ("--wandb", "racing", "--policy", "none", "--out", tmp_path / "out")
    result = run_without("wandb", "train_rl.py", *arguments)
    assert result.returncode == 2
    said = result.stderr.splitlines()
    if said[0].startswith("Matplotlib is building the font cache"):  # so on a slow machine
        del said[0]
    (line,) = said
    assert "pip install -r requirements-wandb.txt" in line


def offline(monkeypatch, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs the extra: requirements-wandb.txt")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def test_what_wandb_refuses_is_one_line(monkeypatch, tmp_path):
    offline(monkeypatch, tmp_path)
    with pytest.raises(InputError, match="--wandb a/b"), tracked("a/b", tmp_path, {}):
        pass


@pytest.mark.slow
def test_training_offline_keeps_what_tensorboard_has(monkeypatch, tmp_path):
    offline(monkeypatch, tmp_path)
    done = run(
        "train_rl.py", "--policy", SHIPPED, "--track", "oval", "--judge-on", "oval", "--timesteps",
        1024, "--envs", 1, "--cars", 4, "--out", "run/rl", "--wandb", "racing", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (log,) = (tmp_path / "run" / "rl").glob("wandb/offline-run-*/run-*.wandb")
    content = log.read_bytes()
    assert b"judge/finished" in content and b"timesteps" in content
