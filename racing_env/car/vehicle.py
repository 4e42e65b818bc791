"""The car: parameters of a planar double-track model.

Equations: Christ, Wischnewski, Heilmeier, Lohmann, "Time-optimal trajectory planning for a race car
considering variable tyre-road friction coefficients", Vehicle System Dynamics, 2019.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from racing_env.common.errors import InputError, shown

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

# What a parameter may be: least and most, both included. So wide that any car is within, from a
# model of a hundredth of the size to a lorry; what is beyond is a slip of unit or of sign.
LIMITS = {
    "mass_kg": (1e-3, 1e5),
    "yaw_inertia_kgm2": (1e-9, 1e7),
    "cog_to_front_m": (1e-3, 20.0),
    "cog_to_rear_m": (1e-3, 20.0),
    "axle_track_m": (1e-3, 10.0),
    "cog_height_m": (1e-4, 5.0),
    "length_m": (1e-3, 30.0),
    "width_m": (1e-3, 10.0),
    "drag_kgpm": (0.0, 100.0),
    "lift_front_kgpm": (-100.0, 100.0),
    "lift_rear_kgpm": (-100.0, 100.0),
    "roll_share_front": (0.0, 1.0),
    "rolling_resistance": (0.0, 1.0),
    "brake_share_front": (0.0, 1.0),
    "drive_share_front": (0.0, 1.0),
    "power_max_w": (1e-4, 1e8),
    "top_speed_mps": (0.1, 200.0),
    "drive_force_max_n": (1e-4, 1e7),
    "brake_force_max_n": (1e-4, 1e7),
    "steering_max_rad": (0.01, 1.2),
    "friction_front": (0.01, 10.0),
    "friction_rear": (0.01, 10.0),
    "tyre_b_front": (0.1, 200.0),
    "tyre_b_rear": (0.1, 200.0),
    "tyre_c_front": (0.5, 4.0),
    "tyre_c_rear": (0.5, 4.0),
    "tyre_e_front": (-20.0, 1.0),
    "tyre_e_rear": (-20.0, 1.0),
    "tyre_load_sensitivity_front": (-1.0, 1.0),
    "tyre_load_sensitivity_rear": (-1.0, 1.0),
    "tyre_nominal_load_n": (1e-4, 1e7),
    "steering_full_s": (1e-4, 10.0),
    "drive_full_s": (1e-4, 10.0),
    "brake_full_s": (1e-4, 10.0),
    "load_filter_s": (1e-4, 10.0),
}
# Yaw inertia over m l_f l_r: 1 where both axles bear point masses, a fifth to a half for real cars.
INERTIA_SHARES = (0.05, 20.0)
LEAST_GRIP_SHARE = 0.2  # of the friction that a load sensitivity may leave of it under the weight


def vehicle_from_record(
    record: Mapping[str, Any], where: object, known_as: Mapping[str, str] | None = None
) -> Vehicle:
    """A car from its parameters by name; one of TYRE_PARAMETERS is that of both axles.

    known_as: what a parameter is called where the record comes from. Raises InputError that begins
    with `where` for a parameter that is missing, unknown, given twice or out of range.
    """
    record = _with_both_axles(record, where)
    for name in record:
        if name not in Vehicle._fields:
            raise InputError(
                f"{where}: {shown(name)} is no parameter of a car; they are "
                f"{', '.join(Vehicle._fields)}"
            )
    for name in Vehicle._fields:
        if name not in record and name not in Vehicle._field_defaults:
            raise InputError(f"{where}: {name} is missing; a car needs it")
    called = known_as or {}
    return Vehicle(
        **{
            name: _checked(name, value, f"{where}: {called.get(name, name)}")
            for name, value in record.items()
        }
    )


def refuse_undrivable(vehicle: Vehicle, where: object) -> None:
    """Raise InputError, one line, for parameters that do not go together in any car."""
    front, rear = vehicle.cog_to_front_m, vehicle.cog_to_rear_m
    weight_n = vehicle.mass_kg * GRAVITY_MPS2
    whole = vehicle.mass_kg * front * rear
    least, most = (share * whole for share in INERTIA_SHARES)
    if not least <= vehicle.yaw_inertia_kgm2 <= most:
        raise InputError(
            f"{where}: yaw_inertia_kgm2 is {vehicle.yaw_inertia_kgm2:g}; a car of this mass and "
            f"wheelbase has {least:.3g} to {most:.3g}"
        )
    loads = {"front": weight_n * rear / (front + rear), "rear": weight_n * front / (front + rear)}
    for axle, load_n in loads.items():
        sensitivity = getattr(vehicle, f"tyre_load_sensitivity_{axle}")
        left = 1.0 + sensitivity * 0.5 * load_n / vehicle.tyre_nominal_load_n
        if left < LEAST_GRIP_SHARE:
            raise InputError(
                f"{where}: tyre_load_sensitivity_{axle} {sensitivity:g} for each "
                f"{vehicle.tyre_nominal_load_n:g} N (tyre_nominal_load_n) leaves {left:.2g} of the "
                f"grip under {0.5 * load_n:.4g} N; at least {LEAST_GRIP_SHARE:g} is needed"
            )
    needed_n = vehicle.rolling_resistance * weight_n
    if vehicle.drive_force_max_n <= needed_n:
        raise InputError(
            f"{where}: drive_force_max_n is {vehicle.drive_force_max_n:g}; rolling alone takes "
            f"{needed_n:.4g} N"
        )


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


def _checked(name: str, value: Any, label: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise InputError(f"{label} is {shown(value)}; a finite number is needed")
    least, most = LIMITS.get(name, (-math.inf, math.inf))
    if not least <= value <= most:
        raise InputError(f"{label} is {value:g}; it must be from {least:g} to {most:g}")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False
