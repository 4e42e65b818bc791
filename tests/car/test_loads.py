"""Loads and resistance against the balance of forces and moments."""

import pytest
from cars import RACECAR
from hypothesis import given
from hypothesis import strategies as st

from racing_env.car import loads as ld
from racing_env.car.vehicle import GRAVITY_MPS2

WEIGHT_N = RACECAR.mass_kg * GRAVITY_MPS2
LIFT_KGPM = RACECAR.lift_front_kgpm + RACECAR.lift_rear_kgpm
# An unequal share of the lateral transfer, or one would not see which axle has which.
CAR = RACECAR._replace(roll_share_front=0.6)


@given(
    vx=st.floats(-10.0, 70.0),
    ax=st.floats(-15.0, 8.0),
    ay=st.floats(-6.5, 6.5),
)
def test_load_transfer_adds_up(vx, ax, ay):
    fl, fr, rl, rr = ld.wheel_loads_n(vx, ax, ay, CAR)
    assert fl + fr + rl + rr == pytest.approx(WEIGHT_N + LIFT_KGPM * vx * vx, rel=1e-12)
    pitch = CAR.cog_to_front_m * (fl + fr) - CAR.cog_to_rear_m * (rl + rr)
    down_force = CAR.cog_to_front_m * CAR.lift_front_kgpm
    down_force -= CAR.cog_to_rear_m * CAR.lift_rear_kgpm
    inertia = CAR.mass_kg * CAR.cog_height_m
    assert pitch == pytest.approx(down_force * vx * vx - inertia * ax, abs=1e-6)
    roll = 0.5 * CAR.axle_track_m * (fr + rr - fl - rl)
    assert roll == pytest.approx(inertia * ay, abs=1e-6)
    assert (fr - fl) * (1.0 - CAR.roll_share_front) == pytest.approx(
        (rr - rl) * CAR.roll_share_front, abs=1e-6
    )


@given(vx=st.floats(0.0, 70.0))
def test_at_constant_speed_the_wheels_carry_their_axles(vx):
    front, rear = ld.axle_loads_n(vx, CAR)
    fl, fr, rl, rr = ld.wheel_loads_n(vx, 0.0, 0.0, CAR)
    assert (fl, rl) == (fr, rr)
    assert (fl + fr, rl + rr) == (front, rear)
    assert ld.grip_n(vx, CAR) == pytest.approx(CAR.friction_front * (front + rear), rel=1e-12)


@given(
    ax=st.floats(-1e3, 1e3),
    ay=st.floats(-1e3, 1e3),
)
def test_no_wheel_pulls_on_the_road(ax, ay):
    assert min(ld.wheel_loads_n(20.0, ax, ay, CAR)) >= ld.LOAD_FLOOR_N


@given(ax=st.floats(-30.0, 30.0), ay=st.floats(-30.0, 30.0))
def test_left_and_right_are_alike_to_the_last_bit(ax, ay):
    fl, fr, rl, rr = ld.wheel_loads_n(30.0, ax, ay, CAR)
    assert ld.wheel_loads_n(30.0, ax, -ay, CAR) == (fr, fl, rr, rl)


def test_drag_has_the_sign_of_the_speed():
    assert ld.drag_n(20.0, RACECAR) == pytest.approx(RACECAR.drag_kgpm * 400.0, rel=1e-15)
    assert ld.drag_n(-20.0, RACECAR) == -ld.drag_n(20.0, RACECAR)


@given(vx=st.floats(0.0, 70.0))
def test_resistance_is_drag_and_rolling(vx):
    rolling = RACECAR.rolling_resistance * (WEIGHT_N + LIFT_KGPM * vx * vx)
    expected = RACECAR.drag_kgpm * vx * vx + rolling
    assert ld.resistance_n(vx, RACECAR) == pytest.approx(expected, rel=1e-12)
