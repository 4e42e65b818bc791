"""A short run of stress/fuzz.py; and that it would notice."""

import os
import pickle

import pytest

from stress import fuzz


@pytest.mark.parametrize("name", list(fuzz.TARGETS))
def test_damaged_files_are_read_or_refused(name, tmp_path):
    met = fuzz.fuzz(name, 500, 1, tmp_path)
    assert met["read"] + met["refused"] == 500
    assert met["read"] > 5 and met["kinds_of_refusal"] >= 3


def always_fails(path):
    raise KeyError(path)


def loads_pickles(path):
    try:
        pickle.loads(path.read_bytes())
    except Exception as error:
        raise fuzz.InputError(f"{path}: {type(error).__name__}") from None


@pytest.mark.parametrize(
    ("reader", "message"), [(always_fails, "KeyError"), (loads_pickles, "a pickle was executed")]
)
def test_a_reader_that_fails_is_noticed(reader, message, tmp_path, monkeypatch):
    def target(folder):
        return fuzz.tracks(folder)._replace(read=reader)

    monkeypatch.setitem(fuzz.TARGETS, "tracks", target)
    monkeypatch.setattr(fuzz, "HOSTILE_SHARE", 1.0)
    with pytest.raises(AssertionError, match=message):
        fuzz.fuzz("tracks", 200, 0, tmp_path)
    assert os.listdir(tmp_path)
