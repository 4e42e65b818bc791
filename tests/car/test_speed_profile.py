"""The speed profile against closed forms."""

import numpy as np
import pytest
from cars import RACECAR, on_both_axles
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from racing_env.car.speed_profile import (
    SPEED_STEP_MPS,
    cornering_speed,
    grip_table,
    profile_time,
    speed_profile,
    steady_state,
)
from racing_env.car.vehicle import GRAVITY_MPS2

CAR = RACECAR
# Neither resistance nor down-force, tyres whose grip is proportional to the load, and a centre of
# gravity on the ground and in the middle: a point mass under Coulomb friction.
POINT_MASS = RACECAR._replace(
    drag_kgpm=0.0,
    lift_front_kgpm=0.0,
    lift_rear_kgpm=0.0,
    rolling_resistance=0.0,
    cog_height_m=1e-9,
    cog_to_front_m=1.5,
    cog_to_rear_m=1.5,
    **on_both_axles(tyre_load_sensitivity=0.0),
    brake_share_front=0.5,
)


def resistance(speed_mps: float) -> float:
    load = CAR.mass_kg * GRAVITY_MPS2 + speed_mps**2 * (CAR.lift_front_kgpm + CAR.lift_rear_kgpm)
    return CAR.drag_kgpm * speed_mps**2 + CAR.rolling_resistance * load


def test_top_speed_balances_power_and_resistance() -> None:
    expected = brentq(lambda v: CAR.power_max_w / v - resistance(v), 20.0, 100.0)
    assert grip_table(CAR).top_speed_mps == pytest.approx(expected, rel=1e-6)
    speed = speed_profile(np.zeros(500), np.ones(500), CAR)
    np.testing.assert_allclose(speed, expected, rtol=1e-6)


def test_top_speed_of_a_strong_car_is_the_limit_of_the_car() -> None:
    strong = CAR._replace(power_max_w=1e6)
    assert grip_table(strong).top_speed_mps == CAR.top_speed_mps


@pytest.mark.parametrize("radius_m", [10.0, 30.0, 80.0])
def test_point_mass_corners_at_the_friction_limit(radius_m: float) -> None:
    speed = speed_profile(np.full(100, 1.0 / radius_m), np.ones(100), POINT_MASS)
    np.testing.assert_allclose(speed, np.sqrt(GRAVITY_MPS2 * radius_m), rtol=1e-4)


def test_cornering_limit_of_the_car_is_an_equilibrium_of_its_tyres() -> None:
    """The steady cornering limit of each axle, written out by hand for one radius."""
    radius = 50.0
    speed = cornering_speed(np.array([1.0 / radius]), CAR)[0]
    lateral = speed**2 / radius
    use = []
    for arm, lift in ((CAR.cog_to_rear_m, CAR.lift_front_kgpm), (CAR.cog_to_front_m, None)):
        load = CAR.mass_kg * GRAVITY_MPS2 * arm / CAR.wheelbase_m
        load += (lift if lift is not None else CAR.lift_rear_kgpm) * speed**2
        transfer = 0.5 * CAR.mass_kg * lateral * CAR.cog_height_m / CAR.axle_track_m
        wheels = np.array([0.5 * load - transfer, 0.5 * load + transfer])
        peak = np.sum(wheels * (1.0 - 0.1 * wheels / 3000.0))
        use.append(CAR.mass_kg * lateral * arm / CAR.wheelbase_m / peak)
    assert max(use) == pytest.approx(1.0, abs=0.01)


def test_braking_distance_of_a_point_mass() -> None:
    """From v to v_corner with mu g takes (v^2 - v_corner^2) / (2 mu g)."""
    kappa = np.zeros(2000)
    kappa[1500:1540] = 1.0 / 10.0
    speed = speed_profile(kappa, np.ones(2000), POINT_MASS)
    distance = np.arange(1400.0, 1490.0)
    expected = np.sqrt(GRAVITY_MPS2 * 10.0 + 2.0 * GRAVITY_MPS2 * (1499.5 - distance))
    np.testing.assert_allclose(speed[1400:1490], expected, rtol=0.02)


