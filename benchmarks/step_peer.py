"""Steps per second of one Gymnasium environment, as JSON. Started by peers.py.

    python -m benchmarks.step_peer racing_env/Race-v0 3.0 '{"track": "club"}' racing_env

Needs nothing but Gymnasium and what registers the environment, so that it runs in a peer's own
virtual environment: one car, one thread, resets included, actions drawn before the clock runs.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import gymnasium as gym
import numpy as np

ACTIONS = 1000
CELL_M = 0.05  # of a map


def made(name: str, arguments: dict[str, Any]) -> Any:
    """The environment; gymkhana's configuration names a file with the centre line of its map."""
    config = arguments.get("config", {})
    if "map" in config:
        config["map"] = corridor(Path(config["map"]))
    return gym.make(name, **arguments)


def corridor(centre_line: Path) -> Any:
    """A circuit as gymkhana has it: its own maps are downloads. Walls are where the borders are."""
    import cv2  # type: ignore[import-not-found]
    from gymkhana.envs.track import Raceline  # type: ignore[import-not-found]
    from gymkhana.envs.track.track import Track, TrackSpec  # type: ignore[import-not-found]

    line = Raceline.from_centerline_file(centre_line)
    points_m = np.column_stack([line.xs, line.ys])
    width_m = float(np.mean(line.w_lefts + line.w_rights))
    corner_m = points_m.min(axis=0) - width_m
    cells = np.rint((points_m - corner_m) / CELL_M).astype(np.int32)
    columns, rows = cells.max(axis=0) + round(width_m / CELL_M)
    free = np.zeros((rows, columns), dtype=np.float32)
    cv2.polylines(free, [cells], True, 255.0, round(width_m / CELL_M))
    spec = TrackSpec(
        name=centre_line.stem, image=None, resolution=CELL_M, origin=(*corner_m, 0.0), negate=0,
        occupied_thresh=0.65, free_thresh=0.196,
    )  # fmt: skip
    return Track(spec, free, centerline=line)


def control_step_s(env: Any) -> float | None:
    """Simulated seconds a step, of those that say it: ours and gymkhana."""
    task = getattr(env, "task", None)
    return task.control_step_s if task else getattr(env, "timestep", None)


def main() -> None:
    name, seconds, arguments, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module)
    env = made(name, json.loads(arguments))
    env.action_space.seed(0)
    # gentle ones: a car that crashes at once would be measured resetting
    still: Any = env.action_space.sample() * 0
    actions = [still + 0.1 * env.action_space.sample() for _ in range(ACTIONS)]
    actions = [action.astype(env.action_space.dtype) for action in actions]
    env.reset(seed=0)
    steps = resets = 0
    warm_up = min(1.0, float(seconds))
    wall, cpu = time.perf_counter(), time.process_time()
    while (now := time.perf_counter()) - wall < float(seconds):
        if warm_up and now - wall >= warm_up:  # compiled and loaded: now it counts
            steps, resets, warm_up, wall, cpu = 0, 0, 0.0, now, time.process_time()
        _, _, terminated, truncated, _ = env.step(actions[steps % ACTIONS])
        steps += 1
        if terminated or truncated:
            env.reset()
            resets += 1
    measured = {
        "per_cpu_s": steps / (time.process_time() - cpu),
        "per_wall_s": steps / (time.perf_counter() - wall),
        "resets": resets,
    }
    if step_s := control_step_s(env.unwrapped):
        measured["step_s"] = step_s
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
