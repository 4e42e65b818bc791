"""What the benchmarks share: turns, watched commands, and that these end with them."""

import shlex
import subprocess
import sys
import time

import pytest
from processes import ROOT

from benchmarks import measuring
from stress.faults import session_of


def test_cases_take_turns():
    order = []
    values = iter([1.0, 10.0, 3.0, 30.0, 2.0, 20.0])

    def case(name: str) -> dict[str, float]:
        order.append(name)
        return {"per_s": next(values)}

    results = measuring.in_turn({"a": lambda: case("a"), "b": lambda: case("b")}, repeats=3)
    assert order == ["a", "b"] * 3
    assert results["a"]["per_s"] == 2.0 and results["b"]["per_s"] == 20.0
    assert [turn["per_s"] for turn in results["a"]["runs"]] == [1.0, 3.0, 2.0]
    assert measuring.spread(results["a"], "per_s") == "100%"


def test_commands_are_timed_and_their_memory_seen():
    assert measuring.run_command(["sleep", "0.2"]) >= 0.2
    code = "import time; block = bytearray(60 << 20); time.sleep(1.5)"
    peaks = measuring.peak_memory(["bash", "-c", f"python3 -c {shlex.quote(code)}; true"])
    assert peaks.tree_mb >= peaks.worker_mb > 60
    with pytest.raises(RuntimeError, match="exit code 3\n.*no luck"):
        measuring.run_command(["bash", "-c", "echo no luck; exit 3"])


def test_a_benchmark_that_is_stopped_stops_its_command(tmp_path):
    code = (
        "from benchmarks import measuring; from racing_env.common import command_line as cli\n"
        f"cli.run(lambda: measuring.run_command(['bash', '-c', 'touch at-work; exec sleep 300'], "
        f"folder={str(tmp_path)!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60.0
    while not (tmp_path / "at-work").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(60.0) == 130
    assert not session_of(process.pid)


INTERRUPTED = """
import subprocess, time
from benchmarks.measuring import in_threads

programs = []

def work(job):
    if job == "program":
        programs.append(subprocess.Popen(["sleep", "600"]))
        return programs[0].wait()
    while not programs:
        time.sleep(0.01)
    raise KeyboardInterrupt

assert in_threads(lambda job: 2 * job, range(5), at_a_time=2) == [0, 2, 4, 6, 8]
try:
    in_threads(work, ["interrupt", "program"], at_a_time=2)
except KeyboardInterrupt:
    print("ended with", programs[0].returncode)
"""


def test_programs_started_by_threads_end_when_they_are_interrupted():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=ROOT, timeout=120, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "ended with -15\n"
