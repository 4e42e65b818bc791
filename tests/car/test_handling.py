"""The damping ratio, against the eigenvalues of the equations of motion."""

import math

import numpy as np
import pytest
from cars import RACECAR, scaled

from racing_env.car import dynamics as dyn
from racing_env.car.handling import damping_ratio
from racing_env.car.vehicle_files import read_vehicle

# Without down-force, side force's loss by load and resistance: what the linear model has.
PLAIN = RACECAR._replace(
    lift_front_kgpm=0.0, lift_rear_kgpm=0.0, tyre_load_sensitivity_front=0.0,
    tyre_load_sensitivity_rear=0.0, drag_kgpm=0.0, rolling_resistance=0.0,
)  # fmt: skip


def jacobian(vehicle, speed_mps: float) -> np.ndarray:
    """Of (vy, yaw rate) by themselves, by differences of `dynamics.accelerations`."""
    columns = []
    for change in ((1e-4, 0.0), (0.0, 1e-4)):
        ways = []
        for sign in (-1.0, 1.0):
            vy, yaw_rate = sign * change[0], sign * change[1]
            _, ay, turning = dyn.accelerations(
                speed_mps, vy, yaw_rate, 0.0, 0.0, 0.0, 0.0, 0.0, vehicle
            )
            ways.append(np.array([ay - speed_mps * yaw_rate, turning]))
        columns.append((ways[1] - ways[0]) / 2e-4)
    return np.array(columns).T


@pytest.mark.parametrize("front", [1.0, 0.8, 0.6])
@pytest.mark.parametrize("speed_mps", [15.0, 40.0])
def test_it_is_that_of_the_cars_own_equations(front, speed_mps):
    vehicle = PLAIN._replace(tyre_b_front=front * PLAIN.tyre_b_front)
    roots = np.linalg.eigvals(jacobian(vehicle, speed_mps))
    theirs = -roots.real.sum() / (2.0 * math.sqrt(abs(np.prod(roots))))
    assert damping_ratio(vehicle, speed_mps) == pytest.approx(theirs, rel=0.01)
    assert (damping_ratio(vehicle, speed_mps) < 1.0) == (np.abs(roots.imag) > 0.0).all()


def test_of_cars_of_one_shape_it_is_the_same_at_speeds_alike():
    assert damping_ratio(scaled(PLAIN, 0.25), 20.0) == pytest.approx(damping_ratio(PLAIN, 40.0))


def test_a_car_that_does_not_come_back():
    """It oversteers, above its critical speed."""
    loose = PLAIN._replace(tyre_b_rear=0.7 * PLAIN.tyre_b_rear)
    assert damping_ratio(loose, 10.0) < math.inf == damping_ratio(loose, 80.0)


def test_of_the_shipped_cars_the_small_one_swings():
    assert damping_ratio(read_vehicle("f1tenth"), 14.0) < 0.9
    assert damping_ratio(RACECAR, 40.0) > 1.0
