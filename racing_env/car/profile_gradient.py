"""How the lap time of the speed profile changes with the line.

The two passes of the profile are gone through backwards, from the lap time to each station's speed
and from there to the curvatures and steps that it was limited by (reverse accumulation: Griewank
and Walther, "Evaluating Derivatives", 2008). A step of a pass is differentiated by differences.
Where two limits cross, the time has a kink; there the gradient is that of the limit that holds.
"""

from typing import NamedTuple

import numpy as np

from racing_env.car.kernels import kernel
from racing_env.car.scales import scales_of
from racing_env.car.speed_profile import cornering_speed, grip_table, next_speed, profile_passes
from racing_env.car.vehicle import Vehicle

# Differences; those with a dimension are the reference car's, another's are scaled.
SPEED_CHANGE_MPS = 1e-3
CURVATURE_CHANGE_RADPM = 1e-5
STEP_CHANGE = 1e-3  # of the step's length


class LapTimeGradient(NamedTuple):
    """A line's lap time, and its derivatives (n,) by what the profile is made from."""

    lap_time_s: float
    by_curvature: np.ndarray  # [s m]
    by_step: np.ndarray  # by the length from station i to i + 1 [s/m]
    speed_mps: np.ndarray  # the profile


@kernel
def _pass_back(
    before, after, kappa, steps, start, direction, table, lateral_limit, speed_step,
    by_speed, by_curvature, by_step, speed_change, curvature_change,
):  # fmt: skip
    """Turn derivatives by the speeds `after` a pass, in place, into those by the speeds `before`.

    Derivatives by curvatures and steps are added to what is there.
    """
    n = after.size
    for k in range(n - 1, -1, -1):
        i = (start + direction * k) % n
        following = (i + direction) % n
        if after[following] == before[following]:
            continue
        j = i if direction > 0 else following
        weight = by_speed[following]
        by_speed[following] = 0.0
        # Of speed, curvature, next curvature and step, one at a time.
        for varied in range(4):
            change = curvature_change
            if varied == 0:
                change = min(speed_change, 0.5 * after[i])
            elif varied == 3:
                change = STEP_CHANGE * steps[j]
            difference = 0.0
            for sign in (1.0, -1.0):
                shift = sign * change
                reached = next_speed(
                    after[i] + (shift if varied == 0 else 0.0),
                    kappa[i] + (shift if varied == 1 else 0.0),
                    kappa[following] + (shift if varied == 2 else 0.0),
                    steps[j] + (shift if varied == 3 else 0.0),
                    direction, table, lateral_limit, speed_step,
                )  # fmt: skip
                difference += sign * reached
            derivative = weight * difference / (2.0 * change)
            if varied == 0:
                by_speed[i] += derivative
            elif varied == 1:
                by_curvature[i] += derivative
            elif varied == 2:
                by_curvature[following] += derivative
            else:
                by_step[j] += derivative


def lap_time_gradient(
    curvature_radpm: np.ndarray, step_lengths_m: np.ndarray, vehicle: Vehicle
) -> LapTimeGradient:
    """Lap time of the speed profile along a closed line, with its gradient.

    curvature_radpm: (n,) at the stations; step_lengths_m: (n,) from station i to i + 1 (cyclic).
    """
    table, scales = grip_table(vehicle), scales_of(vehicle)
    kappa = np.ascontiguousarray(curvature_radpm, dtype=np.float64)
    steps = np.ascontiguousarray(step_lengths_m, dtype=np.float64)
    passes = profile_passes(kappa, steps, vehicle)
    pair = passes.speed_mps + np.roll(passes.speed_mps, -1)
    by_pair = -2.0 * steps / pair**2
    by_speed = by_pair + np.roll(by_pair, 1)
    by_curvature = np.zeros(kappa.size)
    by_step = 2.0 / pair
    change = CURVATURE_CHANGE_RADPM * scales.curvature
    for before, after, direction, limits in (
        (passes.forward_mps, passes.speed_mps, -1, table.braking_mps2),
        (passes.cornering_mps, passes.forward_mps, 1, table.forward_mps2),
    ):
        _pass_back(
            before, after, kappa, steps, passes.start, direction, limits, table.lateral_mps2,
            table.speed_step_mps, by_speed, by_curvature, by_step,
            SPEED_CHANGE_MPS * scales.speed, change,
        )  # fmt: skip
    sides = [cornering_speed(np.abs(kappa) + shift, vehicle) for shift in (change, -change)]
    by_curvature += by_speed * (sides[0] - sides[1]) / (2.0 * change) * np.sign(kappa)
    return LapTimeGradient(
        float(np.sum(2.0 * steps / pair)), by_curvature, by_step, passes.speed_mps
    )
