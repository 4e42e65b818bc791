"""report.html: what a run learned and how its drivers race, in one page that needs no network.

    python -m racing_env.laps.report runs/NAME

Reads only files that the stages leave in the run's folder. The tables are in the page as it is
written; curves and replays are drawn by Plotly, which is part of the page.
"""

import argparse
import html
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from string import Template
from typing import Any

from racing_env.common.command_line import run
from racing_env.common.errors import InputError
from racing_env.common.files import read_columns, read_json, readable, replaced_atomically
from racing_env.laps import condition_map
from racing_env.laps import report_replays as replays
from racing_env.laps.run_table import (
    decimal,
    driver_name,
    labels,
    memory_line,
    of_shown_condition,
    short_path,
    stage_rows,
)
from racing_env.laps.run_table import length as written_length

PAGE = Path(__file__).parent / "report_page"
SCRIPTS = ("plots.js", "curves.js", "race.js", "race_plots.js", "replay.js")
CURVES = (
    ("bc", "clone", "examples"),
    ("rl", "RL driver", "timesteps"),
    ("road", "adapting driver", "timesteps"),
)  # folder, name, steps
CONDITIONS = "conditions/results.json"  # of a run whose drivers were evaluated under some
CURVE_COLUMNS = ("wall_s", "finished", "circuits", "lap_ratio")

Record = dict[str, Any]  # an object of results.json


def write_report(
    path: str | Path, title: str, evaluation: str | Path, run_folder: str | Path | None = None
) -> None:
    """Write the page about an evaluation's folder and, where it is given, about the whole run.

    Raises InputError for files that are not there or not what a finished run has.
    """
    results = Path(evaluation) / "results.json"
    records = read_json(results)
    circuits = by_circuit(records, results)
    names = labels([record["driver"] for record in circuits[0]], shown_name)
    sections = [lap_section(circuits, names)]
    rows = condition_map.rows_of(records)
    if len(rows) > 1:
        sections.append(condition_section(rows, names))
    elif run_folder is not None and (path_of := Path(run_folder, CONDITIONS)).exists():
        under = condition_map.rows_of(read_json(path_of))
        drivers = list(next(iter(under.values()), {}))
        sections.append(condition_section(under, labels(drivers, shown_name)))
    curves: list[dict[str, Any]] = []
    if run_folder is not None:
        curves = learning_curves(Path(run_folder))
        sections.append(run_section(Path(run_folder)))
    ghosts = replays.replays(Path(evaluation), circuits, rows, names)
    without = page(title, "\n".join(sections), {"curves": curves, "circuits": []})
    room_bytes = (
        replays.PAGE_BYTES_MAX
        - len(without.encode())
        - len(replays.left_out(len(ghosts) - 1, len(ghosts)))
    )
    shown = replays.those_that_fit(ghosts, room_bytes)
    data = {"curves": curves, "circuits": shown}
    text = page(title, "\n".join(sections), data, replays.left_out(len(shown), len(ghosts)))
    with replaced_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(title: str, tables: str, data: Any, note: str = "") -> str:
    """The whole document, with its style, scripts and data inside; note: HTML about the replays."""
    from plotly.offline import get_plotlyjs

    return Template((PAGE / "page.html").read_text(encoding="utf-8")).substitute(
        title=escaped(title),
        style=(PAGE / "page.css").read_text(encoding="utf-8"),
        tables=tables,
        note=note,
        data=replays.script_json(data),
        plotly=get_plotlyjs(),
        script="\n".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS),
    )


# ---------------------------------------------------------------- laps


def by_circuit(records: Any, path: Path) -> list[list[Record]]:
    """What results.json has, a list per circuit in the order of the drivers; under several
    conditions those of the one that is shown. path: of the file, for what is wrong with it.
    """
    try:
        records = of_shown_condition(records)
        drivers = len({record["driver"] for record in records})
        chunks = [records[i : i + drivers] for i in range(0, len(records), drivers)]
        names = [[record["driver"] for record in chunk] for chunk in chunks]
        one_track = all(len({record["track"] for record in chunk}) == 1 for chunk in chunks)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise InputError(f"{path}: not a list of results as evaluate.py writes it") from None
    if not one_track or any(some != names[0] for some in names):
        raise InputError(f"{path}: needs each driver once on each circuit")
    return chunks


