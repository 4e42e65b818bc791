"""What is large and what is small for a car: the sizes by which numbers carry over between cars.

The project's numbers were found with a reference car. Where one of them has a dimension, another
car's is that number times a scale of this record: lengths go with the wheelbase or the width, and,
by Froude's similarity, the squares of speeds with length times grip, the squares of times with
length over grip. All scales of the reference car are exactly 1.
"""

import math
from typing import NamedTuple

from racing_env.car.vehicle import Vehicle

REFERENCE_WHEELBASE_M = 3.0
REFERENCE_WIDTH_M = 2.0
REFERENCE_MASS_KG = 1200.0
REFERENCE_FRICTION = 1.0


class Scales(NamedTuple):
    """A car's sizes over those of the reference car."""

    length: float  # wheelbases
    width: float
    acceleration: float  # grip
    speed: float
    time: float
    turn_rate: float  # rad/s, Hz
    curvature: float
    force: float  # weight times grip
    slip: float  # of the tyres, where their side force is largest


REFERENCE = Scales(*(1.0 for _ in Scales._fields))


def scales_of(vehicle: Vehicle) -> Scales:
    """The scales of a car."""
    length = vehicle.wheelbase_m / REFERENCE_WHEELBASE_M
    acceleration = vehicle.friction / REFERENCE_FRICTION
    time = math.sqrt(length / acceleration)
    return Scales(
        length=length,
        width=vehicle.width_m / REFERENCE_WIDTH_M,
        acceleration=acceleration,
        speed=math.sqrt(length * acceleration),
        time=time,
        turn_rate=1.0 / time,
        curvature=1.0 / length,
        force=vehicle.mass_kg / REFERENCE_MASS_KG * acceleration,
        slip=1.0,
    )
