"""Circuits in occupancy maps of ROS: a YAML file and the image that it names.

The track is the piece of free space that leads round a hole. Its centre line is where the inner and
the outer wall are equally far away, to a fraction of a pixel.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import contourpy
import numpy as np
import yaml
from PIL import Image
from scipy import ndimage

from racing_env.common.errors import InputError
from racing_env.tracks.readers.centre_line import CentreLine

YAML_CHARACTERS_MAX = 10_000
IMAGE_SIZE_MAX_BYTES = 50_000_000
PIXELS_MAX = 5000 * 5000
IMAGE_FORMATS = ("PNG", "PPM", "BMP", "JPEG")
PIECES_LOOKED_AT = 20  # of free space, the largest
SMOOTHING_PX = 3.0  # of the centre line: a pixel's steps go, a corner stays
SPACING_PX = 4
ISLAND_SHARE_MAX = 0.2  # of the inside's area; a larger island makes two ways round it
EIGHT_NEIGHBOURS = np.ones((3, 3))


class _Map(NamedTuple):
    image: Path
    resolution_m: float  # of a pixel
    origin: tuple[float, float, float]  # x, y [m] and heading [rad] of the lower left corner
    free_share: float  # a pixel is free if it is occupied to less than this
    negate: bool


def read_ros_map(path: Path, text: str) -> CentreLine:
    """The circuit in a map, driven anticlockwise, from where it is nearest to the map's zero.

    Raises InputError if file and image are no map, or its free space is no circuit.
    """
    found = _read_description(path, text)
    free = _read_free(path, found)
    inner, outer, corner = _walls(path, free)
    to_inner, to_outer = (ndimage.distance_transform_edt(~wall) for wall in (inner, outer))
    line = _middle(path, to_inner - to_outer)
    # From the middle of a pixel of track to that of one of wall: the border is half a pixel nearer.
    left, right = (
        (ndimage.map_coordinates(distance, line.T, order=1) - 0.5) * found.resolution_m
        for distance in (to_inner, to_outer)
    )
    table = np.column_stack([_in_metres(found, line + corner, free.shape[0]), right, left])
    if _area(table[:, :2]) < 0.0:
        table = table[::-1]
    first = int(np.hypot(table[:, 0], table[:, 1]).argmin())
    return CentreLine(np.roll(table, -first, axis=0))


def _read_description(path: Path, text: str) -> _Map:
    try:
        if len(text) > YAML_CHARACTERS_MAX:
            raise ValueError(f"more than {YAML_CHARACTERS_MAX} characters")
        record = yaml.safe_load(text)
    except Exception as error:  # a hostile one raises anything, down to RecursionError
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: is not YAML ({reason:.80}); that of a map is needed") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}: is no map; image, resolution and origin are needed")
    image = record.get("image")
    if not isinstance(image, str) or not image or "\0" in image:
        raise InputError(f"{path}: image is not the name of a picture; a map needs one")
    origin = record.get("origin")
    if not isinstance(origin, list) or len(origin) not in (2, 3):
        raise InputError(f"{path}: origin is not [x, y, heading]; a map needs it")
    x, y, heading = (_number(path, "origin", value) for value in [*origin, 0.0][:3])
    resolution = _number(path, "resolution", record.get("resolution"))
    if not 1e-6 <= resolution <= 1e3:
        raise InputError(f"{path}: resolution is {resolution:g}; metres of a pixel are needed")
    free = _number(path, "free_thresh", record.get("free_thresh", 0.196))
    if not 0.0 < free <= 1.0:
        raise InputError(f"{path}: free_thresh is {free:g}; above 0, at most 1 is needed")
    negate = _number(path, "negate", record.get("negate", 0))
    return _Map(path.parent / image, resolution, (x, y, heading), free, bool(negate))


def _number(path: Path, name: str, value: Any) -> float:
    if not isinstance(value, int | float) or not abs(value) < 1e9:
        shown = f"{value:.40}" if isinstance(value, str) else type(value).__name__
        raise InputError(f"{path}: {name} is {shown}; a map needs a number there")
    return float(value)


def _read_free(path: Path, found: _Map) -> np.ndarray:
    """Which pixels are free (rows, columns) bool."""
    where = f"{path}: its image {found.image.name:.80}"
    try:
        there = found.image.is_file()
        size = found.image.stat().st_size if there else 0
    except (OSError, ValueError):
        there, size = False, 0
    if not there:
        raise InputError(f"{where} is not there; it has to lie beside the YAML file")
    if size > IMAGE_SIZE_MAX_BYTES:
        raise InputError(f"{where} has {size / 1e6:.0f} MB; at most 50 MB are read")
    try:
        with Image.open(found.image, formats=IMAGE_FORMATS) as image:
            pixels = image.width * image.height
            if pixels <= PIXELS_MAX:
                shade = _shade(image)
    except Exception as error:  # a damaged one raises anything, down to struct.error
        reason = " ".join(str(error).split()).replace(str(found.image), "it")
        raise InputError(
            f"{where} cannot be read ({reason:.80}); PNG, PGM, BMP or JPEG is needed"
        ) from None
    if pixels > PIXELS_MAX:
        raise InputError(f"{where} has {pixels / 1e6:.0f} million pixels; at most 25 are read")
    occupied = shade if found.negate else 1.0 - shade
    return occupied < found.free_share


def _shade(image: Image.Image) -> np.ndarray:
    """Brightness from 0 to 1 (rows, columns) float32."""
    if image.mode.startswith("I"):  # 16 bits
        return np.clip(np.asarray(image, dtype=np.float32) / 65535.0, 0.0, 1.0)
    return np.asarray(image.convert("L"), dtype=np.float32) / 255.0


class _Ring(NamedTuple):
    """A piece of free space that leads round a hole, cut out of its map."""

    parts: np.ndarray  # (rows, columns) 0 where it is, else the number of a piece of what is not
    outside: int  # the piece round it
    hole: int  # the largest piece in it
    area: int  # of the hole, in pixels
    corner: np.ndarray  # (2,) row and column in the map


def _rings(free: np.ndarray) -> Iterator[_Ring]:
    """Of the largest pieces of free space those that keep off the edge and have a hole."""
    pieces, count = ndimage.label(free)
    area = np.bincount(pieces.ravel(), minlength=count + 1)
    area[[0, *np.unique(np.concatenate([pieces[[0, -1]].ravel(), pieces[:, [0, -1]].ravel()]))]] = 0
    boxes = ndimage.find_objects(pieces)
    for piece in np.argsort(area)[::-1][:PIECES_LOOKED_AT]:
        if area[piece]:
            box = boxes[piece - 1]
            solid = np.pad(pieces[box] != piece, 1, constant_values=True)
            parts, _ = ndimage.label(solid, EIGHT_NEIGHBOURS)
            outside = int(parts[0, 0])
            areas = np.bincount(parts.ravel())
            areas[[0, outside]] = 0
            hole = int(areas.argmax())
            if areas[hole]:
                corner = np.array([box[0].start, box[1].start]) - 1
                yield _Ring(parts, outside, hole, int(areas[hole]), corner)


def _walls(path: Path, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of what lies inside and outside of the track, and row and column of their corner.

    Smaller islands in the track belong to the wall that is nearer.
    """
    ring = max(_rings(free), key=lambda ring: ring.area, default=None)
    if ring is None:
        raise InputError(
            f"{path}: no free space of the map leads round a hole and keeps off the picture's "
            "edge; a track between two closed walls is needed"
        )
    parts = ring.parts
    inner, outer = parts == ring.hole, parts == ring.outside
    islands = (parts > 0) & ~inner & ~outer
    if islands.any():
        areas = np.bincount(parts[islands])
        if areas.max() > ISLAND_SHARE_MAX * ring.area:
            row, column = np.argwhere(parts == areas.argmax()).mean(axis=0) + ring.corner
            raise InputError(
                f"{path}: the track parts round an island near column {column:.0f}, row "
                f"{row:.0f} of the picture; one way round is needed"
            )
        to_inner, to_outer = (ndimage.distance_transform_edt(~wall) for wall in (inner, outer))
        nearer = np.bincount(parts[islands], weights=(to_inner - to_outer)[islands])
        goes_in = np.zeros(parts.max() + 1, dtype=bool)
        goes_in[: len(nearer)] = nearer < 0.0
        inner |= islands & goes_in[parts]
        outer |= islands & ~goes_in[parts]
    return inner, outer, ring.corner


