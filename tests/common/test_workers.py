import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from itertools import count

import psutil
import pytest
from jobs import (
    die_at_three,
    double,
    exit_at_three,
    fail,
    greet,
    greeting,
    ignore_sigterm,
    kib,
    pid,
    raise_what_cannot_be_sent,
    refuse,
    unwatched_objects,
    wait_but_for_the_first,
    wait_for_the_others,
    warn_of,
)

from racing_env.common.errors import InputError
from racing_env.common.workers import JOBS_A_WORKER, LocalPool


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_in_order_call_after_call(workers):
    with LocalPool(workers) as pool:
        for jobs in (range(40), [], [7], range(3)):
            assert list(pool.imap(double, jobs)) == [2 * job for job in jobs]
        names = {process.name for process in multiprocessing.active_children()}
        assert names == {f"worker-{i}" for i in range(workers)}
    assert not multiprocessing.active_children()


def test_initializer_runs_once_in_each_process():
    with LocalPool(2, greet, ("hello",)) as pool:
        said = list(pool.imap(greeting, range(30))) + list(pool.imap(greeting, range(30)))
    assert all(words == "hello" for _, words, _ in said)
    assert all(times == 1 for _, _, times in said)
    assert len({process for process, _, _ in said}) == 2


def test_workers_do_not_look_through_what_their_server_has_loaded():
    """To look at an object is to write to it: it would no longer be shared."""
    with LocalPool(1) as pool:
        assert next(pool.imap(unwatched_objects, [None])) > 10_000


def test_what_workers_warn_of_is_said_by_their_parent(capfd):
    with LocalPool(2, warn_of, ("beginning",)) as pool, pytest.warns(RuntimeWarning) as said:
        assert list(pool.imap(warn_of, ["one", "two"])) == ["one", "two"]
    assert {str(each.message) for each in said} == {"beginning", "one", "two"}
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("function", "code"), [(die_at_three, -9), (exit_at_three, 7)])
@pytest.mark.parametrize("workers", [1, 2])
def test_dead_worker_is_reported(function, code, workers):
    with (
        pytest.raises(ChildProcessError, match=rf"worker-\d has died, exit code {code}"),
        LocalPool(workers) as pool,
    ):
        list(pool.imap(function, range(6)))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_worker_that_dies_while_it_waits_for_work_is_reported(number):
    """One of the two then holds the lock of the queue of jobs, and the other waits for the lock."""
    for victim in range(2):
        with LocalPool(2) as pool:
            list(pool.imap(pid, range(20)))
            process = sorted(multiprocessing.active_children(), key=lambda p: p.name)[victim]
            os.kill(process.pid, number)
            with pytest.raises(ChildProcessError, match=f"{process.name} has died, exit code -"):
                for _ in count():
                    list(pool.imap(pid, range(20)))
        assert not multiprocessing.active_children()


def test_stopped_worker_does_not_keep_the_end_waiting(monkeypatch):
    """Nor the other one, which waits for its lock."""
    monkeypatch.setattr("racing_env.common.workers.END_S", 0.5)
    with LocalPool(2) as pool:
        processes = {result: psutil.Process(result) for result in pool.imap(pid, range(20))}
        for process in processes.values():
            process.send_signal(signal.SIGSTOP)
    assert not multiprocessing.active_children()
    psutil.wait_procs(processes.values(), timeout=20.0)
    assert not any(process.is_running() for process in processes.values())


