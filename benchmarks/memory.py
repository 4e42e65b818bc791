#!/usr/bin/env python
"""Memory that one more worker costs, in proportional set size, at each stage.

    PYTHONPATH=. python benchmarks/memory.py --policy runs/default/bc/policy.safetensors \\
        --data runs/default/demonstrations --json benchmarks/results/memory.json

Runs each script twice, with few and with more workers, and compares the peaks of their trees.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil

from racing_env.files import write_json
from racing_env.memory import tree_memory_bytes

ROOT = Path(__file__).resolve().parent.parent
FEW, MANY = 1, 3


def peak_mb(command: list[str]) -> float:
    """Peak memory (MB) of a command's process tree."""
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    peak, over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.2):
            peak = max(peak, tree_memory_bytes(psutil.Process(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    over.set()
    watcher.join()
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {code}")
    return peak / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", required=True, help="a cloned policy")
    parser.add_argument("--data", required=True, help="demonstrations")
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage in ("demonstrations", "bc", "rl"):
            peaks = []
            for workers in (FEW, MANY):
                out = f"{folder}/{stage}-{workers}"
                commands = {
                    "demonstrations": ["collect_demonstrations.py", "--episodes", "60",
                                       "--workers", str(workers), "--out", out],
                    "bc": ["train_bc.py", "--data", args.data, "--epochs", "2",
                           "--dagger-rounds", "0", "--workers", str(workers), "--out", out],
                    "rl": ["train_rl.py", "--policy", args.policy, "--timesteps", "300000",
                           "--envs", str(workers), "--out", out],
                }  # fmt: skip
                peaks.append(peak_mb(commands[stage]))
            results[stage] = {
                f"tree_with_{FEW}_mb": peaks[0],
                f"tree_with_{MANY}_mb": peaks[1],
                "per_worker_mb": (peaks[1] - peaks[0]) / (MANY - FEW),
            }
            print(
                f"{stage:15s} tree {peaks[0]:6.0f} MB with {FEW}, {peaks[1]:6.0f} MB with {MANY}: "
                f"{results[stage]['per_worker_mb']:5.0f} MB a worker"
            )
    if args.json:
        write_json(
            args.json,
            {
                "machine": f"{platform.machine()}, Python {platform.python_version()}",
                "command": "python benchmarks/memory.py --policy POLICY --data DEMONSTRATIONS",
                "stages": results,
            },
        )


if __name__ == "__main__":
    main()
