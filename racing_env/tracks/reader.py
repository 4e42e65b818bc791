"""Circuits as CSV files, read and written."""

import math
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.common.files import is_folder, reading, refuse_special_file, replaced_atomically
from racing_env.tracks.geometry import Track, cross, crossing, track_from_centre_line

COLUMNS = ("x_m", "y_m", "w_tr_right_m", "w_tr_left_m")
FILE_SIZE_MAX_BYTES = 20_000_000
POINTS_MIN = 10
GAP_MIN_M = 1e-6  # nearer points are the same one: their distance is lost in the lap's length
LENGTH_RANGE_M = (100.0, 100_000.0)  # for the reference car; another's is scaled
COORDINATE_MAX_M = 1e8  # farther from the origin float64 blurs the curvature
TURN_BACK_RAD = math.radians(150.0)


def write_track(track: Track, path: str | Path) -> None:
    """Write the stations of a track as a CSV file that `read_track` reads."""
    table = np.column_stack([track.x_m, track.y_m, track.width_right_m, track.width_left_m])
    with replaced_atomically(path) as temporary:
        np.savetxt(temporary, table, fmt="%.6f", delimiter=",", header=",".join(COLUMNS))


def read_track(path: str | Path, vehicle: Vehicle) -> Track:
    """Read a circuit in the format of TU Munich's racetrack database.

    CSV with the header `# x_m,y_m,w_tr_right_m,w_tr_left_m` (columns are found by it; without one
    they are taken in this order), a closed centre line about every 5 m, last point not repeated.
    Raises InputError, one line, for everything that is not such a circuit or has no room for the
    vehicle.
    """
    path = Path(path)
    table, lines = _parse(path, _read_text(path))
    _check_points(path, table, lines, vehicle)
    x, y, right, left = table.T
    track = track_from_centre_line(path.stem, x, y, right, left, scales_of(vehicle))
    crossed = crossing(track)
    if crossed is not None:
        nearest = cKDTree(table[:, :2])
        where = sorted(int(lines[nearest.query((track.x_m[i], track.y_m[i]))[1]]) for i in crossed)
        raise InputError(
            f"{path}: the centre line crosses itself near ({track.x_m[crossed[0]]:.1f}, "
            f"{track.y_m[crossed[0]]:.1f}) m, lines {where[0]} and {where[1]}; a circuit must not"
        )
    return track


