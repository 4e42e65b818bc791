"""Files: written whole or not at all, by one run at a time; tables read back."""

import csv
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from racing_env.common.errors import InputError

TEMPORARY = ".unfinished-"  # prefix of files that are being written


@contextmanager
def locked_folder(folder: str | Path, *parts: str) -> Iterator[None]:
    """Make a folder and keep other runs out of it until the block, or the process, ends.

    parts: patterns of folders in it that belong to the run, too. What a run that was killed left
    unfinished in any of them is removed. Raises InputError if another run is at
    work there, OSError if nothing can be written there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system frees it at any end
        except BlockingIOError:
            raise InputError(
                f"{folder}: another run is at work there; wait for it, or use another --out"
            ) from None
        for part in (".", *parts):
            for unfinished in folder.glob(f"{part}/{TEMPORARY}*"):
                unfinished.unlink()
        with _saying_where(folder), tempfile.TemporaryFile(prefix=TEMPORARY, dir=folder):
            pass  # it can be written to: better known before the work than after it
        yield
    finally:
        os.close(handle)


@contextmanager
def _saying_where(path: Path) -> Iterator[None]:
    """Have each OSError name the path and say what would help; numpy's alone says neither."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        if error.errno is None:  # numpy's: "1000 requested and 10 written"
            reason = f"{error}; is the disk full?"
        raise OSError(f"{path}: cannot be written ({reason}); see to it and start again") from error


@contextmanager
def replaced_atomically(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`; renamed to it when the block ends without error.

    Parent folders are made. If the block raises, `path` is as it was and the temporary file gone.
    An OSError names the path.
    """
    path = Path(path)
    with _saying_where(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"{TEMPORARY}{path.stem}-"
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write value as indented JSON, atomically."""
    with replaced_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises InputError if there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there; expected a file that a finished run has") from None
    except ValueError as error:
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
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(names) <= set(rows[0]):
        raise InputError(f"{path}: needs a row and the columns {', '.join(names)}")
    try:
        return {name: [float(row[name] or "nan") for row in rows] for name in names}
    except ValueError as error:
        raise InputError(f"{path}: {error}; expected numbers") from None


def refuse_special_file(path: Path) -> None:
    """Raise InputError for a pipe, a device or the like: reading one may never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path}: is not an ordinary file; one is needed")


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
