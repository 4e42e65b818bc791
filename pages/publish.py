"""Make a finished run the one that the README shows for its car, and its driver the one shipped.

    python -m pages.publish runs/default --real real.json

Copies the run's records into benchmarks/results/cars/CAR (with the machine and the commit it was
made with) and its drivers into policies/, those of the default car with the pictures of docs/, and
writes the README's tables from the records of all cars. real.json is what `evaluate.py --driver
expert CLONE RL --track FOLDER [--reference CSV] --json` wrote about the run's drivers on real
circuits, with their time-optimal laps as the reference where there are some.
`python -m pages.animation` makes the README's animation of the driver that is shipped.
"""

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.measuring import ROOT
from pages.condition_picture import write_condition_picture
from pages.marks import between
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import name_of_vehicle, shipped_names
from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import read_json, replaced_atomically, write_json
from racing_env.common.run_record import FILE
from racing_env.drivers.policy import load_policy
from racing_env.laps.condition_map import Record, pace, rows_of
from racing_env.laps.condition_rows import NOMINAL_NAME
from racing_env.laps.run_table import decimal, driver_name, duration, finished_of, laps_compared

RESULTS = "benchmarks/results/cars"
REAL, MACHINE = "real_circuits.json", "machine.json"
RECORDS = {  # in RESULTS/CAR, from the run's folder
    "demonstrations.json": "demonstrations/summary.json",
    "bc.json": "bc/summary.json",
    "bc_curve.csv": "bc/curve.csv",
    "rl.json": "rl/summary.json",
    "rl_curve.csv": "rl/curve.csv",
    "road.json": "road/summary.json",
    "road_curve.csv": "road/curve.csv",
    "evaluation.json": "evaluation/results.json",
    "conditions.json": "conditions/results.json",
    "memory.json": "memory.json",
}
PICTURES = {  # of the default car
    "docs/learning_curve.png": "rl/learning_curve.png",
    "docs/lap.png": "evaluation/random-1000-0.png",
}
DRIVER_NAMES = {
    "expert": "expert (classical, best pace per circuit)",
    "clone": "clone (behaviour cloning and DAgger)",
    "RL driver": "RL driver (from the clone)",
    "adapting driver": "adapting driver (from the RL driver)",
}
# of a run whose driver adapts; else there is one, from rl
DRIVERS = {"": "road", "-nominal": "rl"}  # what the name of a policy ends with -> its stage


def last_stage(run: Path) -> str:
    """Of learning: `road`, or `rl` of a run whose driver was not to adapt."""
    return "road" if (run / "road").exists() else "rl"


def machine(run: Path, car: str) -> dict[str, Any]:
    """On what, with what and when the run was made, as the last start of its last stage says.

    Raises InputError if it does not say so.
    """
    path = run / last_stage(run) / FILE
    try:
        start = read_json(path)[-1]
        named = "" if car == DEFAULT_VEHICLE else f" --vehicle {car}"
        if last_stage(run) == "rl":
            named += " --conditions nominal"
        return {
            "command": f"./train_optimized.sh{named}",
            "commit": start["commit"],
            "date": start["started"].partition("T")[0],
            "cores": start["cores"],
            "processor": start["processor"],
            "python": start["versions"]["python"],
        }
    except (LookupError, TypeError, AttributeError):
        raise InputError(
            f"{path}: does not say when, on what and with what the run was made; "
            "expected started, commit, cores, processor and versions, as runs record them now"
        ) from None


def car_of(policy: Path) -> str:
    """Name of the shipped car that a policy drives; raises InputError if it is none of them."""
    name = name_of_vehicle(load_policy(policy).vehicle)
    if name in shipped_names():
        return name
    raise InputError(
        f"{policy}: drives a car that is not shipped; {', '.join(shipped_names())} are"
    )


