"""Cars in the formats that others publish: TU Munich's `racecar.ini` and the flat YAML of F1TENTH.

Neither says everything that a double-track model has. What is missing is taken from the reference
car by similarity, or from what the format's own simulator does, and is named, so that nobody has to
guess. `docs/files.md` has both tables.
"""

import configparser
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from racing_env.car.similarity import REFERENCE_FRICTION, REFERENCE_WHEELBASE_M
from racing_env.car.vehicle import GRAVITY_MPS2
from racing_env.common.errors import InputError, shown

# Of the reference car, with which times go by similarity.
LOAD_FILTER_S = 0.03
PEDAL_FULL_S = 0.05
AXLE_TRACK_PER_WIDTH = 0.8
ROLLING_RESISTANCE = 0.013

# Where each parameter stands in TU Munich's file: section, record of JSON, key.
INI_SECTIONS = {
    "veh_params": "GENERAL_OPTIONS",
    "optim_opts_mintime": "OPTIMIZATION_OPTIONS",
    "vehicle_params_mintime": "OPTIMIZATION_OPTIONS",
    "tire_params_mintime": "OPTIMIZATION_OPTIONS",
}
INI_KEYS = {
    "mass_kg": ("veh_params", "mass"),
    "length_m": ("veh_params", "length"),
    "width_m": ("veh_params", "width"),
    "drag_kgpm": ("veh_params", "dragcoeff"),
    "top_speed_mps": ("veh_params", "v_max"),
    "friction": ("optim_opts_mintime", "mue"),
    "yaw_inertia_kgm2": ("vehicle_params_mintime", "I_z"),
    "cog_to_front_m": ("vehicle_params_mintime", "wheelbase_front"),
    "cog_to_rear_m": ("vehicle_params_mintime", "wheelbase_rear"),
    "cog_height_m": ("vehicle_params_mintime", "cog_z"),
    "lift_front_kgpm": ("vehicle_params_mintime", "liftcoeff_front"),
    "lift_rear_kgpm": ("vehicle_params_mintime", "liftcoeff_rear"),
    "roll_share_front": ("vehicle_params_mintime", "k_roll"),
    "brake_share_front": ("vehicle_params_mintime", "k_brake_front"),
    "drive_share_front": ("vehicle_params_mintime", "k_drive_front"),
    "power_max_w": ("vehicle_params_mintime", "power_max"),
    "drive_force_max_n": ("vehicle_params_mintime", "f_drive_max"),
    "brake_force_max_n": ("vehicle_params_mintime", "f_brake_max"),
    "steering_max_rad": ("vehicle_params_mintime", "delta_max"),
    "steering_full_s": ("vehicle_params_mintime", "t_delta"),
    "drive_full_s": ("vehicle_params_mintime", "t_drive"),
    "brake_full_s": ("vehicle_params_mintime", "t_brake"),
    "rolling_resistance": ("tire_params_mintime", "c_roll"),
    "tyre_nominal_load_n": ("tire_params_mintime", "f_z0"),
    "tyre_b_front": ("tire_params_mintime", "B_front"),
    "tyre_b_rear": ("tire_params_mintime", "B_rear"),
    "tyre_c_front": ("tire_params_mintime", "C_front"),
    "tyre_c_rear": ("tire_params_mintime", "C_rear"),
    "tyre_e_front": ("tire_params_mintime", "E_front"),
    "tyre_e_rear": ("tire_params_mintime", "E_rear"),
    "tyre_load_sensitivity_front": ("tire_params_mintime", "eps_front"),
    "tyre_load_sensitivity_rear": ("tire_params_mintime", "eps_rear"),
}

