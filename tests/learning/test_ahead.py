"""What is prepared for reinforcement learning while the stages before it are at work."""

import re

import pytest
from processes import ROOT, run_module

import train_rl
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.files import user_cache
from racing_env.learning.ahead import ONE_STEP, training_cars
from racing_env.learning.rollouts import RolloutCars
from racing_env.learning.shared_block import new_block
from racing_env.learning.training_cars import TrainingSettings
from racing_env.simulation.task import on_any_road, training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits


def test_circuits_are_in_the_cache_then(tmp_path, monkeypatch):
    monkeypatch.setenv("RACING_ENV_CACHE", str(tmp_path))
    done = run_module(
        "racing_env.learning.ahead", "--vehicle", "racecar", "--track", "oval", "club"
    )
    assert done.returncode == 0, done.stderr
    assert len([*user_cache().glob("*.npz")]) == 2
    # what train_optimized.sh waits for is among them
    assert done.stdout.split() == ["observing", "motion", "driving", "learning"]


def test_a_track_that_is_none_is_one_line():
    done = run_module("racing_env.learning.ahead", "--vehicle", "racecar", "--track", "nowhere.csv")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def test_one_that_cannot_be_made_is_one_line(tmp_path):
    track = tmp_path / "bowtie.csv"
    track.write_text("0,0,5,5\n100,0,5,5\n0,100,5,5\n100,100,5,5\n")
    done = run_module("racing_env.learning.ahead", "--vehicle", "racecar", "--track", str(track))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "bowtie" in done.stderr


def test_drivers_who_adapt_need_no_kernels_of_their_own():
    vehicle = read_vehicle("racecar")
    bank = pack_circuits(load_circuits(["oval"], vehicle))
    task = training_task(vehicle)
    cars = training_cars(bank, task)
    cars.rollout()
    compiled = cars.simulator.layout.drive, cars.simulator.layout.pull_back
    before = [kernel.signatures for kernel in compiled]
    settings = TrainingSettings(on_any_road(task), 0, ONE_STEP._replace(adapts=True))
    block = new_block(1, task.observation_layout().size, 1, settings.parameters)
    adapting = RolloutCars(bank, block, 0, settings)
    adapting.reset()
    adapting.rollout()
    assert [kernel.signatures for kernel in compiled] == before
    assert all(before)


@pytest.mark.parametrize(
    "flag, specs", [("train_on", train_rl.TRACK), ("judge_on", train_rl.JUDGE_ON)]
)
def test_the_chain_prepares_what_train_rl_takes_by_default(flag, specs):
    text = (ROOT / "train_optimized.sh").read_text()
    assert re.search(rf"\b{flag}=(\S+)", text)[1] == specs
