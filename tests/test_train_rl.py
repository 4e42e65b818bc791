"""The script as its users start it; where nothing depends on the process, within the tests' own."""

import argparse
import contextlib
import csv
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cars import RACECAR, LaterVehicle, circuit_named, scaled
from demonstrations import write_demonstrations
from models import NOBODY
from processes import call, start
from stable_baselines3 import PPO
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train_rl
from racing_env.car import vehicle
from racing_env.common.workers import LocalPool
from racing_env.drivers.policy import Policy, load_policy, save_policy
from racing_env.laps.evaluation import Driver, drive_laps
from racing_env.learning.algorithms import apg, ppo, sac
from racing_env.learning.callbacks import LogEpisodes
from racing_env.learning.network import HIDDEN_SIZES
from racing_env.simulation import task
from racing_env.simulation.layouts import layout_named
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.rewards import RewardWeights, reward_weights
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.geometry import Track
from racing_env.tracks.reader import write_track

OVAL = ("--track", "oval", "--judge-on", "oval", "--device", "cpu", "--seed", 3)
SHORT = (*OVAL, "--timesteps", 1024)
LEAST = 8 * apg.NUMBERS.rollout_steps  # of eight cars: whole rollouts


def random_policy(*hidden: int, seed: int = 0) -> Policy:
    rng = np.random.default_rng(seed)
    sizes = [LAYOUT.size, *hidden, 2]
    return replace(
        NOBODY,
        weights=tuple(
            rng.normal(0, 0.1, (outputs, inputs)).astype(np.float32)
            for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
        ),
        biases=tuple(np.zeros(outputs, np.float32) for outputs in sizes[1:]),
    )


def change_numbers(monkeypatch, algorithm, **numbers: int) -> None:
    monkeypatch.setattr(algorithm, "NUMBERS", algorithm.NUMBERS._replace(**numbers))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """An empty current folder with a clone; the actor learns from the first transition on."""
    monkeypatch.chdir(tmp_path)
    for algorithm in (ppo, sac):
        change_numbers(monkeypatch, algorithm, warm_up=0)
    save_policy(random_policy(*HIDDEN_SIZES), "clone.safetensors")
    return tmp_path


def train(*arguments: object, out: str = "rl", policy: str = "clone.safetensors"):
    """Exit code and the lines on standard error; the progress bar's are left out."""
    argv = ["train_rl.py", "--policy", policy, "--out", out, *map(str, arguments)]
    said, error = io.StringIO(), io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", argv)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(error):
            try:
                train_rl.cli.run(train_rl.main, resumable=True)
            except SystemExit as end:
                code = end.code
    lines = [line for line in error.getvalue().splitlines() if " steps/s" not in line]
    return code, lines


def assert_refused(done, *words: str) -> None:
    code, lines = done
    assert code == 2 and len(lines) == 1 and lines[0].startswith("error: "), done
    for word in words:
        assert word in lines[0]


def saved(out: str = "rl"):
    return torch.load(Path(out, "checkpoint", "training.pt"), weights_only=True)


def strict_json(path: Path):
    return json.loads(path.read_text(), parse_constant=pytest.fail)


