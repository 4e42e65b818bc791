"""Frames per second of the environment's pictures, 960x540, off-screen, on one core.

    python -m benchmarks.rendering --json benchmarks/results/rendering.json

A driver laps a generated circuit; only drawing is timed, by CPU and by wall time. A control step is
0.05 s, so a frame shows every control step and `render_fps` of the environment is 20; more frames
than that are for videos and for watching faster than in real time.
"""

import argparse
import os
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import gymnasium as gym

import racing_env  # noqa: F401 - registers the environment
from benchmarks.markdown import table
from benchmarks.measuring import DRIVER, write_results
from racing_env.common import command_line as cli
from racing_env.drawing.rendering import SIZE
from racing_env.drivers.policy import load_policy

FRAMES = 1000


def frames_per_s(camera: str) -> dict[str, float]:
    """Frames per second of wall and of CPU time of the first FRAMES steps of a standing lap."""
    driver = load_policy(DRIVER)
    env = gym.make(
        "racing_env/Race-v0", track="random:1000", render_mode="rgb_array", camera=camera
    )
    observation, _ = env.reset(seed=0, options={"start_s": 0.0})
    env.render()  # what is made once for a circuit is not counted
    wall_s = cpu_s = 0.0
    for _ in range(FRAMES):
        observation, _, terminated, truncated, _ = env.step(driver.act(observation))
        wall, cpu = time.perf_counter(), time.process_time()
        env.render()
        wall_s += time.perf_counter() - wall
        cpu_s += time.process_time() - cpu
        if terminated or truncated:
            observation, _ = env.reset(options={"start_s": 0.0})
    env.close()
    return {"per_wall_s": FRAMES / wall_s, "per_cpu_s": FRAMES / cpu_s}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    cases = {f"camera {camera}": frames_per_s(camera) for camera in ("follow", "track")}
    rows = [
        (name, f"{result['per_wall_s']:,.0f}", f"{result['per_cpu_s']:,.0f}")
        for name, result in cases.items()
    ]
    print(table([f"frames, {SIZE[0]}x{SIZE[1]}", "per second", "per CPU-second"], rows))
    write_results(args.json, {"cases": cases})


if __name__ == "__main__":
    cli.run(main)
