"""Steps per second of this project's environment and of others', on one core, in one run.

    python -m benchmarks.peers --install --json benchmarks/results/peers.json

--install puts what it compares with into virtual environments of its own, benchmarks/.peers-venv,
which git does not see (2 GB). Without them, ours is measured and the table says what is missing.
Each environment is stepped in a process of its own, all in turn and that several times; medians of
CPU time decide, so that other programs on the machine do not.

They do not do the same work: CarRacing draws a picture each step, highway-env drives other cars,
gymkhana (the published fork of f1tenth_gym) scans 1,080 laser beams and its step is five times
shorter than ours. What a learner waits for is a step all the same.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

from benchmarks.markdown import table
from benchmarks.measuring import ROOT, in_turn, spread, write_results
from benchmarks.peer_venvs import install, python_of
from benchmarks.throughput import simulator
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

OURS = "racing_env/Race-v0"
CARS = 256


class Peer(NamedTuple):
    venv: str
    modules: tuple[str, ...]  # that register it
    what: str


PEERS = {
    "Pendulum-v1": Peer("gymnasium", (), "Gymnasium: what Python alone costs"),
    "gymkhana-v0": Peer("gymkhana", ("gymkhana",), "f1tenth_gym's fork: car, laser scan"),
    "CarRacing-v3": Peer("gymnasium", (), "Gymnasium: Box2D car, pictures"),
    "racetrack-v0": Peer("gymnasium", ("highway_env",), "highway-env: cars on a track"),
}


def stepped(python: Path | str, env: str, modules: tuple[str, ...], seconds: float) -> Any:
    """What step_peer.py measured; RuntimeError with its last line if it failed."""
    done = subprocess.run(
        [python, "-m", "benchmarks.step_peer", env, str(seconds), *modules],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{env}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def batched(seconds: float) -> dict[str, float]:
    bank = pack_circuits(load_circuits(["random:1:20"], read_vehicle(DEFAULT_VEHICLE)))
    return simulator(bank, CARS, seconds)


def compared(cases: dict[str, dict[str, Any]]) -> str:
    """Steps per CPU-second, and how many times ours takes more in that time."""
    ours = cases[OURS]["per_cpu_s"]
    best = max(case["per_cpu_s"] for case in cases.values())
    rows = [
        [name, case["what"], f"{case['per_cpu_s']:,.0f}", f"{case['per_wall_s']:,.0f}",
         spread(case, "per_cpu_s"), f"{ours / case['per_cpu_s']:,.1f}",
         f"{best / case['per_cpu_s']:,.0f}"]
        for name, case in cases.items()
    ]  # fmt: skip
    columns = ["environment", "what", "steps per CPU-second", "per second", "spread",
               "ours, one car, to it", "ours, batch, to it"]  # fmt: skip
    return table(columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--install", action="store_true", help="install what is compared with, where it is not")
    flag("--seconds", type=cli.positive_float, default=4.0, help="a turn, after a warm-up (4)")
    flag("--repeats", type=cli.positive_int, default=5, help="turns (5)")
    flag("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    why = install() if args.install else {}
    missing = {
        name: why.get(peer.venv, "not installed; --install does it")
        for name, peer in PEERS.items()
        if not python_of(peer.venv).exists()
    }
    descriptions = {
        f"{OURS}, batch of {CARS}": "this project: the simulator, many cars a call",
        OURS: "this project: one car",
    }
    cases: dict[str, Callable[[], Any]] = {
        f"{OURS}, batch of {CARS}": functools.partial(batched, args.seconds),
        OURS: functools.partial(stepped, sys.executable, OURS, ("racing_env",), args.seconds),
    }
    for name, peer in PEERS.items():
        if name in missing:
            continue
        python = python_of(peer.venv)
        try:  # a package that is installed may still not run on this machine
            stepped(python, name, peer.modules, 0.5)
        except RuntimeError as error:
            missing[name] = str(error)
            continue
        cases[name] = functools.partial(stepped, python, name, peer.modules, args.seconds)
        descriptions[name] = peer.what
    measured = in_turn(cases, args.repeats)
    results = {name: {"what": descriptions[name], **case} for name, case in measured.items()}
    print(compared(results))
    for name, reason in missing.items():
        print(f"missing: {name} ({reason})")
    write_results(args.json, {"cases": results, "missing": missing})


if __name__ == "__main__":
    cli.run(main)