def test_files_of_a_run(here):
    assert train(*SHORT, "--envs", 1, "--cars", 8) == (0, [])
    summary = strict_json(here / "rl" / "summary.json")
    assert summary["algo"] == "apg" and summary["timesteps"] == LEAST and summary["envs"] == 1
    assert summary["laps_finished"] == 0 and summary["lap_ratio"] is None  # it cannot drive
    with open("rl/curve.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["timesteps"] for row in rows] == ["0", str(LEAST)]
    assert {row["lap_ratio"] for row in rows} == {""}
    events = EventAccumulator("rl/tensorboard")
    events.Reload()
    for name, number in apg.NUMBERS._replace(timesteps=1024, cars=8)._asdict().items():
        assert events.Scalars(f"numbers/{name}")[0].value == pytest.approx(number), name
    assert (here / "rl" / "learning_curve.png").stat().st_size > 10_000
    assert not list(here.glob("rl/*.npy"))
    policy = load_policy("rl/policy.safetensors")
    assert policy.record["made_by"] == "train_rl.py" and policy.record["seed"] == "3"
    # no driver finished, so the best is the first of them: the clone
    clone = load_policy("clone.safetensors")
    for ours, theirs in zip(policy.weights, clone.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not torch.equal(saved()["average"][0], torch.from_numpy(clone.weights[0]))


def test_practice_is_on_one_circuit_with_numbers_of_its_own(here, capsys):
    flags = ("--device", "cpu", "--seed", 3, "--timesteps", 1024, "--envs", 1, "--cars", 8)
    assert train("--practice", "oval", *flags) == (0, [])
    assert strict_json(here / "rl" / "summary.json")["circuits"] == train_rl.PRACTICE_JUDGES
    events = EventAccumulator("rl/tensorboard")
    events.Reload()
    numbers = apg.PRACTICE._replace(timesteps=1024, cars=8)
    assert numbers.steering_noise < apg.NUMBERS.steering_noise
    for name, number in numbers._asdict().items():
        assert events.Scalars(f"numbers/{name}")[0].value == pytest.approx(number), name
    run_record = strict_json(here / "rl" / "run.json")[-1]
    assert run_record["flags"]["practice"] == "oval"
    assert_refused(train("--practice", "club", *flags, "--resume"), "circuits.1", "rl")
    assert_refused(
        train("--practice", "oval", "--algo", "ppo", out="other"), "--algo ppo: does not serve"
    )
    assert_refused(train("--practice", "random:1:2", out="other"), "2 circuits, one is needed")


@pytest.mark.parametrize("finished", [3, 4])
def test_who_forgot_how_to_drive_is_told_of(here, capsys, finished):
    """The kept driver is as good as before; but the time since was for nothing."""
    row = {"wall_s": 1.0, "timesteps": 10, "circuits": 8, "lap_ratio": 1.0}
    flags = {"out": "rl", "algo": "apg", "practice": None, "learning_rate": 4e-4}
    (here / "rl").mkdir()
    train_rl.report(
        argparse.Namespace(**flags), [{**row, "finished": 8}, {**row, "finished": finished}],
        timesteps=10, envs=1, busy_s=1.0, running_s=1.0,
    )  # fmt: skip
    last = capsys.readouterr().out.splitlines()[-1]
    assert ("--learning-rate 0.0002" in last) == (finished < 4)


def learnt(out: str) -> list[bytes]:
    """What a run has learnt, bit by bit, and its policy file."""
    state = saved(out)
    layers = [tensor.numpy().tobytes() for tensor in state["parameters"]["policy"].values()]
    average = [tensor.numpy().tobytes() for tensor in state["average"]]
    return [*layers, *average, Path(out, "policy.safetensors").read_bytes()]


def test_the_same_twice_and_for_other_seeds_not():
    arguments = (*SHORT, "--vec-env", "dummy", "--envs", 2)
    for out in ("a", "b"):
        assert train(*arguments, out=out) == (0, [])
    assert train(*arguments, "--seed", 4, out="c") == (0, [])
    assert learnt("a") == learnt("b") != learnt("c")


@pytest.mark.parametrize("algo", ["apg", "ppo", "sac"])
def test_the_same_for_every_number_of_processes(algo):
    arguments = (*SHORT, "--algo", algo)
    assert train(*arguments, "--envs", 1, "--cars", 8, out="a") == (0, [])
    assert train(*arguments, "--envs", 2, "--cars", 8, out="b") == (0, [])
    assert learnt("a") == learnt("b")


def test_a_clock_that_goes_back_changes_nothing(monkeypatch):
    arguments = (*SHORT, "--vec-env", "dummy", "--envs", 2)
    assert train(*arguments, out="a") == (0, [])
    seconds = itertools.count(10**9, -1000)
    monkeypatch.setattr("time.time", lambda: float(next(seconds)))
    monkeypatch.setattr("time.time_ns", lambda: next(seconds) * 10**9)
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(seconds)))
    assert train(*arguments, out="b") == (0, [])
    assert learnt("a") == learnt("b")


def test_stable_baselines3_s_own_processes():
    assert train(*SHORT, "--vec-env", "subproc", "--envs", 2, out="a") == (0, [])
    assert train(*SHORT, "--vec-env", "dummy", "--envs", 2, out="b") == (0, [])
    assert learnt("a") == learnt("b")


