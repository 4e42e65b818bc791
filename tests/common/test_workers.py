import multiprocessing
import subprocess
import sys
import time

import pytest
from jobs import (
    die_at_three,
    double,
    exit_at_three,
    fail,
    ignore_sigterm,
    refuse,
    wait_but_for_the_first,
)

from racing_env.common.errors import InputError
from racing_env.common.workers import parallel_map


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
from racing_env.common.workers import worker_context
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


def test_a_worker_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr("racing_env.common.workers.END_S", 0.5)
    results = parallel_map(ignore_sigterm, range(3), 1)
    assert next(results) == 0
    started = time.monotonic()
    del results
    assert not multiprocessing.active_children()
    assert time.monotonic() - started < 60.0
