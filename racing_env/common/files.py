"""Files: written whole or not at all, by one run at a time; tables read back; caches."""

import atexit
import csv
import fcntl
import json
import os
import re
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from racing_env.common.errors import FileError, InputError

TEMPORARY = ".unfinished-"  # prefix of files that are being written


def user_cache() -> Path:
    """What can be made again lies in $RACING_ENV_CACHE, or racing_env in $XDG_CACHE_HOME, or
    ~/.cache/racing_env.

    Where that cannot be written it lies in a temporary folder that goes with this process and that
    all processes which it starts share; a warning says so, once. Raises FileError where there is
    none either.
    """
    if chosen := os.environ.get("RACING_ENV_CACHE"):
        folder = Path(chosen)
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or in_home(".cache"), "racing_env")
    why_not = why_not_writable(folder)
    if not why_not:
        return folder
    with writing("a folder for temporary files"):
        temporary = tempfile.mkdtemp(prefix="racing-env-")
    atexit.register(_remove_if_own, temporary, os.getpid())
    os.environ["RACING_ENV_CACHE"] = temporary
    os.environ.setdefault("MPLCONFIGDIR", temporary)  # matplotlib would look for one, and say so
    warnings.warn(
        f"{folder}: cannot be written ({why_not}), so each start makes anew what would be kept "
        "there, racing lines and compiled kernels; set RACING_ENV_CACHE to a folder that can be",
        RuntimeWarning,
        stacklevel=2,
    )
    return Path(temporary)


def readable(name: str) -> str:
    """A file's name as text for tables, pages and pictures: bytes that are not UTF-8 become �."""
    return re.sub(r"[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", name)


def in_home(*parts: str) -> Path:
    """A path in the user's home folder; below `~`, where nothing is to be made, where the system
    knows of none, as for a user whom it does not know.
    """
    return Path(os.path.expanduser("~"), *parts)


def why_not_writable(folder: Path) -> str:
    """Why no file can be made in a folder, which is made itself; empty if one can be."""
    if folder.parts[:1] == ("~",):
        return "there is no home folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=TEMPORARY, dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _remove_if_own(folder: str, process: int) -> None:
    if os.getpid() == process:  # not one that was forked off it
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked_folder(folder: str | Path, *parts: str) -> Iterator[None]:
    """Make a folder and keep other runs out of it until the block, or the process, ends.

    parts: patterns of folders in it that belong to the run, too. What a run that was killed left
    unfinished in any of them is removed. Raises InputError if another run is at
    work there, FileError if nothing can be written there.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        with writing(folder):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system frees it at any end
            except BlockingIOError:
                raise InputError(
                    f"{folder}: another run is at work there; wait for it, or use another folder"
                ) from None
            for part in (".", *parts):
                for unfinished in folder.glob(f"{part}/{TEMPORARY}*"):
                    unfinished.unlink()
            with tempfile.TemporaryFile(prefix=TEMPORARY, dir=folder):
                pass  # it can be written to: better known before the work than after it
        yield
    finally:
        os.close(handle)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Have each OSError of a block that writes this file or folder come out as a FileError."""
    try:
        yield
    except FileError:  # of a file within a folder: it is named already
        raise
    except OSError as error:
        reason = error.strerror or error
        if error.errno is None:  # numpy's: "1000 requested and 10 written"
            reason = f"{error}; is the disk full?"
        raise FileError(
            f"{path}: cannot be written ({reason}); see to it and start again"
        ) from error


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Have each OSError of a block that reads or looks for this path come out as an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check it") from error


@contextmanager
def replaced_atomically(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`; renamed to it when the block ends without error.

    Parent folders are made. If the block raises, `path` is as it was and the temporary file gone.
    An OSError becomes a FileError that names the path.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        name = f"{TEMPORARY}{path.stem}-{secrets.token_hex(8)}{path.suffix}"
        temporary = path.parent / name
        # with the mode that the umask leaves, which nobody has to ask for
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666))
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write value as indented JSON, atomically."""
    with replaced_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises InputError if there is none or it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there; expected a file that a finished run has") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys as CSV with a header, atomically; at least one row."""
    with replaced_atomically(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


def read_columns(path: str | Path, names: Sequence[str]) -> dict[str, list[float]]:
    """These columns of a CSV with a header, NaN where a number is missing.

    Raises InputError if there is no row, or one of the columns is missing or not of numbers.
    """
    with reading(path), open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(names) <= set(rows[0]):
        raise InputError(f"{path}: needs a row and the columns {', '.join(names)}")
    try:
        return {name: [float(row[name] or "nan") for row in rows] for name in names}
    except ValueError as error:
        raise InputError(f"{path}: {error}; expected numbers") from None


def is_folder(path: Path) -> bool:
    """Whether the path is a folder; raises InputError if it cannot be looked up."""
    with reading(path):
        return path.is_dir()


def refuse_folder(path: Path, flag: str) -> None:
    """Raise InputError if a folder lies where the file of a flag is to be written."""
    if is_folder(path):
        raise InputError(f"{path}: is a folder; {flag} needs the name of a file")


def refuse_special_file(path: Path) -> None:
    """Raise InputError for a pipe, a device or the like, since reading one may never end, and for
    a path that cannot be looked up.
    """
    with reading(path):
        special = path.exists() and not path.is_file() and not path.is_dir()
    if special:
        raise InputError(f"{path}: is not an ordinary file; one is needed")
