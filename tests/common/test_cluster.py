"""Work on a cluster: that it is done once and well, whatever happens to nodes."""

import multiprocessing
import os
import socket
import time

import numpy as np
import pytest
from clusters import add_node, cluster_of, kill, sent_to
from jobs import (
    die_at_three,
    die_the_first_time,
    double,
    double_slowly,
    fail,
    kept,
    place,
    refuse,
    what_is_kept,
)

from racing_env.common.cluster import Cluster, open_workers
from racing_env.common.errors import InputError
from racing_env.common.ray_worker import first_on_this_node
from racing_env.common.workers import LocalWorkers

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def nodes():
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def workers(nodes):
    return open_workers(nodes.address, 7)


def test_without_an_address_processes_of_this_machine_work():
    assert open_workers(None, 3) == LocalWorkers(3)


def test_all_cpus_of_the_cluster_work(workers, nodes):
    assert workers.number == 2
    with workers.pool() as pool:
        places = list(pool.imap(place, range(6)))
    assert len({job["node"] for job in places}) == 2
    assert len({job["process"] for job in places}) == 2
    assert all(job["threads"] == ["1"] * 3 for job in places)
    # the package has travelled
    assert all(job["package"].startswith(sent_to(nodes)) for job in places)


def test_results_are_in_order(workers):
    with workers.pool() as pool:
        assert list(pool.imap(double, range(40))) == list(range(0, 80, 2))
        assert list(pool.imap(double, [])) == []
        some = pool.imap(double, iter(range(100)))
        assert [next(some) for _ in range(3)] == [0, 2, 4]
        assert list(pool.imap(double, range(3))) == [0, 2, 4]
        assert next(some) == 6
        del some
        assert list(pool.imap(double, range(3))) == [0, 2, 4]


def test_without_waiting_there_is_a_none(workers):
    with workers.pool() as pool:
        results = pool.imap(double_slowly, range(5), wait=False)
        assert next(results) is None
        assert list(pool.imap(double, range(3))) == [0, 2, 4]  # others meanwhile
        assert [result for result in results if result is not None] == list(range(0, 10, 2))


def test_workers_keep_what_they_were_given(workers):
    table, mine = np.arange(30_000.0), np.zeros(3)
    table.setflags(write=False)
    with workers.pool(kept, (table, mine, "word")) as pool:
        for k, (number, theirs, copied, word) in enumerate(pool.imap(what_is_kept, range(6))):
            assert number == k and word == "word"
            np.testing.assert_array_equal(theirs, table)
            np.testing.assert_array_equal(copied, mine)
            copied += 1.0  # what comes back can be written to
    with workers.pool(kept, ("other",)) as pool:
        assert list(pool.imap(what_is_kept, range(4))) == [(k, "other") for k in range(4)]


def test_a_pool_may_end_before_its_jobs(workers):
    with workers.pool() as pool:
        results = pool.imap(double_slowly, range(20))
        assert next(results) == 0
    with workers.pool() as pool:
        assert list(pool.imap(double, range(3))) == [0, 2, 4]


def test_errors_of_jobs_come_through(workers):
    with workers.pool() as pool, pytest.raises(InputError, match="not wanted"):
        list(pool.imap(refuse, range(3)))
    with workers.pool(fail) as pool, pytest.raises(ValueError, match="no start"):
        list(pool.imap(double, range(3)))
    with workers.pool() as pool:
        assert list(pool.imap(double, range(3))) == [0, 2, 4]


def test_a_job_whose_process_dies_is_done_again(workers, tmp_path):
    jobs = [(number, str(tmp_path / "died")) for number in range(4)]
    with workers.pool() as pool:
        assert list(pool.imap(die_the_first_time, jobs)) == [0, 1, 2, 3]
    assert (tmp_path / "died").exists()


def test_a_job_that_always_dies_is_given_up(workers):
    with workers.pool() as pool, pytest.raises(ChildProcessError) as error:
        list(pool.imap(die_at_three, range(6)))
    assert "\n" not in str(error.value)


def test_jobs_of_a_lost_node_are_done_again_and_a_new_node_works(nodes, workers):
    node = add_node(nodes)
    deadline = time.monotonic() + 60.0
    with workers.pool() as pool:
        at_work: set[str] = set()
        while len(at_work) < 3 and time.monotonic() < deadline:
            at_work = {job["node"] for job in pool.imap(place, range(6))}
        assert len(at_work) == workers.number == 3
        results = pool.imap(double_slowly, range(20))
        first = next(results)
        kill(node)
        assert [first, *results] == list(range(0, 40, 2))
        nodes.remove_node(node, allow_graceful=False)
        while workers.number > 2 and time.monotonic() < deadline:
            list(pool.imap(double, range(3)))
    assert workers.number == 2


@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379", "ray://host:1", "a b:1", ""])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="is neither auto nor HOST:PORT"):
        Cluster(address)


def test_an_address_where_no_cluster_is_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(InputError, match=f"127.0.0.1:{port}: .*refused") as error:
        Cluster(f"127.0.0.1:{port}")
    assert "\n" not in str(error.value)


def enter(pool, path, pause_s):
    with first_on_this_node(pool):
        with open(path, "a") as file:
            file.write("in\n")
        time.sleep(pause_s)
        with open(path, "a") as file:
            file.write("out\n")


def test_the_first_on_a_node_is_alone_and_the_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("RACING_ENV_CACHE", str(tmp_path))
    context = multiprocessing.get_context("fork")
    for pool in ("a", "b"):
        path = tmp_path / pool
        processes = [context.Process(target=enter, args=(pool, str(path), 0.5)) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert path.read_text().split() == ["in", "out", "in", "in", "out", "out"]


def test_a_node_without_a_cache_works_too(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RACING_ENV_CACHE", str(tmp_path / "file"))
    enter("a", tmp_path / "log", 0.0)
    assert os.listdir(tmp_path)
