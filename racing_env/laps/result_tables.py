"""What evaluate.py prints: a row per circuit, or a row per condition."""

import math
from collections.abc import Mapping, Sequence
from itertools import chain

from racing_env.laps.evaluation import LapResult, Summary, lap_ratio, summary
from racing_env.laps.run_table import labels, length

Results = Mapping[str, Sequence[LapResult]]  # of the circuits, by driver


def lap_table(results: Results, references: Mapping[str, float] | None, compared_with: str) -> str:
    """A row per circuit; per driver the flying lap, its ratio, and full laps or why it ended.

    references: laps (s) by circuit that those are compared with, the profile's by default.
    """
    some = next(iter(results.values()))
    columns = [
        ["circuit", "", *(result.track for result in some), "finished, mean ratio"],
        ["length", "", *(f"{length(result.length_m):>7}" for result in some), ""],
    ]
    for label, of_driver in zip(labels(list(results)), results.values(), strict=True):
        cells = [label, _cell("lap s", "ratio", "laps")]
        for i, result in enumerate(of_driver):
            rivals = [min(o[i].lap_times_s[1:]) for o in results.values() if o[i].finished]
            best = len(results) > 1 and result.finished and result.flying_lap_s == min(rivals)
            cells.append(_result_cell(result, references, best))
        sums = summary(of_driver, references)
        columns.append([*cells, _cell("", _number(sums.lap_ratio, 3), _counted(sums))])
    star = "; * the fastest" if len(results) > 1 else ""
    legend = f"best flying lap, its ratio to {compared_with}, full laps (one standing){star}"
    return f"{_aligned(columns)}\n{legend}"


def condition_table(rows: Sequence[tuple[str, int]], results: Sequence[Results]) -> str:
    """A row per condition, and one of all: per driver the drives that were finished, and the mean
    of their laps over those of the profile of the car under the condition.

    rows: their names, and how many of the results in turn each sums up.
    """
    left = iter(results)
    parts = [(name, [next(left) for _ in range(count)]) for name, count in rows]
    if len(parts) > 1:
        parts.append(("all", list(results)))
    columns = [["condition", "", *(name for name, _ in parts)]]
    drivers = list(results[0])
    for driver, label in zip(drivers, labels(drivers), strict=True):
        sums = [summary([*chain(*(drive[driver] for drive in drives))]) for _, drives in parts]
        rooms = max(map(len, ("finished", *map(_counted, sums))))
        cells = [f"{_counted(some):>{rooms}} {_number(some.lap_ratio, 3):>6}" for some in sums]
        columns.append([label, f"{'finished':>{rooms}} {'ratio':>6}", *cells])
    legend = "drives finished, and the mean of their best flying lap / the lap of the speed profile"
    return f"{_aligned(columns)}\n{legend} under the condition"


def _result_cell(result: LapResult, references: Mapping[str, float] | None, best: bool) -> str:
    lap = ("*" if best else "") + _number(result.flying_lap_s, 2)
    laps = f"{result.laps}/{result.laps_wanted}"
    end = "" if result.finished else f" {result.end}"
    return _cell(lap, _number(lap_ratio(result, references), 3), laps + end)


def _cell(lap: str, ratio: str, laps: str) -> str:
    return f"{lap:>8} {ratio:>6}  {laps}"


def _counted(sums: Summary) -> str:
    return f"{sums.finished} of {sums.circuits}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _aligned(columns: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    )
