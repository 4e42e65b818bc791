"""Lap a circuit with Gymnasium and NumPy alone: a driver that steers for the racing line."""

import gymnasium
import numpy as np

import racing_env  # noqa: F401 - registers racing_env/Race-v0

env = gymnasium.make("racing_env/Race-v0", track="random:7")
seen, info = env.reset(seed=0, options={"start_s": 0.0})
while not (info["laps"] or info["end"]):
    speed_mps, yaw_rate_radps = 50.0 * seen[0], seen[2]
    point = 16 + 5 * (3 if speed_mps < 30.0 else 2)  # of the line, 0.5 s ahead; 0.35 s at speed
    bearing_sin, faster_mps = 0.5 * seen[point], 20.0 * seen[point + 2 + 5 * 2]
    steering = 2.6 * bearing_sin - 0.15 * yaw_rate_radps
    pedals = 0.25 * (faster_mps - 0.16 * speed_mps)  # 84 % of what the profile has 2 points on
    action = np.clip([steering, pedals], -1.0, 1.0).astype(np.float32)
    seen, reward, terminated, truncated, info = env.step(action)
end = f" ({info['end']})" if info["end"] else ""
print(f"{info['track']}: lap {info['lap_time_s']:.1f} s, {info['progress']:.0%} of a lap{end}")
