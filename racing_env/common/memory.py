"""Memory: what a process and everything it started use, sampled from outside, with their CPU time;
and what a process keeps for its next use.

    python -m racing_env.common.memory --pid PID --out FILE

Memory is proportional set size: a page that n processes share counts 1/n in each, so that the sum
over a process tree counts it once. Where the system does not tell it (only Linux does), the memory
unique to each process is summed instead, which leaves shared pages out.
"""

import argparse
import ctypes
import json
import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from racing_env.common.command_line import positive_int, run
from racing_env.common.files import write_json

# of mallopt, in glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 2**31 - 1
BLOCK_BYTES = 2**25  # the most that glibc lets come from the kept memory
INTERVAL_S = 2.0  # a sample walks the page tables of all processes: some 35 ms of a core


def keep_freed_memory() -> None:
    """Have this process use its freed memory again, where its C library is glibc.

    Otherwise the kernel takes it back after each update and clears it page by page for the next:
    an eighth of the time of PPO's updates.
    """
    with suppress(AttributeError, OSError):  # another system's library
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def tree_memory_bytes(root: psutil.Process, without_pid: int | None = None) -> int:
    """Memory of root and its descendants now, but for the process without_pid; 0 if root ended."""
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(memory_bytes(process) for process in processes if process.pid != without_pid)


def descendants_cpu_s() -> float:
    """CPU time (s) that the living descendants of this process have used: its workers' work."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # ended since it was listed
        total += times.user + times.system
    return total


def memory_bytes(process: psutil.Process) -> int:
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
        peak_bytes = json.loads(path.read_text(encoding="utf-8"))["peak_bytes"]
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
