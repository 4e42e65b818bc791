"""How a car's size goes into its numbers: scales over those of the reference car, for kernels.

By Froude's similarity: cars of one shape on circuits of one shape do the same where the squares of
their speeds go with length times grip. All scales of the reference car are exactly 1.
"""

import math

from racing_env.car.kernels import inlined

REFERENCE_WHEELBASE_M = 3.0
REFERENCE_WIDTH_M = 2.0
REFERENCE_MASS_KG = 1200.0
REFERENCE_FRICTION = 1.0


@inlined
def length_scale(vehicle):
    """Wheelbases."""
    return (vehicle.cog_to_front_m + vehicle.cog_to_rear_m) / REFERENCE_WHEELBASE_M


@inlined
def grip_scale(vehicle):
    """Friction of both axles, each by the weight that it bears."""
    front, rear = vehicle.cog_to_rear_m, vehicle.cog_to_front_m
    grip = vehicle.friction_front * front + vehicle.friction_rear * rear
    return grip / (front + rear) / REFERENCE_FRICTION


@inlined
def speed_scale(vehicle):
    """Square roots of length times grip."""
    return math.sqrt(length_scale(vehicle) * grip_scale(vehicle))


@inlined
def time_scale(vehicle):
    """Square roots of length over grip."""
    return math.sqrt(length_scale(vehicle) / grip_scale(vehicle))


@inlined
def width_scale(vehicle):
    """Widths."""
    return vehicle.width_m / REFERENCE_WIDTH_M


@inlined
def mass_scale(vehicle):
    """Masses."""
    return vehicle.mass_kg / REFERENCE_MASS_KG
