"""The polynomials against the library's functions."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from racing_env.car.arithmetic import arctangent, cosine, sine, wrapped_angle

ANGLES = np.linspace(-math.pi, math.pi, 4001)


def test_polynomials_keep_their_bounds():
    x = np.concatenate([np.linspace(-1.5, 1.5, 4001), np.geomspace(1.0, 1e12, 500)])
    x = np.concatenate([x, -x])
    error = [arctangent(value) - math.atan(value) for value in x]
    assert np.abs(error).max() < 1e-8
    error = [sine(value) - math.sin(value) for value in ANGLES]
    assert np.abs(error).max() < 1e-10
    error = [cosine(value) - math.cos(value) for value in ANGLES]
    assert np.abs(error).max() < 1e-10


@given(x=st.floats(-1e9, 1e9))
def test_the_arc_tangent_is_odd_to_the_last_bit(x):
    assert arctangent(-x) == -arctangent(x)


def test_sine_is_odd_and_cosine_even_to_the_last_bit():
    for x in ANGLES:
        assert sine(-x) == -sine(x)
        assert cosine(-x) == cosine(x)


@given(x=st.floats(-1e3, 1e3))
def test_a_wrapped_angle_is_the_same_angle_within_a_turn(x):
    wrapped = wrapped_angle(x)
    assert -math.pi <= wrapped < math.pi + 1e-12
    turns = (x - wrapped) / (2.0 * math.pi)
    assert abs(turns - round(turns)) < 1e-9
