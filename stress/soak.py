"""Drive for ten million steps and look whether memory, open files or processes grow.

    python -m stress.soak --steps 10000000 --json stress/results/soak.json

The steps are those of a training's cars in worker processes, with episodes that end and start anew:
by turns with random actions, and in rollouts by a network, whose gradients are pulled back; a share
of them those of the Gymnasium environment, which is made, reset on other circuits and closed again
and again.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import gymnasium as gym
import numpy as np
import psutil

import racing_env  # noqa: F401 - registers the environment
from benchmarks.measuring import write_results
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.common.memory_sampler import memory_bytes
from racing_env.learning.algorithms import apg
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import BatchVecEnv
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

SINGLE_SHARE = 0.02  # of the steps, in the Gymnasium environment
ROLLOUT_STEPS = 32
SAMPLES = 50


def sample(steps: int, started: float) -> dict[str, Any]:
    """Memory (MB, proportional), open files and number of this process and all below it."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {
        "steps": steps,
        "wall_s": round(time.perf_counter() - started, 1),
        "memory_mb": round(sum(map(memory_bytes, processes)) / 1e6, 1),
        "files": sum(process.num_fds() for process in processes),
        "threads": sum(process.num_threads() for process in processes),
        "processes": len(processes),
    }


def drive_batch(env: BatchVecEnv, steps: int, rng: np.random.Generator) -> int:
    """So many car-steps of the vector environment, up to pairs of rollouts; returns how many."""
    pair = 2 * ROLLOUT_STEPS * env.num_envs
    pairs = -(-steps // pair)
    for number in range(pairs):
        actions = rng.uniform(-1.0, 1.0, (ROLLOUT_STEPS, env.num_envs, 2)) * (0.3, 1.0)
        for action in actions.astype(np.float32):
            seen, rewards, _, _ = env.step(action)
            assert (
                isinstance(seen, np.ndarray)
                and np.isfinite(seen).all()
                and np.isfinite(rewards).all()
            )
        parameters = rng.normal(0.0, 0.1, env.settings.parameters).astype(np.float32)
        assert np.isfinite(env.rollout(parameters, number).gradient).all()
        env.restore(env.snapshots())
    return pairs * pair


def drive_single(steps: int, rng: np.random.Generator) -> int:
    """So many steps of the Gymnasium environment, made for them and closed."""
    env = gym.make("racing_env/Race-v0", track="club")
    left = steps
    while left:
        seen, _ = env.reset(
            seed=int(rng.integers(2**31)), options={"track": str(rng.choice(["club", "oval"]))}
        )
        over = False
        while left and not over:
            seen, _, terminated, truncated, _ = env.step(rng.uniform(-1.0, 1.0, 2) * (0.1, 1.0))
            over = terminated or truncated
            left -= 1
            assert env.observation_space.contains(seen)
    env.close()
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--steps", type=cli.positive_int, default=10_000_000, help="in all (10 million)")
    flag("--envs", type=cli.positive_int, default=2, help="worker processes beside this one (2)")
    flag("--cars", type=cli.positive_int, default=128, help="cars in all (128)")
    flag("--seed", type=cli.seed_int, default=0, help="of the actions (0)")
    flag("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    bank = pack_circuits(load_circuits(["random:1:20"], read_vehicle(DEFAULT_VEHICLE)))
    task = training_task(bank.vehicle)
    numbers = apg.training_settings(task, args.seed).rollouts
    assert numbers is not None
    rollouts = numbers._replace(steps=ROLLOUT_STEPS, lookahead_steps=8)
    settings = TrainingSettings(task, args.seed, rollouts)
    started = time.perf_counter()
    samples = []
    with tempfile.TemporaryDirectory() as scratch:
        env = BatchVecEnv(bank, args.envs, args.cars, settings, scratch)
        env.reset()
        steps = 0
        while steps < args.steps:
            steps += drive_single(max(int(SINGLE_SHARE * args.steps / SAMPLES), 1), rng)
            steps += drive_batch(env, int((1.0 - SINGLE_SHARE) * args.steps / SAMPLES), rng)
            samples.append(sample(steps, started))
            print(samples[-1], flush=True)
        env.close()
    write_results(args.json, {"steps": steps, "seed": args.seed, "samples": samples})


if __name__ == "__main__":
    cli.run(main)