def _read_text(path: Path) -> str:
    if is_folder(path):
        raise InputError(f"{path}: is a directory; a CSV file of one circuit is needed")
    if not path.exists():
        raise InputError(f"{path}: no such file; a CSV file of one circuit is needed")
    refuse_special_file(path)
    with reading(path):
        size = path.stat().st_size
        if size > FILE_SIZE_MAX_BYTES:
            raise InputError(
                f"{path}: has {size / 1e6:.0f} MB; a circuit has about 1000 points, and at most "
                f"{FILE_SIZE_MAX_BYTES / 1e6:.0f} MB are read"
            )
        data = path.read_bytes()
    if not data.strip():
        raise InputError(
            f"{path}: is empty; a CSV file with the columns {', '.join(COLUMNS)} is needed"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{path}: is not a text file; a CSV file of one circuit is needed")
    return text


def _parse(path: Path, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Columns x, y, right, left as an array (n, 4), and the line number of each row (n,)."""
    order: list[int] | None = None
    rows: list[list[float]] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = [field.strip() for field in line.split(",")]
        if not any(fields):
            continue
        names = [field.lstrip("# ").lower() for field in fields]
        if not rows and order is None and any(name in COLUMNS for name in names):
            order = _column_order(path, number, names)
        elif not fields[0].startswith("#"):
            rows.append(_numbers(path, number, fields, order or [0, 1, 2, 3]))
            lines.append(number)
    if not rows:
        raise InputError(f"{path}: has no points; at least {POINTS_MIN} are needed")
    return np.array(rows), np.array(lines)


def _column_order(path: Path, number: int, names: list[str]) -> list[int]:
    _check_delimiter(path, number, names)
    for column in COLUMNS:
        if names.count(column) != 1:
            what = "missing" if column not in names else "there twice"
            raise InputError(
                f"{path}:{number}: column {column} is {what} in the header "
                f"'{','.join(names)[:80]}'; it should be '# {','.join(COLUMNS)}'"
            )
    return [names.index(column) for column in COLUMNS]


def _check_delimiter(path: Path, number: int, fields: list[str]) -> None:
    if len(fields) >= len(COLUMNS):
        return
    joined = ",".join(fields)
    for delimiter, name in ((";", "semicolon"), ("\t", "tab"), ("|", "bar"), (" ", "space")):
        if joined.count(delimiter) >= len(COLUMNS) - 1:
            raise InputError(f"{path}:{number}: columns are separated by {name}; a comma is needed")


def _numbers(path: Path, number: int, fields: list[str], order: list[int]) -> list[float]:
    if len(fields) <= max(order):
        _check_delimiter(path, number, fields)
        raise InputError(
            f"{path}:{number}: has {len(fields)} column(s), a column is missing; "
            f"{', '.join(COLUMNS)} are needed"
        )
    values = []
    for column, index in zip(COLUMNS, order, strict=True):
        try:
            values.append(float(fields[index]))
        except ValueError:
            raise InputError(
                f"{path}:{number}: {column} is '{fields[index][:40]}'; a number is needed"
            ) from None
    return values


def _check_points(path: Path, table: np.ndarray, lines: np.ndarray, vehicle: Vehicle) -> None:
    """Raise InputError at the first line that cannot be part of a circuit for the vehicle."""

    def refuse(bad: np.ndarray, values: np.ndarray, message: str) -> None:
        if bad.any():
            i = int(np.argmax(bad))
            raise InputError(f"{path}:{lines[i]}: {message.format(values[i])}")

    for column, values in zip(COLUMNS, table.T, strict=True):
        refuse(~np.isfinite(values), values, f"{column} is {{}}; a finite number is needed")
        refuse(
            np.abs(values) > COORDINATE_MAX_M,
            values,
            f"{column} is {{:g}}; metres are needed, at most {COORDINATE_MAX_M:g}",
        )
    if table.shape[0] < POINTS_MIN:
        raise InputError(f"{path}: has {table.shape[0]} points; at least {POINTS_MIN} are needed")
    for column, values in zip(COLUMNS[2:], table.T[2:], strict=True):
        refuse(values <= 0.0, values, f"{column} is {{:g}}; a width above 0 m is needed")
    total = table[:, 2] + table[:, 3]
    refuse(
        total <= vehicle.width_m,
        total,
        "the track is {:.2f} m wide, narrower than the car; "
        f"more than {vehicle.width_m:g} m are needed",
    )

    step = np.roll(table[:, :2], -1, axis=0) - table[:, :2]
    gap = np.hypot(step[:, 0], step[:, 1])
    if gap[-1] < GAP_MIN_M:
        raise InputError(
            f"{path}:{lines[-1]}: the last point repeats the first, "
            f"({table[0, 0]:g}, {table[0, 1]:g}) m; leave it out"
        )
    refuse(
        gap < GAP_MIN_M,
        np.roll(lines, -1),
        "the same point stands again in line {}; leave duplicates out",
    )
    if gap[-1] > 5.0 * np.median(gap) and gap[-1] > 2.0 * gap[:-1].max():
        raise InputError(
            f"{path}:{lines[-1]}: the line is not closed, {gap[-1]:.1f} m are missing "
            f"from the last point to the first; about {np.median(gap):.1f} m is right"
        )
    least_m, most_m = (scales_of(vehicle).length * limit_m for limit_m in LENGTH_RANGE_M)
    if not least_m <= gap.sum() <= most_m:
        raise InputError(
            f"{path}: the circuit is {gap.sum():.0f} m long; for this car {least_m:.0f} to "
            f"{most_m:.0f} m are needed"
        )
    before = np.roll(step, 1, axis=0)
    turn = np.abs(np.arctan2(cross(before, step), np.sum(before * step, axis=1)))
    refuse(
        turn > TURN_BACK_RAD,
        np.degrees(turn),
        "the line turns back by {:.0f} degrees at one point; points in driving order are needed",
    )
