"""Atomic writing: a reader finds the old file or the new one, and nothing is left lying about.
Caches, where they can be written and where they cannot.
"""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

from racing_env.common.errors import FileError, InputError
from racing_env.common.files import (
    TEMPORARY,
    locked_folder,
    read_columns,
    read_json,
    readable,
    reading,
    refuse_special_file,
    replaced_atomically,
    user_cache,
    write_json,
    writing,
)


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
def test_the_mode_is_that_of_an_ordinary_new_file(tmp_path, umask, mode, monkeypatch):
    before = os.umask(umask)
    try:
        with monkeypatch.context() as patch:
            # it is the whole process's: files of other threads would get its modes meanwhile
            patch.setattr(os, "umask", lambda mask: pytest.fail("the umask is changed"))
            with replaced_atomically(tmp_path / "result.txt") as temporary:
                temporary.write_text("x")
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
    with pytest.raises(FileError), replaced_atomically(tmp_path / "file" / "result.txt"):
        pytest.fail("the block must not run")
    with (
        pytest.raises(FileError, match="file: cannot be written"),
        locked_folder(tmp_path / "file"),
    ):
        pytest.fail("the block must not run")


def test_what_cannot_be_read_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="nowhere: cannot be read"), reading(tmp_path / "nowhere"):
        (tmp_path / "nowhere").read_bytes()
    with pytest.raises(InputError, match="not readable as JSON"):
        read_json(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_columns(tmp_path / "nowhere.csv", ["a"])
    with pytest.raises(InputError, match="cannot be read"):
        refuse_special_file(tmp_path / ("x" * 300))  # no file system has such names


def test_a_file_in_a_folder_is_named_rather_than_the_folder(tmp_path):
    with (
        pytest.raises(FileError, match="a/b: cannot be written"),
        writing(tmp_path),
        writing("a/b"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")


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


def test_a_locked_folder_keeps_others_out_until_the_block_ends(tmp_path):
    out = tmp_path / "a" / "out"
    with locked_folder(out):
        with pytest.raises(InputError, match="another run is at work there"), locked_folder(out):
            pass
        with locked_folder(tmp_path):  # the folder around it is another one
            pass
    with locked_folder(out):
        pass
    assert not list(out.iterdir())


def test_a_lock_ends_with_its_process(tmp_path):
    code = (
        "import sys, time; from racing_env.common.files import locked_folder\n"
        "with locked_folder(sys.argv[1]): print('locked', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
    with pytest.raises(InputError, match="another run is at work there"), locked_folder(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with locked_folder(tmp_path):
        pass


def test_what_a_killed_run_left_unfinished_is_removed(tmp_path):
    for part in ("", "checkpoint", "other"):
        (tmp_path / part).mkdir(exist_ok=True)
        for name in (f"{TEMPORARY}curve-x.csv", "curve.csv"):
            (tmp_path / part / name).touch()
    with locked_folder(tmp_path, "check*"):
        pass
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "curve.csv", "checkpoint/curve.csv", "other/curve.csv", f"other/{TEMPORARY}curve-x.csv"
    }  # fmt: skip


def test_special_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(InputError, match="is not an ordinary file"):
            refuse_special_file(path)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path, tmp_path / "absent"):
        refuse_special_file(path)


def test_an_os_error_names_the_file_and_numpy_s_a_guess(tmp_path):
    path = tmp_path / "a.npy"
    full = OSError(errno.ENOSPC, "No space left on device", "x")
    with (
        pytest.raises(FileError, match=r"a\.npy: cannot be written \(No space left on device\)"),
        replaced_atomically(path),
    ):
        raise full
    numpys = OSError("1000 requested and 8 written")
    with (
        pytest.raises(FileError, match="1000 requested and 8 written; is the disk full"),
        replaced_atomically(path),
    ):
        raise numpys
    assert not list(tmp_path.iterdir())


CACHE = """
import subprocess, sys
from racing_env.common.files import user_cache
print(user_cache())
print(user_cache())
if len(sys.argv) == 1:
    print(subprocess.check_output([sys.executable, __file__, "child"], text=True))
"""


@pytest.mark.parametrize(
    "settings",
    [
        {"HOME": "/dev/null"},
        {"HOME": "/", "XDG_CACHE_HOME": "/dev/null"},
        {"HOME": "TMPDIR", "RACING_ENV_CACHE": "/dev/null/cache"},
    ],
)
def test_a_cache_that_cannot_be_written_is_a_folder_for_this_start(tmp_path, settings):
    """All processes share it, one line says so, and it goes with the first of them."""
    program = tmp_path / "program.py"
    program.write_text(CACHE)
    done = subprocess.run(
        [sys.executable, "-W", "default", program], text=True, capture_output=True, check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
        | {name: value.replace("TMPDIR", str(tmp_path)) for name, value in settings.items()},
    )  # fmt: skip
    (folder,) = set(done.stdout.split())
    assert Path(folder).parent == tmp_path
    assert done.stderr.count("RuntimeWarning") == 1
    assert "/dev/null" in done.stderr and "set RACING_ENV_CACHE" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


def test_without_a_home_no_folder_named_after_it_is_made(tmp_path, monkeypatch):
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME", "RACING_ENV_CACHE", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")  # what is set below is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    Path("temporary").mkdir()
    with pytest.warns(RuntimeWarning, match="no home folder"):
        folder = user_cache()
    assert folder.parent == tmp_path / "temporary"
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_without_any_folder_for_temporary_files_a_line_says_so(monkeypatch):
    def none() -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setenv("RACING_ENV_CACHE", "/dev/null/cache")
    monkeypatch.setattr("tempfile.gettempdir", none)
    with pytest.raises(FileError, match="temporary files"):
        user_cache()


def test_names_become_text_that_can_be_written_anywhere():
    assert readable(os.fsdecode("caf\xe9".encode("latin-1"))) == "caf\N{REPLACEMENT CHARACTER}"
    assert readable("\ud800") == "\N{REPLACEMENT CHARACTER}"
    assert readable("Nürburgring 日本.csv") == "Nürburgring 日本.csv"
