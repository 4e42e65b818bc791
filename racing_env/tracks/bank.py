"""Many circuits in one table, as the simulator's kernels read them.

A row is a station of a centre line (about every metre): a cache line of single precision, half of
it to tell where a car is, half of it for what it sees of the racing line ahead. Circuits follow one
another in the table. Single precision is enough because places are told from the middle of the
circuit: in kilometres about it they are rounded by a tenth of a millimetre.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from racing_env.car.kernels import inlined
from racing_env.car.scales import Scales, scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.common.files import replaced_atomically
from racing_env.tracks.circuit import Circuit

(
    X, Y, COS, SIN, KAPPA, ROOM_LEFT, ROOM_RIGHT, LINE_TIME,
    LINE_X, LINE_Y, LINE_COS, LINE_SIN, LINE_KAPPA, LINE_SPEED, LINE_ROOM_LEFT, LINE_ROOM_RIGHT,
) = range(16)  # fmt: skip
COLUMNS = 16
# of a circuit's mirror image: where each column is taken from, and which change their sign
MIRROR_ORDER = (
    X, Y, COS, SIN, KAPPA, ROOM_RIGHT, ROOM_LEFT, LINE_TIME,
    LINE_X, LINE_Y, LINE_COS, LINE_SIN, LINE_KAPPA, LINE_SPEED, LINE_ROOM_RIGHT, LINE_ROOM_LEFT,
)  # fmt: skip
MIRROR_NEGATED = [Y, SIN, KAPPA, LINE_Y, LINE_SIN, LINE_KAPPA]
CACHE_LINE_BYTES = 64  # COLUMNS numbers of float32


class CircuitBank(NamedTuple):
    """Circuits packed for the kernels. Circuit c has rows first[c] to first[c] + count[c] - 1."""

    table: np.ndarray  # (stations of all, COLUMNS) float32; places are relative to the origin
    first: np.ndarray  # (circuits,) int64
    count: np.ndarray  # type: ignore[assignment]  # (circuits,) int64, stations
    step_m: np.ndarray  # (circuits,) between stations
    line_lap_s: np.ndarray  # (circuits,) lap time of the speed profile
    origin_m: np.ndarray  # (circuits, 2) x and y of the middle of each circuit
    vehicle: Vehicle  # the car that they are for

    @property
    def scales(self) -> Scales:
        """The car's, for all but kernels."""
        return scales_of(self.vehicle)


def pack_circuits(circuits: Sequence[Circuit]) -> CircuitBank:
    """Pack circuits into one bank, in their order.

    Raises ValueError if they are for several cars.
    """
    vehicle = circuits[0].vehicle
    if any(circuit.vehicle != vehicle for circuit in circuits):
        raise ValueError("the circuits of a bank have to be for one car")
    count = np.array([len(circuit.track.x_m) for circuit in circuits], dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
    origin_m = np.array([_middle_m(circuit) for circuit in circuits])
    table = _in_cache_lines(int(count.sum()))
    for circuit, row, middle_m in zip(circuits, first, origin_m, strict=True):
        _fill(table[row : row + len(circuit.track.x_m)], circuit, middle_m)
    table.setflags(write=False)  # as a mapped one: kernels are compiled for one kind of table
    return CircuitBank(
        table=table,
        first=first,
        count=count,
        step_m=np.array([circuit.track.step_m for circuit in circuits]),
        line_lap_s=np.array([circuit.lap_time_s for circuit in circuits]),
        origin_m=origin_m,
        vehicle=vehicle,
    )


def _in_cache_lines(rows: int) -> np.ndarray:
    """An empty table whose rows are a cache line each; numpy's own begin anywhere."""
    memory = np.empty((rows + 1) * CACHE_LINE_BYTES, dtype=np.uint8)
    begin = -memory.ctypes.data % CACHE_LINE_BYTES
    lines = memory[begin : begin + rows * CACHE_LINE_BYTES]
    return lines.view(np.float32).reshape(rows, COLUMNS)


def _middle_m(circuit: Circuit) -> tuple[float, float]:
    """The middle of a circuit's extent; of a mirror image, the image of the middle exactly."""
    x, y = circuit.track.x_m, circuit.track.y_m
    return 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())


def _fill(table: np.ndarray, circuit: Circuit, origin_m: np.ndarray) -> None:
    """Fill the rows of one circuit. Room: how far the car's centre may go to either side (m).

    The racing line's offset from the centre line is the difference of their rooms.
    """
    track, vehicle = circuit.track, circuit.vehicle
    x, y = track.x_m - origin_m[0], track.y_m - origin_m[1]
    cos, sin = np.cos(track.psi_rad), np.sin(track.psi_rad)
    room_right = track.width_right_m - 0.5 * vehicle.width_m
    room_left = track.width_left_m - 0.5 * vehicle.width_m
    line_heading = track.psi_rad + circuit.line_heading_rad
    table[:, X], table[:, Y], table[:, COS], table[:, SIN] = x, y, cos, sin
    table[:, KAPPA] = track.kappa_radpm
    table[:, ROOM_LEFT], table[:, ROOM_RIGHT] = room_left, room_right
    table[:, LINE_X] = x - sin * circuit.line_offset_m
    table[:, LINE_Y] = y + cos * circuit.line_offset_m
    table[:, LINE_COS], table[:, LINE_SIN] = np.cos(line_heading), np.sin(line_heading)
    table[:, LINE_KAPPA] = circuit.line_kappa_radpm
    table[:, LINE_SPEED] = circuit.line_speed_mps
    table[:, LINE_ROOM_LEFT] = room_left - circuit.line_offset_m
    table[:, LINE_ROOM_RIGHT] = room_right + circuit.line_offset_m
    table[:, LINE_TIME] = circuit.line_time_s


