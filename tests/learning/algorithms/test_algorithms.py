"""What `train_rl.py` relies on, of every algorithm there is."""

import inspect
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from cars import RACECAR
from models import NOBODY, new_clone
from processes import ROOT, call

from racing_env.drivers.policy import load_policy, save_policy
from racing_env.learning import algorithms
from racing_env.learning.callbacks import LogNumbers, WarmUp
from racing_env.learning.vector_env import make_vec_env
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

CARS, ROLLOUT = 4, 64
SMALL = {
    "rollout": ROLLOUT, "rollout_steps": ROLLOUT // CARS, "transitions_per_update": 4,
    "lookahead_steps": 1, "return_steps": 4, "warm_up": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["oval"], RACECAR))


@pytest.fixture(params=algorithms.names())
def algorithm(request, monkeypatch):
    module = algorithms.load(request.param)
    small = {name: SMALL[name] for name in module.NUMBERS._fields if name in SMALL}
    monkeypatch.setattr(module, "NUMBERS", module.NUMBERS._replace(**small))
    return module


@pytest.fixture
def make_model(algorithm, bank, tmp_path):
    envs = []

    def make(numbers=None):
        settings = algorithm.training_settings(training_task(RACECAR), 0)
        env = make_vec_env("dummy", bank, CARS, CARS, settings, tmp_path)
        envs.append(env)
        return algorithm.make_model(env, 10 * ROLLOUT, 0, torch.device("cpu"), numbers=numbers)

    yield make
    for env in envs:
        env.close()


def observations(count: int = 500) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.uniform(-5, 5, (count, LAYOUT.size)).astype(np.float32)


def test_names_are_the_files():
    assert {"apg", "ppo", "sac"} <= set(algorithms.names())


def test_another_learning_rate_falls_in_proportion(algorithm, make_model):
    numbers = algorithm.NUMBERS
    assert algorithms.with_learning_rate(numbers, None) == numbers
    slow = algorithms.with_learning_rate(numbers, 0.25 * numbers.learning_rate_first)
    assert slow.learning_rate_first == 0.25 * numbers.learning_rate_first
    assert slow.learning_rate_last == pytest.approx(0.25 * numbers.learning_rate_last)
    same = {"learning_rate_first": None, "learning_rate_last": None}
    assert slow._replace(**same) == numbers._replace(**same)
    schedule = make_model(slow).lr_schedule
    assert schedule(1.0) == slow.learning_rate_first
    assert schedule(0.0) == pytest.approx(slow.learning_rate_last)


def test_protocol_is_kept(algorithm):
    for name, method in inspect.getmembers(algorithms.Algorithm, inspect.isfunction):
        if not name.startswith("_"):
            wanted = list(inspect.signature(method).parameters)[1:]
            assert list(inspect.signature(getattr(algorithm, name)).parameters) == wanted
    assert isinstance(algorithm.USES_DEMONSTRATIONS, bool)
    assert {"timesteps", "cars", "judge_every", "average_decay"} <= set(algorithm.NUMBERS._fields)
    assert all(isinstance(number, int | float) for number in algorithm.NUMBERS)


def test_before_the_first_update_the_model_acts_as_the_clone(algorithm, make_model):
    model, clone = make_model(), new_clone()
    algorithm.start_from(model, clone)
    actions, _ = model.predict(observations(), deterministic=True)
    assert np.abs(clone.act(observations())).max() > 0.9  # the squashing matters here
    np.testing.assert_allclose(actions, clone.act(observations()), rtol=0, atol=1e-5)
    driver = algorithm.driver_of(model, NOBODY)
    for weight, wanted in zip(driver.weights, clone.weights, strict=True):
        np.testing.assert_array_equal(weight, wanted)


def test_driver_is_what_was_learnt_and_a_copy(algorithm, make_model, tmp_path):
    model, clone = make_model(), new_clone()
    algorithm.start_from(model, clone)
    first = algorithm.driver_of(model, NOBODY)
    model.learn(3 * ROLLOUT, algorithm.callbacks(model))
    driver = algorithm.driver_of(model, NOBODY)
    for weight, before, now in zip(clone.weights, first.weights, driver.weights, strict=True):
        np.testing.assert_array_equal(before, weight)
        assert not np.array_equal(now, weight)
    acting = getattr(model.policy, "average_actor", model.policy)
    wanted, _ = acting.predict(observations(), deterministic=True)
    np.testing.assert_allclose(driver.act(observations()), wanted, rtol=0, atol=1e-5)
    save_policy(driver, tmp_path / "driver.safetensors")
    loaded = load_policy(tmp_path / "driver.safetensors")
    np.testing.assert_array_equal(loaded.act(observations()), driver.act(observations()))
    assert loaded.record["made_by"] == "test"


