"""The table that ends a run: its stages, the drivers' laps, peak memory.

    python -m racing_env.laps.run_table runs/NAME

Reads only the JSON files that the stages leave in the run's folder.
"""

import argparse
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from racing_env.common.command_line import run
from racing_env.common.files import read_json, readable

ABSENT = "-"

# Per stage: its folder, and the keys of its workers and of its throughput.
STAGES = (
    ("demonstrations", "workers", "transitions"),
    ("bc", "workers", "examples"),
    ("rl", "envs", "steps"),
    ("road", "envs", "steps"),
)
OPTIONAL_STAGES = ("road",)
# folder of the policy -> name in the table
DRIVERS = {"bc": "clone", "rl": "RL driver", "road": "adapting driver"}


def stage_rows(folder: Path) -> list[list[str]]:
    """One row a stage: name, workers, wall time, throughput, speed-up over one worker."""
    rows = [["stage", "workers", "wall time", "throughput", "speed-up"]]
    for stage, workers, unit in STAGES:
        path = folder / stage / "summary.json"
        if stage in OPTIONAL_STAGES and not path.parent.exists():
            continue
        summary = read_json(path)
        rate = summary.get(f"{unit}_per_s")
        rows.append(
            [
                stage,
                str(summary[workers]),
                duration(summary["wall_s"]),
                ABSENT if rate is None else f"{rate:,.0f} {unit}/s",
                decimal(summary.get("speed_up"), 2),
            ]
        )
    return rows


def laps_compared(
    results: Iterable[dict[str, Any]],
) -> tuple[dict[str, dict[str, dict[str, Any]]], list[str]]:
    """Each driver's results by circuit, and the circuits that all drivers finished."""
    laps: dict[str, dict[str, dict[str, Any]]] = {}
    for result in results:
        laps.setdefault(driver_name(result["driver"]), {})[result["track"]] = result
    finished = [{t for t, lap in tracks.items() if lap["finished"]} for tracks in laps.values()]
    return laps, sorted(set.intersection(*finished)) if finished else []


def of_shown_condition(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those under the condition that pages and pictures are of: the nominal one, or the first."""
    conditions = [result.get("condition", {}) for result in results]
    shown: Any = {} if {} in conditions else conditions[0] if conditions else {}
    return [result for result, some in zip(results, conditions, strict=True) if some == shown]


def driver_rows(results: Iterable[dict[str, Any]]) -> list[list[str]]:
    """One row a driver: circuits finished, and mean laps over those that all drivers finished."""
    laps, common = laps_compared(results)
    rows = [["driver", "circuits finished", "mean flying lap", "mean standing lap"]]
    for driver, tracks in laps.items():
        shared = [tracks[track] for track in common]
        rows.append(
            [
                driver,
                finished_of(tracks.values()),
                decimal(mean_of(shared, "flying_lap_s"), 3, " s"),
                decimal(mean_of(shared, "standing_lap_s"), 3, " s"),
            ]
        )
    return rows


def finished_of(laps: Collection[dict[str, Any]]) -> str:
    """How many of a driver's circuits it finished, as `19 of 20`."""
    return f"{sum(lap['finished'] for lap in laps)} of {len(laps)}"


def driver_name(driver: str) -> str:
    """What the table calls a driver of evaluate.py: `expert`, or the path of a policy."""
    return DRIVERS.get(Path(driver).parent.name, driver)


def short_path(driver: str) -> str:
    """The last folder and the name of a policy's path; `expert` as it is."""
    return "/".join(Path(driver).with_suffix("").parts[-2:])


def labels(drivers: Sequence[str], short: Callable[[str], str] = short_path) -> list[str]:
    """Short names of drivers; the whole path where the short name is not unique."""
    names = [short(driver) for driver in drivers]
    unique = [a if names.count(a) == 1 else b for a, b in zip(names, drivers, strict=True)]
    return [readable(name) for name in unique]


def mean_of(laps: Iterable[dict[str, Any]], key: str) -> float | None:
    """Mean of the laps that have the value; None if none has."""
    values = [lap[key] for lap in laps if lap.get(key) is not None]
    return mean(values) if values else None


def unit_of_length(length_m: float) -> tuple[float, str]:
    """Metres of the unit in which distances on a circuit of this length are shown, and its name."""
    return (1000.0, "km") if length_m >= 1000.0 else (1.0, "m")


def length(metres: float) -> str:
    """A circuit's length: 4.98 km, or 43 m."""
    unit_m, unit = unit_of_length(metres)
    return f"{metres / unit_m:.{2 if unit_m > 1.0 else 0}f} {unit}"


def duration(seconds: float) -> str:
    """Seconds as `m:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def decimal(value: float | None, digits: int, unit: str = "") -> str:
    """The value with its unit, or a dash for none."""
    return ABSENT if value is None else f"{value:.{digits}f}{unit}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )


def memory_line(path: Path) -> str:
    """Peak memory of the run; a dash if the run was too short to be sampled."""
    if not path.exists():
        return f"peak memory {ABSENT}"
    memory = read_json(path)
    return (
        f"peak memory {memory['peak_bytes'] / 1e6:,.0f} MB (proportional set size of all "
        f"processes, sampled every {memory['interval_s']} s)"
    )


def run_table(folder: str | Path) -> str:
    """The whole text for a finished run; raises InputError if a stage's file is missing."""
    folder = Path(folder)
    results = read_json(folder / "evaluation" / "results.json")
    parts = [table(stage_rows(folder)), table(driver_rows(of_shown_condition(results)))]
    return "\n\n".join([*parts, memory_line(folder / "memory.json")])


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the table that ends a run.")
    parser.add_argument("folder", help="the run's folder, runs/NAME")
    print(f"\n{run_table(parser.parse_args().folder)}")


if __name__ == "__main__":
    run(main)
