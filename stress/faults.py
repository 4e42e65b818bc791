"""Kill each stage at random moments, go on with --resume, and compare with a run left alone.

    python -m stress.faults --kills 20 --json stress/results/faults.json

Killed are the script, one of its processes, or all of them, by SIGINT, SIGTERM or SIGKILL. After
each kill nothing may hang, no process may be left, and every file that is there must be whole. What
a stage that was killed again and again gives in the end must be, byte for byte, what it gives when
left alone.
"""

import argparse
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch

from benchmarks.measuring import ROOT, write_results
from racing_env.common import command_line as cli
from racing_env.common.files import TEMPORARY
from racing_env.data.dataset import read_dataset
from racing_env.drivers.policy import load_policy

HANG_S = 300.0  # far more than any of these stages takes
ORPHAN_S = 20.0  # until processes whose parent was killed must have ended, too
KILLS = [
    *[("script", number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)],
    *[("process of it", number) for number in (signal.SIGTERM, signal.SIGKILL)],
    *[("all", number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)],
]
# finished all the same; a process died; interrupted; killed
CODES = {0, 2, 130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL}
# What it says then. Behind that there may be words of Python's own about a process that was just
# being started; those of a script that is killed before it can say anything are its business.
WORDS = {2: "error: ", 130: "interrupted; "}


class Stage(NamedTuple):
    """A script on a tiny budget. flags: {whole} is the folder of the stages left alone."""

    script: str
    flags: str
    results: Callable[[Path], dict[str, bytes]]  # what must not depend on the kills
    resumes: bool = True


def files(folder: Path, *patterns: str) -> dict[str, bytes]:
    """Files by name; tables of learning without the column of wall time."""
    found = {}
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        content = path.read_bytes()
        if path.name == "curve.csv":
            with path.open() as table:
                content = repr([row | {"wall_s": ""} for row in csv.DictReader(table)]).encode()
        found[str(path.relative_to(folder))] = content
    return found


def learnt(folder: Path) -> dict[str, bytes]:
    state = torch.load(folder / "checkpoint" / "training.pt", weights_only=True)
    layers = {name: v.numpy().tobytes() for name, v in state["parameters"]["policy"].items()}
    average = {f"average {i}": v.numpy().tobytes() for i, v in enumerate(state["average"])}
    return layers | average | files(folder, "policy.safetensors", "curve.csv")


STAGES = {
    "demonstrations": Stage(
        "collect_demonstrations.py", "--episodes 20 --workers 2 --track oval --seed 1",
        lambda folder: files(folder, "manifest.json", "shard-*.npy"),
    ),
    "bc": Stage(
        "train_bc.py", "--data {whole}/demonstrations --epochs 3 --dagger-rounds 1 --workers 2 "
        "--batch-size 1024 --judge-on oval --device cpu --seed 1",
        lambda folder: files(folder, "policy.safetensors", "curve.csv", "dagger-*/*"),
    ),
    "rl": Stage(
        "train_rl.py", "--policy {whole}/bc/policy.safetensors --timesteps 5000 --envs 2 --cars 4 "
        "--track oval --judge-on oval --device cpu --seed 1",
        learnt,
    ),
    "evaluation": Stage(
        "evaluate.py", "--driver expert {whole}/rl/policy.safetensors --track oval --laps 1",
        lambda folder: files(folder, "results.json", "ghosts.json", "*.csv"),
        resumes=False,
    ),
}  # fmt: skip


