"""The four tasks: their numbers for the racecar, their scales for another car, and their record."""

import json

import pytest
from cars import RACECAR, scaled

from racing_env.car.conditions import ROAD, ConditionRanges, Range
from racing_env.simulation import layouts
from racing_env.simulation.rewards import RewardWeights
from racing_env.simulation.starts import Starts
from racing_env.simulation.task import (
    ROAD_STEERING_PER_S,
    Task,
    completed_data_record,
    demonstration_task,
    on_any_road,
    practice_task,
    racing_task,
    specialist_task,
    training_task,
)

TASKS = (racing_task, practice_task, demonstration_task, training_task)
every_task = pytest.mark.parametrize("task_for", TASKS, ids=lambda task: task.__name__)
WEIGHTS = RewardWeights(0.1, 0.5, 0.4, 0.1, 0.09, 0.09, 0.0, 1.0)
NOWHERE_BACK = {"retry_share": 0.0, "least_retry_back_m": 0.0, "largest_retry_back_m": 0.0,
                "tight_share": 0.0}  # fmt: skip


@every_task
def test_what_all_tasks_of_the_racecar_have(task_for):
    task = task_for(RACECAR)
    assert task.layout == layouts.DEFAULT == "line-preview-1"
    assert task.control_step_s == 0.05
    assert task.weights == WEIGHTS == RewardWeights()


def test_the_racecars_races():
    task = racing_task(RACECAR)
    assert task.run_off_m == 0.0 and task.time_limit_s is None
    assert task.starts.at_the_line and task.starts.standing_share == 1.0
    assert (task.starts.offset_m, task.starts.heading_rad) == (0.0, 0.0)


def test_the_racecars_practice():
    task = practice_task(RACECAR)
    assert task.run_off_m == 0.0 and task.time_limit_s == 200.0
    assert task.starts == Starts(False, 0.0, 0.4, 0.9, 0.0, 0.0, **NOWHERE_BACK)


def test_the_racecars_demonstrations():
    task = demonstration_task(RACECAR)
    assert task.run_off_m == 0.0 and task.time_limit_s == 200.0
    assert task.starts == Starts(False, 0.1, 0.6, 0.95, 0.6, 0.04, **NOWHERE_BACK)


def test_the_racecars_training():
    task = training_task(RACECAR)
    assert task.run_off_m == 2.0 and task.time_limit_s == 40.0
    assert task.starts == Starts(False, 0.1, 0.6, 0.95, 0.6, 0.04, 0.4, 60.0, 220.0, 0.3)


@every_task
def test_another_cars_numbers_are_to_its_scale(task_for):
    ours, model = task_for(RACECAR), task_for(scaled(RACECAR, 0.25))
    assert model.control_step_s == 0.5 * ours.control_step_s
    assert model.run_off_m == 0.25 * ours.run_off_m
    if ours.time_limit_s is not None:
        assert model.time_limit_s == 0.5 * ours.time_limit_s
    lengths = ("offset_m", "least_retry_back_m", "largest_retry_back_m")
    assert model.starts == ours.starts._replace(
        **{name: 0.25 * getattr(ours.starts, name) for name in lengths}
    )
    assert model.weights.border_zone_m == 0.25 * ours.weights.border_zone_m
    assert model.weights.end == ours.weights.end


@every_task
def test_the_record_survives_json(task_for):
    task = task_for(RACECAR, "centre-preview-1")
    record = task.record()
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record
    parts = {
        "starts": Starts(**again["starts"]),
        "weights": RewardWeights(**again["weights"]),
        "conditions": ConditionRanges(*(Range(*r) for r in again["conditions"].values())),
    }
    rebuilt = Task(vehicle=RACECAR, **again | parts)
    assert rebuilt == task


def test_a_term_that_is_younger_than_a_data_set_is_one_that_paid_nothing():
    record = training_task(RACECAR).record()
    del record["weights"]["steering_per_s"]
    assert completed_data_record(record) == training_task(RACECAR).record()
    del record["weights"]["slip_per_s"]
    assert "slip_per_s" not in completed_data_record(record)["weights"]


def test_any_road_is_learnt_beyond_its_ends_and_from_standing_starts():
    task, road = training_task(RACECAR), on_any_road(training_task(RACECAR))
    assert road.starts.standing_share > task.starts.standing_share
    for learnt, asked in zip(road.conditions, ROAD, strict=True):
        assert learnt.least <= asked.least and learnt.most >= asked.most
    assert road.weights.slip_per_s > task.weights.slip_per_s
    assert road.weights.border_per_s > task.weights.border_per_s
    given = road._replace(conditions=task.conditions, starts=task.starts, weights=task.weights)
    assert given == task


def test_steering_costs_a_driver_whose_car_swings():
    """The more, the less damped it is; another size of the same car is paid as that is."""
    softer = RACECAR._replace(tyre_b_front=0.9 * RACECAR.tyre_b_front)
    softest = RACECAR._replace(tyre_b_front=0.8 * RACECAR.tyre_b_front)
    costs = [
        on_any_road(training_task(vehicle)).weights.steering_per_s
        for vehicle in (RACECAR, softer, softest, scaled(softest, 0.25))
    ]
    assert costs[0] == 0.0 < costs[1] < costs[2] < ROAD_STEERING_PER_S
    assert costs[3] == pytest.approx(2.0 * costs[2])
    assert training_task(softest).weights.steering_per_s == 0.0


def test_a_specialist_may_come_nearer_to_border_and_limit():
    weights, usual = specialist_task(RACECAR).weights, training_task(RACECAR).weights
    assert 0.0 < weights.border_zone_m < usual.border_zone_m
    assert 0.0 < weights.border_per_s < usual.border_per_s and weights.slip_per_s == 0.0
    small, ours = specialist_task(scaled(RACECAR, 0.25)), specialist_task(RACECAR)
    assert small.weights.border_zone_m == 0.25 * ours.weights.border_zone_m
