"""What is large and what is small for a car: the sizes by which numbers carry over between cars.

The project's numbers were found with a reference car. Where one of them has a dimension, another
car's is that number times a scale of this record: lengths go with the wheelbase or the width, and,
by Froude's similarity, the squares of speeds with length times grip, the squares of times with
length over grip. All scales of the reference car are exactly 1. Kernels, to which each number of a
record costs time to hand over, use `racing_env.car.similarity` instead.
"""

from functools import lru_cache
from typing import NamedTuple

from racing_env.car.similarity import (
    grip_scale,
    length_scale,
    mass_scale,
    speed_scale,
    time_scale,
    width_scale,
)
from racing_env.car.tyre import Tyre, axle_tyres, peak_slip_rad
from racing_env.car.vehicle import Vehicle


class Scales(NamedTuple):
    """A car's sizes over those of the reference car."""

    length: float  # wheelbases
    width: float
    acceleration: float  # grip
    speed: float
    time: float
    turn_rate: float  # rad/s, Hz
    curvature: float
    force: float  # mass times grip
    front_slip: float  # where the axle's side force is largest
    rear_slip: float


REFERENCE = Scales(*(1.0 for _ in Scales._fields))
REFERENCE_TYRE = Tyre(1.0, 10.0, 2.5, 1.0, -0.1, 3000.0, 0.013, 4.0, 0.5)


@lru_cache(maxsize=64)
def scales_of(vehicle: Vehicle) -> Scales:
    """The scales of a car."""
    length, time = length_scale(vehicle), time_scale(vehicle)
    front, rear = axle_tyres(vehicle)
    acceleration = grip_scale(vehicle)
    return Scales(
        length=length,
        width=width_scale(vehicle),
        acceleration=acceleration,
        speed=speed_scale(vehicle),
        time=time,
        turn_rate=1.0 / time,
        curvature=1.0 / length,
        force=mass_scale(vehicle) * acceleration,
        front_slip=peak_slip_rad(front) / peak_slip_rad(REFERENCE_TYRE),
        rear_slip=peak_slip_rad(rear) / peak_slip_rad(REFERENCE_TYRE),
    )
