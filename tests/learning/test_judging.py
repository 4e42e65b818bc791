"""Judging a model's drivers, in an environment that needs no cars."""

import csv
import io
import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from cars import circuit_named
from models import NOBODY, new_clone, new_judge, new_model
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from racing_env.car.conditions import NOMINAL
from racing_env.common.errors import InputError
from racing_env.drivers.policy import Policy, load_policy
from racing_env.learning.algorithms.ppo import driver_of
from racing_env.learning.judging import MovingAverage, hold_back, is_finite, mean_ratio, rank


def test_rank():
    """A lap more is worth some pace, and no more than some."""
    results = [(0, None), (140, 1.01), (160, 1.05), (158, 1.03), (158, 1.02), (159, 1.018)]
    rows = [
        {"finished": finished, "lap_ratio": ratio, "circuits": 160} for finished, ratio in results
    ]
    assert sorted(rows[::2] + rows[1::2], key=rank) == rows


def test_best_driver_is_kept(tmp_path):
    results = [(0, math.nan), (3, 1.2), (3, 1.3), (4, 1.25), (3, 1.18)]
    model = new_model()
    judge = new_judge(model, tmp_path, every=16, results=results)
    kept = []

    class Look(BaseCallback):
        def _on_rollout_start(self):
            kept.append((tmp_path / "policy.safetensors").read_bytes())

        def _on_step(self):
            return True

    model.learn(64, [judge, Look()])
    kept.append((tmp_path / "policy.safetensors").read_bytes())
    assert [a == b for a, b in zip(kept[:-1], kept[1:], strict=True)] == [False, True, False, True]
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["timesteps"] for row in rows] == ["0", "16", "32", "48", "64"]
    assert rows[0]["lap_ratio"] == ""
    assert [float(row["lap_ratio"]) for row in rows[1:]] == pytest.approx([1.2, 1.3, 1.25, 1.18])
    assert [row["finished"] for row in rows] == ["0", "3", "3", "4", "3"]
    json.loads(json.dumps(judge.curve), parse_constant=pytest.fail)
    assert load_policy(tmp_path / "policy.safetensors").record["made_by"] == "test"


def slow_race(looks: int):
    """A race that is over after so many looks, each driver's laps slower than the last one's."""
    ratios = itertools.count(1.1, 0.1)

    def race(_: Policy):
        yield from [None] * looks
        yield np.full(2, 100.0 * next(ratios))
        yield np.full(2, 100.0)

    return race


@pytest.mark.parametrize(("looks", "noted_after"), [(0, 0), (2, 2), (1000, 3)])
def test_a_driver_races_while_the_model_learns(tmp_path, monkeypatch, looks, noted_after):
    """He is noted when he is home, at the latest when the next one is to race, as he began."""
    monkeypatch.setattr("racing_env.learning.judging.WAIT_S", 0.0)
    model = new_model()
    judge = new_judge(model, tmp_path, every=48, decay=0.0)
    judge.race = slow_race(looks)
    clone = driver_of(model, NOBODY).weights[0]
    noted = []

    class Look(BaseCallback):
        def _on_rollout_start(self):
            noted.append(len(judge.curve))

        def _on_step(self):
            return True

    model.learn(112, [judge, Look()])
    assert noted.index(1) == noted_after
    assert [row["timesteps"] for row in judge.curve] == [0, 48, 96, 112]
    ratios = [row["lap_ratio"] for row in judge.curve]
    assert ratios == pytest.approx([1.05, 1.1, 1.15, 1.2])
    np.testing.assert_array_equal(load_policy(tmp_path / "policy.safetensors").weights[0], clone)


def test_a_teacher_has_laps_where_a_drive_is_nominal_and_a_profile_everywhere():
    circuits = [circuit_named(name) for name in ("club", "oval", "oval")]
    conditions = [NOMINAL, NOMINAL._replace(friction=0.8), NOMINAL]
    held_back = hold_back(circuits, conditions)
    np.testing.assert_array_equal(np.isnan(held_back.teacher_s), [False, True, False])
    club, slippery, oval = held_back.profile_s
    assert club == circuits[0].lap_time_s and oval == circuits[1].lap_time_s < slippery
    assert (held_back.teacher_s > held_back.profile_s)[[0, 2]].all()
    assert len(held_back.bank.line_lap_s) == 3


def test_mean_ratio_is_of_laps_that_both_have():
    nan = math.nan
    assert mean_ratio(np.array([11.0, nan, 9.0]), np.array([10.0, 10.0, nan])) == pytest.approx(1.1)
    assert mean_ratio(np.array([nan, 1.0]), np.array([1.0, nan])) is None


def test_average_has_every_iterate_once(tmp_path):
    model = new_model()
    judge = new_judge(model, tmp_path, decay=0.9)
    iterates = [driver_of(model, NOBODY).weights[0]]

    class Look(BaseCallback):
        def _on_rollout_start(self):
            iterates.append(driver_of(self.model, NOBODY).weights[0])

        _on_training_end = _on_rollout_start

        def _on_step(self):
            return True

    model.learn(48, [judge, Look()])
    wanted = iterates[0]
    for iterate in iterates[2:]:  # the second is the first again, before an update
        wanted = wanted + 0.1 * (iterate - wanted)
    assert len(iterates) == 5
    np.testing.assert_allclose(judge.average.policy.weights[0], wanted, atol=1e-6)


def test_spoilt_weights_are_refused(tmp_path):
    model = new_model()
    judge = new_judge(model, tmp_path)
    model.learn(16, [judge])
    with torch.no_grad():
        model.policy.value_net.weight[0, 0] = math.inf
    with pytest.raises(InputError, match="weights are not finite after 16 transitions"):
        model.learn(16, [judge], reset_num_timesteps=False)


def test_a_bar_does_not_go_beyond_its_end(tmp_path):
    judge = new_judge(new_model(), tmp_path)
    judge.bar = tqdm(total=100, file=io.StringIO())
    for judge.num_timesteps in (64, 128):  # rollouts of 64
        judge._on_step()
    assert judge.bar.n == 100
    assert "100%" in str(judge.bar)


def test_moving_average_is_its_closed_form():
    clone = new_clone()

    def constant(value: float) -> Policy:
        return replace(
            clone,
            weights=tuple(np.full_like(w, value) for w in clone.weights),
            biases=tuple(np.full_like(b, value) for b in clone.biases),
        )

    average = MovingAverage(constant(1.0), decay=0.9)
    for _ in range(10):
        average.update(constant(3.0))
    for array in (*average.policy.weights, *average.policy.biases):
        np.testing.assert_allclose(array, 3.0 - 2.0 * 0.9**10, rtol=1e-5)


def test_weights_that_are_not_finite_are_seen():
    model = new_model()
    assert is_finite(model)
    parameter = model.policy.action_net[0].weight
    for value in (math.nan, math.inf):
        with torch.no_grad():
            parameter.view(-1)[0] = value
        assert not is_finite(model)
