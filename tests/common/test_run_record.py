import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import ROOT

from racing_env.common import run_record
from racing_env.common.command_line import available_cores
from racing_env.common.errors import InputError


def test_each_start_adds_its_flags_and_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "--seed", "3"])
    for resume in (False, True):
        args = argparse.Namespace(seed=3, out=Path("a/b"), track=["oval", Path("c")], resume=resume)
        run_record.write_run_record(tmp_path, args)
    first, second = json.loads((tmp_path / "run.json").read_text())
    assert first["flags"] == {"seed": 3, "out": "a/b", "track": ["oval", "c"], "resume": False}
    assert second["flags"]["resume"] is True
    assert first["script"] == "train.py" and first["seed"] == 3
    assert first["versions"]["numpy"] == np.__version__
    assert first["versions"]["python"] == sys.version.split()[0]
    assert all(first["versions"].values())
    assert first["processor"] and first["cores"] == available_cores()


def test_a_damaged_record_is_not_overwritten(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="run.json"):
        run_record.write_run_record(tmp_path, argparse.Namespace())
    assert (tmp_path / "run.json").read_text() == "{"


def test_the_commit_is_the_checkouts_and_says_whether_files_differ(tmp_path, monkeypatch):
    package = tmp_path / "racing_env"
    package.mkdir()
    monkeypatch.setattr(run_record, "__file__", str(package / "run_record.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert run_record.commit() is None

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init")
    (package / "file").write_text("one")
    git("add", ".")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD")
    assert run_record.commit() == head
    (package / "file").write_text("two")
    assert run_record.commit() == f"{head}-dirty"


def test_a_library_that_is_missing_has_no_version():
    assert run_record.version("no-such-library-at-all") is None
    pinned = (ROOT / "requirements.txt").read_text()
    assert all(f"{name}==" in pinned for name in run_record.LIBRARIES)