def shown_name(driver: str) -> str:
    """What the page calls a driver: by its stage where it has one, else by its path."""
    return name if (name := driver_name(driver)) != driver else short_path(driver)


def lap_section(circuits: Sequence[Sequence[Record]], names: Sequence[str]) -> str:
    """A row per circuit: each driver's best flying lap, and its difference to the reference."""
    references = [records[0].get("reference_lap_s") for records in circuits]
    compared_with = circuits[0][0].get("ratio_to", "the expert")
    has_column = compared_with != "the expert"
    head = ["circuit", *(["reference"] if has_column else []), *names]
    rows = [
        f"<tr>{header_cell(records[0])}"
        + (f"<td>{lap(seconds)}</td>" if has_column else "")
        + "".join(lap_cell(record, seconds, is_best(record, records)) for record in records)
        + "</tr>"
        for records, seconds in zip(circuits, references, strict=True)
    ]
    rows += [mean_row(circuits, references, has_column), finished_row(circuits, has_column)]
    return section(
        "laps",
        "Lap times",
        f"<p>{shown_condition(circuits[0][0])}Best flying lap in seconds; below it the difference "
        f"to {escaped(compared_with)}. "
        "★ is the fastest of a circuit.</p>" + table_html("laps", head, rows),
    )


def condition_section(rows: condition_map.Rows, names: Sequence[str]) -> str:
    """What the drivers do under conditions that they are not told."""
    told = (
        "<p>Drives finished, the longer the bar the more of them, and the mean of their best "
        "flying laps over the lap of the speed profile under the condition.</p>"
    )
    table = condition_map.condition_table(rows, names)
    return section("conditions", "On other roads", told + scrolling("conditions", table))


def shown_condition(record: Record) -> str:
    """A sentence that says under which condition, where it is not the nominal one."""
    condition = record.get("condition") or {}
    named = ", ".join(f"{name} {value:.6g}" for name, value in condition.items())
    return f"Under {escaped(named)}. " if named else ""


def header_cell(record: Record) -> str:
    length = f" <small>{written_length(record['length_m'])}</small>" if "length_m" in record else ""
    return f'<th scope="row">{escaped(record["track"])}{length}</th>'


def lap_cell(record: Record, reference_s: float | None, best: bool) -> str:
    """Lap, star, difference; or how the drive ended."""
    seconds = record["flying_lap_s"]
    lines = [("★ " if best else "") + lap(seconds), *difference(seconds, reference_s)]
    if not record["finished"]:
        ended = record.get("end", "not finished").replace("_", " ")
        words = ended, f"in lap {record.get('laps', 0) + 1}"
        spans = " ".join(f"<span>{escaped(word)}</span>" for word in words)
        lines.append(f"<small>{spans}</small>")
    return f"<td{' class=best' if best else ''}>{'<br>'.join(lines)}</td>"


def is_best(record: Record, rivals: Sequence[Record]) -> bool:
    """Whether it is the fastest of several that finished."""
    laps = [rival["flying_lap_s"] for rival in rivals if rival["finished"]]
    return len(rivals) > 1 and record["finished"] and record["flying_lap_s"] == min(laps)


def mean_row(
    circuits: Sequence[Sequence[Record]], references: Sequence[float | None], has_column: bool
) -> str:
    """Means over the circuits that all drivers finished and that have a reference."""
    shared = [
        (records, seconds)
        for records, seconds in zip(circuits, references, strict=True)
        if seconds and all(record["finished"] for record in records)
    ]
    reference_s = mean(seconds for _, seconds in shared) if shared else None
    cells = [f"<td>{lap(reference_s)}</td>"] if has_column else []
    for i in range(len(circuits[0])):
        seconds = mean(records[i]["flying_lap_s"] for records, _ in shared) if shared else None
        cells.append(f"<td>{'<br>'.join([lap(seconds), *difference(seconds, reference_s)])}</td>")
    count = f"<small>of {len(shared)} that all finished</small>"
    return f'<tr class=mean><th scope="row">mean {count}</th>{"".join(cells)}</tr>'


