"""Checkpoints of a small training; that a resumed one is as never stopped is tested by the script's
own tests."""

import math

import numpy as np
import pytest
import torch
from cars import RACECAR, LaterVehicle
from gymnasium import spaces
from models import new_judge
from stable_baselines3.common.buffers import ReplayBuffer

from racing_env.car import vehicle
from racing_env.common.errors import InputError
from racing_env.learning.algorithms import ppo
from racing_env.learning.checkpoint_file import load_checkpoint, save_checkpoint
from racing_env.learning.checkpoints import (
    REPLAY_ARRAYS,
    Checkpoints,
    buffer_state,
    copied,
    random_state,
    restore,
    restore_buffer,
    set_random_state,
)
from racing_env.learning.shared_block import SNAPSHOT_SIZE
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import make_vec_env
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

CPU = torch.device("cpu")
SETTINGS = {"algo": "ppo"}


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["oval"], RACECAR))


@pytest.fixture
def new_model(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(ppo, "NUMBERS", ppo.NUMBERS._replace(rollout=16))

    def make(seed: int = 0):
        env = make_vec_env(
            "dummy", bank, 2, 1, TrainingSettings(training_task(RACECAR), seed), tmp_path
        )
        return ppo.make_model(env, 64, seed, CPU)

    return make


def test_saved_and_restored(new_model, tmp_path):
    path = tmp_path / "checkpoint" / "training.pt"
    model = new_model()
    judge = new_judge(model, tmp_path)
    saves = []

    class Counted(Checkpoints):
        def save(self):
            saves.append(self.state["timesteps"])
            super().save()

    checkpoints = Counted(path, 32, judge, SETTINGS)
    model.learn(80, [judge, checkpoints])
    assert saves == [32, 64]
    checkpoints.save()

    other = new_model(seed=1)
    new = new_judge(other, tmp_path)
    state = load_checkpoint(path, SETTINGS, CPU)
    restore(other, new, state)
    assert other.num_timesteps == 80 and new.curve == judge.curve and new.earlier_s > 0.0
    for name, value in model.policy.state_dict().items():
        assert torch.equal(other.policy.state_dict()[name], value)
    ours, theirs = (m.policy.optimizer.state_dict() for m in (model, other))
    for i, kept in ours["state"].items():
        assert all(torch.equal(theirs["state"][i][name], kept[name]) for name in kept)
    for mean, wanted in zip(new.average.arrays, judge.average.arrays, strict=True):
        np.testing.assert_array_equal(mean, wanted)
    assert state["cars"].shape == (2, SNAPSHOT_SIZE)
    np.testing.assert_array_equal(other._last_obs, model._last_obs)
    np.testing.assert_array_equal(
        np.concatenate(other.env.env_method("snapshot")),
        np.concatenate(model.env.env_method("snapshot")),
    )


def test_who_is_being_judged_races_again(new_model, tmp_path):
    model = new_model()
    judge = new_judge(model, tmp_path)
    judge.race = lambda _: iter([None] * 3)  # not over when the copy is made
    checkpoints = Checkpoints(tmp_path / "training.pt", 16, judge, SETTINGS)
    checkpoints._on_training_end = lambda: None
    judge._on_training_end = lambda: None
    model.learn(32, [judge, checkpoints])
    other = new_model(seed=1)
    new = new_judge(other, tmp_path, results=[(4, 1.5)])
    restore(other, new, load_checkpoint(tmp_path / "training.pt", SETTINGS, CPU))
    assert new.racer.timesteps == 0 and not new.curve
    for ours, theirs in zip(new.racer.arrays, judge.racer.arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other.learn(0, [new], reset_num_timesteps=False)
    assert [(row["timesteps"], row["finished"]) for row in new.curve] == [(0, 4), (16, 0)]


def test_nothing_before_the_first_rollout(new_model, tmp_path):
    model = new_model()
    checkpoints = Checkpoints(tmp_path / "training.pt", 32, new_judge(model, tmp_path), SETTINGS)
    checkpoints.save()
    assert not (tmp_path / "training.pt").exists()


def test_nothing_spoilt_is_kept(new_model, tmp_path):
    model = new_model()
    judge = new_judge(model, tmp_path)
    checkpoints = Checkpoints(tmp_path / "training.pt", 32, judge, SETTINGS)
    model.learn(16, [judge, checkpoints])
    with torch.no_grad():
        model.policy.value_net.weight[0, 0] = math.inf
    with pytest.raises(InputError, match="not finite"):
        model.learn(16, [judge, checkpoints], reset_num_timesteps=False)
    kept = checkpoints.state["parameters"]["policy"].values()
    assert all(torch.isfinite(value).all() for value in kept)


def test_what_does_not_fit_is_refused(new_model, tmp_path):
    model = new_model()
    judge = new_judge(model, tmp_path, every=16)
    judge.driver_of = ppo.driver_of
    checkpoints = Checkpoints(tmp_path / "training.pt", 32, judge, SETTINGS)
    model.learn(16, [judge, checkpoints])
    for name in set(checkpoints.state) - {"settings"}:
        less = {key: value for key, value in checkpoints.state.items() if key != name}
        with pytest.raises(InputError, match="does not fit this program"):
            restore(model, judge, less)


def made_with(car, **others) -> dict:
    return {"vehicle": car._asdict(), "policy": "ab12", "circuits": [["club", 2000.0]]} | others


def test_what_a_checkpoint_was_made_with_is_compared(tmp_path):
    path = tmp_path / "training.pt"
    save_checkpoint(path, {"settings": made_with(RACECAR), "timesteps": 3})
    assert load_checkpoint(path, made_with(RACECAR), CPU)["timesteps"] == 3
    heavier = RACECAR._replace(mass_kg=1201.0)
    for wanted, words in (
        (made_with(heavier), "vehicle.mass_kg 1200.0, asked for is 1201.0"),
        (made_with(RACECAR, policy="cd34"), "policy ab12, asked for is cd34"),
        (made_with(RACECAR, circuits=[["club", 2000.1]]), r"circuits.1.2 2000.0, .* 2000.1"),
        (made_with(RACECAR, data="ef56"), "data nothing, asked for is ef56"),
    ):
        with pytest.raises(InputError, match=rf"training.pt: was made with {words}"):
            load_checkpoint(path, wanted, CPU)


def test_one_from_before_the_car_had_a_field_is_read(tmp_path, monkeypatch):
    """If the field's default leaves the car as it was, and it has that value now."""
    path = tmp_path / "training.pt"
    save_checkpoint(path, {"settings": made_with(RACECAR), "timesteps": 3})
    monkeypatch.setattr(vehicle, "Vehicle", LaterVehicle)
    assert load_checkpoint(path, made_with(LaterVehicle(*RACECAR)), CPU)["timesteps"] == 3
    with pytest.raises(InputError, match="vehicle.wet_friction 1.0, asked for is 0.9"):
        load_checkpoint(path, made_with(LaterVehicle(*RACECAR, wet_friction=0.9)), CPU)


def test_a_copy_shares_no_tensor():
    tensor = torch.ones(2, requires_grad=True)
    value = {"state": {0: tensor}, "groups": [{"betas": (0.9, 0.99), "params": [tensor]}]}
    copy = copied(value)
    with torch.no_grad():
        tensor.zero_()
    assert copy["groups"][0]["betas"] == (0.9, 0.99)
    for kept in (copy["state"][0], *copy["groups"][0]["params"]):
        assert torch.equal(kept, torch.ones(2)) and not kept.requires_grad


def test_random_state():
    state = random_state(CPU)
    wanted = torch.randn(3), np.random.standard_normal(3)  # noqa: NPY002
    assert not torch.equal(torch.randn(3), wanted[0])
    set_random_state(state, CPU)
    assert torch.equal(torch.randn(3), wanted[0])
    np.testing.assert_array_equal(np.random.standard_normal(3), wanted[1])  # noqa: NPY002


SPACES = (
    spaces.Box(-5, 5, (LAYOUT.size,), np.float32),
    spaces.Box(-1, 1, (2,), np.float32),
)


def filled(size: int, count: int) -> ReplayBuffer:
    buffer = ReplayBuffer(size, *SPACES, device="cpu", n_envs=2)
    for i in range(count):
        seen = np.full((2, LAYOUT.size), i, np.float32)
        ends = [{"TimeLimit.truncated": i % 5 == 0}] * 2
        buffer.add(seen, seen + 1, np.full((2, 2), i), np.full(2, i), np.full(2, i % 5 == 0), ends)
    return buffer


@pytest.mark.parametrize("count", [0, 1, 9, 10, 13, 27])
@pytest.mark.parametrize("size", [20, 30, 10])
def test_replay_buffer_saved_and_restored(count, size):
    before, after = filled(20, count), ReplayBuffer(size, *SPACES, device="cpu", n_envs=2)
    restore_buffer(after, buffer_state(before))
    assert after.size() == min(count, 10, size // 2)
    for other in (before, after):  # the next goes behind the newest
        other.add(*[np.full((2, LAYOUT.size), 50.0)] * 2, np.zeros((2, 2)), np.ones(2),
                  np.ones(2), [{}] * 2)  # fmt: skip
    wanted, found = buffer_state(before), buffer_state(after)
    for name in REPLAY_ARRAYS:
        rows = min(len(wanted[name]), len(found[name]))
        new, old = (torch.roll(state[name], -state["pos"], 0) for state in (found, wanted))
        torch.testing.assert_close(new[-rows:], old[-rows:], rtol=0, atol=0)
    if size == 20:
        assert before.pos == after.pos  # SB3 draws row numbers
