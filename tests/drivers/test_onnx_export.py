import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="exports need the extra: requirements-export.txt")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="exports need the extra: requirements-export.txt"
)

from adapting import adapting_policy, random_drive  # noqa: E402 - after the skips
from cars import RACECAR, scaled  # noqa: E402
from processes import ROOT, call  # noqa: E402

from racing_env.car import dynamics as dyn  # noqa: E402
from racing_env.common.errors import InputError  # noqa: E402
from racing_env.drivers import onnx_export  # noqa: E402
from racing_env.drivers.onnx_export import (  # noqa: E402
    DRIVE_STEPS,
    TOLERANCE,
    largest_difference,
    memory_difference,
    write_onnx,
)
from racing_env.drivers.policy import Policy, load_policy, save_policy  # noqa: E402
from racing_env.environment import RaceEnv  # noqa: E402
from racing_env.simulation.adaptation import MEMORY, SUMS, WEIGHTS  # noqa: E402
from racing_env.simulation.layout import SCALE  # noqa: E402
from racing_env.simulation.layouts.line_preview import LAYOUT  # noqa: E402

SHIPPED = ROOT / "policies" / "racecar-nominal.safetensors"


def driven_observations(steps: int = 300) -> np.ndarray:
    """What the shipped driver sees at the start of a lap, (steps, 1, size)."""
    driver, env = load_policy(SHIPPED), RaceEnv("oval", vehicle=RACECAR)
    seen = [env.reset(seed=0)[0]]
    for _ in range(steps):
        observation, _, terminated, truncated, _ = env.step(driver.act(seen[-1]))
        assert not (terminated or truncated)
        seen.append(observation)
    return np.array(seen)[:, None]


def metadata_of(path) -> dict[str, str]:
    return onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map


@pytest.mark.parametrize("si_units", [False, True])
def test_the_exported_driver_acts_as_the_policy_does(tmp_path, si_units):
    driver = load_policy(SHIPPED)
    write_onnx(driver, tmp_path / "driver.onnx", si_units)
    seen = driven_observations()
    assert largest_difference(tmp_path / "driver.onnx", driver, seen) < TOLERANCE == 1e-5


@pytest.mark.parametrize("si_units", [False, True])
def test_who_adapts_is_exported_with_a_memory(tmp_path, si_units):
    """Compared along whole drives, random ones and real ones, cars together and alone."""
    driver, path = adapting_policy(), tmp_path / "driver.onnx"
    assert write_onnx(driver, path, si_units) < TOLERANCE and DRIVE_STEPS >= 200
    assert largest_difference(path, driver, random_drive(250, 7, seed=3)) < TOLERANCE
    assert largest_difference(path, driver, driven_observations()) < TOLERANCE
    memory = json.loads(metadata_of(path)["memory"])
    assert memory["shape"] == ["n", MEMORY] and len(set(memory["columns"])) == MEMORY
    assert memory["columns"][SUMS] == "evidence of friction"
    assert memory["columns"][WEIGHTS] == "information on friction"
    assert memory["columns"][WEIGHTS + 1] == "information on mass and friction"
    assert memory["columns"][-1] == "pedals, 3 steps ago"


def test_an_exported_memory_goes_along_with_the_drivers(tmp_path):
    """Each carries its own through a real drive."""
    driver, path = adapting_policy(), tmp_path / "driver.onnx"
    write_onnx(driver, path)
    session = onnxruntime.InferenceSession(path)
    shapes = {value.name: value.shape for value in session.get_inputs() + session.get_outputs()}
    assert shapes["memory"] == shapes["memory_out"] == ["n", MEMORY]
    ours, theirs = driver.new_memory(1), driver.new_memory(1)
    for seen in driven_observations():
        action, theirs = session.run(None, {"observation": seen, "memory": theirs})
        np.testing.assert_allclose(action, driver.act(seen, ours), rtol=0, atol=1e-5)
    assert memory_difference(theirs, ours) < TOLERANCE
    assert (theirs[:, WEIGHTS] > 0.0).all()


def test_a_memory_that_fades_otherwise_is_noticed(tmp_path):
    """A thousandth a step, of which the first actions show nothing."""
    driver, path = adapting_policy(), tmp_path / "driver.onnx"
    other = replace(driver)
    vars(other)["adaptation"] = driver.adaptation._replace(keep=driver.adaptation.keep - 1e-3)
    write_onnx(other, path)
    assert largest_difference(path, driver, random_drive(250, 3)) > TOLERANCE


def test_who_does_not_adapt_is_exported_without_a_memory(tmp_path):
    """And twice to the same bytes."""
    driver = load_policy(SHIPPED)
    for name in ("one.onnx", "two.onnx"):
        write_onnx(load_policy(SHIPPED), tmp_path / name)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx")
    assert [value.name for value in session.get_inputs()] == ["observation"]
    assert [value.name for value in session.get_outputs()] == ["action"]
    assert "memory" not in metadata_of(tmp_path / "one.onnx") and not driver.adapts