def finished_row(circuits: Sequence[Sequence[Record]], has_column: bool) -> str:
    by_driver = zip(*circuits, strict=True)
    counts = [sum(record["finished"] for record in records) for records in by_driver]
    cells = "".join(f"<td>{count} of {len(circuits)}</td>" for count in counts)
    return f'<tr><th scope="row">finished</th>{"<td></td>" if has_column else ""}{cells}</tr>'


def lap(seconds: float | None) -> str:
    return decimal(seconds, 2)


def difference(seconds: float | None, reference_s: float | None) -> list[str]:
    """A line of HTML with `+1.23 s +1.0 %`; none where there is nothing to compare."""
    if seconds is None or reference_s is None or seconds == reference_s:
        return []
    gap = seconds - reference_s
    texts = f"{gap:+.2f} s", f"{100.0 * gap / reference_s:+.1f} %"
    spans = " ".join(f"<span>{text.replace('-', '−')}</span>" for text in texts)
    return [f"<small>{spans}</small>"]


# ---------------------------------------------------------------- the run


def run_section(folder: Path) -> str:
    """Stages with workers, times and throughput; memory."""
    head, *rows = stage_rows(folder)
    plan = folder / "plan.txt"
    begun = f"<p>Plan: {escaped(plan.read_text(encoding='utf-8'))}.</p>" if plan.exists() else ""
    cells = [
        f'<tr><th scope="row">{escaped(name)}</th>'
        + "".join(f"<td>{escaped(cell)}</td>" for cell in rest)
        + "</tr>"
        for name, *rest in rows
    ]
    memory = escaped(memory_line(folder / "memory.json")).replace("peak", "Peak", 1)
    stages = table_html("stages", head, cells)
    return section("stages", "Stages", f"{begun}{stages}<p>{memory}.</p>")


def learning_curves(folder: Path) -> list[dict[str, Any]]:
    """The learning curves that the run has; wall time from the start of each stage."""
    curves = []
    for stage, name, steps in CURVES:
        path = folder / stage / "curve.csv"
        if path.exists():
            curves.append({"name": name, "steps_are": steps} | read_curve(path, steps))
    return curves


def read_curve(path: Path, steps: str) -> dict[str, list[float | None]]:
    """Columns of a curve.csv, None where a number is missing. Raises InputError."""
    columns = {
        name: [number(value) for value in values]
        for name, values in read_columns(path, (steps, *CURVE_COLUMNS)).items()
    }
    return {"steps": columns.pop(steps)} | columns


def number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


# ---------------------------------------------------------------- HTML


def section(name: str, heading: str, content: str) -> str:
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{heading}</h2>{content}</section>'


def table_html(label: str, head: Sequence[str], rows: Sequence[str]) -> str:
    """A table; rows are HTML. label: the id of the heading that names it."""
    cells = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
    body = "\n".join(rows)
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return scrolling(label, table)


def scrolling(label: str, table: str) -> str:
    """A table that scrolls sideways by itself where the screen is narrow."""
    return f'<div class="wide" tabindex="0" role="region" aria-labelledby="{label}">{table}</div>'


def escaped(text: Any) -> str:
    return html.escape(readable(str(text)).strip())


def main() -> None:
    parser = argparse.ArgumentParser(description="Write report.html into a finished run's folder.")
    parser.add_argument("folder", type=Path, help="the run's folder, runs/NAME")
    folder = parser.parse_args().folder
    path = folder / "report.html"
    write_report(path, f"Run {folder.resolve().name}", folder / "evaluation", folder)
    print(f"report: {path}")


if __name__ == "__main__":
    run(main)
