#!/usr/bin/env python
"""Let the classical expert drive, in parallel, and keep what it did as a data set.

    python collect_demonstrations.py --episodes 100 --workers 4 --out runs/first/demonstrations

An episode is a lap from a random place of a circuit, with disturbances from which the expert
recovers. The data set is the same, byte for byte, for every number of workers.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: work is shared out by processes

from racing_env import DEFAULT_LAYOUT, DEFAULT_VEHICLE
from racing_env.common import command_line as cli
from racing_env.common.files import locked_folder, write_json

EPISODES_PER_SHARD = 10  # what a crash may cost, and what is held in memory


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = cli.available_cores()
    flag = parser.add_argument
    flag("--episodes", type=cli.size_int, default=100, help="episodes to drive (100)")
    flag("--workers", type=cli.worker_int, default=max(cores - 1, 1),
         help="worker processes (cores - 1)")  # fmt: skip
    flag("--cluster", metavar="ADDRESS", help=cli.CLUSTER_HELP)
    flag("--track", nargs="+", default=["random:1:100"], metavar="TRACK",
         help="files, folders, names or random[:SEED[:COUNT]] (random:1:100)")  # fmt: skip
    flag("--vehicle", default=DEFAULT_VEHICLE, metavar="NAME|FILE",
         help=f"{cli.VEHICLE_HELP} ({DEFAULT_VEHICLE})")  # fmt: skip
    flag("--layout", default=DEFAULT_LAYOUT, metavar="NAME",
         help="what the driver sees, see racing_env/simulation/layouts "
         f"({DEFAULT_LAYOUT})")  # fmt: skip
    flag("--seed", type=cli.seed_int, default=0, help="decides everything (0)")
    flag("--out", default="runs/default/demonstrations",
         help="folder of the data set (runs/default/demonstrations)")  # fmt: skip
    flag("--resume", action="store_true", help="go on with a data set that was interrupted")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    with locked_folder(args.out):
        collect(args)


def collect(args: argparse.Namespace) -> None:
    with cli.interrupts_held():
        import numpy as np

        from racing_env.car.vehicle_files import read_vehicle
        from racing_env.common.cluster import open_workers
        from racing_env.common.files import read_json
        from racing_env.common.kernel_cache import CAR, announce_compiling
        from racing_env.common.run_record import write_run_record
        from racing_env.common.workers import LocalWorkers, worker_context
        from racing_env.data.dataset_writer import DatasetWriter, Origin, refuse_existing
        from racing_env.data.recording import Stint, compile_kernels, record_episodes
        from racing_env.simulation.layouts import layout_named
        from racing_env.simulation.task import demonstration_task
        from racing_env.tracks.bank import pack_circuits
        from racing_env.tracks.circuit import circuits_content
        from racing_env.tracks.sources import load_circuits

    # ---------------------------------------------------------------- set-up
    refuse_existing(args.out, args.resume)
    # loaded once, for the workers of all that follows
    worker_context("racing_env.tracks.sources", "racing_env.data.recording")
    announce_compiling(CAR)
    workers = open_workers(args.cluster, args.workers)
    vehicle = read_vehicle(args.vehicle)
    task = demonstration_task(vehicle, layout_named(args.layout, "--layout").name)
    # this process, which waits for them, will then have the episodes to write
    preparing = workers if args.cluster else LocalWorkers(args.workers + 1)
    circuits = load_circuits(args.track, vehicle, preparing)
    settings = {"seed": args.seed, "episodes": args.episodes}
    origin = Origin(settings, args.track, circuits_content(circuits), vehicle, task)
    writer = DatasetWriter(args.out, origin, args.resume)
    write_run_record(args.out, args)
    stint = Stint(pack_circuits(circuits), [circuit.track.name for circuit in circuits], task)
    seeds = np.random.SeedSequence(args.seed).spawn(args.episodes)[writer.episodes :]
    compile_kernels(stint)

    # ---------------------------------------------------------------- drive
    episodes = writer.manifest["episodes"]
    laps = sum(episode["laps"] for episode in episodes)
    path = Path(args.out) / "summary.json"
    earlier = read_json(path) if episodes and path.exists() else {"wall_s": 0.0, "busy_s": 0.0}
    started = time.perf_counter() - earlier["wall_s"]
    busy_s, transitions = earlier["busy_s"], sum(episode["steps"] for episode in episodes)
    with cli.progress_bar(args.episodes, writer.episodes, "episodes") as bar:
        for episode, episode_s in record_episodes(stint, seeds, workers):
            writer.add(episode)
            busy_s += episode_s
            transitions += len(episode.arrays["rewards"])
            laps += episode.facts["laps"]
            done = writer.episodes + writer.pending
            if writer.pending == EPISODES_PER_SHARD or done == args.episodes:
                writer.flush()
                wall_s = time.perf_counter() - started
                write_json(path, summary(workers.number, episodes, wall_s, busy_s))  # for --resume
            rate = transitions / (time.perf_counter() - started)
            bar.set_postfix_str(f"{rate:,.0f} transitions/s, {laps} laps", refresh=False)
            bar.update()
    wall_s = time.perf_counter() - started

    # ---------------------------------------------------------------- report
    result = summary(workers.number, episodes, wall_s, busy_s)
    write_json(path, result)
    lap_times = [e["lap_time_s"] for e in episodes if e["laps"]]
    rows = [
        ("circuits", f"{len({e['circuit'] for e in episodes})}"),
        ("episodes", f"{len(episodes)}"),
        ("laps finished", f"{len(lap_times)}"),
        ("lap time, mean", f"{np.mean(lap_times):.1f} s" if lap_times else "-"),
        ("transitions", f"{result['transitions']:,}"),
        ("wall time", f"{wall_s:.1f} s"),
        ("busy time of the workers", f"{busy_s:.1f} s"),
        ("speed-up over one worker", f"{result['speed_up']:.2f} (busy time / wall time)"),
    ]
    for name, value in rows:
        print(f"{name:26s} {value}")


def summary(
    workers: int, episodes: list[dict[str, Any]], wall_s: float, busy_s: float
) -> dict[str, Any]:
    """What summary.json has: the times (s) are those of all starts that drove these episodes."""
    transitions = sum(episode["steps"] for episode in episodes)
    return {
        "stage": "collect_demonstrations",
        "workers": workers,
        "wall_s": wall_s,
        "busy_s": busy_s,
        "speed_up": busy_s / wall_s,
        "transitions": transitions,
        "transitions_per_s": transitions / wall_s,
        "episodes": len(episodes),
        "laps_finished": sum(episode["laps"] > 0 for episode in episodes),
    }


if __name__ == "__main__":
    cli.run(main, resumable=True)
