#!/usr/bin/env python
"""Make the cloned driver faster than its teacher, by reinforcement learning.

    python train_rl.py --policy runs/first/bc/policy.safetensors --out runs/first/rl

Starts from the cloned policy exactly, drives on generated circuits here and in `--envs` worker
processes, and keeps the best driver by laps finished, then by lap time, on circuits held back, in
OUT/policy.safetensors. OUT/curve.csv and OUT/learning_curve.png have the learning curve,
OUT/tensorboard the scalars, OUT/checkpoint what --resume needs.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded: work is shared out by processes

from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import locked_folder, write_json, writing

if TYPE_CHECKING:
    from racing_env.learning.training_cars import TrainingSettings

# The recipe. docs/recipe.md says where each number comes from.
TIMESTEPS = {"apg": 24_000_000, "ppo": 12_000_000, "sac": 6_400_000}
CARS = {"apg": 128, "ppo": 2048, "sac": 512}
JUDGE_EVERY = {"apg": 1_000_000, "ppo": 1_000_000, "sac": 320_000}
WARM_UP = {"apg": 0, "ppo": 6 * 2048 * 64, "sac": 5000 * 128}
AVERAGE_DECAY = {"apg": 0.98, "ppo": 0.97, "sac": 0.0}  # per rollout; sac has an average actor
CHECKPOINTS = 10  # a run
# of steering and pedals: at the start, at the end; sac learns its own
NOISE = {"apg": ((0.02, 0.08), (0.02, 0.08)), "ppo": ((0.025, 0.08), (0.021, 0.068))}
LOOKAHEAD_STEPS = 60  # three seconds: what an action of apg is judged by at the least
SAC_NOISE_LOG_STD = -4.6

# in --out
CHECKPOINT = Path("checkpoint", "training.pt")
DRIVER = "policy.safetensors"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--policy", default="runs/default/bc/policy.safetensors",
         help="driver to start from (runs/default/bc/policy.safetensors)")  # fmt: skip
    flag("--out", default="runs/default/rl", help="folder for the policy (runs/default/rl)")
    flag("--algo", choices=("apg", "ppo", "sac"), default="apg",
         help="apg: gradients through the simulator; ppo; sac: a proximal one (apg)")  # fmt: skip
    flag("--timesteps", type=cli.positive_int,
         help="transitions (apg 24, ppo 12, sac 6.4 million)")  # fmt: skip
    flag("--envs", type=cli.worker_int, default=min(max(cli.available_cores() - 1, 1), 8),
         help="environment processes beside this one (cores - 1, at most 8)")  # fmt: skip
    flag("--vec-env", choices=("batch", "subproc", "dummy"), default="batch",
         help="batch: many cars a process, shared memory; subproc: SB3's own, one car a process; "
         "dummy: one car each, in this process (batch)")  # fmt: skip
    flag("--cars", type=cli.size_int,
         help="cars of --vec-env batch in all (apg 128, ppo 2048, sac 512)")  # fmt: skip
    flag("--data", help="demonstrations, half of each batch; with --algo sac, which gains most so")
    flag("--track", nargs="+", default=["random:1:600"], metavar="TRACK",
         help="circuits to train on, as for collect_demonstrations.py (random:1:600)")  # fmt: skip
    flag("--judge-on", nargs="+", default=["random:500:160"], metavar="TRACK",
         help="circuits to choose the best driver by, not trained on (random:500:160)")  # fmt: skip
    flag("--device", choices=("auto", "cpu", "cuda"), default="auto",
         help="auto is CUDA where there is one (auto)")  # fmt: skip
    flag("--seed", type=cli.seed_int, default=0, help="decides everything (0)")
    flag("--wandb", metavar="PROJECT", help="show the run at Weights & Biases, too (needs: pip "
         "install -r requirements-wandb.txt)")  # fmt: skip
    flag("--resume", action="store_true", help="go on from OUT/checkpoint")
    return parser.parse_args()


def main() -> None:
    args = arguments()
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
    if args.cars and args.vec_env != "batch":
        raise InputError(f"--cars {args.cars}: --vec-env {args.vec_env} has one car an environment")
    if args.data and args.algo != "sac":
        raise InputError(f"--data {args.data}: --algo {args.algo} does not use demonstrations")
    if (out / DRIVER).resolve() == Path(args.policy).resolve():
        raise InputError(f"{args.policy}: lies in --out and would be replaced; use another --out")


def training_settings(algo: str, seed: int) -> "TrainingSettings":
    """What the cars are told by the algorithm that learns from them."""
    from racing_env.learning import agents
    from racing_env.learning.training_cars import TrainingSettings

    settings = TrainingSettings(seed=seed)
    if algo == "apg":
        return settings._replace(tape_steps=agents.APG_STEPS, lookahead_steps=LOOKAHEAD_STEPS)
    return settings


def train(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    import torch
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.logger import configure

    from racing_env.car.vehicle import RACECAR
    from racing_env.common.allocator import keep_freed_memory
    from racing_env.common.run_record import write_run_record
    from racing_env.common.workers import descendants_cpu_s
    from racing_env.drivers.policy import load_policy
    from racing_env.laps.evaluation import demonstrated_laps
    from racing_env.laps.plots import learning_curve
    from racing_env.learning import agents
    from racing_env.learning.callbacks import (
        GivenNoise,
        JudgeDrivers,
        LogEpisodes,
        WarmUp,
        rank,
    )
    from racing_env.learning.checkpoints import Checkpoints, restore
    from racing_env.learning.network import HIDDEN_SIZES, choose_device, load_checkpoint
    from racing_env.learning.vector_env import make_vec_env
    from racing_env.learning.weights_and_biases import require_wandb, tracked
    from racing_env.tracks.bank import pack_circuits
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
    timesteps = args.timesteps or TIMESTEPS[args.algo]
    cars = (args.cars or CARS[args.algo]) if args.vec_env == "batch" else args.envs
    if args.vec_env == "batch" and cars <= args.envs:
        raise InputError(f"--cars {cars}: {args.envs} processes and the learner need one each")
    asked = {"algo": args.algo, "seed": args.seed, "track": args.track, "judge_on": args.judge_on}
    same = asked | {"checkpoint_version": 4}
    if args.algo == "sac":
        same["cars"] = cars  # the replay buffer's shape
    earlier = load_checkpoint(checkpoint, same, device) if checkpoint.exists() else None
    # what decides the weights; how the cars are shared out does not
    decides = asked | {"cars": cars, "timesteps": timesteps, "policy": args.policy,
                       "data": args.data}  # fmt: skip
    record = {"made_by": "train_rl.py", "seed": str(args.seed), "flags": json.dumps(decides)}
    clone = load_policy(args.policy)
    args.timesteps, args.cars = timesteps, cars  # as resolved
    write_run_record(out, args)
    bank = pack_circuits(load_circuits(args.track, args.envs + 1), RACECAR)
    held_back = load_circuits(args.judge_on, args.envs + 1)
    settings = training_settings(args.algo, args.seed)

    first = earlier["timesteps"] if earlier else 0
    teacher_s = demonstrated_laps(held_back)

    # ---------------------------------------------------------------- learn
    with (
        cli.progress_bar(timesteps, first, "steps", show_rate=True) as bar,
        closing(make_vec_env(args.vec_env, bank, args.envs, cars, settings, out)) as env,
        tracked(args.wandb, out, decides),
    ):
        del bank  # hundreds of megabytes, which the processes map from a file
        model: BaseAlgorithm
        if args.algo == "apg":
            model = agents.apg(env, args.seed, device)
        elif args.algo == "ppo":
            model = agents.ppo(env, timesteps, args.seed, device)
        else:
            model = agents.sac(env, timesteps, args.seed, device, args.data)
        try:
            agents.start_from(model, clone, SAC_NOISE_LOG_STD)
        except ValueError:
            raise InputError(
                f"{args.policy}: has layers {[len(b) for b in clone.biases]}, "
                f"expected {[*HIDDEN_SIZES, 2]}"
            ) from None
        average = agents.MovingAverage(agents.driver_of(model, record), AVERAGE_DECAY[args.algo])
        judge = JudgeDrivers(held_back, out, JUDGE_EVERY[args.algo], average, bar, teacher_s)
        checkpoints = Checkpoints(checkpoint, timesteps // CHECKPOINTS, judge, same)
        callbacks = [judge, checkpoints, LogEpisodes(), WarmUp(WARM_UP[args.algo])]
        if args.algo in NOISE:
            callbacks.append(GivenNoise(*NOISE[args.algo]))
        if earlier:
            restore(model, judge, earlier)
        with writing(out / "tensorboard"):
            model.set_logger(configure(str(out / "tensorboard"), ["tensorboard"]))
        try:
            model.learn(
                max(timesteps - first, 0), callbacks, log_interval=1, reset_num_timesteps=False
            )
        except ValueError:  # torch's distributions refuse weights that are not finite
            judge.check_finite()
            raise
        finally:
            checkpoints.save()
        busy_s = time.process_time() + descendants_cpu_s()
        running_s = time.perf_counter() - started

    # ---------------------------------------------------------------- report
    best, last = max(judge.curve, key=rank), judge.curve[-1]
    write_json(
        out / "summary.json",
        {
            "stage": "train_rl",
            "algo": args.algo,
            "envs": args.envs,
            "wall_s": last["wall_s"],
            "busy_s": busy_s,
            "speed_up": busy_s / running_s,
            "timesteps": model.num_timesteps,
            "steps_per_s": model.num_timesteps / max(last["wall_s"], 1e-9),
            "laps_finished": best["finished"],
            "circuits": best["circuits"],
            "lap_ratio": best["lap_ratio"],
        },
    )
    learning_curve(out / "curve.csv", out / "learning_curve.png")
    show_curve(judge.curve)
    print(f"best: {best['finished']} of {best['circuits']} circuits, {shown(best['lap_ratio'])}; "
          f"in {out}")  # fmt: skip


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
