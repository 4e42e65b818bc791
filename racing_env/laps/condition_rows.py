"""The conditions that an evaluation drives under: those that are named, or all of a road."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from racing_env.car.conditions import (
    NOMINAL,
    ROAD,
    ConditionRanges,
    Conditions,
    Range,
    differences,
    draw_conditions,
    ranges_for,
    read_conditions,
)
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError, shown
from racing_env.laps.circuit_conditions import CircuitConditions, conditions_on
from racing_env.tracks.circuit import Circuit

NOMINAL_NAME = "nominal"
# Of the reference car: another's delays are scaled with its time. One thing after the other, then
# those together that are hard together.
GRID = (
    NOMINAL,
    *(Conditions(friction=factor) for factor in (0.8, 0.85, 0.9, 0.95, 1.05, 1.1)),
    *(Conditions(mass=factor) for factor in (0.9, 1.1)),
    *(Conditions(power=factor) for factor in (0.9, 1.1)),
    *(Conditions(tyre_stiffness=factor) for factor in (0.8, 1.2)),
    *(Conditions(downforce=factor) for factor in (0.8, 1.2)),
    *(Conditions(delay_s=seconds) for seconds in (0.025, 0.05, 0.1)),
    *(Conditions(noise=amount) for amount in (0.5, 1.0)),
    Conditions(friction=0.8, delay_s=0.1),
    Conditions(friction=0.85, mass=1.1, delay_s=0.05),
    Conditions(friction=0.9, tyre_stiffness=0.8),
    Conditions(friction=0.8, mass=1.1),
    Conditions(friction=1.1, delay_s=0.1),
)
DRAWS = 5  # of each circuit, from all that a road may be
LAPS_APART = 6  # beside each other on a circuit can be told apart


class Row(NamedTuple):
    """What one row of the results is of: a drive on every circuit, or several."""

    name: str
    drives: tuple[CircuitConditions, ...]


def named_conditions(texts: Sequence[str], vehicle: Vehicle) -> list[Conditions]:
    """Conditions of `--condition`, in their order.

    Raises InputError for one that cannot be read, or that is there twice.
    """
    found: dict[Conditions, str] = {}
    for text in texts:
        if not text.strip(" ,"):
            raise InputError(
                f"--condition {shown(text)}: expected NAME=VALUE[,NAME=VALUE...] or {NOMINAL_NAME}"
            )
        nominal = text.strip() == NOMINAL_NAME
        conditions = NOMINAL if nominal else read_conditions(text, vehicle)
        if conditions in found:
            raise InputError(
                f"--condition {shown(text)}: is the same as --condition {shown(found[conditions])}"
            )
        found[conditions] = text
    return list(found)


def rows_of(conditions: Sequence[Conditions], circuits: Sequence[Circuit]) -> list[Row]:
    """A row for each, driven on all circuits."""
    return [
        Row(row_name(some), (conditions_on(circuits, [some] * len(circuits)),))
        for some in conditions
    ]


def road_rows(circuits: Sequence[Circuit], seed: int) -> list[Row]:
    """The grid, and a row of draws from all that a road may be, other ones on each circuit.

    A draw's random stream is named by the seed, the circuit's number and the draw's.
    """
    vehicle = circuits[0].vehicle
    ranges = ranges_for(ROAD, vehicle)
    draws = [
        [
            draw_conditions(ranges, np.random.default_rng([seed, circuit, draw]))
            for circuit in range(len(circuits))
        ]
        for draw in range(DRAWS)
    ]
    drawn = Row(f"{DRAWS} draws", tuple(conditions_on(circuits, draw) for draw in draws))
    return [*rows_of([scaled_for(vehicle, some) for some in GRID], circuits), drawn]


def shown_drive(drives: Sequence[CircuitConditions]) -> int:
    """Which of the drives pictures show: the nominal one, or the first where there is none."""
    nominal = [set(drive.conditions) == {NOMINAL} for drive in drives]
    return nominal.index(True) if any(nominal) else 0


def replayed_rows(rows: Sequence[Row], shown: int, drivers: int) -> dict[int, str]:
    """Which of the drives a replay shows, and the names of their rows: the one that is shown, and
    others in their order, as many as can be told apart.
    """
    drives = {
        sum(len(before.drives) for before in rows[:i]): row.name
        for i, row in enumerate(rows)
        if len(row.drives) == 1
    }
    first = {shown: drives.pop(shown, rows[-1].name)}
    more = max(LAPS_APART // drivers, 1) - 1
    return first | dict(list(drives.items())[:more])


def scaled_for(vehicle: Vehicle, conditions: Conditions) -> Conditions:
    """Conditions of the reference car for another, to a tenth of a millisecond."""
    as_ranges = ConditionRanges(*(Range(value, value) for value in conditions))
    scaled = Conditions(*(range_.least for range_ in ranges_for(as_ranges, vehicle)))
    return scaled._replace(delay_s=round(scaled.delay_s, 4))


def row_name(conditions: Conditions) -> str:
    """What is not nominal, such as `friction 0.8, delay_s 0.1`."""
    named = (f"{name} {value:.6g}" for name, value in differences(conditions).items())
    return ", ".join(named) or NOMINAL_NAME
