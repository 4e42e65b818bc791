"""Laps of the profile under conditions, and streams of the sensors' errors."""

import numpy as np
import pytest
from cars import circuit_named, simulator_on

from racing_env.car.conditions import NOMINAL, Conditions, under
from racing_env.laps.circuit_conditions import (
    SensorErrors,
    conditions_on,
    nominal_on,
    profile_lap_s,
)
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import circuit_on_line

NOISY = Conditions(noise=1.0)


@pytest.fixture(scope="module")
def club():
    return circuit_named("club")


def test_a_nominal_lap_is_the_circuits_own(club):
    oval = circuit_named("oval")
    everywhere = conditions_on([club, oval], [NOMINAL] * 2)
    assert everywhere.profile_lap_s.tolist() == [club.lap_time_s, oval.lap_time_s]
    by_bank = nominal_on(pack_circuits([club, oval]))
    assert by_bank.conditions == everywhere.conditions
    np.testing.assert_array_equal(by_bank.profile_lap_s, everywhere.profile_lap_s)


def test_a_lap_under_conditions_is_that_of_the_car_on_the_same_line(club):
    conditions = Conditions(friction=0.9, mass=1.1, power=0.9, downforce=0.8)
    car = under(club.vehicle, conditions)
    on_line = circuit_on_line(club.track, car, club.line_offset_m)
    assert profile_lap_s(club, conditions) == on_line.lap_time_s


@pytest.mark.parametrize("slower", [
    Conditions(friction=0.9), Conditions(mass=1.1), Conditions(power=0.9),
    Conditions(downforce=0.8),
])  # fmt: skip
def test_less_grip_or_power_or_more_mass_makes_a_longer_lap(club, slower):
    assert profile_lap_s(club, slower) > 1.003 * club.lap_time_s


def test_a_delay_and_noise_are_the_drivers_trouble_not_the_profiles(club):
    late = Conditions(delay_s=0.1, noise=1.0)
    assert profile_lap_s(club, late) == pytest.approx(club.lap_time_s, rel=1e-12)


def drawn(tracks, conditions, which, steps=3):
    """Errors of the sensors (steps, len(which), channels) along a drive."""
    simulator = simulator_on([circuit_named("oval")] * len(tracks), len(which))
    for car, circuit in enumerate(which):
        simulator.place(car, circuit, conditions=conditions[circuit])
    errors = SensorErrors(tracks, conditions, which)
    noise = []
    for _ in range(steps):
        errors.draw(simulator)
        noise.append(simulator.noise.copy())
    return np.array(noise)


def test_errors_are_a_circuits_own_whoever_drives_beside():
    tracks, conditions = ["a", "b", "c"], [NOISY, NOMINAL, NOISY]
    together = drawn(tracks, conditions, range(3))
    assert not together[:, 1].any()
    assert len(np.unique(together[:, [0, 2]])) == together[:, [0, 2]].size
    np.testing.assert_array_equal(together[:, [2]], drawn(tracks, conditions, range(2, 3)))
    np.testing.assert_array_equal(together[:, [2]], drawn(["c"], [NOISY], range(1)))


def test_errors_are_others_under_other_conditions():
    one, other = (drawn(["a"], [NOISY._replace(mass=mass)], range(1)) for mass in (1.0, 1.1))
    assert not np.isclose(one, other).any()