def test_a_driver_who_sees_the_centre_line_goes_on_seeing_it(here):
    centre = layout_named("centre-preview-1", "the test")
    driver = random_policy(*HIDDEN_SIZES)
    driver.biases[-1][:] = (0.0, 0.5)  # he pulls away
    save_policy(replace(driver, layout=centre), "clone.safetensors")
    assert train(*SHORT, "--algo", "ppo", "--envs", 1, "--cars", 8) == (0, [])
    assert saved()["settings"]["task"]["layout"] == centre.name
    trained = load_policy("rl/policy.safetensors")
    assert trained.layout is centre
    done = call("evaluate.py", "--driver", "rl/policy.safetensors", "--track", "oval", "--laps", 1,
                "--json", "results.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = strict_json(here / "results.json")
    (result,) = results["results"] if isinstance(results, dict) else results
    distances = []
    for layout in (centre, LAYOUT):
        sees = Driver(lambda simulator: trained.act(simulator.observe()), layout.name)
        (lap,) = drive_laps([circuit_named("oval")], sees, laps=1)
        distances.append(pytest.approx(lap.distance_m, abs=0.1))
    assert result["distance_m"] == distances[0] != distances[1]


# ---------------------------------------------------------------- going on


def at(monkeypatch, timesteps: int, what) -> None:
    """Call what() as soon as there have been so many transitions."""

    def on_step(self):
        if self.num_timesteps >= timesteps:
            what()
        return True

    monkeypatch.setattr(LogEpisodes, "_on_step", on_step)


def interrupt(*_):
    raise KeyboardInterrupt


def curve(out: str):
    with open(Path(out, "curve.csv")) as file:
        return [{**row, "wall_s": ""} for row in csv.DictReader(file)]


@pytest.fixture
def short_rollouts(monkeypatch):
    change_numbers(monkeypatch, apg, judge_every=256, rollout_steps=32)
    change_numbers(monkeypatch, ppo, judge_every=256, rollout=256)
    change_numbers(monkeypatch, sac, judge_every=256, rollout=32, transitions_per_update=8)
    monkeypatch.setattr(train_rl, "CHECKPOINTS", 4)


SLOW_RUNS = [("ppo", "batch"), ("sac", "batch"),
             ("apg", "subproc"), ("ppo", "subproc"), ("sac", "subproc")]  # fmt: skip
RUNS = [
    *[("apg", "batch"), ("apg", "dummy"), ("ppo", "dummy"), ("sac", "dummy")],
    *[pytest.param(*run, marks=pytest.mark.slow) for run in SLOW_RUNS],
]


@pytest.mark.parametrize(("algo", "vec_env"), RUNS)
def test_resumed_is_as_never_stopped(algo, vec_env, monkeypatch, short_rollouts):
    cars = ("--envs", 1, "--cars", 8) if vec_env == "batch" else ("--envs", 8)
    if vec_env == "subproc":
        cars = ("--envs", 2)
    arguments = (*SHORT, "--algo", algo, "--vec-env", vec_env, *cars)

    def look():
        if not Path("killed").exists():  # what SIGKILL would leave
            shutil.copytree("whole", "killed")

    with monkeypatch.context() as patch:
        at(patch, 600, look)
        assert train(*arguments, out="whole") == (0, [])
    assert saved("killed")["timesteps"] < 600 < saved("whole")["timesteps"]
    assert train(*arguments, "--resume", out="killed") == (0, [])

    with monkeypatch.context() as patch:  # within a rollout
        at(patch, 600, interrupt)
        code, lines = train(*arguments, out="stopped")
    assert code == 130 and len(lines) == 1 and "--resume" in lines[0]
    assert len(curve("stopped")) > 1
    with monkeypatch.context() as patch:  # and within an update
        patch.setattr("torch.optim.Adam.step", interrupt)
        assert train(*arguments, "--resume", out="stopped")[0] == 130
    assert train(*arguments, "--resume", out="stopped") == (0, [])

    for out in ("killed", "stopped"):
        assert learnt(out) == learnt("whole")
        assert curve(out) == curve("whole")
        if algo == "sac":
            for name, values in saved("whole")["replay"].items():
                assert np.array_equal(saved(out)["replay"][name], values), name

    before = {path: path.read_bytes() for path in Path("whole").glob("*.[!j]*") if path.is_file()}
    assert train(*arguments, "--resume", out="whole") == (0, [])  # there is nothing left to do
    assert {path: path.read_bytes() for path in before} == before
    assert learnt("whole") == learnt("killed")


def test_judged_beside_the_learning_and_resumed(monkeypatch, short_rollouts):
    """Stopped while drivers race; and a process that dies while it judges is named."""
    arguments = (*SHORT, "--judge-on", "oval", "club", "--envs", 1, "--cars", 8)
    monkeypatch.setattr("racing_env.laps.races.CHUNK", 1)  # by two processes
    pools = []
    enter = LocalPool.__enter__
    monkeypatch.setattr(LocalPool, "__enter__", lambda pool: pools.append(pool) or enter(pool))
    assert train(*arguments, out="whole") == (0, [])
    assert [row["timesteps"] for row in curve("whole")] == ["0", "256", "512", "768", "1024"]

    def kill_a_judge():
        pools[-1]._crew.members[0].kill()

    for out, what, code in (("stopped", interrupt, 130), ("killed", kill_a_judge, 2)):
        with monkeypatch.context() as patch:
            at(patch, 300, what)
            found, lines = train(*arguments, out=out)
        assert found == code and len(lines) == 1
        assert train(*arguments, "--resume", out=out) == (0, [])
        assert learnt(out) == learnt("whole") and curve(out) == curve("whole")
    assert "worker process worker-0 has died, exit code -9" in lines[0]
    monkeypatch.setattr("racing_env.laps.races.CHUNK", 2)  # by the learner, in turn
    assert train(*arguments, out="turn") == (0, [])
    assert learnt("turn") == learnt("whole") and curve("turn") == curve("whole")


def test_replayed_demonstrations_go_on_too(monkeypatch, short_rollouts):
    write_demonstrations(Path("demonstrations"))
    arguments = (*SHORT, "--algo", "sac", "--data", "demonstrations", "--vec-env", "dummy",
                 "--envs", 8, "--timesteps", 256)  # fmt: skip
    assert train(*arguments, out="whole") == (0, [])
    with monkeypatch.context() as patch:
        at(patch, 100, interrupt)
        assert train(*arguments, out="stopped")[0] == 130
    assert train(*arguments, "--resume", out="stopped") == (0, [])
    assert learnt("stopped") == learnt("whole")


def test_the_kind_of_environment_may_change(monkeypatch, short_rollouts):
    with monkeypatch.context() as patch:
        at(patch, 600, interrupt)
        assert train(*SHORT, "--vec-env", "dummy", "--envs", 4)[0] == 130
    assert train(*SHORT, "--envs", 2, "--cars", 4, "--resume") == (0, [])
    assert train(*SHORT, "--envs", 1, "--cars", 4, out="whole") == (0, [])
    assert learnt("rl") == learnt("whole")


def test_another_number_of_cars_goes_on_with_new_ones(monkeypatch, short_rollouts):
    with monkeypatch.context() as patch:
        at(patch, 600, interrupt)
        assert train(*SHORT, "--envs", 1, "--cars", 8)[0] == 130
    assert saved()["timesteps"] == 512
    assert train(*SHORT, "--envs", 1, "--cars", 4, "--resume") == (0, [])
    assert saved()["timesteps"] == 1024 and len(saved()["cars"]) == 4


def test_a_replay_buffer_goes_on_with_as_many_cars_only(short_rollouts):
    arguments = (*SHORT, "--algo", "sac", "--timesteps", 64, "--envs", 1)
    assert train(*arguments, "--cars", 8) == (0, [])
    done = train(*arguments, "--cars", 4, "--resume")
    assert_refused(done, "was trained with 8 cars, asked for are 4")


def test_interrupted_before_anything_was_learnt(monkeypatch):
    arguments = (*SHORT, "--envs", 1, "--cars", 8)

    with monkeypatch.context() as patch:
        patch.setattr("racing_env.learning.judging.JudgeDrivers.begin", interrupt)
        assert train(*arguments)[0] == 130
    with monkeypatch.context() as patch:
        patch.setattr("racing_env.learning.vector_env.BatchVecEnv.reset", interrupt)
        assert train(*arguments, "--resume")[0] == 130
    assert not os.path.exists("rl/policy.safetensors")  # nor a checkpoint
    assert train(*arguments, "--resume") == (0, [])
    assert [row["timesteps"] for row in saved()["curve"]] == [0, LEAST]


def test_weights_that_are_not_finite_stop(monkeypatch):
    change_numbers(monkeypatch, ppo, rollout=256)
    monkeypatch.setattr(train_rl, "CHECKPOINTS", 4)
    learn = PPO.train

    def spoil(self):
        learn(self)
        if self.num_timesteps >= 512:
            with torch.no_grad():
                self.policy.value_net.weight[0, 0] = np.nan

    monkeypatch.setattr(PPO, "train", spoil)
    done = train(*SHORT, "--algo", "ppo", "--envs", 1, "--cars", 8)
    assert_refused(done, "not finite after 512 transitions")
    load_policy("rl/policy.safetensors")
    assert saved()["timesteps"] == 256
    assert all(torch.isfinite(v).all() for v in saved()["parameters"]["policy"].values())


def test_loss_that_is_not_finite_stops(monkeypatch):
    """Within an update torch's own check meets it first."""
    step = torch.optim.Adam.step

    def spoil(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.fill_(np.nan)
        return step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", spoil)
    assert_refused(train(*SHORT, "--envs", 1, "--cars", 8), "not finite")
    load_policy("rl/policy.safetensors")


# ---------------------------------------------------------------- processes


def session_of(process: subprocess.Popen[str]) -> dict[int, str]:
    """The processes of its session, by their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) == process.pid:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
    return found


def shared_memory_of(process: subprocess.Popen[str]) -> set[str]:
    maps = Path(f"/proc/{process.pid}/maps").read_text().split()
    return {Path(word).name for word in maps if word.startswith("/dev/shm/psm_")}


def wait_until(condition, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120.0
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_nothing_is_left(process: subprocess.Popen[str], memory: set[str]) -> None:
    deadline = time.monotonic() + 20.0
    while session_of(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not session_of(process)
    assert not memory & set(os.listdir("/dev/shm"))
    assert not list(Path("rl").glob("*.npy"))


@pytest.mark.parametrize("vec_env", ["batch", pytest.param("subproc", marks=pytest.mark.slow)])
def test_ctrl_c_and_a_killed_worker(vec_env):
    command = (
        "train_rl.py", "--policy", "clone.safetensors", "--out", "rl", *OVAL, "--timesteps", 10**7,
        "--envs", 2, "--vec-env", vec_env, *(("--cars", 4) if vec_env == "batch" else ()),
    )  # fmt: skip
    process = start(*command)
    wait_until(Path("rl/curve.csv").exists, process)
    time.sleep(0.5)
    memory = shared_memory_of(process)
    assert len(memory) == (2 if vec_env == "batch" else 0)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130 and "Traceback" not in error, error
    assert error.splitlines()[-1].startswith("interrupted")
    assert_nothing_is_left(process, memory)
    assert saved()["timesteps"] < 10**7  # none, if the first rollout was not over

    changed = Path("rl/checkpoint/training.pt").stat().st_mtime_ns
    process = start(*command, "--resume")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: len(list(Path("rl/tensorboard").iterdir())) > 1, process)
    time.sleep(0.5)
    server = next(
        pid
        for pid in map(int, children.read_text().split())
        if Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
    )
    workers = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    assert len(workers) == 2
    memory = shared_memory_of(process)
    os.kill(int(workers[-1]), signal.SIGKILL)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 2 and "Traceback" not in error, error
    assert "environment process 1" in error.splitlines()[-1]
    assert "has died, exit code -9" in error.splitlines()[-1]
    assert_nothing_is_left(process, memory)
    assert Path("rl/checkpoint/training.pt").stat().st_mtime_ns > changed


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "arguments",
    [["--timesteps", "0"], ["--envs", "x"], ["--cars", "-1"], ["--algo", "td3"],
     ["--vec-env", "none"], ["--seed", "-1"], ["--device", "tpu"], ["--envs", "1000000"],
     ["--cars", "9" * 12], ["--timesteps", "-0.5"], ["--seed", "nan"],
     ["--learning-rate", "0"], ["--learning-rate", "inf"], ["--seed", str(2**32)]],
    ids=str,
)  # fmt: skip
def test_bad_flags(arguments):
    code, lines = train(*arguments)
    assert code == 2 and arguments[0] in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--policy", "nowhere.safetensors"], "nowhere.safetensors: no such policy file"),
        (["--policy", "text.txt"], "text.txt: not a readable safetensors file"),
        (["--policy", "small.safetensors"], "small.safetensors: has layers [8, 2]"),
        (["--out", "text.txt"], "text.txt"),
        (["--out", "done"], "use --resume"),
        (["--out", ".", "--policy", "policy.safetensors", "--resume"], "lies in --out"),
        (["--vec-env", "dummy"], "--cars 2: --vec-env dummy has one car an environment"),
        (["--envs", "2"], "--envs 2: 2 cars give work to 2 processes"),
        (["--envs", "16", "--cars", "64"], "--envs 16: 64 cars give work to 16 processes"),
        (["--out", "broken", "--resume"], "training.pt: not a readable checkpoint"),
        (["--track", "nowhere"], "nowhere"),
        (["--judge-on", "nowhere"], "nowhere"),
        (["--algo", "sac", "--data", "nowhere"], "nowhere: no manifest.json"),
        (["--data", "somewhere"], "--data somewhere: --algo apg does not use demonstrations"),
        (["--practice", "oval"], "--practice oval: is the circuit to train and to be judged on"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_exit_code_2(here, arguments, word):
    (here / "text.txt").write_text("nothing\n")
    save_policy(random_policy(8), "small.safetensors")
    save_policy(random_policy(*HIDDEN_SIZES), "policy.safetensors")
    for name in ("done", "broken"):
        (here / name / "checkpoint").mkdir(parents=True)
        (here / name / "checkpoint" / "training.pt").write_bytes(b"PK\x03\x04 nothing")
    assert_refused(train(*SHORT, "--envs", 1, "--cars", 2, *arguments), word)


def test_resuming_another_training_is_refused():
    arguments = (*SHORT, "--envs", 1, "--cars", 8)
    assert train(*arguments) == (0, [])
    assert_refused(train(*arguments), "already holds a training")
    before = contents("rl")
    for flag, other, difference in (
        ("--algo", "sac", "made with algo apg, asked for is sac"),
        ("--seed", 9, "made with seed 3, asked for is 9"),
        ("--learning-rate", 1e-5, "made with learning_rate 0.0004, asked for is 1e-05"),
        ("--track", "club", "made with circuits.1.length_m "),
        ("--judge-on", "club", "made with judges.1.length_m "),
    ):
        done = train(*arguments, "--resume", flag, other)
        assert_refused(done, "training.pt: was", difference, "use the same, or another --out")
    assert contents("rl") == before


def test_seeds_that_differ_little_differ():
    arguments = (*SHORT, "--envs", 1, "--cars", 8)
    assert train(*arguments, "--seed", 20250101) == (0, [])
    assert_refused(train(*arguments, "--seed", 20250102, "--resume"), "seed 20250101")


# ---------------------------------------------------------------- contents, not names


def contents(folder: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def slip_costs_twice(scales) -> RewardWeights:
    weights = reward_weights(scales)
    return weights._replace(slip_per_s=2.0 * weights.slip_per_s)


def narrower(circuit: Circuit) -> Track:
    """Its track, by a centimetre at one place."""
    width = circuit.track.width_left_m.copy()
    width[100] -= 0.01
    return replace(circuit.track, width_left_m=width)


def test_files_that_were_changed_since_are_found_when_resuming(monkeypatch):
    """Each by what is in it, whatever it is called; and what is as it was is taken."""
    oval, club = circuit_named("oval"), circuit_named("club")
    write_track(oval.track, "to_learn.csv")
    write_track(club.track, "to_judge.csv")
    write_demonstrations(Path("demonstrations"))
    arguments = (*SHORT, "--algo", "sac", "--data", "demonstrations", "--vec-env", "dummy",
                 "--envs", 8, "--timesteps", 64, "--track", "to_learn.csv",
                 "--judge-on", "to_judge.csv")  # fmt: skip
    assert train(*arguments) == (0, [])
    before = contents("rl")

    def assert_is_found(*words: str) -> None:
        done = train(*arguments, "--resume")
        assert_refused(done, "training.pt: was made with", *words, "use the same, or another --out")
        assert contents("rl") == before

    clone = Path("clone.safetensors").read_bytes()
    save_policy(random_policy(*HIDDEN_SIZES, seed=1), "clone.safetensors")
    assert_is_found("made with policy ")
    Path("clone.safetensors").write_bytes(clone)

    for file, circuit, name in (("to_learn", oval, "circuits"), ("to_judge", club, "judges")):
        write_track(narrower(circuit), f"{file}.csv")
        assert_is_found(f"made with {name}.1.")
        write_track(circuit.track, f"{file}.csv")

    os.rename("demonstrations", "first")
    write_demonstrations(Path("demonstrations"), episodes=3)
    assert_is_found("made with data ")
    shutil.rmtree("demonstrations")

    os.rename("first", "moved")
    os.rename("clone.safetensors", "moved.safetensors")
    moved = (*arguments, "--data", "moved", "--resume")
    assert train(*moved, policy="moved.safetensors") == (0, [])


def test_other_reward_weights_are_found_when_resuming(monkeypatch):
    arguments = (*SHORT, "--envs", 1, "--cars", 8)
    assert train(*arguments) == (0, [])
    before = contents("rl")
    monkeypatch.setattr(task, "reward_weights", slip_costs_twice)
    done = train(*arguments, "--resume")
    assert_refused(done, "made with task.weights.slip_per_s 0.1, asked for is 0.2")
    assert contents("rl") == before


def test_demonstrations_of_another_pay_sight_or_car_are_refused(monkeypatch):
    """Also where a checkpoint could be gone on with: it is left as it was."""
    write_demonstrations(Path("demonstrations"))
    arguments = (*SHORT, "--algo", "sac", "--data", "demonstrations", "--vec-env", "dummy",
                 "--envs", 8, "--timesteps", 64)  # fmt: skip
    assert train(*arguments) == (0, [])
    before = contents("rl")
    with monkeypatch.context() as patch:
        patch.setattr(task, "reward_weights", slip_costs_twice)
        for out, flags in (("new", ()), ("rl", ("--resume",))):
            done = train(*arguments, *flags, out=out)
            assert_refused(done, "demonstrations: was made with weights.slip_per_s 0.1", "is 0.2")
    clone = load_policy("clone.safetensors")
    save_policy(replace(clone, layout=layout_named("centre-preview-1", "")), "centre.safetensors")
    save_policy(replace(clone, vehicle=scaled(RACECAR, 0.5)), "half.safetensors")
    for policy, word in (("centre", "layout line-preview-1"), ("half", "vehicle.mass_kg 1200")):
        done = train(*arguments, out="new", policy=f"{policy}.safetensors")
        assert_refused(done, f"demonstrations: was made with {word}", "collect it again")
    assert contents("rl") == before and not contents("new")


def test_demonstrations_without_weights_are_refused():
    manifest = write_demonstrations(Path("demonstrations")) / "manifest.json"
    record = json.loads(manifest.read_text())
    del record["task"]["weights"]
    manifest.write_text(json.dumps(record))
    done = train(*SHORT, "--algo", "sac", "--data", "demonstrations", "--envs", 1, "--cars", 8)
    assert_refused(done, "demonstrations: was made with weights None")


def test_demonstrations_from_before_the_car_had_a_field_are_taken(monkeypatch):
    write_demonstrations(Path("demonstrations"))
    monkeypatch.setattr(vehicle, "Vehicle", LaterVehicle)
    arguments = (*SHORT, "--algo", "sac", "--data", "demonstrations", "--envs", 1, "--cars", 8)
    assert load_policy("clone.safetensors").vehicle.wet_friction == 1.0
    # circuits are looked for after the demonstrations have been compared
    assert_refused(train(*arguments, "--track", "nowhere"), "track 'nowhere'")
