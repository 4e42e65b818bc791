"""Values for other processes: what is copied, and what is not."""

import multiprocessing
import pickle
from contextlib import closing

import numpy as np
import pytest

from racing_env.common.sharing import Mapped, pickle_apart


def read_only(array):
    array.setflags(write=False)
    return array


def test_read_only_arrays_lie_apart_and_stay_read_only():
    table, mine = read_only(np.arange(9.0)), np.arange(4.0)
    data, memory = pickle_apart((table, [mine], "word"))
    assert [part.nbytes for part in memory] == [table.nbytes]
    ours, (theirs,), word = pickle.loads(data, buffers=memory)
    assert np.shares_memory(ours, table) and not ours.flags.writeable
    assert theirs.flags.writeable and not np.shares_memory(theirs, mine)
    assert (ours == table).all() and (theirs == mine).all() and word == "word"


def report(pipe, value):
    first, second, mine = value
    pipe.send((first.sum(), second.sum(), mine.sum(), first.flags.owndata,
               [a.flags.writeable for a in value], [a.flags.aligned for a in value]))  # fmt: skip


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_maps_them(method):
    value = (read_only(np.arange(3, dtype=np.int8)), read_only(np.arange(5.0)), np.arange(6.0))
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    with closing(Mapped(value)) as mapped:
        process = context.Process(target=report, args=(theirs, mapped))
        process.start()
    assert ours.poll(60.0)
    assert ours.recv() == (3, 10.0, 15.0, False, [False, False, True], [True] * 3)
    process.join()


def test_a_value_without_read_only_arrays_is_handed_over():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with closing(Mapped(tuple(np.arange(6.0).reshape(3, 2)))) as mapped:
        process = context.Process(target=report, args=(theirs, mapped))
        process.start()
    assert ours.poll(60.0)
    assert ours.recv()[:3] == (1.0, 5.0, 9.0)
    process.join()
