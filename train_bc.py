#!/usr/bin/env python
"""Clone the expert: behaviour cloning, then rounds in which the clone drives, the expert labels.

    python train_bc.py --data runs/first/demonstrations --out runs/first/bc

A clone of a fixed data set alone is led by its small errors to places where no demonstration has
been, and does not know what to do there. So while it learns, the clone that it was before drives
(DAgger: Ross, Gordon, Bagnell, "A reduction of imitation learning and structured prediction to
no-regret online learning", AISTATS 2011); what the expert would have done there joins the data of
the next round. The policy that finishes most laps on circuits not trained on, the latest of
several, is kept in OUT/policy.safetensors.
"""

import argparse
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: work is shared out by processes

from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import locked_folder, write_csv, write_json
from racing_env.common.workers import worker_context

DAGGER_EPISODES = 24  # a round
DAGGER_LIMIT_S = 150.0  # of an episode, for the reference car


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--data", default="runs/default/demonstrations",
         help="folder of demonstrations (runs/default/demonstrations)")  # fmt: skip
    flag("--out", default="runs/default/bc", help="folder for the policy (runs/default/bc)")
    flag("--epochs", type=cli.size_int, default=50, help="in all, over all rounds (50)")
    flag("--batch-size", type=cli.size_int, default=256, help="examples per update (256)")
    flag("--dagger-rounds", type=cli.count_int, default=6, help="rounds of driving (6)")
    flag("--workers", type=cli.processes_int,
         help="processes that load batches; 0: the main process does (cores / 2)")  # fmt: skip
    flag("--drive-workers", type=cli.worker_int,
         help="processes that drive, beside the learning (cores - 1; with --workers 0 one, in turn "
              "with it)",
    )  # fmt: skip
    flag("--cluster", metavar="ADDRESS", help=cli.CLUSTER_HELP)
    flag("--judge-on", nargs="+", default=["random:500:20"], metavar="TRACK",
         help="circuits to choose the best policy by, not trained on (random:500:20)")  # fmt: skip
    flag("--device", choices=("auto", "cpu", "cuda"), default="auto",
         help="auto is CUDA where there is one (auto)")  # fmt: skip
    flag("--seed", type=cli.seed_int, default=0, help="decides everything (0)")
    flag("--resume", action="store_true", help="go on after the last round that was finished")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    with locked_folder(args.out, "checkpoint", "dagger-*"):
        train(args)


