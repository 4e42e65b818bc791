"""Differences: how much a quantity changes with each number of a car's state, by changing it."""

from typing import NamedTuple

import numpy as np

from racing_env.car import conditions
from racing_env.car import dynamics as dyn
from racing_env.car.kernels import inlined
from racing_env.car.scales import Scales
from racing_env.simulation.motion import CarTable, locate, new_car_table, room_inside


def state_changes(scales: Scales) -> np.ndarray:
    """One change (STATE_SIZE,) per number of the state, in its unit, for a car: far above
    rounding, also float32's in the observation, far below what bends the tyre curve.
    """
    changes = np.zeros(dyn.STATE_SIZE)
    changes[[dyn.X, dyn.Y]] = 1e-3 * scales.length
    changes[dyn.PSI] = 1e-4
    changes[[dyn.VX, dyn.VY]] = 1e-2 * scales.speed
    changes[dyn.YAW_RATE] = 1e-3 * scales.turn_rate
    changes[dyn.STEER] = 1e-4
    changes[[dyn.DRIVE, dyn.BRAKE]] = 10.0 * scales.force
    changes[[dyn.AX, dyn.AY]] = 1e-2 * scales.acceleration
    return changes


class Probe(NamedTuple):
    """One car to try changes with."""

    state: np.ndarray  # (STATE_SIZE, 1)
    cars: CarTable
    seen: np.ndarray  # (2, size) float32


def new_probe(size: int) -> Probe:
    """A probe for a driver who sees so many numbers."""
    return Probe(np.zeros((dyn.STATE_SIZE, 1)), new_car_table(1), np.zeros((2, size), np.float32))


@inlined
def add_seen_differences(
    see, state, car, c, station, own_conditions, circuits, scaling, changes, probe, by_seen, out
):
    """Add to out (STATE_SIZE, n) what a gradient by what `see` shows is by the state.

    by_seen: (size,), by the quantities in their units. Of layouts without derivatives written out:
    see `racing_env.simulation.layout_kernels`. Nothing is left for the place, which changes with
    the state here.
    """
    for variant in range(dyn.STATE_SIZE + 1):
        i = variant - 1
        probe.state[:, 0] = state[:, car]
        if i >= 0:
            probe.state[i, 0] += changes[i]
        probe.cars.circuit[0], probe.cars.station[0] = c, station
        for k in range(conditions.SIZE):
            probe.cars.conditions[0, k] = own_conditions[k]
        locate(probe.state, probe.cars, circuits, 0)
        probe.cars.room_m[0] = room_inside(probe.cars, circuits, 0)
        see(probe.state, 0, probe.cars, circuits, scaling, probe.seen[min(variant, 1)])
        if i >= 0:
            gain = 0.0
            for k in range(len(by_seen)):
                change = (probe.seen[1, k] - probe.seen[0, k]) / scaling[0, k]
                gain += by_seen[k] * change
            out[i, car] += gain / changes[i]
    return 0.0, 0.0
