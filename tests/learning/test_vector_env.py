import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cars import RACECAR
from processes import ROOT
from stable_baselines3 import PPO

from racing_env.common.errors import InputError
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import BatchVecEnv, make_vec_env
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

TASK = training_task(RACECAR)._replace(time_limit_s=6.0)
SETTINGS = TrainingSettings(TASK, seed=2)
LIMIT_STEPS = round(TASK.time_limit_s / TASK.control_step_s)


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


@pytest.fixture
def opened(bank, tmp_path):
    """Makes environments that are closed after the test; checks that nothing is left of them."""
    envs: list[BatchVecEnv] = []
    names: list[str] = []

    def open_env(processes: int, cars: int, settings=SETTINGS) -> BatchVecEnv:
        envs.append(BatchVecEnv(bank, processes, cars, settings, tmp_path))
        names.extend(memory.name for memory in envs[-1]._memories)
        return envs[-1]

    yield open_env
    for env in envs:
        env.close()
    assert not set(names) & set(os.listdir("/dev/shm"))
    assert not multiprocessing.active_children()
    assert not list(tmp_path.glob("*.npy"))


def drive(env, steps: int):
    """Observations, rewards, dones and infos of some steps with random actions."""
    rng = np.random.default_rng(0)
    seen: list[Any] = [
        (env.reset(), np.zeros(env.num_envs), np.zeros(env.num_envs), [{}] * env.num_envs)
    ]
    for _ in range(steps):
        actions = rng.uniform(-1, 1, (env.num_envs, 2)).astype(np.float32) * (0.3, 1.0)
        seen.append(env.step(actions))
    observations, rewards, dones, infos = zip(*seen, strict=True)
    return np.array(observations), np.array(rewards), np.array(dones), infos


def test_the_same_for_every_number_of_processes(opened):
    runs = [drive(opened(*size), 300) for size in [(1, 6), (2, 6), (5, 6)]]
    assert runs[0][2].sum() > 6
    for run in runs[1:]:
        for ours, theirs in zip(runs[0][:3], run[:3], strict=True):
            assert ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()
        for our_infos, their_infos in zip(runs[0][3], run[3], strict=True):
            assert [i.get("episode") for i in our_infos] == [i.get("episode") for i in their_infos]


