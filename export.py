#!/usr/bin/env python
"""Take a driver, demonstrations, a race line or a car to other programs.

    python export.py onnx runs/default/rl/policy.safetensors --out driver.onnx
    python export.py minari runs/default/demonstrations --id racing/expert-v0
    python export.py raceline --track Monza.csv --out Monza_raceline.csv
    python export.py vehicle --vehicle racecar.ini --out car.toml

`onnx` writes a driver as one file for onnxruntime and its like, and compares it with the original.
`minari` writes demonstrations as a data set that `minari.load_dataset` opens. Both need
pip install -r requirements-export.txt. `raceline` writes the racing line of a circuit and a car
with its speed profile, as TU Munich's planners or F1TENTH's tools read them. `vehicle` writes any
car as the project's own TOML, with every number that it drives with.
"""

import argparse
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: work is shared out by processes
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is

from racing_env import DEFAULT_VEHICLE
from racing_env.common import command_line as cli
from racing_env.common.errors import InputError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    onnx = commands.add_parser("onnx", help="a driver as an ONNX file")
    onnx.add_argument("policy", type=Path, metavar="PATH.safetensors", help="the driver")
    onnx.add_argument("--out", type=Path, required=True, metavar="FILE.onnx", help="what to write")
    onnx.add_argument("--si-units", action="store_true",
                      help="inputs in SI units and radians instead of the environment's "
                      "observations: the file scales and clips them")  # fmt: skip
    minari = commands.add_parser("minari", help="demonstrations as a Minari data set")
    minari.add_argument("data", type=Path, metavar="DIR", help="folder of demonstrations")
    minari.add_argument("--id", required=True, metavar="NAMESPACE/NAME-v0", dest="dataset_id",
                        help="name for minari.load_dataset")  # fmt: skip
    line = commands.add_parser("raceline", help="a racing line with its speed profile as CSV")
    line.add_argument("--track", required=True, help="one circuit: a file, a name or random:SEED")
    line.add_argument("--vehicle", default=DEFAULT_VEHICLE, metavar="NAME|FILE",
                      help=cli.VEHICLE_HELP)  # fmt: skip
    line.add_argument("--format", choices=("planner", "f1tenth"), default="planner",
                      help="planner: TU Munich's, with track and normals; f1tenth: s, x, y, psi, "
                      "kappa, vx, ax (planner)")  # fmt: skip
    line.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="what to write")
    car = commands.add_parser("vehicle", help="a car as the project's own TOML file")
    car.add_argument("--vehicle", required=True, metavar="NAME|FILE", help=cli.VEHICLE_HELP)
    car.add_argument("--out", type=Path, required=True, metavar="FILE.toml", help="what to write")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.command == "onnx":
        export_onnx(args.policy, args.out, args.si_units)
    elif args.command == "raceline":
        export_race_line(args.track, args.vehicle, args.out, args.format)
    elif args.command == "vehicle":
        export_vehicle(args.vehicle, args.out)
    else:
        export_minari(args.data, args.dataset_id)


def export_onnx(source: Path, out: Path, si_units: bool) -> None:
    from racing_env.common.files import refuse_folder
    from racing_env.drivers import onnx_export
    from racing_env.drivers.policy import load_policy

    policy = load_policy(source)
    refuse_folder(out, "--out")
    difference = onnx_export.write_onnx(policy, out, si_units)
    what, where = "actions", f"{onnx_export.COMPARED:,} random observations"
    if policy.adapts:
        what, where = "actions and memory", f"drives of {onnx_export.DRIVE_STEPS} steps"
    print(f"{out}: {out.stat().st_size:,} bytes; {what} differ by at most {difference:.1e} from "
          f"{source} in {where}")  # fmt: skip


def export_race_line(track: str, vehicle: str, out: Path, file_format: str) -> None:
    from racing_env.car.vehicle_files import read_vehicle
    from racing_env.common.files import refuse_folder
    from racing_env.tracks.race_line_csv import write_race_line
    from racing_env.tracks.sources import load_circuits

    refuse_folder(out, "--out")
    circuits = load_circuits([track], read_vehicle(vehicle))
    if len(circuits) > 1:
        raise InputError(f"--track {track}: names {len(circuits)} circuits; one is needed")
    write_race_line(circuits[0], out, file_format)
    print(
        f"{out}: {circuits[0].track.length_m:,.1f} m, {circuits[0].lap_time_s:.3f} s by the profile"
    )


def export_vehicle(vehicle: str, out: Path) -> None:
    from racing_env.car.vehicle_files import read_vehicle, write_vehicle
    from racing_env.common.files import readable, refuse_folder

    refuse_folder(out, "--out")
    if out.exists():  # and perhaps edited since
        raise InputError(f"{out}: is there already; remove it, or use another --out")
    origin = f"Written from {readable(vehicle)} by export.py vehicle."
    write_vehicle(read_vehicle(vehicle), out, origin)
    print(f"{out}: the car of {vehicle}, all numbers")


def export_minari(source: Path, dataset_id: str) -> None:
    from racing_env.data.minari_export import datasets_folder, write_minari

    dataset = write_minari(source, dataset_id)
    print(
        f"{datasets_folder() / dataset_id}: {dataset.total_episodes} episodes, "
        f"{dataset.total_steps:,} steps; minari.load_dataset({dataset_id!r}) opens it"
    )


if __name__ == "__main__":
    cli.run(main)
