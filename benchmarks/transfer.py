"""Our drivers in simulators that others wrote: laps that they finish there, and at home.

    python -m benchmarks.transfer --install --json benchmarks/results/transfer.json

--install puts their packages into virtual environments of their own, as benchmarks.peers does; a
model whose package is missing is left out and named.

gymkhana's single-track models are of the 1:10 car. In `st` a tyre's side force is a straight line
without an end, `std` has PAC2002 tyres and wheels that spin and lock. Its published cars are not
quite ours, nor each other: the tyres of `st` are half as stiff as ours, those of `std` six times,
whose car brakes and accelerates half as hard. So each is driven as published, which is another car
by other equations, and with our car's tyres, limits and shares of the axles, which leaves the
equations; `std` also by who has learnt with a file that has its car's numbers
(benchmarks/vehicles/). CommonRoad's multi-body model `mb` (29 states: springs, dampers, PAC2002
tyres at each of four wheels) is of a BMW 320i, of which there are such a file and driver, too.

A driver is put into the models of his own car; the expert into all, at two shares of the profile's
speed: that of the demonstrations, and a more careful one. Each drives a lap and a flying one on ten
circuits that no driver has learnt from.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
VEHICLES = Path("benchmarks/vehicles")
DRIFTER, FULL_SIZE = str(VEHICLES / "gymkhana_std.yaml"), str(VEHICLES / "bmw_320i.yaml")
DRIVERS = [
    *(ROOT / "policies" / f"{TENTH}{name}.safetensors" for name in ("", "-nominal")),
    *(ROOT / VEHICLES / f"{name}.safetensors" for name in ("gymkhana_std", "bmw_320i")),
]
TRACK = "random:4000:10"
HOME = "at home"
EXPERT_PACES = (DEMONSTRATION_PACE, 0.8)  # factors on the profile's speed


class Case(NamedTuple):
    """A model, and the file of our car that drives home laps in its place."""

    vehicle: str
    model: ForeignModel
    what: str


def st_of(car: Vehicle) -> dict[str, float]:
    """Our tyres in gymkhana's plain model: its straight line is the beginning of our curve."""
    return {
        "C_Sf": car.tyre_b_front * car.tyre_c_front,
        "C_Sr": car.tyre_b_rear * car.tyre_c_rear,
    }


def std_of(car: Vehicle) -> dict[str, float]:
    """Our car in gymkhana's drift model, which has one tyre for both axles: the mean of ours."""
    stiffness = np.mean(list(st_of(car).values()))
    friction = 0.5 * (car.friction_front + car.friction_rear)
    return {
        "a_max": car.drive_force_max_n / car.mass_kg,
        "s_min": -car.steering_max_rad, "s_max": car.steering_max_rad,
        "T_sb": car.brake_share_front, "T_se": car.drive_share_front,
        "tire_p_ky1": -friction * float(stiffness),
        "tire_p_dy1": friction, "tire_p_dx1": friction,
    }  # fmt: skip


def gymkhana(name: str, changes: dict[str, float], steering_delay_s: float = 0.0) -> ForeignModel:
    # wheels are quicker than a car: at gymkhana's own step of 10 ms their speeds swing
    step_s = 0.001 if name == "std" else 0.005
    return ForeignModel("gymkhana", name, step_s, changes, steering_delay_s)


CAR = read_vehicle(TENTH)
STEERING_DELAY_S = 0.02  # gymkhana's own cars keep a steering command back for two of its steps
CASES = {
    "st": Case(TENTH, gymkhana("st", {}), "gymkhana's single track, as published"),
    "st-our-tyres": Case(TENTH, gymkhana("st", st_of(CAR)), "the same with tyres as stiff as ours"),
    "std": Case(TENTH, gymkhana("std", {}), "gymkhana's drift model, as published"),
    "std-our-car": Case(TENTH, gymkhana("std", std_of(CAR)), "the same with our car's numbers"),
    "std-our-car-late": Case(
        TENTH, gymkhana("std", std_of(CAR), STEERING_DELAY_S), "and steered 20 ms late"
    ),
    "std-known": Case(DRIFTER, gymkhana("std", {}), "as published, whose numbers the driver knows"),
    "mb": Case(
        FULL_SIZE, ForeignModel("commonroad", "mb", 0.0025, {}), "CommonRoad's multi-body BMW 320i"
    ),
}


def drivers_of(vehicle: Vehicle, policies: Sequence[Path], circuits: int) -> dict[str, Driver]:
    """The expert at each of his paces, and those of the policies that are for this car."""
    drivers = {
        f"expert at {pace:g}": expert_driver(np.full(circuits, pace)) for pace in EXPERT_PACES
    }
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
    """At home and in the models that are present of this car, for each driver.

    As many models at once as there are cores: each has a process of its own.
    """
    models = [name for name in present if CASES[name].vehicle == vehicle]
    pairs = [(driver, name) for driver in drivers for name in models]

    def there(pair: tuple[str, str]) -> list[LapResult]:
        driver, name = pair
        laps = drive_model(circuits, drivers[driver], CASES[name].model, 1, driver)
        finished = sum(lap.finished for lap in laps)
        print(f"{name}, {driver}: {finished} of {len(circuits)}", file=sys.stderr, flush=True)
        return laps

    with ThreadPoolExecutor(cli.available_cores()) as pool:
        driven = dict(zip(pairs, pool.map(there, pairs), strict=True))
    results = []
    for driver in drivers:
        home = drive_laps(circuits, drivers[driver], laps=1, name=driver)
        results.append(result(f"{HOME}, {Path(vehicle).stem}", "this project", home, home))
        results += [result(name, CASES[name].what, driven[driver, name], home) for name in models]
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
    flag(
        "--driver",
        nargs="*",
        type=Path,
        default=DRIVERS,
        metavar="POLICY",
        help="policies, each for the car of a model (f1tenth's, and those of benchmarks/vehicles)",
    )
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