def test_other_sizes_are_refused(algorithm, make_model):
    weights, biases = np.zeros((2, LAYOUT.size), np.float32), np.zeros(2, np.float32)
    small = replace(NOBODY, weights=(weights,), biases=(biases,))
    with pytest.raises(ValueError, match="do not have the policy's sizes"):
        algorithm.start_from(make_model(), small)


def test_the_actor_warms_up_with_its_noise(algorithm, make_model, monkeypatch):
    if "warm_up" not in algorithm.NUMBERS._fields:
        pytest.skip("it has no critic")
    monkeypatch.setattr(algorithm, "NUMBERS", algorithm.NUMBERS._replace(warm_up=2 * ROLLOUT))
    model, clone = make_model(), new_clone()
    algorithm.start_from(model, clone)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    warm_up = [call for call in algorithm.callbacks(model) if isinstance(call, WarmUp)]

    def changed() -> set[str]:
        now = model.policy.state_dict()
        return {name for name, value in before.items() if not torch.equal(now[name], value)}

    model.learn(2 * ROLLOUT, warm_up)
    driver = ("actor", "average_actor", "action_net", "mlp_extractor.policy_net")
    assert changed() and not any(name.startswith(driver) for name in changed())
    model.learn(ROLLOUT, warm_up, reset_num_timesteps=False)
    now, _ = model.predict(observations(), deterministic=True)
    assert np.abs(now - clone.act(observations())).max() > 1e-5


def test_saved_and_loaded_predicts_the_same(algorithm, make_model, tmp_path):
    model = make_model()
    model.learn(2 * ROLLOUT)
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model", env=make_model().env)
    for deterministic in (True, False):
        actions = []
        for one in (model, loaded):
            torch.manual_seed(0)
            actions.append(one.predict(observations(), deterministic=deterministic)[0])
        np.testing.assert_array_equal(*actions)
    loaded.learn(ROLLOUT, reset_num_timesteps=False)
    assert loaded.num_timesteps == 3 * ROLLOUT


def test_numbers_are_shown_by_tensorboard(algorithm, make_model, tmp_path):
    from stable_baselines3.common.logger import configure
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = make_model()
    model.set_logger(configure(str(tmp_path), ["tensorboard"]))
    model.learn(ROLLOUT, LogNumbers(algorithm.NUMBERS))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    for name, number in algorithm.NUMBERS._asdict().items():
        (scalar,) = events.Scalars(f"numbers/{name}")
        assert (scalar.step, scalar.value) == (0, pytest.approx(number))


@pytest.mark.parametrize("name", algorithms.names())
def test_what_is_read_without_loading_is_what_is_loaded(name):
    module = algorithms.load(name)
    for purpose in ("NUMBERS", "ROAD", "PRACTICE"):
        if numbers := getattr(module, purpose):
            for field in ("timesteps", "cars"):
                written = algorithms.written_number(name, field, purpose)
                assert written == getattr(numbers, field), (purpose, field)
    assert module.__doc__.startswith(algorithms.summary(name) + ".")
    with pytest.raises(LookupError):
        algorithms.written_number(name, "nothing")


def test_the_script_s_help_has_the_numbers_and_loads_no_torch():
    code = (
        "import runpy, sys; sys.argv = ['train_rl.py', '--help']\n"
        "try: runpy.run_path('train_rl.py', run_name='__main__')\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    text = " ".join(done.stdout.split())
    numbers = {name: algorithms.load(name).NUMBERS for name in algorithms.names()}
    millions = ", ".join(f"{name} {number.timesteps / 1e6:g}" for name, number in numbers.items())
    assert f"transitions (millions: {millions}; " in text
    practice = algorithms.load("apg").PRACTICE.timesteps
    assert f"--practice: {practice / 1e6:g})" in text
    cars = ", ".join(f"{name} {number.cars}" for name, number in numbers.items())
    assert f"in all ({cars})" in text
    rates = ", ".join(f"{name} {one.learning_rate_first:g}" for name, one in numbers.items())
    assert f"forgets how to drive ({rates})" in text
    assert text.endswith("False")


def test_the_example_of_the_documentation_learns(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    found = re.findall(
        r'^```python\n("""stable-baselines3.s A2C.*?)^```$', page, re.MULTILINE | re.DOTALL
    )
    (program,) = found
    folder = tmp_path / "algorithms"
    shutil.copytree(algorithms.__path__[0], folder)
    (folder / "a2c.py").write_text(program, encoding="utf-8")
    monkeypatch.setattr(algorithms, "__path__", [str(folder)])
    monkeypatch.delitem(sys.modules, "racing_env.learning.algorithms.a2c", raising=False)
    flags = "--algo a2c --timesteps 2048 --cars 16 --envs 1 --track oval --judge-on oval"
    clone = ROOT / "policies" / "racecar-nominal.safetensors"
    done = call("train_rl.py", *flags.split(), "--policy", clone, "--out", tmp_path / "rl")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "rl" / "curve.csv").read_text().splitlines()) == 3