def _middle(path: Path, difference: np.ndarray) -> np.ndarray:
    """Rows and columns (n, 2) of the closed line where a field (rows, columns) is zero."""
    lines = contourpy.contour_generator(z=difference).lines(0.0)
    line = max((np.asarray(line) for line in lines), key=len, default=np.empty((0, 2)))
    if len(line) < 8 * SPACING_PX or np.hypot(*(line[0] - line[-1])) > 2.0:
        raise InputError(f"{path}: the track of the map has too few pixels; a finer map is needed")
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    even = np.linspace(0.0, along[-1], math.ceil(along[-1]), endpoint=False)
    even_line = np.column_stack([np.interp(even, along, column) for column in line.T])
    smooth = ndimage.gaussian_filter1d(even_line, SMOOTHING_PX, axis=0, mode="wrap")
    return smooth[::SPACING_PX, ::-1]


def _in_metres(found: _Map, places: np.ndarray, rows: int) -> np.ndarray:
    """Points x, y (n, 2) [m] of rows and columns, counted from the middle of the first pixel."""
    right = (places[:, 1] + 0.5) * found.resolution_m
    up = (rows - 0.5 - places[:, 0]) * found.resolution_m
    x, y, heading = found.origin
    cos, sin = math.cos(heading), math.sin(heading)
    return np.column_stack([x + cos * right - sin * up, y + sin * right + cos * up])


def _area(points: np.ndarray) -> float:
    """Twice the area that a closed line goes round, positive anticlockwise."""
    onward = np.roll(points, -1, axis=0)
    return float(np.sum(points[:, 0] * onward[:, 1] - points[:, 1] * onward[:, 0]))
