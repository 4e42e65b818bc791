"""Derivatives of the lap time, against differences of the speed profile itself."""

import numpy as np
import pytest
from cars import RACECAR, scaled

from racing_env.car.profile_gradient import lap_time_gradient
from racing_env.car.speed_profile import profile_time, speed_profile

ANGLE = np.linspace(0.0, 2.0 * np.pi, 2000, endpoint=False)
STEPS = 1.0 + 0.1 * np.cos(5.0 * ANGLE)
CURVES = {
    "steady": np.full(2000, 0.01),
    "bends": 0.004 + 0.012 * np.sin(9.0 * ANGLE) ** 3,
    "flat out": np.full(2000, 1e-5),
}


def lap_time_s(kappa: np.ndarray, steps: np.ndarray) -> float:
    return float(profile_time(speed_profile(kappa, steps, RACECAR), steps)[-1])


@pytest.mark.parametrize("kappa", CURVES.values(), ids=CURVES)
def test_the_lap_time_is_the_profiles(kappa: np.ndarray) -> None:
    lap = lap_time_gradient(kappa, STEPS, RACECAR)
    np.testing.assert_array_equal(lap.speed_mps, speed_profile(kappa, STEPS, RACECAR))
    assert lap.lap_time_s == pytest.approx(lap_time_s(kappa, STEPS), rel=1e-12)


@pytest.mark.parametrize("kappa", CURVES.values(), ids=CURVES)
@pytest.mark.parametrize("waves", [0, 1, 9, 18])
def test_derivatives_are_slopes(kappa: np.ndarray, waves: int) -> None:
    """Of changes too small to move the slowest station; kinks are left to the tolerance."""
    lap = lap_time_gradient(kappa, STEPS, RACECAR)
    change = np.cos(waves * ANGLE)
    by_curvature, by_step = (
        (lap_time_s(kappa + h * k * change, STEPS + h * s * change)
         - lap_time_s(kappa - h * k * change, STEPS - h * s * change)) / (2.0 * h)
        for h, k, s in ((1e-6, 1.0, 0.0), (1e-4, 0.0, 1.0))
    )  # fmt: skip
    size = np.abs(lap.by_curvature) @ np.abs(change)
    assert lap.by_curvature @ change == pytest.approx(by_curvature, abs=0.02 * size + 1e-3)
    assert lap.by_step @ change == pytest.approx(by_step, abs=1e-3 * lap.by_step.sum())


def test_derivatives_are_similar() -> None:
    """Times go with the root of the size, curvatures with one over it, steps with it."""
    size, kappa = 0.25, CURVES["bends"]
    ours = lap_time_gradient(kappa, STEPS, RACECAR)
    theirs = lap_time_gradient(kappa / size, size * STEPS, scaled(RACECAR, size))
    assert theirs.lap_time_s == pytest.approx(size**0.5 * ours.lap_time_s, rel=1e-9)
    for found, expected in (
        (theirs.by_curvature, size**1.5 * ours.by_curvature),
        (theirs.by_step, size**-0.5 * ours.by_step),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())
