"""The replays of report.html: drivers' laps beside each other, as many as a page has room for."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from racing_env.common.errors import InputError
from racing_env.common.files import read_json
from racing_env.laps import condition_map
from racing_env.laps.condition_map import Record

PAGE_BYTES_MAX = 10_000_000  # more and it can hardly be sent or opened; half of it is Plotly


def replays(
    evaluation: Path,
    circuits: Sequence[Sequence[Record]],
    rows: condition_map.Rows,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """What ghosts.json has, with the names that the page uses; nothing where there is no file.

    A driver has several laps where they are under several conditions, which their names then say.
    """
    path = evaluation / "ghosts.json"
    if not path.exists():
        return []
    ghosts = read_json(path)
    shown = dict(zip([record["driver"] for record in circuits[0]], names, strict=True))
    try:
        laps = [[(lap.get("row"), lap["driver"]) for lap in ghost["laps"]] for ghost in ghosts]
        records = [
            [_record_of(*lap, of_circuit, rows) for lap in some]
            for some, of_circuit in zip(laps, circuits, strict=True)
        ]
        of_them = [ghost["track"] for ghost in ghosts] == [some[0]["track"] for some in circuits]
    except (StopIteration, KeyError, ValueError, TypeError):
        of_them = False
    if not of_them or any({driver for _, driver in some} != set(shown) for some in laps):
        raise InputError(f"{path}: is not of the evaluation that results.json is of")
    if not all("car_width_m" in circuit for circuit in ghosts):
        raise InputError(f"{path}: lacks car_width_m; let evaluate.py of this version write it")
    for circuit, of_laps in zip(ghosts, records, strict=True):
        several = len({lap.get("row") for lap in circuit["laps"]}) > 1
        for ghost, record in zip(circuit["laps"], of_laps, strict=True):
            ghost["driver"] = shown[ghost["driver"]] + (f", {ghost['row']}" if several else "")
            ghost["note"] = "" if record["finished"] else record["end"].replace("_", " ")
    return ghosts


def _record_of(
    row: str | None, driver: str, of_circuit: Sequence[Record], rows: condition_map.Rows
) -> Record:
    """The result of a lap: on a circuit, and under a condition where results name those.

    Raises StopIteration or KeyError where there is none.
    """
    results = rows[row][driver] if rows and row else of_circuit
    track = of_circuit[0]["track"]
    return next(some for some in results if (some["track"], some["driver"]) == (track, driver))


def those_that_fit(ghosts: Sequence[dict[str, Any]], room_bytes: int) -> list[dict[str, Any]]:
    """The replays that a page has room for, in their order; before others those of circuits that
    some driver did not finish.
    """
    all_finished = [not any(lap["note"] for lap in circuit["laps"]) for circuit in ghosts]
    chosen = []
    for i in sorted(range(len(ghosts)), key=lambda i: all_finished[i]):
        room_bytes -= len(script_json(ghosts[i])) + 1
        if room_bytes < 0:
            break
        chosen.append(i)
    return [ghosts[i] for i in sorted(chosen)]


def left_out(shown: int, in_all: int) -> str:
    """A paragraph that says which replays the page does not have."""
    if shown == in_all:
        return ""
    return (
        f'<p class="hint">Of {shown} of the {in_all} circuits, before others of those that some '
        "driver did not finish: with more this page would be larger than "
        f"{PAGE_BYTES_MAX / 1e6:.0f} MB. <code>ghosts.json</code> has all of them; "
        "<code>evaluate.py</code> shows any that <code>--track</code> names.</p>"
    )


def script_json(value: Any) -> str:
    """JSON that cannot end the script element which holds it, whatever names are in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
