"""What the benchmarks share: facts of the machine, taking turns, watched commands."""

import contextlib
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from racing_env.common.command_line import available_cores
from racing_env.common.files import write_json
from racing_env.common.memory_sampler import memory_bytes
from racing_env.common.run_record import commit, processor

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DRIVER = ROOT / "policies" / "racecar-nominal.safetensors"  # who needs no memory
SAMPLE_S = 0.5  # between looks at a command's memory: each costs some tens of ms of a core

Numbers = Mapping[str, float]


def matrix_gflops() -> float:
    """What a matrix product makes now, 1e9 operations a second, median: hours of a machine differ.

    Of one core where OMP_NUM_THREADS is 1, as in all benchmarks that say it.
    """
    size, times = 512, []
    matrix = np.ones((size, size), dtype=np.float32)
    for _ in range(50):
        started = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - started)
    return 2e-9 * size**3 / statistics.median(times)


def conditions() -> dict[str, Any]:
    """On what, with what and when something was measured."""
    return {
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "cores": available_cores(),
        "processor": processor(),
        "python": platform.python_version(),
        "matrix_gflops": round(matrix_gflops(), 1),
    }


def write_results(path: Path | None, results: Mapping[str, Any]) -> None:
    """Results with the conditions they were measured in, if there is a path."""
    if path:
        write_json(path, {"conditions": conditions(), **results})


def in_turn(cases: Mapping[Any, Callable[[], Numbers]], repeats: int) -> dict[Any, dict[str, Any]]:
    """Measure all cases, then all again: a slow moment of the machine does not hit one of them.

    For each case and number the median, and under "runs" what each turn gave.
    """
    runs: dict[Any, list[Numbers]] = {name: [] for name in cases}
    for turn in range(repeats):
        for name, measure in cases.items():
            print(f"turn {turn + 1} of {repeats}: {name}", file=sys.stderr, flush=True)
            runs[name].append(measure())
    return {name: {**medians(turns), "runs": turns} for name, turns in runs.items()}


def medians(turns: Sequence[Numbers]) -> dict[str, float]:
    return {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}


def spread(case: Mapping[str, Any], key: str) -> str:
    """How far the turns lie apart, as a share of their median."""
    values = [turn[key] for turn in case["runs"]]
    return f"{(max(values) - min(values)) / case[key]:.0%}"


class Peaks(NamedTuple):
    """Peak memory (MB) of a command with all that it started, and of the largest one of those."""

    tree_mb: float
    worker_mb: float


def run_command(
    command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> float:
    """Wall time (s) of a command, run in the root of the repository or another folder.

    Raises RuntimeError with its last lines if it fails.
    """
    return _run(command, environment or {}, None, folder)


def peak_memory(command: Sequence[str]) -> Peaks:
    """The same command looked at while it runs, which takes some of the time that it would have."""
    peaks = [0, 0]
    _run(command, {}, peaks)
    return Peaks(peaks[0] / 1e6, peaks[1] / 1e6)


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    peaks: list[int] | None,
    folder: Path = ROOT,
) -> float:
    over = threading.Event()
    with tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **environment}
        )
        if peaks is not None:
            threading.Thread(target=_record, args=(process.pid, peaks, over)).start()
        try:
            code = process.wait()
            wall_s = time.perf_counter() - started
        finally:  # Ctrl-C too, or the command and the thread would go on
            over.set()
            if process.poll() is None:
                process.terminate()  # which the scripts meet as Ctrl-C
                process.wait()
        if code:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)}: exit code {code}\n{log.read()[-2000:]}")
    return wall_s


def _record(pid: int, peaks: list[int], over: threading.Event) -> None:
    while not over.wait(SAMPLE_S):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends as it is looked at
            root = psutil.Process(pid)
            workers = [memory_bytes(child) for child in root.children(recursive=True)]
            peaks[0] = max(peaks[0], memory_bytes(root) + sum(workers))
            peaks[1] = max(peaks[1], *workers, 0)


def in_threads(work: Callable[[Any], Any], jobs: Iterable[Any], at_a_time: int) -> list[Any]:
    """What each job came to, in order, each in a thread that starts programs and waits for them.

    Ctrl-C ends the programs: else the threads would train on.
    """
    with ThreadPoolExecutor(at_a_time) as pool:
        try:
            return list(pool.map(work, jobs))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for program in psutil.Process().children():
                program.terminate()
            raise


def script(name: str, **flags: Any) -> list[str]:
    """The command line of one of the repository's scripts: judge_on=X is --judge-on X."""
    command = [sys.executable, name]
    for flag, value in flags.items():
        command += [f"--{flag.replace('_', '-')}", str(value)]
    return command