YAML_NEEDED = (
    "mu", "C_Sf", "C_Sr", "lf", "lr", "h", "m", "I", "s_min", "s_max", "sv_min", "sv_max",
    "v_switch", "a_max", "v_max", "width", "length",
)  # fmt: skip
# Read where they are there: tracks of the axles, shares of brakes and drive on the front axle.
YAML_OPTIONAL = ("T_f", "T_r", "T_sb", "T_se")
# Limits of planners, of driving backwards, and of models that this one is not.
YAML_UNUSED = ("v_min", "kappa_dot_max", "kappa_dot_dot_max", "j_max", "j_dot_max")
# What is taken over as it is, for messages.
YAML_NAMES = {
    "mass_kg": "m", "yaw_inertia_kgm2": "I", "cog_to_front_m": "lf", "cog_to_rear_m": "lr",
    "cog_height_m": "h", "length_m": "length", "width_m": "width", "top_speed_mps": "v_max",
    "steering_max_rad": "s_max", "friction_front": "mu", "friction_rear": "mu",
    "brake_share_front": "T_sb", "drive_share_front": "T_se",
}  # fmt: skip
# CommonRoad's own tyre has these where its single-track model has a straight line: p_cy1 and p_ey1
# of parameters_vehicle2.yaml, by whose p_ky1 and p_dy1 it has its C_S too.
LATERAL_SHAPE, LATERAL_CURVATURE = 1.3507, -0.0074722


class PublishedCar(NamedTuple):
    """What `vehicle_from_record` takes, and which of it the file does not say."""

    record: dict[str, Any]
    known_as: dict[str, str]  # parameters by the file's own names
    taken: tuple[str, ...]


