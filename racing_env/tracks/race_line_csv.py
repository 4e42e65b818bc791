"""Race lines for other programs: the line and the speed profile of a circuit as CSV.

`planner` is the format of TU Munich's trajectory planners, with the track about the line
(`export_traj_ltpl` of TUMFTM/global_racetrajectory_optimization); `f1tenth` that of F1TENTH's race
lines. Points are at the circuit's stations, the last one is the first again.
"""

import math
from pathlib import Path

import numpy as np

from racing_env.common.files import replaced_atomically
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.line_geometry import line_geometry

PLANNER_COLUMNS = (
    "x_ref_m", "y_ref_m", "width_right_m", "width_left_m", "x_normvec_m", "y_normvec_m", "alpha_m",
    "s_racetraj_m", "psi_racetraj_rad", "kappa_racetraj_radpm", "vx_racetraj_mps",
    "ax_racetraj_mps2",
)  # fmt: skip
F1TENTH_COLUMNS = ("s_m", "x_m", "y_m", "psi_rad", "kappa_radpm", "vx_mps", "ax_mps2")
FORMATS = ("planner", "f1tenth")


def write_race_line(circuit: Circuit, path: str | Path, file_format: str) -> None:
    """Write a circuit's line and profile in one of FORMATS. Atomic.

    Raises FileError if the file cannot be written.
    """
    table, columns = (
        (_planner_table(circuit), PLANNER_COLUMNS)
        if file_format == "planner"
        else (_f1tenth_table(circuit), F1TENTH_COLUMNS)
    )
    header = f"{circuit.track.name}: line and speed profile, by racing_env\n{'; '.join(columns)}"
    with replaced_atomically(path) as temporary:
        np.savetxt(temporary, table, fmt="%.7f", delimiter="; ", header=header)


def _planner_table(circuit: Circuit) -> np.ndarray:
    """Normals point to the right, and with them the shift alpha; headings are from the y axis."""
    track = circuit.track
    right = np.column_stack([np.sin(track.psi_rad), -np.cos(track.psi_rad)])
    s_m, heading_rad, acceleration_mps2 = _along_the_line(circuit)
    columns = [
        track.x_m, track.y_m, track.width_right_m, track.width_left_m, *right.T,
        -circuit.line_offset_m, s_m[:-1], _wrapped(heading_rad - 0.5 * math.pi),
        circuit.line_kappa_radpm, circuit.line_speed_mps, acceleration_mps2,
    ]  # fmt: skip
    return _closed(columns, PLANNER_COLUMNS.index("s_racetraj_m"), float(s_m[-1]))


def _f1tenth_table(circuit: Circuit) -> np.ndarray:
    """Headings are from the x axis."""
    track = circuit.track
    s_m, heading_rad, acceleration_mps2 = _along_the_line(circuit)
    columns = [
        s_m[:-1],
        track.x_m - circuit.line_offset_m * np.sin(track.psi_rad),
        track.y_m + circuit.line_offset_m * np.cos(track.psi_rad),
        _wrapped(heading_rad), circuit.line_kappa_radpm, circuit.line_speed_mps, acceleration_mps2,
    ]  # fmt: skip
    return _closed(columns, F1TENTH_COLUMNS.index("s_m"), float(s_m[-1]))


def _along_the_line(circuit: Circuit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length along the line (n + 1,), its heading (n,), and the acceleration after each station."""
    step_m = line_geometry(circuit.track, circuit.line_offset_m).step_m
    square = circuit.line_speed_mps**2
    acceleration_mps2 = 0.5 * (np.roll(square, -1) - square) / step_m
    s_m = np.concatenate([[0.0], np.cumsum(step_m)])
    return s_m, circuit.track.psi_rad + circuit.line_heading_rad, acceleration_mps2


def _closed(columns: list[np.ndarray], s_column: int, length_m: float) -> np.ndarray:
    table = np.column_stack(columns)
    table = np.vstack([table, table[:1]])
    table[-1, s_column] = length_m
    return table


def _wrapped(angle_rad: np.ndarray) -> np.ndarray:
    """The same angles within [-pi, pi)."""
    return (angle_rad + math.pi) % (2.0 * math.pi) - math.pi
