"""The car: parameters of a planar double-track model.

Equations: Christ, Wischnewski, Heilmeier, Lohmann, "Time-optimal trajectory planning for a race car
considering variable tyre-road friction coefficients", Vehicle System Dynamics, 2019.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from racing_env.common.errors import InputError

GRAVITY_MPS2 = 9.81
KPH_PER_MPS = 3.6


class Vehicle(NamedTuple):
    """Parameters of one car, in SI units and radians. `shipped/` has cars, a file each.

    A named tuple of floats rather than a dataclass, because numba passes it into kernels as it is.
    A default would be one that leaves a car as it was before the field was there: what was made for
    the car earlier then stays readable.
    """

    mass_kg: float
    yaw_inertia_kgm2: float
    cog_to_front_m: float
    cog_to_rear_m: float
    axle_track_m: float
    cog_height_m: float
    length_m: float
    width_m: float

    drag_kgpm: float  # force = drag * v**2
    lift_front_kgpm: float  # down-force = lift * v**2
    lift_rear_kgpm: float
    roll_share_front: float  # of the lateral load transfer
    rolling_resistance: float  # of the wheel load

    brake_share_front: float
    drive_share_front: float
    power_max_w: float
    top_speed_mps: float
    drive_force_max_n: float
    brake_force_max_n: float
    steering_max_rad: float

    friction_front: float  # force per load, mu
    friction_rear: float
    tyre_b_front: float
    tyre_b_rear: float
    tyre_c_front: float
    tyre_c_rear: float
    tyre_e_front: float
    tyre_e_rear: float
    tyre_load_sensitivity_front: float  # epsilon, per nominal load
    tyre_load_sensitivity_rear: float
    tyre_nominal_load_n: float

    steering_full_s: float  # time from straight to full lock
    drive_full_s: float  # time from no to full drive force
    brake_full_s: float

    load_filter_s: float  # low-pass of the accelerations that shift load between wheels

    @property
    def wheelbase_m(self) -> float:
        return self.cog_to_front_m + self.cog_to_rear_m


# Parameters that a record may give once, without the axle, where both axles have the same tyre.
TYRE_PARAMETERS = ("friction", "tyre_b", "tyre_c", "tyre_e", "tyre_load_sensitivity")

# What a parameter may be where it is not simply above zero: least and most, both included.
LIMITS = {
    "drag_kgpm": (0.0, math.inf),
    "lift_front_kgpm": (-math.inf, math.inf),
    "lift_rear_kgpm": (-math.inf, math.inf),
    "roll_share_front": (0.0, 1.0),
    "rolling_resistance": (0.0, 1.0),
    "brake_share_front": (0.0, 1.0),
    "drive_share_front": (0.0, 1.0),
    "steering_max_rad": (0.01, 1.2),
    "tyre_c_front": (0.5, 4.0),
    "tyre_c_rear": (0.5, 4.0),
    "tyre_e_front": (-20.0, 1.0),
    "tyre_e_rear": (-20.0, 1.0),
    "tyre_load_sensitivity_front": (-1.0, 1.0),
    "tyre_load_sensitivity_rear": (-1.0, 1.0),
}


def vehicle_from_record(record: Mapping[str, Any], where: object) -> Vehicle:
    """A car from its parameters by name; one of TYRE_PARAMETERS is that of both axles.

    Raises InputError that begins with `where` for a parameter that is missing, unknown, given twice
    or out of range.
    """
    record = _with_both_axles(record, where)
    for name in record:
        if name not in Vehicle._fields:
            raise InputError(
                f"{where}: {str(name)!r:.60} is no parameter of a car; they are "
                f"{', '.join(Vehicle._fields)}"
            )
    for name in Vehicle._fields:
        if name not in record and name not in Vehicle._field_defaults:
            raise InputError(f"{where}: {name} is missing; a car needs it")
    return Vehicle(**{name: _checked(name, value, where) for name, value in record.items()})


def _with_both_axles(record: Mapping[str, Any], where: object) -> dict[str, Any]:
    """The record with each of TYRE_PARAMETERS for the front and for the rear axle."""
    spread = dict(record)
    for name in TYRE_PARAMETERS:
        if name not in spread:
            continue
        value = spread.pop(name)
        for axle in (f"{name}_front", f"{name}_rear"):
            if axle in spread:
                raise InputError(
                    f"{where}: has both {name} and {axle}; {name} alone, or {name}_front with "
                    f"{name}_rear, is right"
                )
            spread[axle] = value
    return spread


def _checked(name: str, value: Any, where: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise InputError(f"{where}: {name} is {value!r:.60}; a finite number is needed")
    least, most = LIMITS.get(name, (0.0, math.inf))
    if not least <= value <= most or (name not in LIMITS and value == 0.0):
        right = f"from {least:g} to {most:g}" if name in LIMITS else "above 0"
        raise InputError(f"{where}: {name} is {value:g}; it must be {right}")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False
