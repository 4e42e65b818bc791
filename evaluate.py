#!/usr/bin/env python
"""Drive any drivers on any circuits and compare their laps.

    python evaluate.py --driver expert policies/racecar.safetensors --track random:7:20
    python evaluate.py --driver expert --track club --out runs/club
    python evaluate.py --driver expert policies/racecar.safetensors --video race.mp4
    python evaluate.py --condition nominal --condition friction=0.9,delay_s=0.05

Prints a table; --json and --out write it down, the latter with telemetry, a picture a circuit, and
report.html, a page that shows all of it. --video shows the drivers racing on the first circuit.
With --condition or --conditions the table has a row for each; pictures, page and video show the
nominal one, or the first where that is not among them.
"""

import argparse
import csv
import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: work is shared out by processes

from racing_env import DEFAULT_LAYOUT, DEFAULT_VEHICLE
from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import (
    is_folder,
    locked_folder,
    reading,
    refuse_folder,
    refuse_special_file,
    write_json,
)

EXPERT = "expert"
CIRCUITS = 20  # generated ones, where no track is named


def main() -> None:
    args = arguments()
    with locked_folder(args.out) if args.out else nullcontext():
        evaluate(args)


def evaluate(args: argparse.Namespace) -> None:
    references = read_references(args.reference) if args.reference else None
    if args.json:
        refuse_folder(args.json, "--json")
    if args.condition and args.conditions:
        raise InputError("--condition and --conditions: only one of them can be given")
    if args.video and (is_folder(args.video) or args.video.suffix.lower() != ".mp4"):
        raise InputError(f"{args.video}: --video needs the name of a file that ends in .mp4")
    with cli.interrupts_held():
        from racing_env.car.conditions import differences
        from racing_env.car.vehicle_files import name_of_vehicle
        from racing_env.common.cluster import open_workers
        from racing_env.common.kernel_cache import CAR, announce_compiling
        from racing_env.common.run_record import write_run_record
        from racing_env.drivers.policy import load_policy
        from racing_env.laps import condition_rows
        from racing_env.laps import evaluation as ev
        from racing_env.laps.ghosts import write_ghosts
        from racing_env.laps.report import write_report
        from racing_env.laps.result_tables import condition_table, lap_table
        from racing_env.tracks.sources import load_circuits

    if args.video:
        from racing_env.drawing.video import write_video  # now: what it needs may be missing

    # ---------------------------------------------------------------- set-up
    names = list(dict.fromkeys(args.driver or [EXPERT]))
    policies = {name: load_policy(name) for name in names if name != EXPERT}
    vehicle = ev.vehicle_of(args.vehicle, policies, DEFAULT_VEHICLE)
    car = args.vehicle or name_of_vehicle(vehicle)
    conditions = condition_rows.named_conditions(args.condition or ["nominal"], vehicle)
    tracks_named = args.track or [f"random:{args.seed}:{CIRCUITS}"]
    announce_compiling(CAR)
    workers = open_workers(args.cluster, args.workers)
    circuits = load_circuits(tracks_named, vehicle, workers)
    ev.refuse_same_names(circuits)
    tracks = [circuit.track.name for circuit in circuits]
    if references is not None and not references.keys() & set(tracks):
        raise InputError(
            f"{args.reference}: has none of the circuits; expected some of {', '.join(tracks):.200}"
        )
    if args.out:
        write_run_record(args.out, args)

    # ---------------------------------------------------------------- drive
    if args.conditions:
        rows = condition_rows.road_rows(circuits, args.seed)
    else:
        rows = condition_rows.rows_of(conditions, circuits)
    drives = [drive for row in rows for drive in row.drives]
    shown = condition_rows.shown_drive(drives)
    replayed: dict[int, str] = {}
    if args.out:
        replayed = condition_rows.replayed_rows(rows, shown, len(names))
    kept = {*replayed, shown} if args.out or args.video else set()
    results = drive_all(args.laps, policies, names, circuits, drives, kept, workers)

    # ---------------------------------------------------------------- report
    compared_with = "the speed profile"
    if references is not None:
        compared_with = str(args.reference)
    elif EXPERT in names:
        compared_with = "the expert"
    compared = [references_of(laps, references) for laps in results]
    several = bool(args.condition or args.conditions)
    if several:
        print(condition_table([(row.name, len(row.drives)) for row in rows], results))
    else:
        print(lap_table(results[0], compared[0], compared_with))
    named = [row.name for row in rows for _ in row.drives]
    records = [
        laps[name][i].record()
        | ({"row": row_name} if several else {})
        | {
            "vehicle": car,
            "condition": differences(laps[name][i].conditions),
            "ratio": ev.lap_ratio(laps[name][i], theirs),
            "ratio_to": compared_with,
            "reference_lap_s": ev.reference_lap_s(laps[name][i], theirs),
        }
        for row_name, laps, theirs in zip(named, results, compared, strict=True)
        for i in range(len(circuits))
        for name in names
    ]
    if args.json:
        write_json(args.json, records)
    if args.out:
        write_json(args.out / "results.json", records)
        write_pictures(args.out, circuits, results[shown])
        told_apart = {name: results[drive] for drive, name in replayed.items()}
        write_ghosts(circuits, told_apart, args.out / "ghosts.json")
        place = "/".join(args.out.resolve().parts[-2:])
        write_report(args.out / "report.html", f"Evaluation {place}", args.out)
    if args.video:
        write_video(race(circuits[0], results[shown]), args.video)