def test_scales_are_those_of_the_observation():
    env = RaceEnv("club", vehicle=RACECAR)
    env.reset(seed=3)
    for _ in range(20):
        seen, *_, info = env.step(np.array([0.1, 0.6]))
    scales = LAYOUT.limits(RACECAR)[:, SCALE]
    values = dict(zip([q.name for q in LAYOUT.quantities], seen * scales, strict=True))
    state = env.simulator.state[:, 0]
    assert len(values) == LAYOUT.size
    for name, row in {
        "vx_mps": dyn.VX, "vy_mps": dyn.VY, "yaw_rate_radps": dyn.YAW_RATE, "steer_rad": dyn.STEER,
        "drive_n": dyn.DRIVE, "ax_mps2": dyn.AX, "ay_mps2": dyn.AY,
    }.items():  # fmt: skip
        assert values[name] == pytest.approx(state[row], rel=1e-5), name
    front, rear = dyn.axle_slips(env.simulator.state, 0, RACECAR)
    assert values["front_slip_rad"] == pytest.approx(front, rel=1e-4)
    assert values["rear_slip_rad"] == pytest.approx(rear, rel=1e-4)
    station = int(info["s_m"] / env.circuit.track.step_m)
    fraction = info["s_m"] / env.circuit.track.step_m - station
    speed, kappa, offset = (
        (1.0 - fraction) * line[station] + fraction * line[station + 1]
        for line in (
            env.circuit.line_speed_mps, env.circuit.line_kappa_radpm, env.circuit.line_offset_m,
        )
    )  # fmt: skip
    assert values["profile_minus_speed_mps"] == pytest.approx(speed - state[dyn.VX], rel=1e-3)
    assert values["line_kappa_radpm"] == pytest.approx(kappa, rel=1e-2, abs=1e-5)
    assert values["line_offset_m"] == pytest.approx(info["offset_m"] - offset, rel=1e-3, abs=1e-4)


def test_values_outside_the_range_are_clipped_as_the_environment_does(tmp_path):
    weights = np.zeros((2, LAYOUT.size), np.float32)
    weights[0, 0] = weights[1, 12] = 0.1  # speed; room to the left, which 4 m limit
    driver = Policy((weights,), (np.zeros(2, np.float32),), RACECAR, LAYOUT, {})
    write_onnx(driver, tmp_path / "driver.onnx", si_units=True)
    session = onnxruntime.InferenceSession(tmp_path / "driver.onnx")
    seen = np.zeros((1, LAYOUT.size), np.float32)
    seen[0, 0], seen[0, 12] = 1e6, 30.0
    action = session.run(None, {"observation": seen})[0]
    np.testing.assert_allclose(action, np.tanh([[0.5, 0.2]]), rtol=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["inputs_are"] == "SI units"
    assert json.loads(metadata["inputs"]) == [q.name for q in LAYOUT.quantities]
    assert json.loads(metadata["vehicle"]) == RACECAR._asdict()
    assert metadata["observation_layout"] == LAYOUT.name


def test_si_units_are_those_of_the_policys_car(tmp_path):
    """The same network in a smaller car: its full speed is a smaller number of metres a second."""
    weights = np.zeros((2, LAYOUT.size), np.float32)
    weights[1, 0] = 1.0
    model = scaled(RACECAR, 0.25)
    policy = Policy((weights,), (np.zeros(2, np.float32),), model, LAYOUT, {})
    write_onnx(policy, tmp_path / "driver.onnx", si_units=True)
    session = onnxruntime.InferenceSession(tmp_path / "driver.onnx")
    seen = np.zeros((1, LAYOUT.size), np.float32)
    seen[0, 0] = 25.0  # 50 m/s of the racecar
    np.testing.assert_allclose(
        session.run(None, {"observation": seen})[0], np.tanh([[0.0, 1.0]]), rtol=1e-5
    )
    metadata = session.get_modelmeta().custom_metadata_map
    assert float(metadata["control_step_s"]) == 0.025


def test_an_altered_file_is_noticed(tmp_path):
    driver = load_policy(SHIPPED)
    other = replace(driver, biases=(*driver.biases[:-1], driver.biases[-1] + 0.01))
    write_onnx(other, tmp_path / "driver.onnx")
    assert largest_difference(tmp_path / "driver.onnx", driver, driven_observations(5)) > TOLERANCE


def test_a_file_that_does_not_act_as_the_driver_replaces_nothing(tmp_path, monkeypatch):
    driver = load_policy(SHIPPED)
    other = replace(driver, biases=(*driver.biases[:-1], driver.biases[-1] + 0.01))
    made = onnx_export._model(other, False)
    monkeypatch.setattr(onnx_export, "_model", lambda *_: made)
    path = tmp_path / "driver.onnx"
    path.write_bytes(b"an earlier one")
    with pytest.raises(InputError, match=r"driver\.onnx: its actions would differ by"):
        write_onnx(driver, path)
    assert path.read_bytes() == b"an earlier one" and list(tmp_path.iterdir()) == [path]


def test_the_script_exports_and_compares(tmp_path):
    done = call("export.py", "onnx", SHIPPED, "--out", "driver.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "differ by at most" in done.stdout and (tmp_path / "driver.onnx").exists()
    save_policy(adapting_policy(), tmp_path / "adapts.safetensors")
    done = call("export.py", "onnx", "adapts.safetensors", "--out", "adapts.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "actions and memory differ by at most" in done.stdout
    done = call("export.py", "onnx", "nothing.safetensors", "--out", "driver.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nothing.safetensors") and done.stderr.count("\n") == 1
