"""Circuits that a car cannot get round, whoever drives: found before anything is driven.

A corner is too tight if the circuit's line, which takes it as wide as the borders allow, is still
tighter than the car turns at full lock. With the reference car, hairpins whose line has a radius of
0.96 of that and more are driven by the expert and those of 0.91 and less are not. A track is too
narrow if there is no room to steer: it drives in 1.5 times the car's width and not in 1.4.
"""

import math

import numpy as np

from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.tracks.circuit import Circuit

TIGHTER_THAN_FULL_LOCK = 0.9  # a line's radius over that of full lock that a car still gets round
WIDTH_OVER_CAR_MIN = 1.25


def full_lock_radius_m(vehicle: Vehicle) -> float:
    """Radius that the middle of the rear axle turns on at full lock, without slip."""
    return vehicle.wheelbase_m / math.tan(vehicle.steering_max_rad)


def passable(circuit: Circuit, name: str) -> Circuit:
    """The circuit; raises InputError, one line, if its car cannot get round it.

    name: the file, or what else was asked for.
    """
    track, vehicle = circuit.track, circuit.vehicle
    width = track.width_right_m + track.width_left_m
    narrowest = int(np.argmin(width))
    needed_m = WIDTH_OVER_CAR_MIN * vehicle.width_m
    if width[narrowest] < needed_m:
        raise InputError(
            f"{name}: the track is only {width[narrowest]:.2f} m wide {_place(circuit, narrowest)}"
            f"; this car of {vehicle.width_m:g} m needs at least {needed_m:.2f} m to steer in"
        )
    tightest = int(np.argmax(np.abs(circuit.line_kappa_radpm)))
    radius_m = 1.0 / max(abs(circuit.line_kappa_radpm[tightest]), 1e-9)
    lock_m = full_lock_radius_m(vehicle)
    if radius_m < TIGHTER_THAN_FULL_LOCK * lock_m:
        raise InputError(
            f"{name}: the corner {_place(circuit, tightest)} is too tight, a radius of "
            f"{radius_m:.2f} m on the widest line; at full lock this car turns on {lock_m:.2f} m"
        )
    return circuit


def _place(circuit: Circuit, station: int) -> str:
    track = circuit.track
    return (
        f"at ({track.x_m[station]:.1f}, {track.y_m[station]:.1f}) m, "
        f"{station * track.step_m:.0f} m along the lap"
    )
