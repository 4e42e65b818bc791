"""Memory that one more worker costs, in proportional set size, at each stage.

    python -m benchmarks.memory --policy runs/default/bc/policy.safetensors \\
        --data runs/default/demonstrations --json benchmarks/results/memory.json

Runs each script twice, with few and with more workers, and compares the peaks of their trees. A
peak may lie before the workers' time (while circuits are loaded), so the largest worker is shown
as well.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.measuring import peak_memory, script, write_results
from racing_env.common import command_line as cli

FEW, MANY = 1, 3


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
                common = {"out": f"{folder}/{stage}-{workers}"}
                commands = {
                    "demonstrations": script(
                        "collect_demonstrations.py", episodes=60, workers=workers, **common
                    ),
                    "bc": script("train_bc.py", data=args.data, epochs=2, dagger_rounds=0,
                                 workers=workers, **common),
                    "rl": script("train_rl.py", policy=args.policy, timesteps=300000,
                                 envs=workers, **common),
                }  # fmt: skip
                peaks.append(peak_memory(commands[stage]))
            few, many = peaks
            results[stage] = {
                f"tree_with_{FEW}_mb": few.tree_mb,
                f"tree_with_{MANY}_mb": many.tree_mb,
                "per_worker_mb": (many.tree_mb - few.tree_mb) / (MANY - FEW),
                f"largest_worker_of_{MANY}_mb": many.worker_mb,
            }
            print(
                f"{stage:15s} tree {few.tree_mb:6.0f} MB with {FEW}, {many.tree_mb:6.0f} MB with "
                f"{MANY}: {results[stage]['per_worker_mb']:5.0f} MB a worker; the largest "
                f"{many.worker_mb:5.0f} MB"
            )
    write_results(args.json, {"stages": results})


if __name__ == "__main__":
    cli.run(main)
