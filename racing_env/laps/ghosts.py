"""Laps and maps thinned for the replay of the report, and the file that holds them.

A lap of a driver is ten samples a second instead of telemetry at every control step. The page goes
straight from sample to sample: at 60 m/s in a bend of 200 m radius that is 2 cm beside the path.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from racing_env.car.vehicle import KPH_PER_MPS, Vehicle
from racing_env.common.files import replaced_atomically
from racing_env.laps.evaluation import LapResult
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.geometry import borders

SAMPLE_S = 0.1
MAP_STEP = 2.5  # between points of the borders and of the racing line, in widths of the car
PLACES_PER_WIDTH = 10  # that can be told apart at the least


def write_ghosts(
    circuits: Sequence[Circuit],
    rows: Mapping[str, Mapping[str, Sequence[LapResult]]],
    path: str | Path,
) -> None:
    """Write maps and laps as JSON: an object per circuit, its laps row by row in the order of the
    drivers.

    rows: by the name of a condition results with telemetry by driver, in the order of the circuits.
    """
    ghosts = [
        circuit_map(circuit)
        | {
            "laps": [
                ghost(results[i], circuit.vehicle) | {"row": row}
                for row, of_row in rows.items()
                for results in of_row.values()
            ]
        }
        for i, circuit in enumerate(circuits)
    ]
    with replaced_atomically(path) as temporary:  # numbers by the thousand: no indentation
        temporary.write_text(json.dumps(ghosts, separators=(",", ":"), allow_nan=False))


def circuit_map(circuit: Circuit) -> dict[str, Any]:
    """Borders and racing line of a circuit as closed lines, and the width of the car on it."""
    track, vehicle = circuit.track, circuit.vehicle
    digits = _digits(vehicle)
    count = max(round(track.length_m / (MAP_STEP * vehicle.width_m)), 3)
    stations = np.linspace(0, track.x_m.size - 1, count, endpoint=False).round().astype(int)
    right, left = borders(track)
    line_x = track.x_m - circuit.line_offset_m * np.sin(track.psi_rad)
    line_y = track.y_m + circuit.line_offset_m * np.cos(track.psi_rad)
    return {
        "track": track.name,
        "length_m": round(float(track.length_m), digits),
        "car_width_m": vehicle.width_m,
        "right": _closed_line(right[stations], digits),
        "left": _closed_line(left[stations], digits),
        "line": _closed_line(np.column_stack([line_x, line_y])[stations], digits),
    }


def ghost(result: LapResult, vehicle: Vehicle) -> dict[str, Any]:
    """The lap that a result's telemetry holds, a sample each SAMPLE_S and one at its very end."""
    lap, digits = result.required_telemetry(), _digits(vehicle)
    end_s = float(lap.time_s[-1])
    samples = np.append(np.arange(0.0, end_s, SAMPLE_S), end_s)
    # Pedals that cross from drive to brake are both zero in between, so one signed column will do.
    pedal = 100.0 * (lap.throttle - lap.brake)
    columns = {
        "s_m": (np.maximum.accumulate(lap.s_m), digits),  # a car that spins may roll back
        "x_m": (lap.x_m, digits),
        "y_m": (lap.y_m, digits),
        "speed_kph": (KPH_PER_MPS * lap.vx_mps, 1),
        "pedal_percent": (pedal, 0),
        "steer_deg": (np.degrees(lap.steer_rad), 1),
    }
    return {
        "driver": result.driver,
        "sample_s": SAMPLE_S,
        "end_s": round(end_s, 5),
        "flying": result.laps > 1,
    } | {
        name: _rounded(np.interp(samples, lap.time_s, values), kept)
        for name, (values, kept) in columns.items()
    }


def _digits(vehicle: Vehicle) -> int:
    """Decimals of a place in metres, by the size of the car."""
    return max(math.ceil(math.log10(PLACES_PER_WIDTH / vehicle.width_m)), 0)


def _closed_line(points: np.ndarray, digits: int) -> dict[str, list[float]]:
    closed = np.vstack([points, points[:1]])
    return {"x": _rounded(closed[:, 0], digits), "y": _rounded(closed[:, 1], digits)}


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    numbers = np.round(values, digits) + 0.0  # no -0.0
    return (numbers.astype(int) if digits == 0 else numbers).tolist()