def test_kinetic_energy_grows_by_the_work_of_drive_force_and_resistance() -> None:
    kappa = np.zeros(3000)
    kappa[:50] = 1.0 / 10.0
    speed = speed_profile(kappa, np.full(3000, 0.5), CAR)
    drive = np.minimum(CAR.drive_force_max_n, CAR.power_max_w / speed)
    force = drive - np.array([resistance(v) for v in speed])
    begin, end = 60, 1500
    work = np.sum(0.25 * (force[begin:end] + force[begin + 1 : end + 1]))
    energy = 0.5 * CAR.mass_kg * (speed[end] ** 2 - speed[begin] ** 2)
    assert energy == pytest.approx(work, rel=2e-3)


def test_full_braking_uses_at_most_the_grip_of_every_wheel() -> None:
    deceleration = -grip_table(CAR).braking_mps2[0, 0]
    assert 0.95 * GRAVITY_MPS2 < deceleration <= CAR.friction_front * GRAVITY_MPS2 + 1e-9
    weak = CAR._replace(brake_force_max_n=3000.0)
    expected = 3000.0 / CAR.mass_kg + CAR.rolling_resistance * GRAVITY_MPS2
    assert -grip_table(weak).braking_mps2[0, 0] == pytest.approx(expected, rel=1e-6)


def test_tables_are_ordered() -> None:
    table = grip_table(CAR)
    usable = np.arange(table.lateral_mps2.size) * SPEED_STEP_MPS <= table.top_speed_mps
    assert np.all(table.forward_mps2[usable] >= -1e-6)
    assert np.all(table.braking_mps2 <= 1e-6)
    assert np.all(np.diff(table.forward_mps2, axis=1) <= 1e-6)
    assert np.all(np.diff(table.lateral_mps2[usable][10:-20]) > 0)  # down-force


def test_slow_corner_costs_time_before_and_after_it() -> None:
    kappa = np.zeros(1000)
    straight = profile_time(speed_profile(kappa, np.ones(1000), CAR), np.ones(1000))[-1]
    kappa[500:520] = 0.05
    corner = profile_time(speed_profile(kappa, np.ones(1000), CAR), np.ones(1000))[-1]
    assert corner > straight + 1.0


def test_profile_time_of_constant_acceleration() -> None:
    speed = np.sqrt(2.0 * 3.0 * np.arange(1.0, 101.0))
    time = profile_time(speed, np.ones(100))
    assert time.shape == (101,) and time[0] == 0.0
    assert time[99] == pytest.approx((speed[-1] - speed[0]) / 3.0)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    roughness=st.floats(0.0, 0.2),
    step_m=st.floats(0.2, 3.0),
    shift=st.integers(0, 399),
)
def test_profile_keeps_every_limit_and_does_not_depend_on_the_start(
    seed: int, roughness: float, step_m: float, shift: int
) -> None:
    rng = np.random.default_rng(seed)
    kappa = roughness * np.convolve(rng.normal(size=449), np.ones(50) / 50.0, "valid")
    steps = np.full(400, step_m)
    speed = speed_profile(kappa, steps, CAR)
    assert np.all(speed > 0) and np.all(speed <= cornering_speed(kappa, CAR) + 1e-9)
    gain = np.diff(speed**2) / (2.0 * step_m)
    table = grip_table(CAR)
    assert gain.max() <= table.forward_mps2.max() + 1e-6
    assert gain.min() >= table.braking_mps2.min() - 1e-6
    turned = speed_profile(np.roll(kappa, shift), steps, CAR)
    np.testing.assert_allclose(turned, np.roll(speed, shift), rtol=1e-9)
    mirrored = speed_profile(-kappa, steps, CAR)
    np.testing.assert_array_equal(mirrored, speed)


def test_force_beyond_the_grip_is_capped() -> None:
    assert steady_state(-1e6, 20.0, 0.0, CAR)[0] == pytest.approx(
        steady_state(-2e6, 20.0, 0.0, CAR)[0]
    )