def car_of_ini(text: str, where: object) -> PublishedCar:
    """TU Munich's `racecar.ini`: the parameters of its minimum-lap-time optimisation.

    Raises InputError, one line that begins with `where`.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        records = {
            name: json.loads(parser.get(section, name)) for name, section in INI_SECTIONS.items()
        }
    except (configparser.Error, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{where}: is not a car as TU Munich's racecar.ini is one ({reason:.120}); "
            f"{', '.join(INI_SECTIONS)} are needed"
        ) from None
    found: dict[str, Any] = {}
    for name, (group, key) in INI_KEYS.items():
        found[name] = _needed(records[group], key, f"{where}: {group}")
    motion = records["vehicle_params_mintime"]
    tracks = []
    for key in ("track_width_front", "track_width_rear"):
        tracks.append(_number(_needed(motion, key, f"{where}: vehicle_params_mintime"), key, where))
        if tracks[-1] <= 0.0:
            raise InputError(f"{where}: {key} is {tracks[-1]:g}; it must be above 0")
    found["axle_track_m"] = 0.5 * sum(tracks)
    lengths = [_number(found[key], key, where) for key in ("cog_to_front_m", "cog_to_rear_m")]
    slower = _time_scale(sum(lengths), _number(found["friction"], "mue", where), where)
    found["load_filter_s"] = LOAD_FILTER_S * slower
    taken = ["load_filter_s"]
    if tracks[0] != tracks[1]:
        taken.append("axle_track_m (the mean of both)")
    known_as = {name: f"{group}: {key}" for name, (group, key) in INI_KEYS.items()}
    for axle in ("front", "rear"):
        known_as[f"friction_{axle}"] = known_as["friction"]
    return PublishedCar(found, known_as, tuple(taken))


def car_of_yaml(text: str, where: object) -> PublishedCar:
    """The flat YAML of F1TENTH and CommonRoad: the parameters of their single-track model.

    Its side force mu C_S F_z alpha becomes the magic formula's beginning, B C = C_S; its constant
    power above v_switch is P_max = m a_max v_switch. Raises InputError, one line that begins with
    `where`.
    """
    given = _flat_yaml(text, where)
    number = {key: _number(_needed(given, key, where), key, where) for key in YAML_NEEDED}
    for least, most in (("s_min", "s_max"), ("sv_min", "sv_max")):
        if not math.isclose(number[least], -number[most], rel_tol=1e-3) or number[most] <= 0.0:
            raise InputError(
                f"{where}: {least} is {number[least]} and {most} is {number[most]}; this model "
                "steers as far and as fast to both sides"
            )
    for key in set(YAML_NEEDED) - {"s_min", "sv_min"}:
        if number[key] <= 0.0:
            raise InputError(f"{where}: {key} is {number[key]:g}; it must be above 0")
    mass, width = number["m"], number["width"]
    force = mass * number["a_max"]
    wheelbase = number["lf"] + number["lr"]
    slower = _time_scale(wheelbase, number["mu"], where)
    # The single-track model has no axle that slips before the other: forces go as the loads do.
    front_share = number["lr"] / wheelbase
    transfer = number["h"] / wheelbase * number["a_max"] / GRAVITY_MPS2
    found = {
        "mass_kg": mass, "yaw_inertia_kgm2": number["I"],
        "cog_to_front_m": number["lf"], "cog_to_rear_m": number["lr"],
        "cog_height_m": number["h"], "length_m": number["length"], "width_m": width,
        "power_max_w": force * number["v_switch"], "top_speed_mps": number["v_max"],
        "drive_force_max_n": force, "brake_force_max_n": force,
        "steering_max_rad": number["s_max"],
        "steering_full_s": number["s_max"] / number["sv_max"],
        "friction": number["mu"],
        "tyre_b_front": number["C_Sf"] / LATERAL_SHAPE,
        "tyre_b_rear": number["C_Sr"] / LATERAL_SHAPE,
    }  # fmt: skip
    taken = {
        "axle_track_m": AXLE_TRACK_PER_WIDTH * width,
        "drag_kgpm": 0.0, "lift_front_kgpm": 0.0, "lift_rear_kgpm": 0.0,
        "roll_share_front": 0.5, "rolling_resistance": ROLLING_RESISTANCE,
        "brake_share_front": _share(front_share + transfer),
        "drive_share_front": _share(front_share - transfer),
        "tyre_c": LATERAL_SHAPE, "tyre_e": LATERAL_CURVATURE,
        "tyre_load_sensitivity": 0.0, "tyre_nominal_load_n": 0.25 * mass * GRAVITY_MPS2,
        "drive_full_s": PEDAL_FULL_S * slower, "brake_full_s": PEDAL_FULL_S * slower,
        "load_filter_s": LOAD_FILTER_S * slower,
    }  # fmt: skip
    optional = {key: _number(given[key], key, where) for key in YAML_OPTIONAL if key in given}
    if "T_f" in optional and "T_r" in optional:
        found["axle_track_m"] = 0.5 * (optional["T_f"] + optional["T_r"])
    for key, name in (("T_sb", "brake_share_front"), ("T_se", "drive_share_front")):
        if key in optional:
            found[name] = optional[key]
    left = {name: value for name, value in taken.items() if name not in found}
    return PublishedCar(found | left, dict(YAML_NAMES), tuple(left))


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key given twice; YAML's own takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise ValueError(f"{name:.40} is given twice")
            seen.add(name)
        return super().construct_mapping(node, deep)


def _flat_yaml(text: str, where: object) -> dict[str, Any]:
    """The file's keys and values; raises InputError for what is no flat YAML of a car."""
    try:
        given = yaml.load(text, _UniqueKeys)  # a safe loader
    except Exception as error:  # a hostile one raises anything, down to RecursionError
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: is not YAML ({reason:.80}); that of a car is needed") from None
    if not isinstance(given, dict):
        raise InputError(f"{where}: is no car; {', '.join(YAML_NEEDED)} are needed")
    if "I_z" in given:
        if "I" in given:
            raise InputError(f"{where}: has both I and I_z; one of them is right")
        given["I"] = given.pop("I_z")
    known = {*YAML_NEEDED, *YAML_OPTIONAL, *YAML_UNUSED}
    for key in given:
        if key not in known:
            raise InputError(
                f"{where}: {shown(key)} is no parameter of a car in F1TENTH's or CommonRoad's "
                f"flat YAML; they are {', '.join(YAML_NEEDED + YAML_OPTIONAL)}"
            )
    return given


def _needed(record: Any, key: str, where: object) -> Any:
    if not isinstance(record, Mapping) or key not in record:
        raise InputError(f"{where}: {key} is missing; a car needs it")
    return record[key]


def _number(value: Any, key: str, where: object) -> float:
    """A value that is calculated with here; its range is checked with the whole record."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise InputError(f"{where}: {key} is {shown(value)}; a finite number is needed")
    return float(value)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _time_scale(wheelbase_m: float, friction: float, where: object) -> float:
    """How much slower than the reference car: the root of length over grip."""
    if wheelbase_m <= 0.0 or friction <= 0.0:
        raise InputError(f"{where}: wheelbase and friction must be above 0")
    return math.sqrt(wheelbase_m / REFERENCE_WHEELBASE_M / (friction / REFERENCE_FRICTION))
