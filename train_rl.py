#!/usr/bin/env python
"""Make the cloned driver faster than its teacher, by reinforcement learning.

    python train_rl.py --policy runs/first/bc/policy.safetensors --out runs/first/rl
    python train_rl.py --practice my.csv      # make a shipped driver a specialist of one circuit

Starts from the cloned policy exactly, drives on generated circuits here and in `--envs` worker
processes, and keeps the best driver by lap time, a lap that is not finished counting one and a
half, on circuits held back, in OUT/policy.safetensors. OUT/curve.csv and OUT/learning_curve.png
have the learning curve, OUT/tensorboard the scalars, OUT/checkpoint what --resume needs.
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: work is shared out by processes

from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import locked_folder, readable, write_json, writing
from racing_env.learning import algorithms

CHECKPOINTS = 10  # a run
TRACK, JUDGE_ON = "random:1:300", "random:500:160"
PRACTICE_JUDGES = 8  # drives on the circuit, the sensors of each but the first a little noisy

# in --out
CHECKPOINT = Path("checkpoint", "training.pt")
DRIVER = "policy.safetensors"

PRACTISES_FROM = Path(__file__).resolve().parent / "policies/racecar-nominal.safetensors"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    numbers = algorithms.written_number
    known = algorithms.names()
    meant = "; ".join(f"{name}: {algorithms.summary(name)}" for name in known)
    millions = ", ".join(f"{name} {numbers(name, 'timesteps') / 1e6:g}" for name in known)
    of_purposes = "; ".join(
        f"{flags}: {numbers('apg', 'timesteps', name) / 1e6:g}"
        for flags, name in (("--conditions road", "ROAD"), ("--practice", "PRACTICE"))
    )
    cars = ", ".join(f"{name} {numbers(name, 'cars')}" for name in known)
    rates = ", ".join(f"{name} {numbers(name, 'learning_rate_first'):g}" for name in known)
    flag("--policy", help="driver to start from (runs/default/bc/policy.safetensors; with "
         f"--practice policies/{PRACTISES_FROM.name})")  # fmt: skip
    flag("--out", help="folder for the policy (runs/default/rl; with --practice runs/practice/rl)")
    flag(
        "--practice",
        metavar="TRACK",
        help="train on one circuit alone, and be judged there: in some minutes a specialist of it",
    )
    flag(
        "--conditions",
        choices=("nominal", "road"),
        help="road: under conditions that the driver is not told, to which he learns to adapt, "
        "whether or not he does yet (nominal; of a driver who adapts, road)",
    )
    flag("--algo", choices=known, default="apg", help=f"{meant} (apg)")
    flag("--timesteps", type=cli.positive_int,
         help=f"transitions (millions: {millions}; of apg with {of_purposes})")  # fmt: skip
    flag("--learning-rate", type=cli.positive_float, metavar="RATE",
         help="at first; falls as the algorithm's own does. A lower one for a car whose driver "
         f"forgets how to drive ({rates})")  # fmt: skip
    flag("--envs", type=cli.worker_int, default=min(max(cli.available_cores() - 1, 1), 8),
         help="environment processes beside this one (cores - 1, at most 8)")  # fmt: skip
    flag("--cluster", metavar="ADDRESS", help=cli.CLUSTER_HELP)
    flag("--vec-env", choices=("batch", "subproc", "dummy"), default="batch",
         help="batch: many cars a process, shared memory; subproc: SB3's own, one car a process; "
         "dummy: one car each, in this process (batch)")  # fmt: skip
    flag("--cars", type=cli.size_int,
         help=f"cars of --vec-env batch in all ({cars})")  # fmt: skip
    flag("--data", help="demonstrations, half of each batch; with --algo sac, which gains most so")
    flag(
        "--track",
        nargs="+",
        metavar="TRACK",
        help=f"circuits to train on, as for collect_demonstrations.py ({TRACK})",
    )
    flag(
        "--judge-on",
        nargs="+",
        metavar="TRACK",
        help=f"circuits to choose the best driver by, not trained on ({JUDGE_ON})",
    )
    flag("--device", choices=("auto", "cpu", "cuda"), default="auto",
         help="auto is CUDA where there is one (auto)")  # fmt: skip
    flag("--seed", type=cli.seed_int, default=0, help="decides everything (0)")
    flag("--wandb", metavar="PROJECT", help="show the run at Weights & Biases, too (needs: pip "
         "install -r requirements-wandb.txt)")  # fmt: skip
    flag("--resume", action="store_true", help="go on from OUT/checkpoint")
    return parser.parse_args()


def resolve_defaults(args: argparse.Namespace) -> None:
    """Fill in what was not given, by what is asked for. Raises InputError for a contradiction."""
    if args.practice and args.conditions == "road":
        raise InputError(f"--practice {args.practice}: is under nominal conditions")
    if args.practice and (args.track or args.judge_on):
        raise InputError(
            f"--practice {args.practice}: is the circuit to train and to be judged on; "
            "leave out --track and --judge-on"
        )
    run = Path("runs/practice" if args.practice else "runs/default")
    clone = PRACTISES_FROM if args.practice else run / "bc" / DRIVER
    args.policy = args.policy or str(clone)
    args.out = args.out or str(run / "rl")
    args.track = [args.practice] if args.practice else args.track or [TRACK]
    args.judge_on = [args.practice] if args.practice else args.judge_on or [JUDGE_ON]


def main() -> None:
    args = arguments()
    resolve_defaults(args)
    with locked_folder(args.out, "checkpoint"):
        train(args)


def refuse_contradictions(args: argparse.Namespace) -> None:
    """Raise InputError for flags that do not go together, or with what is in --out."""
    out = Path(args.out)
    trained = [path for path in (out / CHECKPOINT, out / DRIVER) if path.exists()]
    if trained and not args.resume:
        raise InputError(
            f"{out}: already holds a training; use --resume to go on with it, or another --out"
        )
    if str(out) != readable(str(out)):
        raise InputError(f"{out}: is not UTF-8, as TensorBoard needs it; use another --out")
    if args.cars and args.vec_env != "batch":
        raise InputError(f"--cars {args.cars}: --vec-env {args.vec_env} has one car an environment")
    if (out / DRIVER).resolve() == Path(args.policy).resolve():
        raise InputError(f"{args.policy}: lies in --out and would be replaced; use another --out")


def train(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    with cli.interrupts_held():
        import torch
        from stable_baselines3.common.logger import configure

        from racing_env.common.allocator import keep_freed_memory, return_freed_memory
        from racing_env.common.cluster import open_workers
        from racing_env.common.kernel_cache import CAR, ROLLOUT, announce_compiling
        from racing_env.common.run_record import write_run_record
        from racing_env.common.workers import descendants_cpu_s, worker_context
        from racing_env.laps.plots import learning_curve
        from racing_env.laps.races import racing
        from racing_env.learning.callbacks import LogEpisodes, LogNumbers
        from racing_env.learning.checkpoint_file import load_checkpoint
        from racing_env.learning.checkpoints import Checkpoints, restore
        from racing_env.learning.judging import (
            JudgeDrivers,
            MovingAverage,
            hold_back,
            judged_under,
            judged_with_noise,
        )
        from racing_env.learning.network import HIDDEN_SIZES, choose_device
        from racing_env.learning.plan import plan_training
        from racing_env.learning.pooled_vec_env import PooledVecEnv
        from racing_env.learning.vector_env import make_vec_env
        from racing_env.learning.weights_and_biases import require_wandb, tracked
        from racing_env.tracks.bank import pack_circuits, with_mirror_images
        from racing_env.tracks.circuit import circuits_content
        from racing_env.tracks.sources import load_circuits

    # ---------------------------------------------------------------- set-up
    out = Path(args.out)
    checkpoint = out / CHECKPOINT
    refuse_contradictions(args)
    if args.wandb:
        require_wandb()
    device = choose_device(args.device)
    torch.set_num_threads(1)
    keep_freed_memory()
    plan = plan_training(args)
    algorithm, numbers, clone = plan.algorithm, plan.numbers, plan.clone
    # loaded once, for all workers
    worker_context(
        "racing_env.tracks.sources", "racing_env.learning.car_worker", "racing_env.laps.races"
    )
    announce_compiling(ROLLOUT if plan.settings.rollouts else CAR)
    workers = open_workers(args.cluster, args.envs + 1)
    circuits = load_circuits(args.track, clone.vehicle, workers)
    judges = load_circuits(args.judge_on, clone.vehicle, workers)
    if args.practice:
        if len(circuits) != 1:
            raise InputError(f"--practice {args.practice}: {len(circuits)} circuits, one is needed")
        judges *= PRACTICE_JUDGES
    same = {**plan.same, "circuits": circuits_content(circuits), "judges": circuits_content(judges)}
    earlier = load_checkpoint(checkpoint, same, device) if checkpoint.exists() else None
    first = earlier["timesteps"] if earlier else 0
    timesteps, cars = numbers.timesteps, numbers.cars
    # as resolved
    args.timesteps, args.cars, args.learning_rate = timesteps, cars, numbers.learning_rate_first
    write_run_record(out, args)
    drives = len(judges)
    conditions = judged_with_noise(drives) if args.practice else judged_under(drives, plan.task)
    held_back = hold_back(judges, conditions)
    bank = pack_circuits(circuits)
    del circuits, judges  # hundreds of megabytes
    if not args.practice:  # twice as many corners for nothing
        bank = with_mirror_images(bank)

    # ---------------------------------------------------------------- learn
    with (
        cli.progress_bar(timesteps, first, "steps", show_rate=True) as bar,
        closing(
            PooledVecEnv(bank, workers, cars, plan.settings)
            if args.cluster and plan.settings.rollouts
            else make_vec_env(args.vec_env, bank, args.envs, cars, plan.settings, out)
        ) as env,
        racing(held_back.bank, held_back.conditions, clone, workers) as race,
        tracked(args.wandb, out, plan.decides),
    ):
        del bank  # which the processes map from a file
        return_freed_memory()  # of circuits, and of what kernels were compiled with
        model = algorithm.make_model(env, timesteps, args.seed, device, args.data, numbers)
        try:
            algorithm.start_from(model, clone)
        except ValueError:
            raise InputError(
                f"{args.policy}: has layers {[len(b) for b in clone.biases]}, "
                f"expected {[*HIDDEN_SIZES, 2]}"
            ) from None
        average = MovingAverage(algorithm.driver_of(model, clone), numbers.average_decay)
        judge = JudgeDrivers(
            race, held_back, out, numbers.judge_every, average, algorithm.driver_of, bar
        )
        checkpoints = Checkpoints(checkpoint, timesteps // CHECKPOINTS, judge, same)
        logs = [LogNumbers(numbers), LogEpisodes()]
        callbacks = [judge, checkpoints, *logs, *algorithm.callbacks(model)]
        if earlier:
            restore(model, judge, earlier)
        with writing(out / "tensorboard"):
            model.set_logger(configure(str(out / "tensorboard"), ["tensorboard"]))
        try:
            model.learn(max(timesteps - first, 0), callbacks, reset_num_timesteps=False)
        except ValueError:  # torch's distributions refuse weights that are not finite
            judge.check_finite()
            raise
        finally:
            checkpoints.save()
        busy_s = time.process_time() + descendants_cpu_s()
        running_s = time.perf_counter() - started

    practised = Path(args.practice).stem if args.practice else ""
    learning_curve(out / "curve.csv", out / "learning_curve.png", practised)
    envs = workers.number if args.cluster else args.envs
    report(args, judge.curve, model.num_timesteps, envs, busy_s, running_s)


def report(
    args: argparse.Namespace, curve: Sequence[Mapping[str, Any]], timesteps: int, envs: int,
    busy_s: float, running_s: float,
) -> None:  # fmt: skip
    """Write and print what has come of a training: of a curve as `JudgeDrivers` has it, and so many
    transitions.

    envs: processes; busy_s, running_s: CPU time of all and wall time (s), of this start.
    """
    from racing_env.learning.judging import rank

    out = Path(args.out)
    best, last = max(curve, key=rank), curve[-1]
    write_json(
        out / "summary.json",
        {
            "stage": "train_rl",
            "algo": args.algo,
            "envs": envs,
            "wall_s": last["wall_s"],
            "busy_s": busy_s,
            "speed_up": busy_s / running_s,
            "timesteps": timesteps,
            "steps_per_s": timesteps / max(last["wall_s"], 1e-9),
            "laps_finished": best["finished"],
            "circuits": best["circuits"],
            "lap_ratio": best["lap_ratio"],
        },
    )
    show_curve(curve)
    what = "drives" if args.practice else "circuits"
    print(f"best: {best['finished']} of {best['circuits']} {what}, {shown(best['lap_ratio'])} of "
          f"the speed profile's lap; in {out}")  # fmt: skip
    if last["finished"] < best["finished"] / 2:
        print(
            f"the last one finished {last['finished']}: he forgot how to drive; with "
            f"--learning-rate {args.learning_rate / 2:g} and another --out less is forgotten"
        )
    if args.practice:
        print(f"before and after: python evaluate.py --driver expert {args.policy} {out / DRIVER} "
              f"--track {args.practice} --out {out.parent / 'evaluation'}")  # fmt: skip


def show_curve(curve: Sequence[Mapping[str, Any]]) -> None:
    print("minutes  transitions  finished  lap / profile")
    for row in curve:
        print(
            f"{row['wall_s'] / 60:7.1f} {row['timesteps']:12,d} "
            f"{row['finished']:6d}/{row['circuits']} {shown(row['lap_ratio']):>14}"
        )


def shown(lap_ratio: float | None) -> str:
    return "-" if lap_ratio is None else f"{lap_ratio:.4f}"


if __name__ == "__main__":
    cli.run(main, resumable=True)
