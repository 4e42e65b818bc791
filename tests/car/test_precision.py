"""Functions in single precision: nothing in them is wider, and they are the same functions."""

from typing import NamedTuple

import numpy as np
import pytest
from cars import RACECAR, nominal

from racing_env.car import dynamics as dyn
from racing_env.car.arithmetic import arctangent, sine
from racing_env.car.kernels import inlined, kernel
from racing_env.car.precision import in_single_precision, single
from racing_env.car.vehicle import Vehicle

TENTH = 0.1


@inlined
def with_constants(x):
    return min(TENTH * x, 0.3) + 1.0 / 3.0


@inlined
def calls_another(x):
    return 2.0 * with_constants(x) - x


class Pair(NamedTuple):
    left: float
    right: float


@kernel
def sum_of_single(pair):
    narrow = single(pair)
    return narrow.left + narrow.right


def result_types(function) -> set[str]:
    return {str(signature.return_type) for signature in function.nopython_signatures}


def test_a_function_and_what_it_calls_is_narrowed():
    narrow = in_single_precision(calls_another)
    x, tenth = np.float32(0.7), np.float32(TENTH)
    inner = np.float32(tenth * x) + np.float32(1.0 / 3.0)
    assert narrow(x) == np.float32(2.0) * inner - x
    assert result_types(narrow) == {"float32"}
    assert in_single_precision(calls_another) is narrow  # or it is compiled twice


def test_the_function_in_double_precision_stays_as_it_is():
    in_single_precision(calls_another)(np.float32(0.7))
    assert calls_another(0.7) == 2.0 * (0.1 * 0.7 + 1.0 / 3.0) - 0.7
    assert with_constants(10.0) == 0.3 + 1.0 / 3.0


def test_a_record_is_narrowed_outside_and_inside_of_kernels():
    pair = Pair(0.1, 0.2)
    narrow = single(pair)
    assert narrow == (np.float32(0.1), np.float32(0.2)) and isinstance(narrow, Pair)
    assert sum_of_single(pair) == np.float32(0.1) + np.float32(0.2)
    assert result_types(sum_of_single) == {"float32"}


@pytest.mark.parametrize("function", [arctangent, sine])
def test_polynomials_are_as_good_as_single_precision_allows(function):
    narrow = in_single_precision(function)
    x = np.linspace(-3.1, 3.1, 2001).astype(np.float32)
    error = [narrow(value) - function(float(value)) for value in x]
    assert np.abs(error).max() < 6e-7


def test_the_motion_computes_with_nothing_wider():
    state = np.zeros((dyn.STATE_SIZE, 1))
    dyn.step_dynamics(
        state, np.zeros((1, 2)), nominal(1), RACECAR, 0.05, dyn.SUBSTEPS, dyn.new_scratch()
    )
    narrow = dyn._single_substep
    narrow(*np.zeros(11, dtype=np.float32), single(Vehicle(*RACECAR)), np.float32(0.025))
    assert result_types(narrow) == {"UniTuple(float32 x 11)"}
