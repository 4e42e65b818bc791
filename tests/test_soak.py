"""A short run of benchmarks/soak.py."""

import json
import subprocess
import sys

import pytest
from processes import ROOT


@pytest.mark.slow
def test_nothing_grows(tmp_path):
    figures = tmp_path / "soak.json"
    subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--steps", "400000", "--cars", "32", "--json",
         str(figures)],
        check=True, cwd=ROOT, env={"PYTHONPATH": ".", "PATH": "/usr/bin:/bin"}, timeout=600,
    )  # fmt: skip
    met = json.loads(figures.read_text())
    assert met["steps"] >= 400_000
    settled, last = met["samples"][len(met["samples"]) // 2], met["samples"][-1]
    for what in ("files", "threads", "processes"):
        assert settled[what] == last[what], what
    assert last["memory_mb"] < settled["memory_mb"] + 10.0
