"""The memory of a process and of everything that it started, sampled from outside.

    python -m racing_env.common.memory_sampler --pid PID --out FILE

Memory is proportional set size: a page that n processes share counts 1/n in each, so that the sum
over a process tree counts it once. Where the system does not tell it (only Linux does), the memory
unique to each process is summed instead, which leaves shared pages out.
"""

import argparse
import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from racing_env.common.command_line import positive_int, run
from racing_env.common.files import read_json, write_json

INTERVAL_S = 2.0  # a sample walks the page tables of all processes: some 35 ms of a core


def tree_memory_bytes(root: psutil.Process, without_pid: int | None = None) -> int:
    """Memory of root and its descendants now, but for the process without_pid; 0 if root ended."""
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(memory_bytes(process) for process in processes if process.pid != without_pid)


def memory_bytes(process: psutil.Process) -> int:
    """Memory of one process now; 0 if it ended or is another user's."""
    try:
        memory = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0  # ended since it was listed, or another user's
    return getattr(memory, "pss", memory.uss)


def record_peak(pid: int, path: str | Path, interval_s: float = INTERVAL_S) -> None:
    """Sample the process tree of pid until pid ends; path always holds the peak so far.

    A peak that path holds already, from an earlier start of the same run, counts. The process that
    samples is left out.
    """
    path = Path(path)
    peak_bytes = 0
    if path.exists():
        peak_bytes = read_json(path)["peak_bytes"]
    try:
        root = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    while now_bytes := tree_memory_bytes(root, without_pid=os.getpid()):
        if now_bytes > peak_bytes:
            peak_bytes = now_bytes
            write_json(path, {"peak_bytes": peak_bytes, "interval_s": interval_s})
        time.sleep(interval_s)


def main() -> None:
    parser = argparse.ArgumentParser(description="Record the peak memory of a process tree.")
    parser.add_argument("--pid", type=positive_int, required=True, help="root of the process tree")
    parser.add_argument("--out", required=True, help="JSON file that gets the peak, in bytes")
    args = parser.parse_args()
    with suppress(KeyboardInterrupt):  # train_optimized.sh ends it so, which is no interruption
        record_peak(args.pid, args.out)


if __name__ == "__main__":
    run(main)
