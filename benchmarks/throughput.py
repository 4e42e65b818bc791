#!/usr/bin/env python
"""Steps per second: simulator core, Gymnasium environment, vector environments. One core each.

    PYTHONPATH=. python benchmarks/throughput.py --json benchmarks/results/throughput.json

Everything is timed in one run on one machine, so that the ratios mean something; CPU time is that
of this process, wall time includes the workers.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import gymnasium as gym
import numpy as np

from racing_env.circuit_bank import CircuitBank, pack_circuits
from racing_env.circuit_sources import load_circuits
from racing_env.files import write_json
from racing_env.simulator import Simulator
from racing_env.training_cars import TrainingSettings
from racing_env.vector_env import make_vec_env
from racing_env.vehicle import RACECAR

SECONDS = 3.0


def timed(step: Callable[[], None], steps_per_call: int) -> dict[str, float]:
    """Car-steps per second of wall and of CPU time of this process, after a warm-up."""
    for _ in range(20):
        step()
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < SECONDS:
        step()
        calls += 1
    steps = calls * steps_per_call
    return {
        "per_wall_s": steps / (time.perf_counter() - wall),
        "per_cpu_s": steps / (time.process_time() - cpu),
    }


def simulator(bank: CircuitBank, cars: int) -> dict[str, float]:
    """The batched core with observations and rewards, cars that have ended placed again."""
    batch = Simulator(bank, cars)
    for car in range(cars):
        batch.place(car, car % len(bank.count), 40.0 * car, speed_mps=20.0)
    actions = np.random.default_rng(0).uniform(-0.2, 0.2, (cars, 2))
    seen = batch.observe()

    def step() -> None:
        batch.step(actions, out=seen)
        for car in map(int, np.flatnonzero(batch.cars.ended)):
            batch.place(car, car % len(bank.count), 40.0 * car, speed_mps=20.0)

    return timed(step, cars)


def environment() -> dict[str, float]:
    """One car through Gymnasium's `step`, resets included."""
    env = gym.make("racing_env/Race-v0", track="club").unwrapped
    env.reset(seed=0)
    action = np.array([0.0, 0.2], dtype=np.float32)

    def step() -> None:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()

    return timed(step, 1)


def vector(bank: CircuitBank, kind: str, processes: int, cars: int) -> dict[str, float]:
    """A vector environment of stable-baselines3, random actions."""
    with tempfile.TemporaryDirectory() as folder:
        env = make_vec_env(kind, bank, processes, cars, TrainingSettings(), folder)
        env.reset()
        actions = np.random.default_rng(0).uniform(-0.2, 0.2, (env.num_envs, 2))
        result = timed(lambda: env.step(actions.astype(np.float32)) and None, env.num_envs)
        env.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    bank = pack_circuits(load_circuits(["random:1:20"]), RACECAR)
    cases = {
        "simulator, 1 car": simulator(bank, 1),
        "simulator, 256 cars": simulator(bank, 256),
        "simulator, 1024 cars": simulator(bank, 1024),
        "Gymnasium environment": environment(),
        "dummy, 1 environment": vector(bank, "dummy", 1, 1),
        "subproc, 1 process": vector(bank, "subproc", 1, 1),
        "subproc, 2 processes": vector(bank, "subproc", 2, 1),
        "batch, 1024 cars, 1 process beside the learner": vector(bank, "batch", 1, 1024),
        "batch, 1024 cars, 3 processes": vector(bank, "batch", 3, 1024),
    }
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"car-steps per second ({machine})")
    print(f"{'':32s} {'wall time':>12s} {'CPU time':>12s}")
    for name, result in cases.items():
        print(f"{name:32s} {result['per_wall_s']:12,.0f} {result['per_cpu_s']:12,.0f}")
    if args.json:
        command = (
            "PYTHONPATH=. python benchmarks/throughput.py --json benchmarks/results/throughput.json"
        )
        write_json(args.json, {"machine": machine, "command": command, "cases": cases})


if __name__ == "__main__":
    main()
