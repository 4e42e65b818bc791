"""Conditions: how far a car and its road are from those that its driver knows.

The racing line and the profile that a driver sees stay those of the car as it is in its file.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from racing_env.car.kernels import inlined
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError, shown

MOST_DELAY_STEPS = 3  # control steps for which an action can be on its way


class Conditions(NamedTuple):
    """One set of conditions; the defaults are nominal. All but the last two are factors."""

    friction: float = 1.0  # on mu of both axles
    mass: float = 1.0  # on mass and yaw inertia
    power: float = 1.0  # on the motor's power and force
    tyre_stiffness: float = 1.0  # on the magic formula's B
    downforce: float = 1.0  # on lift
    delay_s: float = 0.0  # dead time from what is seen to the action
    noise: float = 0.0  # of the sensors; 1 is that of `SENSOR_NOISE`


class Range(NamedTuple):
    """What an episode's condition is drawn from, evenly, but for a share that is nominal."""

    least: float
    most: float
    nominal_share: float = 0.0


class ConditionRanges(NamedTuple):
    """For each condition the range that episodes draw from; the defaults are nominal."""

    friction: Range = Range(1.0, 1.0)
    mass: Range = Range(1.0, 1.0)
    power: Range = Range(1.0, 1.0)
    tyre_stiffness: Range = Range(1.0, 1.0)
    downforce: Range = Range(1.0, 1.0)
    delay_s: Range = Range(0.0, 0.0)
    noise: Range = Range(0.0, 0.0)


NOMINAL = Conditions()
NOMINAL_RANGES = ConditionRanges()
# What a road may be, of the reference car: another's delay is scaled with its control step
ROAD = ConditionRanges(
    friction=Range(0.8, 1.1),
    mass=Range(0.9, 1.1),
    power=Range(0.9, 1.1),
    tyre_stiffness=Range(0.8, 1.2),
    downforce=Range(0.8, 1.2),
    delay_s=Range(0.0, 0.1),
    noise=Range(0.0, 1.0),
)
# What drivers learn on is a little more than that: the ends of a range are no rare case then. The
# nominal delay and noise are at one end each, and not rare either.
LEARNING_ROAD = ConditionRanges(
    friction=Range(0.75, 1.15),
    mass=Range(0.88, 1.12),
    power=Range(0.88, 1.12),
    tyre_stiffness=Range(0.75, 1.3),
    downforce=Range(0.75, 1.25),
    delay_s=Range(0.0, 0.12, nominal_share=0.2),
    noise=Range(0.0, 1.2, nominal_share=0.3),
)
LIMITS = ConditionRanges(
    friction=Range(0.1, 3.0),
    mass=Range(0.3, 3.0),
    power=Range(0.1, 10.0),
    tyre_stiffness=Range(0.3, 2.0),
    downforce=Range(0.0, 5.0),
    delay_s=Range(0.0, 0.15),
    noise=Range(0.0, 10.0),
)
# The factors are kept as what they differ from 1 by, so that a car whose numbers are all zero is
# nominal; the delay is kept in control steps.
FRICTION, MASS, POWER, TYRE_STIFFNESS, DOWNFORCE, DELAY_STEPS, NOISE = range(7)
FACTORS = 5
SIZE = len(Conditions._fields)

# Standard deviations for the reference car, and the fields of `Scales` that another's go with; two
# of them twice, along and across. What is seen is computed from the state with these errors.
SENSOR_NOISE = (
    ("x_m", 0.05, "width"),
    ("y_m", 0.05, "width"),
    ("psi_rad", np.deg2rad(0.3), ""),
    ("vx_mps", 0.1, "speed"),
    ("vy_mps", 0.1, "speed"),
    ("yaw_rate_radps", 0.01, "turn_rate"),
    ("ax_mps2", 0.2, "acceleration"),
    ("ay_mps2", 0.2, "acceleration"),
)


