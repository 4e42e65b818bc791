"""Our own car behind the interface of others' cars: its driver must not notice."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adapting import adapting_policy
from processes import ROOT

from benchmarks import foreign_cars as fc
from benchmarks import peer_venvs, transfer
from racing_env.car import dynamics as dyn
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import read_vehicle
from racing_env.drivers.policy import load_policy
from racing_env.laps.evaluation import drive_laps, expert_driver, policy_driver
from racing_env.simulation.simulator import Simulator
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

TENTH = read_vehicle("f1tenth")
STEPS = 4
EXPERT = expert_driver(np.full(2, 0.9))


class OurCars:
    """Cars of our model that are told what others' cars are told."""

    def __init__(self, simulator: Simulator):
        self.state = simulator.state.copy()
        self.vehicle = simulator.vehicle
        self.step_s = simulator.task.control_step_s / STEPS
        self.conditions = simulator.cars.conditions.copy()

    def advance(self, which: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        state = np.ascontiguousarray(self.state[:, which])
        for turning, acceleration in inputs.transpose(1, 2, 0):
            steering = state[dyn.STEER] + self.step_s * turning
            force_n = self.vehicle.mass_kg * acceleration
            state[dyn.DRIVE], state[dyn.BRAKE] = np.maximum(force_n, 0.0), np.maximum(-force_n, 0.0)
            full_n = np.where(
                force_n > 0.0, self.vehicle.drive_force_max_n, self.vehicle.brake_force_max_n
            )
            action = np.column_stack([steering / self.vehicle.steering_max_rad, force_n / full_n])
            dyn.step_dynamics(
                state, action, self.conditions[which], self.vehicle, self.step_s, dyn.SUBSTEPS,
                dyn.new_scratch(),
            )  # fmt: skip
        self.state[:, which] = state
        return state[list(fc.MOTION)].T


@pytest.fixture(scope="module")
def circuits():
    return load_circuits(["random:4000:2"], TENTH)


class StandIn:
    """Cars whose motion is made up: straight on at 10 m/s, or not a number."""

    def __init__(self, motion: np.ndarray, lost: bool):
        self.motion, self.lost = motion, lost

    def advance(self, which: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        self.motion[:, 0] += 0.16 * np.cos(self.motion[:, 2])
        self.motion[:, 1] += 0.16 * np.sin(self.motion[:, 2])
        return self.motion[which] * (np.nan if self.lost else 1.0)


@pytest.mark.parametrize("who", ["expert", "policy"])
def test_our_own_car_is_driven_as_at_home(circuits, who):
    driver = EXPERT
    if who == "policy":
        driver = policy_driver(load_policy(ROOT / "policies" / "f1tenth.safetensors"))
    home = drive_laps(circuits, driver, laps=1)
    simulator = fc.at_start(pack_circuits(circuits), driver.layout)
    laps = fc.drive(circuits, simulator, driver, OurCars(simulator), STEPS, 1, who)
    assert [lap.track for lap in laps] == [lap.track for lap in home]
    for lap, at_home in zip(laps, home, strict=True):
        assert lap.finished and at_home.finished
        assert lap.flying_lap_s == pytest.approx(at_home.flying_lap_s, rel=1e-3)


def test_a_driver_who_adapts_remembers_while_he_drives_their_cars(circuits):
    """His memory goes on with the car, as at home."""
    adapting = replace(adapting_policy(), vehicle=TENTH)
    memories = []

    def act(simulator: Simulator) -> np.ndarray:
        actions = driver.act(simulator)
        memories.append(simulator.memory.copy())
        return actions

    driver = policy_driver(adapting)
    simulator = fc.at_start(pack_circuits(circuits), driver.layout)
    fc.drive(circuits, simulator, driver._replace(act=act), OurCars(simulator), STEPS, 1, "")
    assert len(memories) > 5 and np.abs(memories[4] - memories[1]).max() > 0.0


@pytest.mark.parametrize("lost", [False, True])
def test_who_drives_straight_on_is_off_the_track_and_who_has_no_state_is_lost(circuits, lost):
    simulator = fc.at_start(pack_circuits(circuits), EXPERT.layout)
    cars = StandIn(simulator.state[list(fc.MOTION)].T.copy(), lost)
    laps = fc.drive(circuits, simulator, EXPERT, cars, STEPS, 1, "straight on")
    assert {lap.end for lap in laps} == {fc.LOST if lost else "off_track"}
    assert all(lap.laps == 0 and (lap.distance_m > 1.0) is not lost for lap in laps)


def test_inputs_are_those_of_our_actuators_and_steering_may_be_late(circuits):
    simulator = fc.at_start(pack_circuits(circuits), EXPERT.layout)
    asked = np.tile([1.0, -0.5], (simulator.n, 1))
    late = np.zeros((simulator.n, STEPS))
    step_s = simulator.task.control_step_s / STEPS
    inputs, late = fc.inputs_of(simulator, asked, STEPS, late)
    assert (inputs[:, :, 0] == 0.0).all() and (late == TENTH.steering_max_rad).all()
    inputs, _ = fc.inputs_of(simulator, asked, STEPS, late)
    rate = TENTH.steering_max_rad / TENTH.steering_full_s
    assert inputs[:, :, 0] == pytest.approx(rate)  # full lock is farther than a control step
    braking = -0.5 * TENTH.brake_force_max_n / TENTH.mass_kg
    assert inputs[:, -1, 1] == pytest.approx(braking)
    assert step_s * inputs[0, :, 0].sum() < TENTH.steering_max_rad


def test_a_model_that_dies_is_named_with_its_last_line(circuits, monkeypatch):
    monkeypatch.setattr(fc, "python_of", lambda venv: sys.executable)
    model = fc.ForeignModel("none", "nothing", 0.01, {})
    with pytest.raises(RuntimeError, match="nothing: KeyError: 'nothing'"):
        fc.drive_model(circuits, EXPERT, model, 1, "nobody")


@pytest.mark.slow
@pytest.mark.skipif(
    not peer_venvs.python_of("gymkhana").exists(),
    reason="gymkhana is not installed: python -m benchmarks.transfer --install does it",
)
@pytest.mark.parametrize("name", ["st-our-tyres", "std-our-car"])
def test_the_expert_drives_gymkhanas_models_with_our_cars_numbers(circuits, name):
    """Other equations, the same car: laps take what they take at home to some percent."""
    home = drive_laps(circuits, EXPERT, laps=1)
    laps = fc.drive_model(circuits, EXPERT, transfer.CASES[name].model, 1, "expert")
    for lap, at_home in zip(laps, home, strict=True):
        assert lap.finished, lap.end
        assert lap.flying_lap_s == pytest.approx(at_home.flying_lap_s, rel=0.03)


def published(venv: str, program: str) -> dict[str, Any]:
    """The numbers that a program prints as JSON, in the environment of others' models."""
    done = subprocess.run(
        [peer_venvs.python_of(venv), "-c", program], capture_output=True, text=True
    )
    return json.loads(done.stdout)


def assert_numbers(ours: Vehicle, wanted: dict[str, float]) -> None:
    for name, value in wanted.items():
        assert getattr(ours, name) == pytest.approx(value, rel=1e-4), name


PARAMETERS = """
import dataclasses, json
from vehiclemodels.parameters_vehicle2 import parameters_vehicle2
print(json.dumps(dataclasses.asdict(parameters_vehicle2())))
"""


@pytest.mark.skipif(
    not peer_venvs.python_of("commonroad").exists(),
    reason="CommonRoad's models are not installed: python -m benchmarks.transfer --install does it",
)
@pytest.mark.filterwarnings("ignore:.*does not say")
def test_our_file_of_commonroads_car_has_its_numbers():
    theirs = published("commonroad", PARAMETERS)
    ours = read_vehicle(ROOT / transfer.FULL_SIZE)
    steering, along, tyre = theirs["steering"], theirs["longitudinal"], theirs["tire"]
    names = {"mass_kg": "m", "yaw_inertia_kgm2": "I_z", "cog_to_front_m": "a",
             "cog_to_rear_m": "b", "cog_height_m": "h_cg", "length_m": "l", "width_m": "w",
             "brake_share_front": "T_sb", "drive_share_front": "T_se"}  # fmt: skip
    wanted = {name: theirs[key] for name, key in names.items()} | {
        "axle_track_m": 0.5 * (theirs["T_f"] + theirs["T_r"]),
        "steering_max_rad": steering["max"],
        "steering_full_s": steering["max"] / steering["v_max"],
        "top_speed_mps": along["v_max"],
        "drive_force_max_n": theirs["m"] * along["a_max"],
        "power_max_w": theirs["m"] * along["a_max"] * along["v_switch"],
        "friction_front": tyre["p_dy1"],
        "tyre_b_front": -tyre["p_ky1"] / tyre["p_dy1"] / ours.tyre_c_front,
        "tyre_c_rear": tyre["p_cy1"],
    }
    assert_numbers(ours, wanted)


DRIFTER = """
import json, sys
answers, sys.stdout = sys.stdout, sys.stderr
from gymkhana.envs.gymkhana_env import GKEnv
print(json.dumps(GKEnv.f1tenth_std_vehicle_params()), file=answers)
"""


@pytest.mark.skipif(
    not peer_venvs.python_of("gymkhana").exists(),
    reason="gymkhana is not installed: python -m benchmarks.transfer --install does it",
)
@pytest.mark.filterwarnings("ignore:.*does not say")
def test_our_file_of_gymkhanas_drift_car_has_its_numbers():
    theirs, ours = published("gymkhana", DRIFTER), read_vehicle(ROOT / transfer.DRIFTER)
    names = {"mass_kg": "m", "yaw_inertia_kgm2": "I_z", "cog_to_front_m": "lf",
             "cog_to_rear_m": "lr", "cog_height_m": "h", "length_m": "length", "width_m": "width",
             "brake_share_front": "T_sb", "drive_share_front": "T_se", "steering_max_rad": "s_max",
             "top_speed_mps": "v_max", "friction_rear": "tire_p_dy1", "tyre_c_front": "tire_p_cy1",
             "tyre_e_front": "tire_p_ey1"}  # fmt: skip
    wanted = {name: theirs[key] for name, key in names.items()} | {
        "steering_full_s": theirs["s_max"] / theirs["sv_max"],
        "drive_force_max_n": theirs["m"] * theirs["a_max"],
        "power_max_w": theirs["m"] * theirs["a_max"] * theirs["v_switch"],
        "tyre_b_front": -theirs["tire_p_ky1"] / theirs["tire_p_dy1"] / ours.tyre_c_front,
    }
    assert_numbers(ours, wanted)
