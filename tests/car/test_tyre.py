"""The tyre against the closed forms of the magic formula."""

import math

import numpy as np
import pytest
from cars import RACECAR, on_both_axles
from hypothesis import given
from hypothesis import strategies as st

from racing_env.car import tyre as ty
from racing_env.car.tyre import SLIP_SPEED_FLOOR_MPS, STOP_SPEED_MPS

TYRE = ty.axle_tyres(RACECAR)[0]

# below C of 1.57 a curve with E = 1 rises for ever
tyres = st.builds(
    lambda b, c, e, friction: TYRE._replace(b=b, c=c, e=e, friction=friction),
    st.floats(5.0, 20.0), st.floats(1.8, 2.6), st.floats(0.0, 1.0), st.floats(0.5, 1.5),
)  # fmt: skip
loads = st.floats(100.0, 10e3)


def test_the_tyre_peaks_where_the_magic_formula_does():
    slip = np.linspace(0.0, 0.5, 5001)
    for load in (500.0, 3000.0, 8000.0):
        force = [ty.side_force_n(math.tan(a), load, TYRE) for a in slip]
        # 1 - 0.1 Fz/3000 of the load, at Ba with C atan(atan(Ba)) = pi/2 (because E = 1)
        assert max(force) == pytest.approx(load * (1.0 - 0.1 * load / 3000.0), rel=1e-6)
        peak = math.tan(math.tan(math.pi / (2.0 * TYRE.c))) / TYRE.b
        assert slip[np.argmax(force)] == pytest.approx(peak, abs=2e-4)


def test_the_tyre_begins_with_its_stiffness():
    """B C D, the slope of the magic formula where it begins."""
    stiffness = ty.side_force_n(1e-6, 3000.0, TYRE) / 1e-6
    assert stiffness == pytest.approx(3000.0 * 0.9 * TYRE.b * TYRE.c, rel=1e-6)


def test_peak_slip_closed_form():
    """With E = 1, C atan(atan(Ba)) = pi/2."""
    expected = math.tan(math.tan(0.5 * math.pi / TYRE.c)) / TYRE.b
    assert ty.peak_slip_rad(TYRE) == pytest.approx(expected, rel=1e-6)
    plain = TYRE._replace(e=0.0)  # C atan(Ba) = pi/2
    expected = math.tan(0.5 * math.pi / TYRE.c) / TYRE.b
    assert ty.peak_slip_rad(plain) == pytest.approx(expected, rel=1e-12)


@given(tyre=tyres, load=loads)
def test_the_peak_force_is_that_of_the_peak_slip_and_of_no_other(tyre, load):
    at_peak = ty.side_force_n(math.tan(ty.peak_slip_rad(tyre)), load, tyre)
    assert at_peak == pytest.approx(ty.peak_side_force_n(load, tyre), rel=1e-6)
    for slip in np.linspace(0.0, 1.5, 60):
        force = ty.side_force_n(math.tan(slip), load, tyre)
        assert force <= ty.peak_side_force_n(load, tyre) * (1.0 + 1e-9)


@given(tyre=tyres, load=loads, slip_tangent=st.floats(-1e3, 1e3))
def test_left_and_right_are_alike_to_the_last_bit(tyre, load, slip_tangent):
    assert ty.side_force_n(-slip_tangent, load, tyre) == -ty.side_force_n(slip_tangent, load, tyre)


@given(tyre=tyres, load=loads, share=st.floats(-0.97, 0.97))
def test_the_inverse_gives_the_slip_of_a_force(tyre, load, share):
    force = share * ty.peak_side_force_n(load, tyre)
    slip = ty.slip_of_force_rad(force, load, tyre)
    assert abs(slip) < ty.peak_slip_rad(tyre)
    assert ty.side_force_n(math.tan(slip), load, tyre) == pytest.approx(force, rel=1e-5, abs=1e-3)
    assert ty.slip_of_force_rad(-force, load, tyre) == -slip