def start(stage: Stage, whole: Path, out: Path) -> subprocess.Popen[str]:
    """The stage at work, in a session of its own; it goes on with what is there."""
    flags = stage.flags.format(whole=whole).split() + ["--out", str(out)]
    if stage.resumes and out.exists():
        flags.append("--resume")
    return subprocess.Popen(
        [sys.executable, str(ROOT / stage.script), *flags], text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def run_whole(name: str, whole: Path) -> float:
    """Run a stage to its end in whole/NAME; returns its seconds."""
    started = time.perf_counter()
    process = start(STAGES[name], whole, whole / name)
    _, error = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, error
    return time.perf_counter() - started


def kill_again_and_again(
    name: str, whole: Path, folder: Path, kills: int, duration_s: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Kill a stage so often, then let it finish, and check all along; returns what was met.

    duration_s: within which the kills fall. Raises AssertionError if a promise is broken.
    """
    stage = STAGES[name]
    wanted = stage.results(whole / name)
    out = folder / name
    met: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    rounds = 0
    while True:
        process, last = start(stage, whole, out), "left alone"
        if sum(met.values()) < kills:
            wait_s = float(rng.uniform(0.0, duration_s))
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                last = kill(process, rng)
                met[last] += 1
        try:
            error = end_of(process)
        except AssertionError as broken:
            raise AssertionError(f"{name}, last {last}: {broken}") from None
        codes[process.returncode] += 1
        told = f"{name}, last {last}: exit code {process.returncode}\n{error}"
        assert process.returncode in CODES, told
        words = WORDS.get(process.returncode)
        assert not words or (words in error and "Traceback" not in error.partition(words)[0]), told
        check_whole(out)
        if process.returncode == 0:
            assert stage.results(out) == wanted, told
            assert not list(out.rglob(f"{TEMPORARY}*")), told
            rounds += 1
            if sum(met.values()) >= kills:
                break
            shutil.rmtree(out)
    return {
        "kills": sum(met.values()),
        "by_kind": dict(met),
        "exit_codes": {str(code): count for code, count in sorted(codes.items())},
        "identical_results": rounds,
    }


def kill(process: subprocess.Popen[str], rng: np.random.Generator) -> str:
    """Send one of the signals to one of the targets; returns what was done."""
    target, number = KILLS[rng.integers(len(KILLS))]
    descendants = psutil.Process(process.pid).children(recursive=True)
    if target == "process of it" and descendants:
        try:
            descendants[rng.integers(len(descendants))].send_signal(number)
        except psutil.NoSuchProcess:
            target = "process that had ended"
    elif target == "all":
        os.killpg(process.pid, number)
    else:
        target = "script"
        process.send_signal(number)
    return f"{target}, {signal.Signals(number).name}"


def end_of(process: subprocess.Popen[str]) -> str:
    """What it said on standard error, when it and all it started have ended."""
    try:
        _, error = process.communicate(timeout=HANG_S)
    except subprocess.TimeoutExpired:
        left = session_of(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"hangs; there are {left}") from None
    deadline = time.monotonic() + ORPHAN_S
    while (left := session_of(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, f"left behind {left}"
    return error


def session_of(pid: int) -> dict[int, str]:
    """Processes of the session that pid leads, by what they are called."""
    found = {}
    for process in psutil.process_iter(["cmdline", "status"]):
        try:
            if os.getsid(process.pid) == pid and process.info["status"] != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.info["cmdline"] or ())
        except ProcessLookupError:
            continue  # ended since it was listed
    return found


def check_whole(folder: Path) -> None:
    """Every file that a reader would take for whole is whole: each reader reads it."""
    for manifest in folder.rglob("manifest.json"):
        read_dataset(manifest.parent).verify_checksums()
    for path in folder.rglob("*"):
        if path.name.startswith(TEMPORARY):
            continue
        if path.suffix == ".safetensors":
            load_policy(path)
        elif path.suffix == ".pt":
            torch.load(path, weights_only=True)
        elif path.suffix == ".csv":
            with path.open() as table:
                rows = list(csv.DictReader(table))
            assert rows and all(None not in row.values() for row in rows), path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--kills", type=cli.positive_int, default=20, help="of each stage (20)")
    flag("--stage", nargs="+", choices=STAGES, default=list(STAGES), help="(all)")
    flag("--seed", type=cli.seed_int, default=0, help="decides moments and kinds (0)")
    flag("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started it
    met = {}
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch, "whole"), Path(scratch, "killed")
        for number, name in enumerate(STAGES):
            if not set(list(STAGES)[number:]) & set(args.stage):
                break
            duration_s = run_whole(name, whole)
            if name in args.stage:
                rng = np.random.default_rng([args.seed, number])
                started = time.perf_counter()
                met[name] = kill_again_and_again(
                    name, whole, killed, args.kills, duration_s, rng
                ) | {"seed": args.seed}
                print(f"{name}: {met[name]}, {time.perf_counter() - started:.0f} s", flush=True)
    write_results(args.json, met)


if __name__ == "__main__":
    cli.run(main)
