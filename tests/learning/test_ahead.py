"""What is prepared for reinforcement learning while the stages before it are at work."""

import re

import pytest
from processes import ROOT, run_module

import train_rl
from racing_env.common.files import user_cache


def test_circuits_are_in_the_cache_then(tmp_path, monkeypatch):
    monkeypatch.setenv("RACING_ENV_CACHE", str(tmp_path))
    done = run_module(
        "racing_env.learning.ahead", "--vehicle", "racecar", "--track", "oval", "club"
    )
    assert done.returncode == 0, done.stderr
    assert len([*user_cache().glob("*.npz")]) == 2
    assert done.stdout == "nominal\n"  # what train_optimized.sh waits for


def test_a_track_that_is_none_is_one_line():
    done = run_module("racing_env.learning.ahead", "--vehicle", "racecar", "--track", "nowhere.csv")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "flag, specs", [("train_on", train_rl.TRACK), ("judge_on", train_rl.JUDGE_ON)]
)
def test_the_chain_prepares_what_train_rl_takes_by_default(flag, specs):
    text = (ROOT / "train_optimized.sh").read_text()
    assert re.search(rf"\b{flag}=(\S+)", text)[1] == specs
