"""Memory of a process tree."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from processes import ROOT

from racing_env.common.memory_sampler import record_peak, tree_memory_bytes

MB = 10**6
# Forks twice after taking 50 MB, so that three processes share the pages; ends when told to.
SHARING = """
import os, sys
block = b"x" * (50_000_000)
for _ in range(2):
    if not os.fork():
        sys.stdin.read()
        os._exit(0)
print("ready", flush=True)
sys.stdin.read()
os.wait(), os.wait()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_shared_pages_count_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SHARING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        total = tree_memory_bytes(psutil.Process(process.pid))
        children = tree_memory_bytes(psutil.Process(process.pid), without_pid=process.pid)
    assert 50 * MB < total < 90 * MB
    assert 0.5 * total < children < 0.8 * total


def peak_bytes(path: Path, code: str) -> int:
    """The peak that is in path after code ran, sampled every 10 ms."""
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        record_peak(process.pid, path, interval_s=0.01)
    return json.loads(path.read_text())["peak_bytes"]


def test_the_peak_outlives_the_memory_and_the_process(tmp_path: Path) -> None:
    code = "import time; block = b'x' * (40_000_000); time.sleep(0.3); del block; time.sleep(0.2)"
    assert 40 * MB < peak_bytes(tmp_path / "memory.json", code) < 80 * MB


def test_an_earlier_start_counts(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.write_text('{"peak_bytes": 123000000000}')
    assert peak_bytes(path, "import time; time.sleep(0.1)") == 123000000000
    path.write_text('{"peak_bytes": 1}')
    assert peak_bytes(path, "import time; time.sleep(0.3)") > MB


def test_a_process_that_ended_has_no_peak(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    record_peak(process.pid, tmp_path / "memory.json")
    assert not (tmp_path / "memory.json").exists()


def test_it_is_ended_by_a_signal_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "racing_env.common.memory_sampler", "--pid", str(os.getpid()),
         "--out", path],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60.0
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "") and path.exists()
