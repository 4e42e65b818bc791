"""Laps finished and pace over conditions, as a part of report.html that one takes in at a glance.

A row for each condition, a cell for each driver: a bar as long as the share of the drives that he
finished, and his pace there.
"""

import html
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from racing_env.laps.run_table import decimal

Record = dict[str, Any]  # an object of results.json
Rows = dict[str, dict[str, list[Record]]]  # by the name of the row, then by driver


def rows_of(records: Sequence[Record]) -> Rows:
    """Results by row and driver; empty where no row is named."""
    rows: Rows = {}
    for record in records:
        if "row" in record:
            rows.setdefault(record["row"], {}).setdefault(record["driver"], []).append(record)
    return rows


def share_finished(drives: Sequence[Record]) -> float:
    return sum(drive["finished"] for drive in drives) / len(drives)


def pace(drives: Sequence[Record]) -> float | None:
    """Mean of the best flying laps over the laps of the profile under the condition."""
    ratios = [d["flying_lap_s"] / d["profile_lap_s"] for d in drives if d["finished"]]
    return mean(ratios) if ratios else None


def all_of(rows: Rows) -> dict[str, list[Record]]:
    """All drives of each driver."""
    drives: dict[str, list[Record]] = {}
    for of_row in rows.values():
        for driver, some in of_row.items():
            drives.setdefault(driver, []).extend(some)
    return drives


def condition_table(rows: Rows, names: Sequence[str]) -> str:
    """The HTML table; names: of the drivers, in the order of each row."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in ("condition", *names))
    body = "\n".join(_row(name, of_row) for name, of_row in rows.items())
    if len(rows) > 1:
        body += "\n" + _row("all", all_of(rows), "mean")
    return (
        f"<table class=conditions><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
    )


def _row(name: str, drives: Mapping[str, Sequence[Record]], kind: str = "") -> str:
    cells = "".join(_cell(some) for some in drives.values())
    return f'<tr class="{kind}"><th scope="row">{html.escape(name)}</th>{cells}</tr>'


def _cell(drives: Sequence[Record]) -> str:
    """Drives finished and pace; the bar behind them is drawn by the style."""
    share = share_finished(drives)
    lost = "" if share == 1.0 else " lost"
    finished = f"{sum(drive['finished'] for drive in drives)} of {len(drives)}"
    return (
        f'<td class="share{lost}" style="--share:{share:.4f}">{finished} '
        f"<b>{decimal(pace(drives), 3)}</b></td>"
    )
