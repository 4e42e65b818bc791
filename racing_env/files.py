"""Files: written so that a reader never meets half of one, tables read back."""

import csv
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from racing_env.errors import InputError


@contextmanager
def replaced_atomically(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`; renamed to it when the block ends without error.

    Parent folders are made. If the block raises, `path` is as it was and the temporary file gone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
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


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
