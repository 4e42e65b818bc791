"""What `RaceEnv` and its reset are given, checked: circuits, conditions, numbers."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from racing_env.car.conditions import NOMINAL, Conditions, refuse_impossible
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError, shown
from racing_env.tracks.circuit import Circuit, prepare_circuit
from racing_env.tracks.feasibility import passable
from racing_env.tracks.geometry import Track
from racing_env.tracks.sources import load_circuits

TrackSource = str | Path | Track | Circuit | Sequence[str | Path | Track | Circuit]


def is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def listed(source: TrackSource) -> list[Any]:
    return list(source) if isinstance(source, list | tuple) else [source]


def circuits_from(source: TrackSource, vehicle: Vehicle) -> list[Circuit]:
    """Circuits ready to drive on, from all that `track` may be."""
    circuits: list[Circuit] = []
    for item in listed(source):
        if isinstance(item, Circuit):
            if item.vehicle != vehicle:
                raise InputError(
                    f"track {item.track.name}: was prepared for another car; prepare it with the "
                    "environment's vehicle"
                )
            circuits.append(passable(item, item.track.name))
        elif isinstance(item, Track):
            circuits.append(passable(prepare_circuit(item, vehicle), item.name))
        elif isinstance(item, str | Path):
            circuits.extend(load_circuits([str(item)], vehicle))
        else:
            raise InputError(
                f"track {item!r}: must be a name, a path, a Track, a Circuit or a list of those"
            )
    if not circuits:
        raise InputError("track []: at least one is needed")
    return circuits


def checked_conditions(given: Any, vehicle: Vehicle) -> Conditions:
    """Conditions from a record or from a dictionary of what is not nominal.

    Raises InputError that says what is wrong with which.
    """
    if isinstance(given, Conditions):
        given = given._asdict()
    if not isinstance(given, Mapping):
        raise InputError(f"conditions {shown(given)}: must be Conditions or a dictionary of them")
    if unknown := [name for name in given if name not in Conditions._fields]:
        raise InputError(
            f"conditions: {shown(unknown[0])} is unknown; names are {', '.join(Conditions._fields)}"
        )
    for name, value in given.items():
        number = value if is_number(value) else math.nan
        refuse_impossible(name, number, vehicle, f"conditions: {name} {shown(value)}")
    return NOMINAL._replace(**{name: float(value) for name, value in given.items()})
