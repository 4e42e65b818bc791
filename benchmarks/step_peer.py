"""Steps per second of one Gymnasium environment, as JSON. Started by peers.py.

    python -m benchmarks.step_peer racing_env/Race-v0 3.0 racing_env

Needs nothing but Gymnasium and what registers the environment, so that it runs in a peer's own
virtual environment: one car, one thread, resets included, actions drawn before the clock runs.
"""

import importlib
import json
import os
import sys
import time
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import gymnasium as gym
import numpy as np

ACTIONS = 1000


def arguments_of(name: str) -> dict[str, Any]:
    """What an environment needs to start without files that its package does not bring."""
    if name == "racing_env/Race-v0":
        return {"track": "club"}
    if name == "gymkhana-v0":  # its maps are downloads: an oval of the same package's making
        from gymkhana.envs.track import Track  # type: ignore[import-not-found]

        angle = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)
        oval = Track.from_refline(20.0 * np.cos(angle), 10.0 * np.sin(angle), np.full(400, 3.0))
        return {"config": {"map": oval, "num_agents": 1, "predictive_collision": True}}
    return {}


def main() -> None:
    name, seconds, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module)
    env = gym.make(name, **arguments_of(name))
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
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