@pytest.mark.parametrize("force", [1e5, -1e5])
def test_more_than_the_tyre_has_asks_for_slip_before_the_peak(force):
    slip = ty.slip_of_force_rad(force, 3000.0, TYRE)
    assert 0.5 < slip * math.copysign(1.0, force) / ty.peak_slip_rad(TYRE) < 1.0


@given(tyre=tyres, load=loads, asked=st.floats(-30e3, 30e3))
def test_combined_forces_lie_on_the_friction_circle(tyre, load, asked):
    along, across_max = ty.combined_forces_n(asked, load, tyre)
    grip = tyre.friction * load
    assert math.hypot(along, across_max) == pytest.approx(grip, rel=1e-12)
    assert along == min(max(asked, -grip), grip)
    assert across_max >= 0.0
    if abs(asked) >= grip:
        assert across_max == 0.0
    assert ty.combined_forces_n(-asked, load, tyre) == (-along, across_max)


@given(
    along=st.floats(-80.0, 80.0),
    across=st.floats(-80.0, 80.0),
    load=st.floats(10.0, 20e3),
    drive=st.floats(0.0, 30e3),
    brake=st.floats(0.0, 30e3),
)
def test_no_wheel_passes_the_friction_circle(along, across, load, drive, brake):
    force_along, force_across = ty.wheel_force_n(along, across, load, drive, brake, TYRE)
    grip = TYRE.friction * load
    assert math.hypot(force_along, force_across) <= grip * (1.0 + 1e-12)
    resistance = brake + TYRE.rolling_resistance * load
    asked = drive - min(max(along / STOP_SPEED_MPS, -1.0), 1.0) * resistance
    assert force_along == pytest.approx(min(max(asked, -grip), grip), rel=1e-12, abs=1e-9)
    assert force_across * across <= 0.0  # a tyre resists being dragged sideways
    # a cap, not a scale: the force is the free tyre's as long as the circle has room for it
    free = ty.side_force_n(-across / max(along, SLIP_SPEED_FLOOR_MPS), load, TYRE)
    if math.hypot(force_along, free) < grip:
        assert force_across == free


@given(
    vx=st.floats(SLIP_SPEED_FLOOR_MPS, 80.0),
    vy=st.floats(-10.0, 10.0),
    yaw_rate=st.floats(-2.0, 2.0),
    steer=st.floats(-0.4, 0.4),
)
def test_slip_angles_of_the_axles(vx, vy, yaw_rate, steer):
    front, rear = ty.axle_slips_rad(vx, vy, yaw_rate, steer, RACECAR)
    front_way = math.atan2(vy + RACECAR.cog_to_front_m * yaw_rate, vx)
    rear_way = math.atan2(vy - RACECAR.cog_to_rear_m * yaw_rate, vx)
    assert front == pytest.approx(steer - front_way, abs=1e-7)
    assert rear == pytest.approx(-rear_way, abs=1e-7)
    assert ty.axle_slips_rad(vx, -vy, -yaw_rate, -steer, RACECAR) == (-front, -rear)


def test_a_standing_car_has_no_slip_but_its_steering():
    assert ty.axle_slips_rad(0.0, 0.0, 0.0, 0.2, RACECAR) == (0.2, 0.0)


def test_each_axle_has_its_own_tyre():
    front, rear = ty.axle_tyres(RACECAR._replace(friction_front=0.8, tyre_b_rear=7.0))
    assert (front.friction, front.b, front.c) == (0.8, RACECAR.tyre_b_front, RACECAR.tyre_c_front)
    assert (rear.friction, rear.b, rear.c) == (RACECAR.friction_rear, 7.0, RACECAR.tyre_c_rear)


@pytest.mark.parametrize("c", [0.5, 1.3, 1.5])
def test_a_curve_that_rises_for_ever_has_its_peak_at_a_finite_slip(c: float):
    tyre, _ = ty.axle_tyres(RACECAR._replace(**on_both_axles(tyre_c=c, tyre_e=1.0)))
    assert 0.1 < ty.peak_slip_rad(tyre) <= ty.MOST_SLIP_RAD
    for force_n in (-2500.0, 2500.0):
        assert abs(ty.slip_of_force_rad(force_n, 3000.0, tyre)) <= ty.MOST_SLIP_RAD