def drive_all(
    laps: int,
    policies: Mapping[str, Any],
    names: Sequence[str],
    circuits: Sequence[Any],
    drives: Sequence[Any],
    kept: Collection[int],
    workers: Any,
) -> list[dict[str, list[Any]]]:
    """Results on the circuits for each of the drives, by driver; with telemetry of those that are
    `kept`.
    """
    from tqdm import tqdm

    from racing_env.laps import chunks
    from racing_env.laps import evaluation as ev

    results: list[dict[str, list[Any]]] = [{} for _ in drives]
    layouts = {policy.layout.name for policy in policies.values()}
    chunk = chunks.LAP_CHUNK
    if EXPERT in names:
        layouts.add(DEFAULT_LAYOUT)
        chunk = chunks.PACE_CHUNK
    with chunks.circuits_set(circuits, layouts, workers, chunk) as imap:
        for i, name in tqdm([*product(range(len(drives)), names)], "drivers", disable=None):
            if name == EXPERT:
                driver = ev.expert_driver(
                    chunks.paces_by_chunks(imap, len(circuits), laps, drives[i].conditions)
                )
            else:
                driver = ev.policy_driver(policies[name])
            results[i][name] = chunks.drive_chunks(
                imap, len(circuits), driver, laps=laps, name=name, telemetry=i in kept,
                conditions=drives[i],
            )  # fmt: skip
    return results


def references_of(
    results: Mapping[str, Sequence[Any]], references: dict[str, float] | None
) -> dict[str, float] | None:
    """The laps (s) that a drive's are compared with: those given, else the expert's, else None."""
    if references is not None or EXPERT not in results:
        return references
    laps = {result.track: result.flying_lap_s for result in results[EXPERT]}
    return {track: lap for track, lap in laps.items() if lap is not None}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--driver", nargs="+", action="extend", metavar="expert|PATH.safetensors",
        help="who drives; several are compared (default: expert)")  # fmt: skip
    add("--track", nargs="+", action="extend", metavar="TRACK",
        help="files, folders of them, built-in names, random[:SEED[:COUNT]] "
        f"(default: random:SEED:{CIRCUITS})")  # fmt: skip
    add("--vehicle", metavar="NAME|FILE",
        help=f"{cli.VEHICLE_HELP} (the drivers' own; {DEFAULT_VEHICLE} where only the expert "
        "drives)")  # fmt: skip
    add("--condition", action="append", metavar="NAME=VALUE[,NAME=VALUE...]",
        help="drive under a condition that the drivers are not told, such as friction=0.9; may be "
        "repeated, with nominal for none, for a row each")  # fmt: skip
    add("--conditions", choices=("road",),
        help="drive under all that a road may be: a fixed grid, and draws by the seed")  # fmt: skip
    add("--workers", type=cli.worker_int, default=cli.available_cores(),
        help="processes that prepare circuits and drive (cores)")  # fmt: skip
    add("--cluster", metavar="ADDRESS", help=cli.CLUSTER_HELP)
    add("--laps", type=cli.positive_int, default=3, help="flying laps, after a standing one (3)")
    add(
        "--seed",
        type=cli.seed_int,
        default=1000,
        help="of the default circuits and of draws of conditions (1000)",
    )
    add("--reference", type=Path, metavar="CSV",
        help="lap times to compare with: columns circuit and mintime_s (default: the expert's, "
        "or the speed profile's where it does not drive)")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write the results as a list of objects")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="write report.html, results.json, ghosts.json, and for each circuit a picture and "
        "the drivers' telemetry",
    )
    add("--video", type=Path, metavar="FILE.mp4",
        help="film the drivers' best laps on the first circuit, as a race (needs: pip install -r "
        "requirements-render.txt)")  # fmt: skip
    return parser.parse_args()