def with_mirror_images(circuits: CircuitBank) -> CircuitBank:
    """The bank with the mirror image of each of its circuits behind them, in their order.

    Of what lies to the left the image is to the right, and the other way round.
    """
    rows = len(circuits.table)
    table = _in_cache_lines(2 * rows)
    table[:rows] = circuits.table
    table[rows:] = circuits.table[:, MIRROR_ORDER]
    table[rows:, MIRROR_NEGATED] *= -1.0
    table.setflags(write=False)
    return circuits._replace(
        table=table,
        first=np.concatenate([circuits.first, circuits.first + rows]),
        count=np.tile(circuits.count, 2),
        step_m=np.tile(circuits.step_m, 2),
        line_lap_s=np.tile(circuits.line_lap_s, 2),
        origin_m=np.concatenate([circuits.origin_m, circuits.origin_m * (1.0, -1.0)]),
    )


def part_of(circuits: CircuitBank, which: range) -> CircuitBank:
    """The bank of these of the circuits, with the table of all."""
    part = slice(which.start, which.stop)
    own = ("first", "count", "step_m", "line_lap_s", "origin_m")
    return circuits._replace(**{name: getattr(circuits, name)[part] for name in own})


def slowest_stations(circuits: CircuitBank) -> np.ndarray:
    """Where the profile is slowest, a station of each circuit: (circuits,) int64."""
    speeds_mps = circuits.table[:, LINE_SPEED]
    spans = zip(circuits.first.tolist(), circuits.count.tolist(), strict=True)
    return np.array([speeds_mps[first : first + count].argmin() for first, count in spans])


def save_table(circuits: CircuitBank, table_file: str | Path) -> None:
    """Write the bank's table for `with_mapped_table`, atomically."""
    with replaced_atomically(table_file) as path, path.open("wb") as file:
        np.save(file, circuits.table)


def with_mapped_table(circuits: CircuitBank, table_file: str | Path) -> CircuitBank:
    """The bank with its table mapped from a `.npy` file, which any number of processes share."""
    return circuits._replace(table=np.asarray(np.load(table_file, mmap_mode="r")))


@inlined
def blend(table, row, next_row, fraction, column):
    """A column's value between two stations, of the fraction's precision."""
    return table[row, column] + fraction * (table[next_row, column] - table[row, column])


@inlined
def next_line_time(circuits, c, station):
    """Time (s) at which the speed profile of circuit c reaches the station after this one."""
    if station + 1 < circuits.count[c]:
        return np.float64(circuits.table[circuits.first[c] + station + 1, LINE_TIME])
    return circuits.line_lap_s[c]


@inlined
def project(table, first, count, step_m, station, x, y):
    """Curvilinear position of (x, y) near a station: (station, fraction, offset_m).

    x, y: relative to the circuit's origin, float64, as all that is computed here.
    Walks along the stations to the pair whose normals enclose the point; between them the tangent
    turns evenly. The offset (left positive) is measured from the arc, not from its chord.
    """
    row = first + station
    along = (x - table[row, X]) * table[row, COS] + (y - table[row, Y]) * table[row, SIN]
    next_along = -1.0
    next_station = station
    # Enough for a control step at top speed. Past the centre of a tight corner, where the normals
    # have crossed, the walk may find no pair: it then ends a few metres on, never stuck.
    for _ in range(16):
        if along < 0.0:
            station = station - 1 if station > 0 else count - 1
            row = first + station
            along = (x - table[row, X]) * table[row, COS] + (y - table[row, Y]) * table[row, SIN]
            continue
        next_station = station + 1 if station + 1 < count else 0
        row = first + next_station
        next_along = (x - table[row, X]) * table[row, COS] + (y - table[row, Y]) * table[row, SIN]
        if next_along < 0.0:
            break
        station, along = next_station, next_along
    next_station = station + 1 if station + 1 < count else 0
    row, next_row = first + station, first + next_station
    fraction = along / (along - next_along) if along > next_along else 0.0
    fraction = min(max(fraction, 0.0), 1.0 - 1e-9)
    normal_x = -blend(table, row, next_row, fraction, SIN)
    normal_y = blend(table, row, next_row, fraction, COS)
    offset = (
        (x - blend(table, row, next_row, fraction, X)) * normal_x
        + (y - blend(table, row, next_row, fraction, Y)) * normal_y
    ) / np.sqrt(normal_x * normal_x + normal_y * normal_y)
    bulge = 0.5 * table[row, KAPPA] * step_m * step_m * fraction * (1.0 - fraction)
    return station, fraction, offset + bulge
