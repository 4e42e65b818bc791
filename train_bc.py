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
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: work is shared out by processes

from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import locked_folder, write_csv, write_json
from racing_env.common.workers import worker_context

if TYPE_CHECKING:  # which takes seconds to load
    from racing_env.learning.cloning_rounds import Round


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
        import torch

        from racing_env.common.allocator import return_freed_memory
        from racing_env.common.cluster import open_workers
        from racing_env.common.kernel_cache import CAR, announce_compiling
        from racing_env.common.run_record import write_run_record
        from racing_env.data.dataset import read_dataset
        from racing_env.drivers.policy import save_policy
        from racing_env.learning import cloning
        from racing_env.learning.cloning_rounds import (
            Budget,
            Means,
            learner_of,
            read_ground,
            run_round,
        )
        from racing_env.learning.network import choose_device

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
    cores = cli.available_cores()
    workers = cores // 2 if args.workers is None else args.workers
    announce_compiling(CAR)
    drivers = open_workers(
        args.cluster, args.drive_workers or (max(cores - 1, 1) if workers else 1)
    )
    means = Means(device, workers, drivers)
    ground = read_ground(data, args.judge_on, drivers)
    budget = Budget(args.seed, args.epochs, args.batch_size, args.dagger_rounds)
    learner = learner_of(ground, budget, device, checkpoint)
    curve, first_round = learner.curve, len(learner.curve)
    earlier_s = curve[-1]["wall_s"] if curve else 0.0
    write_run_record(out, args)

    # ---------------------------------------------------------------- rounds
    rounds: list[Round] = []
    epochs_done = sum(len(budget.epochs_of(number)) for number in range(first_round))
    with cli.progress_bar(args.epochs, epochs_done, "epochs") as bar:

        def show(losses: cloning.Losses) -> None:
            bar.update()
            finished = cloning.kept_round(curve)["finished"] if curve else 0
            bar.set_postfix_str(
                f"loss {losses.train:.4f}, held out {losses.validation:.4f}, "
                f"{finished}/{len(ground.judges_content)} laps",
                refresh=False,
            )

        for number in range(first_round, budget.rounds):
            resume = number == first_round
            learnt = run_round(number, ground, budget, learner, out, means, resume, show)
            bar.update(budget.epochs_of(number).stop - bar.n)  # epochs that stopping saved
            rounds.append(learnt)
            wall_s = earlier_s + time.perf_counter() - started
            curve.append({"round": number, "wall_s": wall_s, **learnt.row})
            if cloning.kept_round(curve) is curve[-1]:
                save_policy(learnt.clone, out / "policy.safetensors")
            write_csv(out / "curve.csv", curve)
            learner.save(checkpoint)
            return_freed_memory()  # of episodes and batches, whose sizes differ

    # ---------------------------------------------------------------- report
    show_rounds(curve)
    running_s = time.perf_counter() - started
    write_json(
        out / "summary.json",
        {
            "stage": "train_bc",
            "workers": workers,
            "drive_workers": drivers.number,
            "wall_s": earlier_s + running_s,
            **summary(rounds, running_s, cloning.kept_round(curve)),
        },
    )


def summary(
    rounds: "Sequence[Round]", running_s: float, kept: Mapping[str, float]
) -> dict[str, float | None]:
    """How fast the rounds of this start were, by the CPU time until now and a wall time (s); and of
    the clone that is kept, whose row of the curve this is, the laps.
    """
    examples = sum(each.fit.examples for each in rounds)
    learning_s = sum(each.fit.learning_s for each in rounds)
    workers_busy_s = sum(each.workers_busy_s for each in rounds)
    busy_s = time.process_time() + workers_busy_s
    return {
        "busy_s": busy_s,
        "workers_busy_s": workers_busy_s,
        "speed_up": busy_s / running_s,
        "examples_per_s": examples / learning_s if learning_s else None,
        "laps_finished": kept["finished"],
        "circuits": kept["circuits"],
        "lap_ratio": kept["lap_ratio"] if kept["finished"] else None,
    }


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