def laps_table(folders: list[Path]) -> str:
    lines = [
        "Mean of the best flying laps on the circuits that all drivers of a car finish",
        f"(`{RESULTS}/*/evaluation.json`):",
        "",
        "| car | driver | circuits finished | lap / expert's lap | lap / speed profile |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for folder in folders:
        drivers, common = laps_compared(read_json(folder / "evaluation.json"))
        for driver, laps in drivers.items():
            times = [laps[track]["flying_lap_s"] for track in common]
            expert = [drivers["expert"][track]["flying_lap_s"] for track in common]
            profile = [laps[track]["profile_lap_s"] for track in common]
            lines.append(
                f"| {folder.name} | {DRIVER_NAMES[driver]} | {finished_of(laps.values())} "
                f"| {mean(a / b for a, b in zip(times, expert, strict=True)):.3f} "
                f"| {mean(a / b for a, b in zip(times, profile, strict=True)):.3f} |"
            )
    return "\n".join(lines)


def real_table(folders: list[Path]) -> str:
    lines = [
        f"On real circuits, a standing and three flying laps each (`{RESULTS}/*/{REAL}`):",
        "",
        "| car | driver | circuits finished | lap / speed profile | lap / time-optimal lap |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for folder in folders:
        if not (folder / REAL).exists():
            continue
        drivers, common = laps_compared(read_json(folder / REAL))
        for driver, laps in drivers.items():
            found = [laps[track] for track in common]
            profile = mean(lap["flying_lap_s"] / lap["profile_lap_s"] for lap in found)
            known = all(lap["ratio_to"].endswith(".csv") for lap in found)
            optimal = f"{mean(lap['ratio'] for lap in found):.3f}" if known else "–"
            lines.append(f"| {folder.name} | {DRIVER_NAMES[driver]} | {finished_of(laps.values())} "
                         f"| {profile:.3f} | {optimal} |")  # fmt: skip
    return "\n".join(lines)


def conditions_table(folders: list[Path]) -> str:
    """Of each car and driver the laps finished and their pace: on the car as it is, under the grid
    of conditions, and under draws of all of them together.
    """
    lines = [
        "Laps finished, and their mean over the lap of the speed profile under the same condition",
        f"(`{RESULTS}/*/conditions.json`):",
        "",
        "| car | driver | the car as it is | one thing different, or two | all drawn together |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for folder in folders:
        if not (folder / "conditions.json").exists():
            continue
        rows = rows_of(read_json(folder / "conditions.json"))
        for driver in next(iter(rows.values())):
            kinds: dict[str, list[Record]] = {"nominal": [], "grid": [], "draws": []}
            for name, drives in rows.items():
                kind = name if name == NOMINAL_NAME else "draws" if "draws" in name else "grid"
                kinds[kind] += drives[driver]
            cells = [
                f"{finished_of(drives)}, {decimal(pace(drives), 3)}" for drives in kinds.values()
            ]
            name = DRIVER_NAMES[driver_name(driver)]
            lines.append(f"| {folder.name} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def stages_table(folders: list[Path]) -> str:
    lines = [
        f"A run of each car (`{RESULTS}/*/`), wall time and throughput:",
        "",
        "| command | machine | demonstrations | cloning | reinforcement learning "
        "| learning to adapt | peak memory |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for folder in folders:
        on, demos, bc, rl, memory = (
            read_json(folder / f"{name}.json")
            for name in ("machine", "demonstrations", "bc", "rl", "memory")
        )
        adapting = "–"
        if (folder / "road.json").exists():
            road = read_json(folder / "road.json")
            adapting = f"{duration(road['wall_s'])}, {road['steps_per_s']:,.0f} steps/s"
        lines.append(
            f"| `{on['command']}` | {on['cores']} cores ({on['processor']}), {on['date']} "
            f"| {duration(demos['wall_s'])}, {demos['transitions_per_s']:,.0f} transitions/s "
            f"| {duration(bc['wall_s'])}, {bc['examples_per_s']:,.0f} examples/s "
            f"| {duration(rl['wall_s'])}, {rl['steps_per_s']:,.0f} steps/s "
            f"| {adapting} "
            f"| {memory['peak_bytes'] / 1e6:,.0f} MB |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--real", type=Path, metavar="JSON",
                        help="the drivers' laps on real circuits, if there are some")  # fmt: skip
    args = parser.parse_args()
    publish(args.run, args.real, ROOT)


def publish(run: Path, real: Path | None, checkout: Path) -> None:
    """Copy and write all, or nothing if something is lacking: then InputError names it."""
    adapts = last_stage(run) == "road"
    stages = DRIVERS if adapts else {"": "rl"}
    drivers = {end: run / stage / "policy.safetensors" for end, stage in stages.items()}
    require(drivers.values())
    car = car_of(drivers[""])
    folder = f"{RESULTS}/{car}"
    copies = {
        f"{folder}/{target}": run / source
        for target, source in RECORDS.items()
        if adapts or not source.startswith(("road/", "conditions/"))
    }
    for end, driver in drivers.items():
        copies[f"policies/{car}{end}.safetensors"] = driver
        copies[f"policies/{car}{end}.csv"] = driver.parent / "curve.csv"
    if real is not None:
        copies[f"{folder}/{REAL}"] = real
    if car == DEFAULT_VEHICLE:
        copies |= {target: run / source for target, source in PICTURES.items()}
    on = machine(run, car)
    require(copies.values())
    for laps in (run / RECORDS["evaluation.json"], real):
        if laps is not None:
            require_comparison(laps, [*DRIVER_NAMES][: 4 if adapts else 3])
    for target, source in copies.items():
        (checkout / target).parent.mkdir(parents=True, exist_ok=True)
        with replaced_atomically(checkout / target) as temporary:
            shutil.copyfile(source, temporary)
    if car == DEFAULT_VEHICLE and adapts:
        rows = rows_of(read_json(run / RECORDS["conditions.json"]))
        names = [driver_name(driver) for driver in next(iter(rows.values()))]
        write_condition_picture(rows, names, checkout / "docs" / "conditions.png")
    write_json(checkout / folder / MACHINE, on)
    write_tables(checkout)


def require(files: Iterable[Path]) -> None:
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: not there; expected a file that a finished run has")


def require_comparison(laps: Path, wanted: list[str]) -> None:
    drivers, common = laps_compared(read_json(laps))
    if set(drivers) != set(wanted) or not common:
        raise InputError(
            f"{laps}: has {', '.join(drivers) or 'no driver'} with {len(common)} circuits that all "
            f"finish; {', '.join(wanted)} and one circuit are needed"
        )


TABLES = {
    "laps": laps_table,
    "real": real_table,
    "conditions": conditions_table,
    "stages": stages_table,
}


def write_tables(checkout: Path) -> None:
    """The README's tables anew, from the records of all cars that have some, the default first."""
    names = sorted(shipped_names(), key=lambda name: (name != DEFAULT_VEHICLE, name))
    folders = [checkout / RESULTS / name for name in names]
    folders = [folder for folder in folders if (folder / MACHINE).exists()]
    readme = checkout / "README.md"
    text = readme.read_text(encoding="utf-8")
    for name, written in TABLES.items():
        text = between(text, name, written(folders))
    with replaced_atomically(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
