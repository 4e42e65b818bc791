"""What flags make of a training, without circuits; the script itself: test_train_rl.py."""

import argparse
import json

import pytest
from models import new_clone

from racing_env.common.errors import InputError
from racing_env.drivers.policy import save_policy
from racing_env.learning.adapting import adapting
from racing_env.learning.algorithms import apg
from racing_env.learning.plan import plan_training, purpose_of
from racing_env.simulation.task import on_any_road, specialist_task, training_task

FLAGS = {"policy": "clone.safetensors", "algo": "apg", "data": None, "practice": None, "seed": 3,
         "conditions": None, "timesteps": None, "learning_rate": None, "vec_env": "batch",
         "cars": None, "envs": 1, "track": ["oval"], "judge_on": ["club"]}  # fmt: skip


def asked(**flags):
    return argparse.Namespace(**FLAGS | flags)


@pytest.fixture(autouse=True)
def clone(tmp_path, monkeypatch):
    """In the file that the flags name."""
    monkeypatch.chdir(tmp_path)
    clone = new_clone()
    save_policy(clone, "clone.safetensors")
    return clone


@pytest.mark.parametrize(
    ("flags", "adapts", "purpose"),
    [
        ({}, False, "NUMBERS"),
        ({}, True, "ROAD"),
        ({"conditions": "nominal"}, False, "NUMBERS"),
        ({"conditions": "road"}, False, "ROAD"),
        ({"conditions": "road"}, True, "ROAD"),
        ({"practice": "oval"}, False, "PRACTICE"),
    ],
)
def test_the_purpose_follows_from_flags_and_driver(flags, adapts, purpose):
    assert purpose_of(asked(**flags), adapts) == purpose


def test_a_driver_who_adapts_is_not_made_to_forget(clone):
    save_policy(adapting(clone, seed=0), "clone.safetensors")
    with pytest.raises(InputError, match="clone.safetensors adapts, and would forget how"):
        plan_training(asked(conditions="nominal"))


def test_flags_replace_the_algorithm_s_numbers():
    flags = {"timesteps": 5000, "cars": 32, "learning_rate": 1e-5}
    numbers = plan_training(asked(**flags)).numbers
    assert (numbers.timesteps, numbers.cars, numbers.learning_rate_first) == (5000, 32, 1e-5)
    ratio = apg.NUMBERS.learning_rate_last / apg.NUMBERS.learning_rate_first
    assert numbers.learning_rate_last == pytest.approx(1e-5 * ratio)
    assert plan_training(asked()).numbers == apg.NUMBERS
    assert plan_training(asked(vec_env="subproc", envs=2)).numbers.cars == 2


def test_each_purpose_has_its_task(clone):
    car = clone.vehicle, clone.layout.name
    assert plan_training(asked()).task == training_task(*car)
    assert plan_training(asked(practice="oval")).task == specialist_task(*car)
    road = plan_training(asked(conditions="road"))
    assert road.task == on_any_road(training_task(*car)) and road.clone.adapts


def test_the_record_says_what_decides():
    plan = plan_training(asked(practice="oval", track=["oval"], judge_on=["oval"], envs=2))
    flags = json.loads(plan.clone.record["flags"])
    assert flags == plan.decides and plan.clone.record["made_by"] == "train_rl.py"
    assert flags["practice"] == "oval" and flags["cars"] == apg.PRACTICE.cars
    assert not flags.keys() & {"envs", "vec_env", "out"}  # which change the time alone


def test_a_checkpoint_depends_on_what_is_in_the_policy_s_file(clone):
    before = plan_training(asked()).same
    assert before == plan_training(asked(cars=64, timesteps=10)).same  # for --resume to change
    clone.weights[0][0, 0] += 1.0
    save_policy(clone, "clone.safetensors")
    changed = plan_training(asked()).same
    assert {key for key in before if before[key] != changed[key]} == {"policy"}