def train(args: argparse.Namespace) -> None:
    with cli.interrupts_held():
        # torch once, shared by the workers of all rounds, and loaded beside this process's own
        worker_context(
            "racing_env.tracks.sources",
            "racing_env.learning.batches",
            "racing_env.data.recording",
        )
        import numpy as np
        import torch

        from racing_env.car.conditions import NOMINAL
        from racing_env.car.scales import scales_of
        from racing_env.common.allocator import return_freed_memory
        from racing_env.common.cluster import open_workers
        from racing_env.common.content import refuse_difference
        from racing_env.common.kernel_cache import CAR, announce_compiling
        from racing_env.common.run_record import write_run_record
        from racing_env.data.dataset import read_dataset
        from racing_env.data.dataset_writer import DatasetWriter, Origin
        from racing_env.data.recording import Drives, Stint, record_beside
        from racing_env.drivers.policy import Policy, save_policy
        from racing_env.laps.races import flying_laps_s
        from racing_env.learning import cloning
        from racing_env.learning.batches import BatchLoader, Demonstrations
        from racing_env.learning.checkpoint_file import load_checkpoint, save_checkpoint
        from racing_env.learning.network import (
            choose_device,
            linear_layers,
            policy_from_layers,
            policy_network,
        )
        from racing_env.simulation.task import demonstration_task
        from racing_env.tracks.bank import pack_circuits
        from racing_env.tracks.circuit import circuits_content
        from racing_env.tracks.sources import load_circuits

    # ---------------------------------------------------------------- set-up
    started = time.perf_counter()
    out = Path(args.out)
    checkpoint = out / "checkpoint" / "round.pt"
    if checkpoint.exists() and not args.resume:
        raise InputError(
            f"{out}: already holds a training; use --resume to go on with it, or another --out"
        )
    device = choose_device(args.device)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    data = read_dataset(args.data)
    data.verify_checksums()
    vehicle, layout = data.vehicle, data.layout
    cores = cli.available_cores()
    workers = cores // 2 if args.workers is None else args.workers
    announce_compiling(CAR)
    drivers = open_workers(
        args.cluster, args.drive_workers or (max(cores - 1, 1) if workers else 1)
    )
    try:
        circuits = load_circuits(data.manifest["tracks"], vehicle, drivers)
    except InputError as error:
        raise InputError(f"{args.data}: was collected on circuits of which {error}") from None
    content = circuits_content(circuits)
    task = demonstration_task(vehicle, layout.name)
    made_with = {"circuits": content, "task": task.record()}
    found = {"circuits": data.manifest["circuits"], "task": data.task_record}
    refuse_difference(args.data, found, made_with, "collect it again, or restore what it had")
    task = task._replace(time_limit_s=DAGGER_LIMIT_S * scales_of(vehicle).time)
    bank, names = pack_circuits(circuits), [circuit.track.name for circuit in circuits]
    del circuits
    return_freed_memory()
    judges = load_circuits(args.judge_on, vehicle, drivers)
    judge_bank = pack_circuits(judges)

    network = policy_network(layout.size).to(device)
    optimizer = cloning.adam(network)
    # The first has nobody who could drive, the last nobody who would learn from it; each has an
    # epoch at least.
    rounds = min(args.dagger_rounds + 2, args.epochs) if args.dagger_rounds else 1
    budget = {"seed": args.seed, "epochs": args.epochs, "batch_size": args.batch_size,
              "dagger_rounds": args.dagger_rounds}  # fmt: skip
    record = {"made_by": "train_bc.py"} | {name: str(value) for name, value in budget.items()}
    nobody = Policy((), (), vehicle, layout, record)  # who has no layers yet
    settings = budget | {
        "rounds": rounds, "kept": cloning.KEPT, "judges": circuits_content(judges),
        "demonstrations": data.digest(),
    }  # fmt: skip
    curve: list[dict[str, float]] = []
    first_round, earlier_s = 0, 0.0
    if checkpoint.exists():
        saved = load_checkpoint(checkpoint, settings, device)
        try:
            network.load_state_dict(saved["network"])
            optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError):
            raise InputError(
                f"{checkpoint}: is of another version of this program; use another --out"
            ) from None
        curve, first_round = saved["curve"], saved["round"] + 1
        earlier_s = curve[-1]["wall_s"]
    write_run_record(out, args)

    # ---------------------------------------------------------------- rounds
    clone = policy_from_layers(linear_layers(network), nobody)
    epoch_ends = np.linspace(0, args.epochs, rounds + 1).round().astype(int).tolist()
    examples, learning_s, workers_busy_s = 0, 0.0, 0.0
    with cli.progress_bar(args.epochs, epoch_ends[first_round], "epochs") as bar:

        def show(losses: cloning.Losses) -> None:
            bar.update()
            finished = cloning.kept_round(curve)["finished"] if curve else 0
            bar.set_postfix_str(
                f"loss {losses.train:.4f}, held out {losses.validation:.4f}, "
                f"{finished}/{len(judges)} laps",
                refresh=False,
            )
            drives.take()

        for round_number in range(first_round, rounds):
            # -------- drive, beside the learning: the clone so far at the wheel, the expert labels
            folders = [Path(args.data), *(out / f"dagger-{i:02d}" for i in range(1, round_number))]
            settings_of_round = {"seed": args.seed, "round": round_number}
            origin = Origin(settings_of_round, data.manifest["tracks"], content, vehicle, task)
            writer = DatasetWriter(
                out / f"dagger-{round_number:02d}", origin, resume=round_number == first_round
            )
            some = 0 < round_number < rounds - 1 and writer.episodes == 0
            seeds = np.random.SeedSequence([args.seed, round_number]).spawn(DAGGER_EPISODES * some)
            episodes = record_beside(Stint(bank, names, task, clone), seeds, drivers)
            with closing(Drives(episodes, writer)) as drives:
                drives.take(wait=workers == 0)

                # -------- learn
                train = Demonstrations(folders, validation=False, seed=args.seed)
                validation = Demonstrations(folders, validation=True, seed=args.seed)
                if not train.steps:
                    raise InputError(
                        f"{args.data}: no episode is left to train on; collect more episodes"
                    )
                loader = BatchLoader(
                    train, args.batch_size, args.seed + round_number, workers, device
                )
                checks = BatchLoader(validation, 1024, args.seed, 0, device)
                epochs = range(*epoch_ends[round_number : round_number + 2])
                try:
                    fit = cloning.fit(network, optimizer, loader, checks, epochs, args.epochs, show)
                except FloatingPointError as error:
                    raise InputError(
                        f"{args.data}: {error}; are there NaNs in the data? "
                        f"Policies of earlier rounds: {out if curve else 'none'}"
                    ) from None
                bar.update(epochs.stop - bar.n)  # epochs that stopping saved
                examples += fit.examples
                learning_s += fit.learning_s
                workers_busy_s += loader.workers_cpu_s
                del loader  # and its workers: others now judge, and drive

                # -------- judge: laps on circuits that nobody trained on
                clone = policy_from_layers(linear_layers(network), nobody)
                nominal = [NOMINAL] * len(judges)
                laps_s = flying_laps_s(judge_bank, nominal, clone, range(len(judges)))
                finished = int(np.isfinite(laps_s).sum())
                ratio = float(np.nanmean(laps_s / judge_bank.line_lap_s)) if finished else math.inf
                drives.take(wait=True)
                workers_busy_s += drives.busy_s
            curve.append(
                {
                    "round": round_number,
                    "wall_s": earlier_s + time.perf_counter() - started,
                    "examples": len(train),
                    "train_loss": fit.losses.train,
                    "validation_loss": fit.losses.validation,
                    "finished": finished,
                    "circuits": len(judges),
                    "lap_ratio": ratio,
                }
            )
            if cloning.kept_round(curve) is curve[-1]:
                save_policy(clone, out / "policy.safetensors")
            write_csv(out / "curve.csv", curve)
            save_checkpoint(
                checkpoint,
                {
                    "round": round_number,
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "curve": curve,
                    "settings": settings,
                },
            )
            return_freed_memory()  # of episodes and batches, whose sizes differ

    # ---------------------------------------------------------------- report
    show_rounds(curve)
    kept = cloning.kept_round(curve)
    running_s = time.perf_counter() - started
    busy_s = time.process_time() + workers_busy_s
    write_json(
        out / "summary.json",
        {
            "stage": "train_bc",
            "workers": workers,
            "drive_workers": drivers.number,
            "wall_s": earlier_s + running_s,
            "busy_s": busy_s,
            "workers_busy_s": workers_busy_s,
            "speed_up": busy_s / running_s,
            "examples_per_s": examples / learning_s if learning_s else None,
            "laps_finished": kept["finished"],
            "circuits": len(judges),
            "lap_ratio": kept["lap_ratio"] if kept["finished"] else None,
        },
    )


def show_rounds(curve: Sequence[Mapping[str, float]]) -> None:
    print("round  examples  train loss  validation  finished  lap / profile")
    for row in curve:
        print(
            f"{row['round']:5d} {row['examples']:9,d} {row['train_loss']:11.4f} "
            f"{row['validation_loss']:11.4f} {row['finished']:5d}/{row['circuits']:<3d} "
            f"{row['lap_ratio']:13.4f}"
        )


if __name__ == "__main__":
    cli.run(main, resumable=True)
