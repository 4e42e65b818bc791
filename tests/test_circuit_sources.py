import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from racing_env.circuit_sources import load_circuits, parallel_map
from racing_env.errors import InputError


def double(number: int) -> int:
    return 2 * number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def exit_at_three(number: int) -> int:
    if number == 3:
        os._exit(7)
    return number


def refuse(number: int) -> int:
    raise InputError(f"{number}: not wanted")


def wait_but_for_the_first(number: int) -> int:
    if number:
        time.sleep(60.0)
    return number


def fail() -> None:
    raise ValueError("no start")


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_in_order(workers):
    assert list(parallel_map(double, range(20), workers)) == list(range(0, 40, 2))
    assert list(parallel_map(double, [], workers)) == []


@pytest.mark.parametrize(("function", "code"), [(die_at_three, -9), (exit_at_three, 7)])
@pytest.mark.parametrize("workers", [1, 2])
def test_dead_worker_is_reported(function, code, workers):
    results = parallel_map(function, range(6), workers)
    with pytest.raises(ChildProcessError, match=f"has died, exit code {code}"):
        list(results)
    assert not multiprocessing.active_children()


def test_worker_that_cannot_start_is_reported():
    with pytest.raises(ChildProcessError, match="has died, exit code 1"):
        list(parallel_map(double, range(3), 1, fail))


def test_error_of_a_job_comes_through():
    with pytest.raises(InputError, match="not wanted"):
        list(parallel_map(refuse, range(3), 2))
    assert not multiprocessing.active_children()


def test_abandoned_jobs_end():
    started = time.monotonic()
    results = parallel_map(wait_but_for_the_first, range(3), 2)
    assert next(results) == 0
    del results
    assert not multiprocessing.active_children()
    assert time.monotonic() - started < 50.0


def test_ctrl_c_in_the_middle_of_the_workers_imports_is_without_a_word():
    program = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # this program is not what is tested
from racing_env.circuit_sources import worker_context
signal.signal(signal.SIGINT, lambda *_: print("met", flush=True))
context = worker_context()
for _ in range(20):  # of imports that take about half a second
    time.sleep(0.05)
    os.killpg(0, signal.SIGINT)
process = context.Process(target=print, args=("works",))
process.start()
process.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, start_new_session=True
    )
    assert done.stderr == "" and done.stdout == "met\n" * 20 + "works\n"


def test_circuits_are_the_same_for_every_number_of_workers():
    specs = ["club", "random:3:2"]
    one, two = load_circuits(specs, 1), load_circuits(specs, 2)
    assert [circuit.track.name for circuit in one] == [circuit.track.name for circuit in two]
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(ours.line_speed_mps, theirs.line_speed_mps)
