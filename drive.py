#!/usr/bin/env python
"""Race a driver yourself, by keyboard or gamepad, with the driver's ghost beside you.

    python drive.py --track club --against policies/racecar.safetensors
    python drive.py --vehicle f1tenth --track random:7 --laps 3
    python drive.py --track club --record runs/mine/demonstrations

The window names the keys. --record keeps the laps that count as demonstrations, from which
train_bc.py clones you.
"""

import argparse
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: one car is no work for many threads

from racing_env import DEFAULT_VEHICLE
from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import locked_folder

EXPERT = "expert"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--track", default="club", metavar="TRACK",
         help="a file, a name or random[:SEED] (club)")  # fmt: skip
    flag("--against", default=EXPERT, metavar="DRIVER",
         help="whom to race: expert, or the file of a policy (expert)")  # fmt: skip
    flag("--vehicle", metavar="NAME|FILE",
         help=f"{cli.VEHICLE_HELP} (the driver's own; {DEFAULT_VEHICLE} where it is the expert)",
    )  # fmt: skip
    flag("--laps", type=cli.positive_int, help="end after so many laps that count (never)")
    flag("--record", type=Path, metavar="DIR",
         help="keep the laps that count as demonstrations for train_bc.py --data DIR")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    args = arguments()
    with locked_folder(args.record) if args.record else nullcontext():
        drive(args)


def drive(args: argparse.Namespace) -> None:
    with cli.interrupts_held():
        from racing_env.common.kernel_cache import CAR, announce_compiling
        from racing_env.common.run_record import write_run_record
        from racing_env.data.dataset_writer import DatasetWriter, Origin, refuse_existing
        from racing_env.data.recording import episode_of
        from racing_env.drawing.window import Window, open_display
        from racing_env.drivers.policy import load_policy
        from racing_env.laps import evaluation as ev
        from racing_env.laps.rival import drive_rival
        from racing_env.laps.run_table import short_path
        from racing_env.laps.session import DrivenLap, Session
        from racing_env.simulation.task import demonstration_task
        from racing_env.tracks.bank import pack_circuits
        from racing_env.tracks.circuit import circuits_content
        from racing_env.tracks.sources import load_circuits, track_makers

    # ---------------------------------------------------------------- set-up
    if args.record:
        refuse_existing(args.record, resume=False, way_out="use another --record")
    policies = {} if args.against == EXPERT else {args.against: load_policy(args.against)}
    announce_compiling(CAR)
    vehicle = ev.vehicle_of(args.vehicle, policies, DEFAULT_VEHICLE)
    if (count := len(track_makers([args.track], vehicle))) != 1:
        raise InputError(f"--track {args.track}: is {count} circuits; one is driven on")
    open_display()
    (circuit,) = circuits = load_circuits([args.track], vehicle)
    if policies:
        driver = ev.policy_driver(policies[args.against])
    else:
        driver = ev.expert_driver(ev.expert_paces(pack_circuits(circuits)))
    rival = drive_rival(circuit, driver, short_path(args.against))
    writer: DatasetWriter | None = None
    if args.record:
        task = demonstration_task(vehicle, driver.layout)
        origin = Origin(
            {"driver": "a person"}, [args.track], circuits_content(circuits), vehicle, task
        )
        writer = DatasetWriter(args.record, origin)
        write_run_record(args.record, args)

    def keep(lap: DrivenLap) -> None:
        facts = {"circuit": circuit.track.name, "laps": 1, "lap_time_s": lap.time_s, "end": "lap"}
        if writer:
            with cli.interrupts_held():  # a lap that is done is kept
                writer.add(episode_of(lap.rows, facts))
                writer.flush()

    # ---------------------------------------------------------------- drive
    session = Session(circuit, driver.layout, rival, keep)
    try:
        Window(session).run(args.laps)
    finally:
        print(lap_table(session.laps, rival.name))
        if writer:
            laps = "1 lap is" if writer.episodes == 1 else f"{writer.episodes} laps are"
            print(f"{laps} kept in {args.record}")


def lap_table(laps: Sequence[Any], rival: str) -> str:
    """A row for each lap that counts: its time, the ghost's of the same kind, and the gap."""
    if not laps:
        return "no lap that counts"
    rows = [f"lap           time {rival:>24}        gap"]
    best_s = min(lap.time_s for lap in laps)
    for number, lap in enumerate(laps, 1):
        theirs = "-" if lap.rival_s is None else f"{lap.rival_s:.3f} s"
        gap = "-" if lap.gap_s is None else f"{lap.gap_s:+.3f} s"
        star = "*" if lap.time_s == best_s else ""
        time = f"{star}{lap.time_s:.3f} s"
        kind = "standing" if lap.standing else ""
        rows.append(f"{number:3d} {time:>14} {theirs:>24} {gap:>10} {kind}".rstrip())
    return "\n".join([*rows, "* your best"])


if __name__ == "__main__":
    cli.run(main)