@inlined
def conditioned(vehicle, friction, mass, power, tyre_stiffness, downforce):
    """A car under conditions, each as what it differs from 1 by.

    What is slow for a car follows from its grip (`racing_env.car.similarity`), here as anywhere.
    """
    friction, mass, power = friction + 1.0, mass + 1.0, power + 1.0
    tyre_stiffness, downforce = tyre_stiffness + 1.0, downforce + 1.0
    return Vehicle(
        vehicle.mass_kg * mass,
        vehicle.yaw_inertia_kgm2 * mass,
        vehicle.cog_to_front_m,
        vehicle.cog_to_rear_m,
        vehicle.axle_track_m,
        vehicle.cog_height_m,
        vehicle.length_m,
        vehicle.width_m,
        vehicle.drag_kgpm,
        vehicle.lift_front_kgpm * downforce,
        vehicle.lift_rear_kgpm * downforce,
        vehicle.roll_share_front,
        vehicle.rolling_resistance,
        vehicle.brake_share_front,
        vehicle.drive_share_front,
        vehicle.power_max_w * power,
        vehicle.top_speed_mps,
        vehicle.drive_force_max_n * power,
        vehicle.brake_force_max_n,
        vehicle.steering_max_rad,
        vehicle.friction_front * friction,
        vehicle.friction_rear * friction,
        vehicle.tyre_b_front * tyre_stiffness,
        vehicle.tyre_b_rear * tyre_stiffness,
        vehicle.tyre_c_front,
        vehicle.tyre_c_rear,
        vehicle.tyre_e_front,
        vehicle.tyre_e_rear,
        vehicle.tyre_load_sensitivity_front,
        vehicle.tyre_load_sensitivity_rear,
        vehicle.tyre_nominal_load_n,
        vehicle.steering_full_s,
        vehicle.drive_full_s,
        vehicle.brake_full_s,
        vehicle.load_filter_s,
    )


def under(vehicle: Vehicle, conditions: Conditions) -> Vehicle:
    """The car as it is under these conditions, for who is to know them."""
    return conditioned.py_func(vehicle, *row_of(conditions, 1.0)[:FACTORS].tolist())


def row_of(conditions: Conditions, control_step_s: float) -> np.ndarray:
    """(SIZE,) float64, as `CarTable.conditions` has it for each car."""
    row = np.array(conditions, dtype=np.float64)
    row[:FACTORS] -= 1.0
    row[DELAY_STEPS] /= control_step_s
    return row


def ranges_for(ranges: ConditionRanges, vehicle: Vehicle) -> ConditionRanges:
    """Ranges of the reference car for another."""
    time = scales_of(vehicle).time
    least_s, most_s, nominal_share = ranges.delay_s
    return ranges._replace(delay_s=Range(time * least_s, time * most_s, nominal_share))


def draw_conditions(ranges: ConditionRanges, rng: np.random.Generator) -> Conditions:
    """Draw each condition from its range; takes no number from rng for one that is fixed."""
    return Conditions(*(_draw(*both, rng) for both in zip(ranges, NOMINAL, strict=True)))


def _draw(range_: Range, nominal: float, rng: np.random.Generator) -> float:
    least, most, nominal_share = range_
    if least == most:
        return least
    if nominal_share and rng.random() < nominal_share:
        return nominal
    return float(rng.uniform(least, most))


def noise_scales(vehicle: Vehicle) -> np.ndarray:
    """Standard deviations (len(SENSOR_NOISE),) float64 at noise 1."""
    scales = scales_of(vehicle)
    return np.array([sigma * (getattr(scales, s) if s else 1.0) for _, sigma, s in SENSOR_NOISE])


def read_conditions(text: str, vehicle: Vehicle) -> Conditions:
    """Conditions from `NAME=VALUE[,NAME=VALUE...]`; nominal where none is named.

    Raises InputError that says what is wrong with which.
    """
    given: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name not in Conditions._fields:
            wrong = f"there is none of the name {shown(name)}" if equals else "expected NAME=VALUE"
            raise InputError(
                f"--condition {shown(part)}: {wrong}; names are {', '.join(Conditions._fields)}"
            )
        if name in given:
            raise InputError(f"--condition {shown(text)}: {name} is there twice")
        given[name] = _number(name, value, vehicle)
    return NOMINAL._replace(**given)


def _number(name: str, text: str, vehicle: Vehicle) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    refuse_impossible(name, value, vehicle, f"--condition {name}={shown(text)}")
    return value


def refuse_impossible(name: str, value: float, vehicle: Vehicle, given: str) -> None:
    """Raise InputError for a condition beyond `LIMITS`, or NaN; it begins with what was given."""
    least, most, _ = getattr(ranges_for(LIMITS, vehicle), name)
    if not least <= value <= most:
        steps = " (three control steps of this car)" if name == "delay_s" else ""
        raise InputError(f"{given}: a number from {least:g} to {most:g}{steps} is needed")


def differences(conditions: Conditions) -> dict[str, float]:
    """Those that are not nominal, by name."""
    both: Mapping[str, float] = conditions._asdict()
    return {name: value for name, value in both.items() if value != getattr(NOMINAL, name)}
