"""What must hold for any actions on any circuit, whoever draws them."""

import functools
from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR, circuit_named
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racing_env.car import dynamics as dyn
from racing_env.drivers.policy import Policy, load_policy, save_policy
from racing_env.environment import RaceEnv
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.task import CONTROL_STEP_S
from racing_env.tracks.generator import generate_track
from racing_env.tracks.reader import read_track, write_track

IN_A_FOLDER = [HealthCheck.function_scoped_fixture]  # whose files each example replaces
PEDALS = st.floats(-1.0, 1.0) | st.sampled_from([-1.0, 0.0, 1.0])
ACTIONS = st.lists(
    st.tuples(PEDALS, PEDALS, st.integers(1, 20)), min_size=1, max_size=15
)  # steering, pedals, for how many steps


@functools.cache
def env_on(seed: int) -> RaceEnv:
    return RaceEnv(circuit_named(seed), vehicle=RACECAR)


def energy_j(state: np.ndarray) -> float:
    """Kinetic energy of the only car."""
    speed_square = state[dyn.VX, 0] ** 2 + state[dyn.VY, 0] ** 2
    turning = RACECAR.yaw_inertia_kgm2 * state[dyn.YAW_RATE, 0] ** 2
    return 0.5 * float(RACECAR.mass_kg * speed_square + turning)


def rollout(env: RaceEnv, seed: int, actions) -> list[bytes]:
    """Drive, check every step, and return what was seen, bit by bit."""
    observation, info = env.reset(seed=seed)
    seen = [observation.tobytes()]
    length_m = env.circuit.track.length_m
    start_m = info["s_m"]
    for steering, pedals, hold in actions:
        for _ in range(hold):
            state = env.simulator.state
            before_j, drive_n = energy_j(state), state[dyn.DRIVE, 0]
            observation, reward, terminated, truncated, info = env.step(
                np.array([steering, pedals])
            )
            assert env.observation_space.contains(observation) and np.isfinite(reward)
            assert np.isfinite(state).all()
            # what the engine can have given at most, and rounding
            force_n = max(drive_n, state[dyn.DRIVE, 0])
            work_j = min(force_n * CONTROL_STEP_S * RACECAR.top_speed_mps,
                         RACECAR.power_max_w * CONTROL_STEP_S)  # fmt: skip
            assert energy_j(state) <= before_j + work_j + 1e-6 * before_j + 1.0
            # the distance is that from the start's place to the present one, and whole laps
            gap_m = (info["s_m"] - start_m - info["distance_m"]) % length_m
            assert min(gap_m, length_m - gap_m) < 1e-6 * length_m
            assert info["progress"] == info["distance_m"] / length_m
            seen.append(observation.tobytes())
            if terminated or truncated:
                return seen
    return seen


@settings(max_examples=40)
@given(track=st.integers(0, 3), seed=st.integers(0, 2**32 - 1), actions=ACTIONS)
def test_any_drive_on_any_circuit(track, seed, actions):
    env = env_on(track)
    assert rollout(env, seed, actions) == rollout(env, seed, actions)  # and repeats exactly


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_any_circuit_survives_its_file(seed, tmp_path):
    track = generate_track(seed, RACECAR)
    path = tmp_path / "track.csv"
    write_track(track, path)
    again = read_track(path, RACECAR)
    assert again.length_m == pytest.approx(track.length_m, rel=1e-3)
    # it is smoothed once more, so compared by the nearest point
    ours, theirs = (np.column_stack([t.x_m, t.y_m]) for t in (track, again))
    for point in ours[:: len(ours) // 50]:
        assert np.linalg.norm(theirs - point, axis=1).min() < 1.0
    assert again.width_right_m.mean() == pytest.approx(track.width_right_m.mean(), abs=0.05)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hidden=st.lists(st.integers(1, 20), max_size=3),
    seed=st.integers(0, 2**32 - 1),
    record=st.dictionaries(st.sampled_from(["made_by", "seed", "flags"]), st.text(max_size=20)),
)
def test_any_policy_survives_its_file(hidden, seed, record, tmp_path: Path):
    rng = np.random.default_rng(seed)
    sizes = [LAYOUT.size, *hidden, 2]
    pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
    weights = tuple(rng.normal(size=(b, a)).astype(np.float32) for a, b in pairs)
    biases = tuple(rng.normal(size=b).astype(np.float32) for _, b in pairs)
    policy = Policy(weights, biases, RACECAR, LAYOUT, record)
    save_policy(policy, tmp_path / "policy.safetensors")
    again = load_policy(tmp_path / "policy.safetensors")
    for ours, theirs in zip((*weights, *biases), (*again.weights, *again.biases), strict=True):
        assert ours.tobytes() == theirs.tobytes() and ours.shape == theirs.shape
    assert record.items() <= again.record.items()
