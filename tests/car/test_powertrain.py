"""What the pedals ask of the wheels."""

import pytest
from cars import RACECAR
from hypothesis import given
from hypothesis import strategies as st

from racing_env.car.powertrain import drive_force_n, wheel_shares_n


@given(asked=st.floats(0.0, 20e3), vx=st.floats(1.0, 80.0))
def test_drive_never_has_more_than_the_power(asked, vx):
    force = drive_force_n(asked, vx, RACECAR)
    assert force * vx <= RACECAR.power_max_w * (1.0 + 1e-12)
    assert force == asked or force * vx == pytest.approx(RACECAR.power_max_w, rel=1e-12)


def test_a_standing_car_has_the_force_that_is_asked():
    assert drive_force_n(RACECAR.drive_force_max_n, 0.0, RACECAR) == RACECAR.drive_force_max_n
    assert drive_force_n(RACECAR.drive_force_max_n, -5.0, RACECAR) == RACECAR.drive_force_max_n


@given(force=st.floats(-20e3, 20e3), share=st.floats(0.0, 1.0))
def test_shares_of_the_wheels_add_up(force, share):
    front, rear = wheel_shares_n(force, share)
    assert 2.0 * (front + rear) == pytest.approx(force, rel=1e-12)
    assert 2.0 * front == pytest.approx(share * force, rel=1e-12, abs=1e-300)
