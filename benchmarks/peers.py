"""Steps per second of this project's environment and of others', on one core, in one run.

    python -m benchmarks.peers --install --json benchmarks/results/peers.json

--install puts what it compares with into virtual environments of its own, benchmarks/.peers-venv,
which git does not see (2 GB). Without them, ours is measured and the table says what is missing.
Each environment is stepped in a process of its own, all in turn and that several times; medians of
CPU time decide, so that other programs on the machine do not.

They do not do the same work: CarRacing draws a picture each step, highway-env drives other cars,
gymkhana (the published fork of f1tenth_gym) scans 1,080 laser beams and its step is five times
shorter than ours. What a learner waits for is a step all the same.

gymkhana's car is our f1tenth (its single-track model has the same published numbers), so a second
table has both on one circuit, with simulated time per CPU time. Its scan cannot be switched off: a
row has it with the fewest beams, observing the state, at our control step and with the least that
its configuration allows to be done in one.
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

import numpy as np

from benchmarks.markdown import table
from benchmarks.measuring import ROOT, in_turn, spread, write_results
from benchmarks.peer_venvs import VENVS, install, python_of
from benchmarks.throughput import circuits_of, simulator
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.simulation.task import practice_task
from racing_env.tracks.sources import load_tracks

OURS = "racing_env/Race-v0"
CARS = 256
BATCH = f"{OURS}, batch of {CARS}"
TRACK, TENTH = "club", "f1tenth"  # the circuit and the car that gymkhana shares
TENTH_ALONE, TENTH_BATCH = f"{OURS}, {TENTH}", f"{OURS}, {TENTH}, batch of {CARS}"
GYMKHANA, GYMKHANA_FEW_BEAMS = "gymkhana-v0", "gymkhana-v0, 2 beams"
SAME_CAR = (TENTH_BATCH, TENTH_ALONE, GYMKHANA, GYMKHANA_FEW_BEAMS)
CENTRE_LINE = VENVS / f"{TRACK}.csv"


class Peer(NamedTuple):
    venv: str  # empty: this one
    env: str
    modules: tuple[str, ...]  # that register it
    what: str
    arguments: dict[str, Any]


def gymkhana(what: str, **config: Any) -> Peer:
    config |= {"map": str(CENTRE_LINE), "num_agents": 1}
    return Peer("gymkhana", "gymkhana-v0", ("gymkhana",), what, {"config": config})


def ours(what: str, **arguments: Any) -> Peer:
    return Peer("", OURS, ("racing_env",), what, {"track": TRACK, **arguments})


PEERS = {
    "Pendulum-v1": Peer("gymnasium", "Pendulum-v1", (), "Gymnasium: what Python alone costs", {}),
    GYMKHANA: gymkhana("f1tenth_gym's fork: car, laser scan"),
    GYMKHANA_FEW_BEAMS: gymkhana(
        "the same: state, our control step",
        num_beams=2,
        predictive_collision=True,  # by the scan, which leaves out a search for the car's place
        observation_config={"type": "dynamic_state"},
        timestep=practice_task(read_vehicle(TENTH)).control_step_s,
    ),
    "CarRacing-v3": Peer("gymnasium", "CarRacing-v3", (), "Gymnasium: Box2D car, pictures", {}),
    "racetrack-v0": Peer(
        "gymnasium", "racetrack-v0", ("highway_env",), "highway-env: cars on a track", {}
    ),
}
OUR_BATCHES = {
    BATCH: (DEFAULT_VEHICLE, "this project: the simulator, many cars a call"),
    TENTH_BATCH: (TENTH, "this project: the same, 1:10 cars"),
}
OUR_ENVIRONMENTS = {
    OURS: ours("this project: one car"),
    TENTH_ALONE: ours("this project: one 1:10 car", vehicle=TENTH),
}


def stepped(peer: Peer, seconds: float) -> Any:
    """What step_peer.py measured; RuntimeError with its last line if it failed."""
    python = python_of(peer.venv) if peer.venv else sys.executable
    done = subprocess.run(
        [python, "-m", "benchmarks.step_peer", peer.env, str(seconds), json.dumps(peer.arguments),
         *peer.modules],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{peer.env}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def batched(vehicle: str, seconds: float) -> dict[str, float]:
    bank = circuits_of(vehicle)
    step_s = practice_task(bank.vehicle).control_step_s
    return {**simulator(bank, CARS, seconds), "step_s": step_s}


def compared(cases: dict[str, dict[str, Any]]) -> str:
    """Steps per CPU-second, and how many times ours takes more in that time."""
    one, batch = cases[OURS]["per_cpu_s"], cases[BATCH]["per_cpu_s"]
    rows = [
        [name, case["what"], f"{case['per_cpu_s']:,.0f}", f"{case['per_wall_s']:,.0f}",
         spread(case, "per_cpu_s"), f"{one / case['per_cpu_s']:,.1f}",
         f"{batch / case['per_cpu_s']:,.0f}"]
        for name, case in cases.items()
    ]  # fmt: skip
    columns = ["environment", "what", "steps per CPU-second", "per second", "spread",
               "ours, one car, to it", "ours, batch, to it"]  # fmt: skip
    return table(columns, rows)


def same_car(cases: dict[str, dict[str, Any]]) -> str:
    """Simulated seconds per CPU-second of all that steps the 1:10 car, and our one car to it."""
    simulated = {
        name: cases[name]["step_s"] * cases[name]["per_cpu_s"] for name in SAME_CAR if name in cases
    }
    rows = [
        [name, f"{1e3 * cases[name]['step_s']:.1f} ms", f"{cases[name]['per_cpu_s']:,.0f}",
         f"{seconds:,.0f}", f"{simulated[TENTH_ALONE] / seconds:,.1f}"]
        for name, seconds in simulated.items()
    ]  # fmt: skip
    columns = ["the 1:10 car", "step", "steps per CPU-second", "simulated s per CPU-second",
               "ours, one car, to it"]  # fmt: skip
    return table(columns, rows)


def tables(cases: dict[str, dict[str, Any]]) -> str:
    """All environments by steps, then those with the same car by simulated time."""
    if TENTH_ALONE not in cases:  # results of an earlier form
        return compared(cases)
    return f"{compared(cases)}\n\n{same_car(cases)}"


def write_centre_line() -> None:
    """The circuit as gymkhana reads it, a point each 0.4 m as in F1TENTH's maps: its cost a step
    grows with their number.
    """
    track = load_tracks([TRACK], read_vehicle(TENTH))[0]
    points = np.column_stack([track.x_m, track.y_m, track.width_right_m, track.width_left_m])
    np.savetxt(CENTRE_LINE, points[:: round(0.4 / track.step_m)], delimiter=",")


def runnable(missing: dict[str, str]) -> dict[str, Peer]:
    """The peers that are there and run on this machine; the others' reasons go into missing."""
    if python_of("gymkhana").exists():
        write_centre_line()
    found = {}
    for name, peer in PEERS.items():
        if name in missing:
            continue
        try:
            stepped(peer, 0.5)
        except RuntimeError as error:
            missing[name] = str(error)
        else:
            found[name] = peer
    return found


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
    cases: dict[str, Callable[[], Any]] = {
        name: functools.partial(batched, vehicle, args.seconds)
        for name, (vehicle, _) in OUR_BATCHES.items()
    }
    alone = OUR_ENVIRONMENTS | runnable(missing)
    cases |= {name: functools.partial(stepped, peer, args.seconds) for name, peer in alone.items()}
    descriptions = {name: what for name, (_, what) in OUR_BATCHES.items()}
    descriptions |= {name: peer.what for name, peer in alone.items()}
    measured = in_turn(cases, args.repeats)
    results = {name: {"what": descriptions[name], **case} for name, case in measured.items()}
    print(tables(results))
    for name, reason in missing.items():
        print(f"missing: {name} ({reason})")
    write_results(args.json, {"cases": results, "missing": missing})


if __name__ == "__main__":
    cli.run(main)
