"""Contents compared: whether a stage is given what an earlier one, or its own start, was given.

Names say little: a file keeps its name when it is edited. So data sets and checkpoints keep what
they were made with by content, as JSON has it.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from racing_env.common.errors import InputError

RELATIVE_TOLERANCE = 1e-7  # of numbers: machines differ in the last digits of a racing line
ABSENT = "nothing"


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def first_difference(found: Any, wanted: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Where two nests of mappings, sequences, numbers and strings differ first: name, and both."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        keys = [*wanted, *(key for key in found if key not in wanted)]
        pairs = ((key, found.get(key, ABSENT), wanted.get(key, ABSENT)) for key in keys)
        return _first(pairs, name)
    if _is_list(found) and _is_list(wanted):
        if len(found) != len(wanted):
            return name, f"{len(found)} of them", f"{len(wanted)}"
        numbered = enumerate(zip(found, wanted, strict=True), start=1)
        return _first(((number, *pair) for number, pair in numbered), name)
    numbers = isinstance(found, float | int) and isinstance(wanted, float | int)
    if numbers and (isinstance(found, float) or isinstance(wanted, float)):  # not seeds and counts
        same = math.isclose(found, wanted, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
    else:
        same = found == wanted
    return None if same else (name, found, wanted)


def refuse_difference(where: object, found: Any, wanted: Any, way_out: str) -> None:
    """Raise InputError, one line, if what something was made with is not what is asked for.

    where: the file or folder; way_out: what the user can do instead.
    """
    difference = first_difference(found, wanted)
    if difference is not None:
        name, theirs, ours = difference
        raise InputError(
            f"{where}: was made with {name} {_shown(theirs)}, asked for is {_shown(ours)}; "
            f"{way_out}"
        )


def _first(items: Any, name: str) -> tuple[str, Any, Any] | None:
    for key, found, wanted in items:
        difference = first_difference(found, wanted, f"{name}.{key}" if name else str(key))
        if difference is not None:
            return difference
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _shown(value: Any) -> str:
    text = str(value)
    return f"{text[:57]}..." if len(text) > 60 else text