def read_references(path: Path) -> dict[str, float]:
    """Lap times (s) by circuit. Raises InputError that names the file and the line."""
    refuse_special_file(path)
    try:
        with reading(path), open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"circuit", "mintime_s"} <= set(reader.fieldnames or ()):
                raise InputError(f"{path}: its first line needs the columns circuit and mintime_s")
            return dict(read_reference(path, reader.line_num, row) for row in reader)
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: not a CSV file; expected text with commas") from None


def read_reference(path: Path, line: int, row: dict[str, str | None]) -> tuple[str, float]:
    circuit, text = row["circuit"] or "", row["mintime_s"] or ""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not circuit or not 0.0 < seconds < math.inf:
        raise InputError(
            f"{path}: line {line} has circuit {circuit!r:.80} and mintime_s {text!r:.80}; "
            "expected a name and a positive number of seconds"
        )
    return circuit, seconds


def write_pictures(folder: Path, circuits: list[Any], results: dict[str, list[Any]]) -> None:
    """CIRCUIT.png for each circuit and CIRCUIT-DRIVER.csv for each driver on it."""
    from dataclasses import replace

    from tqdm import tqdm

    from racing_env.laps.plots import plot_circuit
    from racing_env.laps.run_table import labels
    from racing_env.laps.telemetry import write_telemetry

    drivers = labels(list(results))
    tracks = [circuit.track.name for circuit in circuits]
    pictures = file_stems(tracks)
    tables = iter(file_stems([f"{track}-{label}" for track in tracks for label in drivers]))
    for i, circuit in enumerate(tqdm(circuits, "pictures", disable=None)):
        shown = [
            replace(of_driver[i], driver=label)
            for label, of_driver in zip(drivers, results.values(), strict=True)
        ]
        for result in shown:
            path = folder / f"{next(tables)}.csv"
            write_telemetry(result.telemetry, path, result.guesses, result.conditions)
        plot_circuit(circuit, shown, folder / f"{pictures[i]}.png")


def race(circuit: Any, results: dict[str, list[Any]]) -> Iterable[Any]:
    """Frames of the drivers' best laps on the first circuit, with a progress bar."""
    from dataclasses import replace

    from tqdm import tqdm

    from racing_env.drawing.video import frame_count, race_frames
    from racing_env.laps.run_table import labels

    shown = [
        replace(of_driver[0], driver=label)
        for label, of_driver in zip(labels(list(results)), results.values(), strict=True)
    ]
    frames = race_frames(circuit, shown)
    return tqdm(frames, "video", frame_count(shown), unit="frame", disable=None)


def file_stems(names: list[str]) -> list[str]:
    """Names that are safe in a file name, each different."""
    stems: dict[str, None] = {}  # in order
    for name in names:
        stem = safe = re.sub(r"[^\w.-]+", "_", name)
        number = 1
        while stem in stems:
            number += 1
            stem = f"{safe}-{number}"
        stems[stem] = None
    return list(stems)


if __name__ == "__main__":
    cli.run(main)
