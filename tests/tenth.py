"""A car, and a circuit with a lap on it, at a tenth of the size.

Speeds are smaller by the root of ten, so that accelerations are as they were.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.vehicle import Vehicle
from racing_env.laps.evaluation import Telemetry
from racing_env.tracks.circuit import Circuit

# by unit; what has none of these units stays
FACTORS = {
    "m": 0.1, "mps": math.sqrt(0.1), "s": math.sqrt(0.1), "radpm": 10.0, "radps": math.sqrt(10.0)
}  # fmt: skip


def _tenth(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields by the unit at the end of their name."""
    return {
        name: value * FACTORS[unit]
        for name, value in fields.items()
        if (unit := name.rpartition("_")[2]) in FACTORS
    }


def tenth_of_vehicle(vehicle: Vehicle) -> Vehicle:
    return vehicle._replace(**_tenth(vehicle._asdict()))


def tenth_of_circuit(circuit: Circuit) -> Circuit:
    track = replace(circuit.track, **_tenth(vars(circuit.track)))
    return replace(circuit, **_tenth(vars(circuit)), track=track)


def tenth_of_lap(lap: Telemetry) -> Telemetry:
    return lap._replace(**_tenth(lap._asdict()))


def tenth_of_state(state: np.ndarray) -> np.ndarray:
    """Of a car's state (STATE_SIZE,)."""
    small = state.copy()
    small[[dyn.X, dyn.Y]] *= FACTORS["m"]
    small[[dyn.VX, dyn.VY]] *= FACTORS["mps"]
    small[dyn.YAW_RATE] *= FACTORS["radps"]
    return small
