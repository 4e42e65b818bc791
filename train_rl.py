#!/usr/bin/env python
"""Make the cloned driver faster than its teacher, by reinforcement learning.

    python train_rl.py --policy runs/first/bc/policy.safetensors --out runs/first/rl

Starts from the cloned policy exactly, drives on generated circuits in `--envs` worker processes,
and keeps the best driver by laps finished, then by lap time, on circuits held back: OUT/policy.
safetensors. OUT/curve.csv has the learning curve, OUT/tensorboard the scalars, OUT/checkpoint what
--resume needs (SB3's own files, with pickles inside: only for the machine that wrote them).
"""

import argparse
import json
import time
from pathlib import Path

from racing_env import command_line as cli

# The recipe. docs/recipe.md says where each number comes from.
HELD_BACK = "random:500:40"  # circuits to judge drivers on; never trained on
TIMESTEPS = {"ppo": 60_000_000, "sac": 1_000_000}
ALL_CARS = {"ppo": 2048, "sac": 64}  # in all processes together
JUDGE_EVERY = {"ppo": 2_000_000, "sac": 50_000}
WARM_UP = {"ppo": 4 * 2048 * 64, "sac": 20_000}
AVERAGE_DECAY = {"ppo": 0.97, "sac": 0.999}  # per rollout
CHECKPOINTS = 10  # a run
PPO_ROLLOUT = 2048 * 64  # transitions between updates
PPO_LEARNING_RATE = (8e-5, 1e-5)  # the actor's, at the start and at the end
PPO_CRITIC_SPEED = 5.0
PPO_TARGET_KL = 0.008
PPO_NOISE = ((0.03, 0.1), (0.02, 0.05))  # steering, pedals: at the start, at the end
SAC_NOISE_LOG_STD = -3.0
SAC_UPDATES_PER_TRANSITION = 0.25


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--policy", default="runs/default/bc/policy.safetensors", help="driver to start from")
    flag("--out", default="runs/default/rl", help="folder for the policy")
    flag("--algo", choices=("ppo", "sac"), default="ppo")
    flag("--timesteps", type=cli.positive_int,
         help="transitions (ppo 60 million, sac 1 million)")  # fmt: skip
    flag("--envs", type=cli.positive_int, default=min(max(cli.available_cores() - 1, 1), 8),
         help="environment processes, one thread each (cores - 1, at most 8)")  # fmt: skip
    flag("--vec-env", choices=("batch", "subproc", "dummy"), default="batch",
         help="batch: many cars a process, shared memory; subproc: SB3's own, one car a process; "
         "dummy: one car each, in this process (batch)")  # fmt: skip
    flag("--cars", type=cli.positive_int,
         help="cars per process of --vec-env batch (ppo 2048 / envs, sac 64 / envs)")  # fmt: skip
    flag("--data", help="demonstrations; with --algo sac they are half of each batch")
    flag("--track", nargs="+", default=["random:1:100"], metavar="TRACK",
         help="circuits to train on, as for collect_demonstrations.py (random:1:100)")  # fmt: skip
    flag("--device", choices=("auto", "cpu", "cuda"), default="auto")
    flag("--seed", type=cli.count_int, default=0, help="decides everything (0)")
    flag("--resume", action="store_true", help="go on from OUT/checkpoint")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    cli.use_one_thread()
    import torch
    from stable_baselines3 import PPO, SAC
    from stable_baselines3.common.logger import configure
    from tqdm import tqdm

    from racing_env.agents import (
        LayerNormSACPolicy,
        TanhMeanPolicy,
        start_from,
    )
    from racing_env.callbacks import (
        Checkpoints,
        JudgeDrivers,
        LogEpisodes,
        PPONoise,
        Threads,
        WarmUp,
        linear,
        restore,
    )
    from racing_env.circuit_bank import pack_circuits
    from racing_env.circuit_sources import load_circuits
    from racing_env.errors import InputError
    from racing_env.files import write_json
    from racing_env.network import HIDDEN_SIZES, choose_device
    from racing_env.policy import load_policy
    from racing_env.replay import DemonstrationReplayBuffer
    from racing_env.training_cars import TrainingSettings
    from racing_env.vector_env import make_vec_env
    from racing_env.vehicle import RACECAR

    # ---------------------------------------------------------------- set-up
    out = Path(args.out)
    checkpoint = out / "checkpoint"
    device = choose_device(args.device)
    torch.set_num_threads(1)
    timesteps = args.timesteps or TIMESTEPS[args.algo]
    cars = args.cars or max(ALL_CARS[args.algo] // args.envs, 1)
    clone = load_policy(args.policy)
    circuits = load_circuits(args.track, cli.available_cores())
    held_back = load_circuits([HELD_BACK], cli.available_cores())
    settings = TrainingSettings(seed=args.seed)
    env = make_vec_env(
        args.vec_env, pack_circuits(circuits, RACECAR), args.envs, cars, settings, out
    )
    resume_state = None
    if args.resume and (checkpoint / "state.json").exists():
        resume_state = json.loads((checkpoint / "state.json").read_text())

    # ---------------------------------------------------------------- model
    hidden = list(HIDDEN_SIZES)
    saved = checkpoint / "model.zip"
    model: PPO | SAC
    if args.algo == "ppo":
        steps = max(PPO_ROLLOUT // env.num_envs, 8)
        model = PPO(
            TanhMeanPolicy,
            env,
            learning_rate=linear(*PPO_LEARNING_RATE),
            n_steps=steps,
            batch_size=min(16_384, steps * env.num_envs),
            n_epochs=4,
            gamma=0.995,
            gae_lambda=0.95,
            target_kl=PPO_TARGET_KL,
            seed=args.seed,
            device=device,
            policy_kwargs={
                "net_arch": {"pi": hidden, "vf": hidden},
                "activation_fn": torch.nn.Tanh,
                "critic_speed": PPO_CRITIC_SPEED,
            },
        )
    else:
        model = SAC(
            LayerNormSACPolicy,
            env,
            learning_rate=3e-4,
            buffer_size=500_000,
            learning_starts=20_000,
            batch_size=256,
            gamma=0.99,
            ent_coef=1e-4,
            train_freq=1,
            gradient_steps=max(round(SAC_UPDATES_PER_TRANSITION * env.num_envs), 1),
            replay_buffer_class=DemonstrationReplayBuffer if args.data else None,
            replay_buffer_kwargs={"folder": args.data} if args.data else None,
            seed=args.seed,
            device=device,
            policy_kwargs={
                "net_arch": {"pi": hidden, "qf": [256, 256]},
                "activation_fn": torch.nn.Tanh,
            },
        )
    try:
        start_from(model, clone, SAC_NOISE_LOG_STD)
    except ValueError:
        raise InputError(
            f"{args.policy}: has layers {[len(b) for b in clone.biases]}, "
            f"expected hidden layers of {hidden}"
        ) from None
    bar = tqdm(total=timesteps, unit="step", unit_scale=True)
    judge = JudgeDrivers(
        held_back, out, JUDGE_EVERY[args.algo], AVERAGE_DECAY[args.algo],
        {"made_by": "train_rl.py", "seed": str(args.seed), "flags": json.dumps(vars(args))}, bar,
    )  # fmt: skip
    checkpoints = Checkpoints(checkpoint, timesteps // CHECKPOINTS, judge)
    callbacks = [judge, checkpoints, LogEpisodes(), WarmUp(WARM_UP[args.algo])]
    if args.algo == "ppo":
        callbacks += [PPONoise(*PPO_NOISE), Threads(cli.available_cores())]
    if resume_state:
        model.set_parameters(str(saved), device=device)
        model.num_timesteps = resume_state["timesteps"]
        if isinstance(model, SAC):
            model.load_replay_buffer(checkpoint / "replay_buffer.pkl")
        restore(judge, checkpoint, resume_state)
    model.set_logger(configure(str(out / "tensorboard"), ["tensorboard", "csv"]))

    # ---------------------------------------------------------------- learn
    started = time.perf_counter()
    first = model.num_timesteps
    try:
        model.learn(timesteps - first, callbacks, log_interval=1, reset_num_timesteps=False)
    except KeyboardInterrupt:
        checkpoints.save()
        raise
    finally:
        bar.close()
        env.close()
    checkpoints.save()
    wall_s = time.perf_counter() - started

    # ---------------------------------------------------------------- report
    write_json(
        out / "summary.json",
        {
            "stage": "train_rl",
            "algo": args.algo,
            "envs": args.envs,
            "wall_s": wall_s,
            "timesteps": model.num_timesteps,
            "steps_per_s": (model.num_timesteps - first) / wall_s,
            "laps_finished": judge.best[0],
            "circuits": len(held_back),
            "lap_ratio": -judge.best[1],
        },
    )
    print("minutes  transitions  finished  lap / profile")
    for row in judge.curve:
        print(
            f"{row['wall_s'] / 60:7.1f} {row['timesteps']:12,d} "
            f"{row['finished']:6d}/{row['circuits']} {row['lap_ratio']:14.4f}"
        )
    print(f"best: {judge.best[0]} of {len(held_back)} circuits, {-judge.best[1]:.4f}; in {out}")


if __name__ == "__main__":
    cli.run(main)
