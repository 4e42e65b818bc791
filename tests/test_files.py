"""Atomic writing: a reader finds the old file or the new one, and nothing is left lying about."""

import json
import os
import stat
from pathlib import Path

import pytest

from racing_env.files import replaced_atomically, write_json


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "result.txt"
    with replaced_atomically(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
        assert temporary.parent == path.parent  # or the rename would not be atomic
        assert temporary.suffix == path.suffix  # some writers go by it
    assert contents(path.parent) == {"result.txt": "first"}


def test_a_reader_has_the_old_file_until_then(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with replaced_atomically(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert contents(tmp_path) == {"result.txt": "new"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(error), replaced_atomically(path) as temporary:
        temporary.write_text("half")
        raise error
    assert contents(tmp_path) == {"result.txt": "old"}


def test_a_writer_that_replaces_the_temporary_file_itself(tmp_path):
    path = tmp_path / "result.txt"
    with replaced_atomically(path) as temporary:
        other = tmp_path / "other"
        other.write_text("by way of another")
        os.replace(other, temporary)
    assert contents(tmp_path) == {"result.txt": "by way of another"}


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600)])
def test_the_mode_is_that_of_an_ordinary_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with replaced_atomically(tmp_path / "result.txt") as temporary:
            temporary.write_text("x")
        assert os.umask(umask) == umask  # asking for it has not changed it
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result.txt").stat().st_mode) == mode


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "result.txt"
    with replaced_atomically(path) as one, replaced_atomically(path) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert contents(tmp_path) == {"result.txt": "one"}  # the outer block ends last


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError), replaced_atomically(tmp_path / "file" / "result.txt"):
        pytest.fail("the block must not run")


def test_json(tmp_path):
    path = tmp_path / "summary.json"
    value = {"laps": [1, 2.5, None], "name": "Nürburg", "nested": {"finished": True}}
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value
    assert path.read_text(encoding="utf-8").endswith("}\n")
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == value
    assert list(contents(tmp_path)) == ["summary.json"]
