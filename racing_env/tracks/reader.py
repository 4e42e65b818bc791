"""Circuits from files: the format is told by the content, the points are checked, once for all."""

import codecs
import math
import re
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.common.files import (
    is_folder,
    readable,
    reading,
    refuse_special_file,
    replaced_atomically,
)
from racing_env.tracks.geometry import Track, cross, track_from_centre_line
from racing_env.tracks.readers import deepracer
from racing_env.tracks.readers.centre_line import COLUMNS, FORMATS, POINTS_MIN, CentreLine
from racing_env.tracks.readers.columns import is_line_without_widths
from racing_env.tracks.readers.ros_map import read_ros_map
from racing_env.tracks.readers.text_circuit import read_text_circuit
from racing_env.tracks.readers.text_table import read_text_table

FILE_SIZE_MAX_BYTES = 20_000_000
GAP_MIN_M = 1e-6  # nearer points are the same one: their distance is lost in the lap's length
REPEATED_SHARE = 0.05  # of the usual distance, within which the last point repeats the first
OVERLAP_SHARE_MAX = 0.2  # of the lap, in which its end is looked for on its start
LENGTH_RANGE_M = (100.0, 100_000.0)  # for the reference car; another's is scaled
COORDINATE_MAX_M = 1e8  # farther from the origin float64 blurs the curvature
TURN_BACK_RAD = math.radians(150.0)
HEAD_BYTES = 10_000
YAML_SUFFIXES = (".yaml", ".yml")
IMAGE_MAGIC = (b"\x89PNG", b"P2\n", b"P5\n", b"BM", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
IMAGE_LINE = re.compile(r"^\s*image\s*:", re.MULTILINE)


def write_track(track: Track, path: str | Path) -> None:
    """Write the stations of a track as a CSV file that `read_track` reads."""
    table = np.column_stack([track.x_m, track.y_m, track.width_right_m, track.width_left_m])
    with replaced_atomically(path) as temporary:
        np.savetxt(temporary, table, fmt="%.6f", delimiter=",", header=",".join(COLUMNS))


def read_track(path: str | Path, vehicle: Vehicle) -> Track:
    """Read a circuit in any of the formats of `racing_env.tracks.readers`.

    The first of them is that of TU Munich's racetrack database: CSV with the header
    `# x_m,y_m,w_tr_right_m,w_tr_left_m`, a closed centre line about every 5 m. The lap may repeat
    its first point at the end, or overlap its start: what is there twice is left out.
    Raises InputError, one line, for everything that is not such a circuit or has no room for the
    vehicle.
    """
    path = Path(path)
    line = _read_centre_line(path)
    _check_numbers(path, line)
    count = _points_of_a_lap(line.table)
    line = line._replace(
        table=line.table[:count], lines=None if line.lines is None else line.lines[:count]
    )
    _check_widths(path, line, vehicle)
    _check_way(path, line, vehicle)
    x, y, right, left = line.table.T
    return track_from_centre_line(readable(path.stem), x, y, right, left, scales_of(vehicle))


def is_map(path: Path) -> bool:
    """Whether a YAML file is that of a map: it names an image."""
    return IMAGE_LINE.search(_head(path)) is not None


def is_race_line(path: Path) -> bool:
    """Whether a CSV file is a trajectory: it names places and has no widths of a track."""
    headers = read_text_table(path, _head(path).rpartition("\n")[0]).headers
    return any(is_line_without_widths(header) for header in headers)


def _head(path: Path) -> str:
    """The beginning of a file as text; nothing for what cannot be read, which is refused later."""
    try:
        refuse_special_file(path)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            return head.removeprefix(codecs.BOM_UTF8).decode("latin-1")
    except (InputError, OSError):
        return ""


def _read_centre_line(path: Path) -> CentreLine:
    data = _read_bytes(path)
    if data.startswith(deepracer.MAGIC):
        return deepracer.read_deepracer(path)
    if data.startswith(IMAGE_MAGIC) and not (data[:2] == b"BM" and data.isascii()):
        raise InputError(
            f"{path}: is an image; of a map, its .yaml has to be named, which says how large a "
            "pixel is"
        )
    text = _decoded(path, data)
    if path.suffix.lower() in YAML_SUFFIXES or IMAGE_LINE.search(text):
        return read_ros_map(path, text)
    return read_text_circuit(path, text)


def _read_bytes(path: Path) -> bytes:
    if is_folder(path):
        raise InputError(f"{path}: is a directory; a file of one circuit is needed")
    if not path.exists():
        raise InputError(f"{path}: no such file; a file of one circuit is needed")
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
        raise InputError(f"{path}: is empty; a circuit is needed: {FORMATS}")
    return data


def _decoded(path: Path, data: bytes) -> str:
    """The text of a file: UTF-8, or as spreadsheets of Windows write it."""
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if re.search(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]", text):
        raise InputError(f"{path}: is not a text file; a circuit is needed: {FORMATS}")
    return text


def _refuse(path: Path, line: CentreLine, bad: np.ndarray, message: str, *values: object) -> None:
    """Raise InputError at the first bad point; message: with a place for each of `values`."""
    if bad.any():
        i = int(np.argmax(bad))
        shown = [value[i] if isinstance(value, np.ndarray) else value for value in values]
        raise InputError(f"{line.place(path, i)}: {message.format(*shown)}")


def _check_numbers(path: Path, line: CentreLine) -> None:
    for name, values in zip(line.names, line.table.T, strict=True):
        finite = np.isfinite(values)
        _refuse(path, line, ~finite, "{} is {}; a finite number is needed", name, values)
        far = np.abs(values) > COORDINATE_MAX_M
        much = f"metres are needed, at most {COORDINATE_MAX_M:g}"
        _refuse(path, line, far, "{} is {:g}; " + much, name, values)
    if len(line.table) < POINTS_MIN:
        raise InputError(f"{path}: has {len(line.table)} points; at least {POINTS_MIN} are needed")


def _points_of_a_lap(table: np.ndarray) -> int:
    """How many points are left without those at the end that lie on the start of the lap."""
    points = table[:, :2]
    n = len(points)
    step = np.diff(points, axis=0)
    gap = np.hypot(step[:, 0], step[:, 1])
    if np.hypot(*(points[-1] - points[0])) < REPEATED_SHARE * np.median(gap):
        return n - 1
    part = max(2, int(OVERLAP_SHARE_MAX * n))
    distance, near = cKDTree(points[:part]).query(points[-part:])
    beyond = points[-part:] - points[near]
    ahead = np.sum(beyond * step[near], axis=1)
    same_way = np.sum(step[-part:] * step[near], axis=1) > 0.5 * gap[-part:] * gap[near]
    room = 0.5 * (table[near, 2] + table[near, 3])
    on_start = same_way & (distance < room) & ((near > 0) | (ahead >= 0.0))
    return n - int(np.argmin(np.append(on_start[::-1], False)))


def _check_widths(path: Path, line: CentreLine, vehicle: Vehicle) -> None:
    if len(line.table) < POINTS_MIN:
        raise InputError(f"{path}: has {len(line.table)} points; at least {POINTS_MIN} are needed")
    for name, values in zip(line.names[2:], line.table.T[2:], strict=True):
        message = "{} is {:g}; a width above 0 m is needed"
        _refuse(path, line, values <= 0.0, message, name, values)
    total = line.table[:, 2] + line.table[:, 3]
    needed = f"more than {vehicle.width_m:g} m are needed"
    _refuse(
        path, line, total <= vehicle.width_m,
        "the track is {:.2f} m wide, narrower than the car; " + needed, total,
    )  # fmt: skip


def _check_way(path: Path, line: CentreLine, vehicle: Vehicle) -> None:
    """Raise InputError where the points are no closed line that a car could follow."""
    points = line.table[:, :2]
    step = np.roll(points, -1, axis=0) - points
    gap = np.hypot(step[:, 0], step[:, 1])
    if (gap < GAP_MIN_M).any():
        i = int(np.argmax(gap < GAP_MIN_M))
        raise InputError(
            f"{line.place(path, i)}: the same point stands again in "
            f"{line.label((i + 1) % len(gap))}; leave duplicates out"
        )
    if gap[-1] > 5.0 * np.median(gap) and gap[-1] > 2.0 * gap[:-1].max():
        raise InputError(
            f"{line.place(path, len(gap) - 1)}: the line is not closed, {gap[-1]:.1f} m are "
            f"missing from the last point to the first; about {np.median(gap):.1f} m is right"
        )
    least_m, most_m = (scales_of(vehicle).length * limit_m for limit_m in LENGTH_RANGE_M)
    if not least_m <= gap.sum() <= most_m:
        raise InputError(
            f"{path}: the circuit is {gap.sum():.0f} m long; for this car, which is "
            f"{vehicle.length_m:.2g} m long, {least_m:.0f} to {most_m:.0f} m are needed"
        )
    previous = np.roll(step, 1, axis=0)
    turn = np.abs(np.arctan2(cross(previous, step), np.sum(previous * step, axis=1)))
    back = "the line turns back by {:.0f} degrees at one point; points in driving order are needed"
    _refuse(path, line, turn > TURN_BACK_RAD, back, np.degrees(turn))
