"""A short run of stress/soak.py."""

import json

import pytest
from processes import run_module


@pytest.mark.slow
def test_nothing_grows(tmp_path):
    figures = tmp_path / "soak.json"
    done = run_module("stress.soak", "--steps", 400_000, "--cars", 32, "--json", figures)
    assert done.returncode == 0, done.stderr
    met = json.loads(figures.read_text())
    assert met["steps"] >= 400_000
    settled, last = met["samples"][len(met["samples"]) // 2], met["samples"][-1]
    for what in ("files", "threads", "processes"):
        assert settled[what] == last[what], what
    assert last["memory_mb"] < settled["memory_mb"] + 10.0