@pytest.mark.parametrize("kind", ["dummy", "subproc"])
def test_the_same_as_stable_baselines3_s_own(opened, bank, tmp_path, kind):
    batch = drive(opened(1, 2), 150)
    env = make_vec_env(kind, bank, 1 if kind == "batch" else 2, 2, SETTINGS, tmp_path)
    other = drive(env, 150)
    env.close()
    assert batch[2].any()
    for ours, theirs in zip(batch[:3], other[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_ends_are_reported_as_stable_baselines3_expects(opened):
    env = opened(1, 6)
    observations, _, dones, infos = drive(env, 200)
    ended = list(zip(*np.nonzero(dones), strict=True))
    assert {infos[step][car]["TimeLimit.truncated"] for step, car in ended} == {True, False}
    for step, car in ended:
        info = infos[step][car]
        last = info["terminal_observation"]
        assert last.shape == (LAYOUT.size,) and last.dtype == np.float32
        assert not np.array_equal(last, observations[step, car])
        episode = info["episode"]
        assert set(episode) == {"r", "l", *REWARD_TERMS}
        assert episode["r"] == pytest.approx(sum(episode[term] for term in REWARD_TERMS))
        assert 1 <= episode["l"] <= LIMIT_STEPS
        if info["TimeLimit.truncated"]:
            assert episode["l"] == LIMIT_STEPS
    assert all(not infos[s][c] for s in range(len(dones)) for c in range(6) if not dones[s, c])


def test_results_are_not_overwritten_by_the_next_step(opened):
    env = opened(1, 2)
    first = env.reset()
    kept = first.copy()
    env.step(np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(first, kept)


def test_contract_of_a_vec_env(opened):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = opened(2, 4)
    assert env.num_envs == 4 and env.reset().shape == (4, LAYOUT.size)
    assert env.observation_space.contains(env.reset()[0])
    assert env.get_attr("render_mode") == [None] * 4
    assert env.get_attr("settings", indices=[1, 3]) == [SETTINGS] * 2
    assert env.env_is_wrapped(object) == [False] * 4
    assert env.unwrapped is env
    with pytest.raises(NotImplementedError):
        env.env_method("anything")
    with pytest.raises(NotImplementedError):
        env.set_attr("anything", 1)
    with pytest.raises(AttributeError):
        env.get_attr("no_such_thing")


def test_a_seed_decides_the_episodes_that_follow(opened, bank, tmp_path):
    """In every kind of environment the same ones."""
    batch = opened(2, 4)
    dummy = make_vec_env("dummy", bank, 4, 4, SETTINGS._replace(seed=9), tmp_path)
    runs = []
    for env in (batch, dummy):
        seen = []
        for seed in (5, None, 5, 2):
            if seed is not None:
                env.seed(seed)
            seen.append(env.reset())
        runs.append(seen)
    dummy.close()
    for ours, theirs in zip(*runs, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    five, another, five_again, two = runs[0]
    np.testing.assert_array_equal(five, five_again)
    assert (five != another).any(axis=1).all() and (five != two).any(axis=1).all()
    env = make_vec_env("dummy", bank, 4, 4, SETTINGS._replace(seed=5), tmp_path)
    np.testing.assert_array_equal(env.reset(), five)  # a run's own seed
    env.close()


@pytest.mark.parametrize("kind", ["dummy", "subproc"])
def test_snapshots_are_those_of_a_batch(opened, bank, tmp_path, kind):
    batch = opened(1, 2)
    other = make_vec_env(kind, bank, 2, 2, SETTINGS, tmp_path)
    for env in (batch, other):
        drive(env, 7)
    kept, actions, seen = batch.snapshots(), np.zeros((2, 2), np.float32), batch.observations
    np.testing.assert_array_equal(kept, other.snapshots())
    wanted = batch.step(actions)[0]
    other.step(np.ones((2, 2), np.float32))
    other.restore(kept)
    np.testing.assert_array_equal(other.observations, seen)
    np.testing.assert_array_equal(other.step(actions)[0], wanted)
    other.close()


def test_ppo_learns_on_it(opened):
    env = opened(2, 4)
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=64, n_epochs=1, device="cpu")
    model.learn(256)
    assert model.num_timesteps == 256
    assert model.ep_info_buffer


def test_killed_worker_is_named(opened):
    env = opened(2, 4)
    env.reset()
    os.kill(env._workers[1].pid, signal.SIGKILL)
    with pytest.raises(ChildProcessError, match=r"process 1 \(cars-1\) has died, exit code -9"):
        for _ in range(3):
            env.step(np.zeros((4, 2), np.float32))


def test_worker_killed_before_the_first_reset_is_named(opened):
    env = opened(1, 2)
    os.kill(env._workers[0].pid, signal.SIGKILL)
    env._workers[0].join()
    with pytest.raises(ChildProcessError, match="process 0 .* exit code -9"):
        env.reset()


def test_action_that_is_not_finite_ends_the_worker_not_the_wait(opened):
    env = opened(1, 2)
    env.reset()
    with pytest.raises(ChildProcessError, match="exit code 1"):
        env.step(np.array([[np.nan, 0.0], [0.0, 0.0]], np.float32))


def test_action_of_the_learner_s_own_car_that_is_not_finite(opened):
    env = opened(1, 2)
    env.reset()
    with pytest.raises(InputError, match="two finite numbers"):
        env.step(np.array([[0.0, 0.0], [np.nan, 0.0]], np.float32))


def test_a_car_for_each_process(opened):
    with pytest.raises(ValueError, match="2 cars are too few"):
        opened(2, 2)


def test_close_twice_and_within_a_step(opened):
    env = opened(2, 4)
    env.reset()
    env.step_async(np.zeros((4, 2), np.float32))
    env.close()
    env.close()


PROGRAM = """
import sys
from pathlib import Path
from racing_env.car.vehicle_files import read_vehicle
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import BatchVecEnv
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

if __name__ == "__main__":
    vehicle = read_vehicle("racecar")
    bank = pack_circuits(load_circuits(["oval"], vehicle))
    env = BatchVecEnv(bank, 2, 4, TrainingSettings(training_task(vehicle)), sys.argv[1])
    env.reset()
    for worker in env._workers[: int(sys.argv[2])]:
        print(Path(f"/proc/{worker.pid}/maps").read_text())
    env.close()
"""


def run_program(scratch: Path, workers_shown: int) -> subprocess.CompletedProcess[str]:
    """The program, which prints what so many of its workers have loaded."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, scratch, str(workers_shown)],
        capture_output=True, text=True, timeout=300, cwd=ROOT,
    )  # fmt: skip


def test_nothing_is_said_at_the_end_of_a_program(tmp_path):
    """No warning of leaked shared memory from multiprocessing's resource tracker."""
    done = run_program(tmp_path / "scratch", 0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_workers_do_not_load_torch(tmp_path):
    """In a program of its own: other tests' workers, which share this process's server, do."""
    done = run_program(tmp_path / "scratch", 2)
    assert done.returncode == 0, done.stderr
    assert "numba" in done.stdout and "libtorch" not in done.stdout