def test_server_that_dies_is_reported_and_its_workers_end():
    program = """
import multiprocessing, os, psutil, signal
from jobs import double, pid
from racing_env.common.workers import LocalPool
try:
    with LocalPool(2) as pool:
        workers = [psutil.Process(p) for p in {*pool.imap(pid, range(20))}]
        server = workers[0].parent()
        server.kill()
        while True:
            list(pool.imap(double, range(20)))
except ChildProcessError as error:
    print(error)
gone, left = psutil.wait_procs(workers, timeout=20.0)
print(len([p for p in left if p.status() != psutil.STATUS_ZOMBIE]), "left")
"""
    done = run_program(program)
    # The server's end shows on one worker's pipe before the other's, in either order.
    assert re.fullmatch(
        r"worker process worker-[01] has died, exit code 255 \(or the process that starts workers "
        r"has died\)\n0 left\n",
        done.stdout,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("stopped", [False, True])
def test_workers_end_when_their_parent_is_killed(stopped):
    """Even if one of them has just died with a lock that the others wait for."""
    program = f"""
import os, psutil, signal
from jobs import pid
from racing_env.common.workers import LocalPool
with LocalPool(3) as pool:
    workers = {{*pool.imap(pid, range(60))}}
    print(*workers, flush=True)
    if {stopped}:
        os.kill(min(workers), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run_program(program)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20.0
    workers = {int(worker) for worker in done.stdout.split()}
    assert workers
    while left := workers & set(psutil.pids()):
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def test_errors_of_initializer_and_job_come_through():
    for initializer, function, words in ((fail, double, "no start"), (None, refuse, "not wanted")):
        with (
            pytest.raises((ValueError, InputError), match=words) as caught,
            LocalPool(2, initializer) as pool,
        ):
            list(pool.imap(function, range(3)))
        assert "in _work" in str(caught.value.__cause__)  # where it was raised, in the process
        assert not multiprocessing.active_children()


def test_error_that_cannot_be_sent_comes_as_another():
    with LocalPool(1) as pool, pytest.raises(RuntimeError, match="PickyError: 1 and 2"):
        list(pool.imap(raise_what_cannot_be_sent, range(3)))


def test_work_goes_on_after_an_error():
    with LocalPool(2) as pool:
        for _ in range(3):
            with pytest.raises(InputError):
                list(pool.imap(refuse, range(50)))
        assert list(pool.imap(double, range(9))) == list(range(0, 18, 2))


def test_error_of_the_jobs_themselves_is_raised_where_they_are_fetched():
    def jobs():
        yield 1
        raise InputError("no more")

    with LocalPool(2) as pool:
        with pytest.raises(InputError, match="no more"):
            list(pool.imap(double, jobs()))
        assert list(pool.imap(double, range(3))) == [0, 2, 4]


def test_a_slow_reader_is_not_overrun():
    """Jobs without end, and nobody who fetches all of the results."""
    taken = 0

    def jobs():
        nonlocal taken
        while True:
            taken += 1
            yield 256

    with LocalPool(2) as pool:
        results = pool.imap(kib, jobs())
        assert taken == 0
        for fetched in range(1, 6):
            assert len(next(results)) == 256 * 1024
            assert taken == JOBS_A_WORKER * 2 + fetched
        results.close()
        assert list(pool.imap(double, [1])) == [2]


def test_second_call_before_the_end_of_the_first_is_refused():
    with LocalPool(2) as pool:
        for _ in pool.imap(double, range(100)):
            with pytest.raises(RuntimeError, match="still being fetched"):
                next(pool.imap(double, [1]))


def test_without_waiting_there_is_a_none():
    with LocalPool(2) as pool:
        results = pool.imap(double, range(3), wait=False)
        assert next(results) is None  # they are begun by it
        found = [result for result in results if result is not None]
        assert found == [0, 2, 4]
        next(pool.imap(double, range(3), wait=False))
        started = time.monotonic()
    assert time.monotonic() - started < 5.0


def test_who_does_not_wait_hears_of_a_death():
    with LocalPool(2) as pool:
        for process in {*pool.imap(pid, range(20))}:
            os.kill(process, signal.SIGKILL)
        with pytest.raises(ChildProcessError, match="worker process worker-"):
            for _ in pool.imap(double, range(3), wait=False):
                time.sleep(0.01)


def test_several_jobs_are_under_way(tmp_path):
    with LocalPool(2) as pool:
        jobs = [(str(tmp_path), 0), (str(tmp_path), 1)]
        assert list(pool.imap(wait_for_the_others, jobs)) == [0, 1]


def test_abandoned_jobs_end():
    started = time.monotonic()
    with LocalPool(2) as pool:
        assert next(pool.imap(wait_but_for_the_first, range(3))) == 0
    assert not multiprocessing.active_children()
    assert time.monotonic() - started < 50.0


def test_waiting_takes_no_processor_time():
    with LocalPool(2) as pool:
        list(pool.imap(double, range(9)))
        started_s, used_s = time.monotonic(), time.process_time()
        list(pool.imap(time.sleep, [2.0, 2.0]))
        assert time.process_time() - used_s < 0.1 * (time.monotonic() - started_s)


def run_program(program):
    tests = os.path.dirname(os.path.dirname(__file__))
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([tests, *sys.path])}, timeout=120,
    )  # fmt: skip


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
    done = run_program(program)
    assert done.stderr == "" and done.stdout == "met\n" * 20 + "works\n"


def test_a_worker_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr("racing_env.common.workers.END_S", 0.5)
    started = time.monotonic()
    with LocalPool(1) as pool:
        assert next(pool.imap(ignore_sigterm, range(3))) == 0
    assert not multiprocessing.active_children()
    assert time.monotonic() - started < 60.0
