"""Our drivers in simulators that others wrote: laps that they finish there, and at home.

    python -m benchmarks.transfer --install --json benchmarks/results/transfer.json

--install puts their packages into virtual environments of their own, as benchmarks.peers does; a
model whose package is missing is left out and named. gymkhana's single-track models are of the
1:10 car: `st` has a straight line for a tyre, `std` PAC2002 tyres and wheels that spin and lock.
CommonRoad's multi-body model `mb` has springs, dampers and PAC2002 tyres at each of four wheels,
here of a BMW 320i (benchmarks/vehicles/). What a driver learnt, he learnt in ours.

A driver is put into the models of his own car; the expert, at the pace of the demonstrations, into
all. Each drives a lap and a flying one on ten circuits that no driver has learnt from.
"""

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import numpy as np

from benchmarks.foreign_cars import ForeignModel, drive_model
from benchmarks.markdown import table
from benchmarks.measuring import ROOT, write_results
from benchmarks.peer_venvs import install, python_of
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.drivers.expert import DEMONSTRATION_PACE
from racing_env.drivers.policy import load_policy
from racing_env.laps.evaluation import (
    Driver,
    LapResult,
    drive_laps,
    expert_driver,
    policy_driver,
    summary,
)
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.sources import load_circuits

TENTH = "f1tenth"
FULL_SIZE = str((ROOT / "benchmarks" / "vehicles" / "bmw_320i.yaml").relative_to(ROOT))
DRIVER = ROOT / "policies" / "f1tenth.safetensors"
TRACK = "random:4000:10"
HOME, EXPERT = "at home", "expert"


class Case(NamedTuple):
    """A model, and the car of ours that it is."""

    vehicle: str
    model: ForeignModel
    what: str


# The drift model's published car steers further than the plain one, and brakes and accelerates half
# as hard; with the plain one's limits it differs from ours in the model alone.
LIMITS = {"a_max": 9.51, "s_min": -0.4189, "s_max": 0.4189}
CASES = {
    "gymkhana st": Case(
        TENTH, ForeignModel("gymkhana", "st", 0.005, {}), "one track, straight-line tyre"
    ),
    "gymkhana st, late": Case(
        TENTH,
        ForeignModel("gymkhana", "st", 0.005, {}, steering_delay_s=0.02),
        "the same, steering 20 ms late as its own cars",
    ),
    "gymkhana std": Case(
        TENTH, ForeignModel("gymkhana", "std", 0.0005, LIMITS), "PAC2002 tyres, wheel spin"
    ),
    "gymkhana std, late": Case(
        TENTH,
        ForeignModel("gymkhana", "std", 0.0005, LIMITS, steering_delay_s=0.02),
        "the same, steering 20 ms late",
    ),
    "gymkhana std, as published": Case(
        TENTH, ForeignModel("gymkhana", "std", 0.0005, {}), "5 m/s2 at most, as its car has"
    ),
    "CommonRoad mb": Case(
        FULL_SIZE, ForeignModel("commonroad", "mb", 0.0025, {}), "29 states, BMW 320i"
    ),
}


def drivers_of(vehicle: Vehicle, policies: Sequence[Path], circuits: int) -> dict[str, Driver]:
    """The expert, and those of the policies that are for this car."""
    drivers = {EXPERT: expert_driver(np.full(circuits, DEMONSTRATION_PACE))}
    for path in policies:
        policy = load_policy(path)
        if policy.vehicle == vehicle:
            name = path.stem if path.stem not in drivers else str(path)
            drivers[name] = policy_driver(policy)
    return drivers


def refuse_without_a_model(policies: Sequence[Path]) -> None:
    """Raise InputError for a policy of a car that none of the models is."""
    vehicles = [read_vehicle(name) for name in {case.vehicle for case in CASES.values()}]
    for path in policies:
        if load_policy(path).vehicle not in vehicles:
            raise InputError(f"{path}: drives a car of which no model is; see benchmarks/vehicles")


def result(
    model: str, what: str, laps: Sequence[LapResult], home: Sequence[LapResult]
) -> dict[str, Any]:
    """What a driver did in a model, beside what he did at home."""
    at_home = {lap.track: lap.flying_lap_s for lap in home if lap.finished}
    to_home = [
        lap.flying_lap_s / home_s
        for lap in laps
        if lap.finished and lap.flying_lap_s and (home_s := at_home.get(lap.track))
    ]
    counted = summary(laps)
    return {
        "model": model,
        "what": what,
        "driver": laps[0].driver,
        "circuits": counted.circuits,
        "finished": counted.finished,
        "lap_ratio": counted.lap_ratio if counted.finished else None,
        "lap_to_home": float(np.mean(to_home)) if to_home else None,
        "ends": dict(Counter(lap.end for lap in laps)),
        "laps": [lap.record() for lap in laps],
    }


def results_of(
    vehicle: str, circuits: Sequence[Circuit], drivers: dict[str, Driver], present: Sequence[str]
) -> list[dict[str, Any]]:
    """At home and in the models that are present of this car, for each driver."""
    results = []
    for driver_name, driver in drivers.items():
        home = drive_laps(circuits, driver, laps=1, name=driver_name)
        results.append(result(f"{HOME}, {Path(vehicle).stem}", "this project", home, home))
        for name in present:
            case = CASES[name]
            if case.vehicle == vehicle:
                laps = drive_model(circuits, driver, case.model, 1, driver_name)
                results.append(result(name, case.what, laps, home))
                print(transfer_table(results[-1:]), flush=True)
    return results


def transfer_table(results: Sequence[dict[str, Any]]) -> str:
    """Laps finished, the flying lap over the profile's and over that at home, and other ends."""
    rows = [
        [each["model"], each["what"], each["driver"], f"{each['finished']} of {each['circuits']}",
         _ratio(each["lap_ratio"]), _ratio(each["lap_to_home"]),
         ", ".join(f"{count} {end}" for end, count in each["ends"].items() if end != "finished")]
        for each in results
    ]  # fmt: skip
    columns = ["model", "what", "driver", "finished", "lap / profile", "lap / at home", "others"]
    return table(columns, rows)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--install", action="store_true", help="install their packages, where they are missing")
    flag("--driver", nargs="*", type=Path, default=[DRIVER], metavar="POLICY",
         help="policies, each of one of the models' cars (policies/f1tenth.safetensors)")  # fmt: skip
    flag("--track", nargs="+", default=[TRACK], help=f"circuits, of each car's own kind ({TRACK})")
    flag("--model", nargs="+", choices=CASES, default=list(CASES), help="models (all)")
    flag("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    refuse_without_a_model(args.driver)
    why = install() if args.install else {}
    missing = {
        name: why.get(CASES[name].model.venv, "not installed; --install does it")
        for name in args.model
        if not python_of(CASES[name].model.venv).exists()
    }
    present = [name for name in args.model if name not in missing]
    results = []
    for name in dict.fromkeys(CASES[model].vehicle for model in args.model):
        vehicle = read_vehicle(name)
        circuits = load_circuits(args.track, vehicle)
        drivers = drivers_of(vehicle, args.driver, len(circuits))
        results += results_of(name, circuits, drivers, present)
    print(transfer_table(results))
    for model, reason in missing.items():
        print(f"missing: {model} ({reason})")
    write_results(args.json, {"track": args.track, "cases": results, "missing": missing})


if __name__ == "__main__":
    cli.run(main)
