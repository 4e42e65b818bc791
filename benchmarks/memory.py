#!/usr/bin/env python
"""Memory that one more worker costs, in proportional set size, at each stage.

    PYTHONPATH=. python benchmarks/memory.py --policy runs/default/bc/policy.safetensors \\
        --data runs/default/demonstrations --json benchmarks/results/memory.json

Runs each script twice, with few and with more workers, and compares the peaks of their trees. A
peak may lie before the workers' time (while circuits are loaded), so the largest worker is shown
as well.
"""

import argparse
import contextlib
import platform
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil

from racing_env.files import write_json
from racing_env.memory import memory_bytes

ROOT = Path(__file__).resolve().parent.parent
FEW, MANY = 1, 3


def peaks_mb(command: list[str]) -> tuple[float, float]:
    """Peak memory (MB) of a command's process tree, and of the largest process below its first."""
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    tree, largest, over = 0, 0, threading.Event()

    def watch() -> None:
        nonlocal tree, largest
        while not over.wait(0.2):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends as it is looked at
                root = psutil.Process(process.pid)
                workers = [memory_bytes(child) for child in root.children(recursive=True)]
                tree = max(tree, memory_bytes(root) + sum(workers))
                largest = max(largest, *workers, 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    over.set()
    watcher.join()
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {code}")
    return tree / 1e6, largest / 1e6


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
                peaks.append(peaks_mb(commands[stage]))
            (few, _), (many, largest) = peaks
            results[stage] = {
                f"tree_with_{FEW}_mb": few,
                f"tree_with_{MANY}_mb": many,
                "per_worker_mb": (many - few) / (MANY - FEW),
                f"largest_worker_of_{MANY}_mb": largest,
            }
            print(
                f"{stage:15s} tree {few:6.0f} MB with {FEW}, {many:6.0f} MB with {MANY}: "
                f"{results[stage]['per_worker_mb']:5.0f} MB a worker; the largest {largest:5.0f} MB"
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
