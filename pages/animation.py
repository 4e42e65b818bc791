"""The README's animation: drivers racing each other through some corners of a generated circuit.

    python -m pages.animation

Each drives its best flying lap, as `evaluate.py --video` shows it; the fastest is followed. Needs
pip install -r requirements-render.txt.
"""

import argparse
import os
from itertools import islice
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import numpy as np
from PIL import Image

from racing_env.common.command_line import positive_int, run
from racing_env.common.files import replaced_atomically
from racing_env.drawing.video import race_frames
from racing_env.drivers.policy import load_policy
from racing_env.laps import evaluation as ev
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.sources import load_circuits

FRAMES_PER_S = 10
SIZE = (480, 270)
QUALITY = 45  # of WebP, 0 to 100
LAPS = 2


def lap(circuit: Circuit, driver: ev.Driver, label: str) -> ev.LapResult:
    """A driver's laps on a circuit, the best with telemetry."""
    return ev.drive_laps([circuit], driver, LAPS, name=label, telemetry=True)[0]


def write_animation(frames: list[np.ndarray], path: Path, frames_per_s: int = FRAMES_PER_S) -> None:
    pictures = [Image.fromarray(frame).resize(SIZE, Image.Resampling.LANCZOS) for frame in frames]
    with replaced_atomically(path) as temporary:
        pictures[0].save(
            temporary, save_all=True, append_images=pictures[1:], loop=0,
            duration=round(1000 / frames_per_s), quality=QUALITY, method=2,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--policy", type=Path, default=Path("policies/racecar.safetensors"),
        help="the driver who races the expert (policies/racecar.safetensors)")  # fmt: skip
    add("--track", default="random:1000", help="(random:1000)")
    add("--from-s", type=positive_int, default=10, help="where it begins in the lap (10 s)")
    add("--seconds", type=positive_int, default=12, help="how long it is (12 s)")
    add("--out", type=Path, default=Path("docs/race.webp"), help="(docs/race.webp)")
    args = parser.parse_args()
    policy = load_policy(args.policy)
    (circuit,) = load_circuits([args.track], policy.vehicle)
    expert = ev.expert_driver(ev.expert_paces(pack_circuits([circuit]), LAPS))
    laps = [lap(circuit, expert, "expert"), lap(circuit, ev.policy_driver(policy), "neural driver")]
    first = args.from_s * FRAMES_PER_S
    last = first + args.seconds * FRAMES_PER_S
    write_animation(list(islice(race_frames(circuit, laps, FRAMES_PER_S), first, last)), args.out)
    print(f"{args.out}: {args.seconds} s, {args.out.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    run(main)
