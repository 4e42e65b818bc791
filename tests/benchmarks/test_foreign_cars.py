"""Our own car behind the interface of others' cars: its driver must not notice."""

import math

import numpy as np
import pytest
from processes import ROOT

from benchmarks import foreign_cars as fc
from benchmarks import foreign_peer as peer
from racing_env.car import dynamics as dyn
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.errors import InputError
from racing_env.drivers.policy import load_policy
from racing_env.laps.evaluation import drive_laps, expert_driver, policy_driver
from racing_env.simulation.simulator import Simulator
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

TENTH = read_vehicle("f1tenth")
STEPS = 4


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
    return load_circuits(["random:4000:3"], TENTH)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["expert", "policy"])
def test_our_own_car_is_driven_as_at_home(circuits, who):
    driver = expert_driver(np.full(len(circuits), 0.9))
    if who == "policy":
        driver = policy_driver(load_policy(ROOT / "policies" / "f1tenth.safetensors"))
    home = drive_laps(circuits, driver, laps=1)
    simulator = fc.at_start(pack_circuits(circuits), driver.layout)
    laps = fc.drive(circuits, simulator, driver, OurCars(simulator), STEPS, 1, who)
    assert [lap.track for lap in laps] == [lap.track for lap in home]
    for lap, at_home in zip(laps, home, strict=True):
        assert lap.finished and at_home.finished
        assert lap.flying_lap_s == pytest.approx(at_home.flying_lap_s, rel=2e-3)
