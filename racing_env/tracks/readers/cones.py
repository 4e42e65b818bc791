"""Circuits marked by cones, as in Formula Student: blue on the left, yellow on the right.

The cones stand in any order. In their Delaunay triangulation each triangle with cones of both
colours has exactly two sides from a blue to a yellow one. From side to side, through the triangle
between them, one walks along the track: the middles of these sides are the centre line.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.spatial import Delaunay, QhullError, cKDTree

from racing_env.common.errors import InputError

LEFT, RIGHT = {"blue", "left"}, {"yellow", "right"}
START = {"start"}
OTHERS = {"orange", "unknown", "midpoint", "checkpoint", "finish", "goal", "inactive", "blank"}
EXTRA_WORDS = {"cone", "big", "small", "large", "car", "unknown", "color", "colour"}
CONES_MIN = 5  # of each colour
CONES_MAX = 20_000
BORDER_POINTS = 16  # between two cones, at which the border is measured

Gate = tuple[int, int]  # a blue and a yellow cone


def is_tag(field: str) -> bool:
    """Whether a field says what kind of cone a row is."""
    return _colour(field) is not None


def through_cones(path: Path, tags: list[str], places: np.ndarray) -> np.ndarray:
    """The table (n, 4) of the centre line between cones at `places` (cones, 2) [m].

    Blue is on the left, which gives the direction; the lap begins at the car's start, else at the
    orange cones, else anywhere. Raises InputError if the cones mark no closed circuit.
    """
    colours = [_colour(tag) for tag in tags]
    for tag, colour in zip(tags, colours, strict=True):
        if colour is None:
            raise InputError(
                f"{path}: '{tag[:40]}' is no cone; blue (left), yellow (right), orange, "
                "big_orange, car_start and unknown are read"
            )
    if not np.isfinite(places).all() or np.abs(places).max() > 1e6:
        raise InputError(f"{path}: a cone is nowhere; x and y in metres are needed")
    kinds = np.array(colours)
    coloured = np.isin(kinds, ("left", "right"))
    cones, is_left = places[coloured], np.equal(kinds[coloured], "left")
    if min(is_left.sum(), (~is_left).sum()) < CONES_MIN or len(cones) > CONES_MAX:
        raise InputError(
            f"{path}: has {is_left.sum()} blue and {(~is_left).sum()} yellow cones; at least "
            f"{CONES_MIN} of each and at most {CONES_MAX} are needed"
        )
    gates = _longest_cycle(_gate_neighbours(path, cones, is_left))
    if len(gates) < 2 * CONES_MIN:
        raise InputError(f"{path}: the cones mark no closed circuit between blue and yellow")
    return _centre_line(cones, _in_driving_order(cones, gates), _start(kinds, places))


def _colour(tag: str) -> str | None:
    words = set(tag.lower().replace("_", " ").replace("-", " ").split())
    for known, colour in ((LEFT, "left"), (RIGHT, "right"), (START, "start"), (OTHERS, "other")):
        if words & known and words <= known | EXTRA_WORDS:
            return colour
    return None


def _gate_neighbours(path: Path, cones: np.ndarray, is_left: np.ndarray) -> dict[Gate, list[Gate]]:
    """For each side of a triangle from blue to yellow, those next to it."""
    try:
        triangles = Delaunay(cones - cones.mean(axis=0)).simplices
    except (QhullError, ValueError):
        raise InputError(f"{path}: the cones stand in one line; they mark no circuit") from None
    neighbours: dict[Gate, list[Gate]] = defaultdict(list)
    for triangle in triangles.tolist():
        blue = [cone for cone in triangle if is_left[cone]]
        yellow = [cone for cone in triangle if not is_left[cone]]
        if blue and yellow:
            one, other = [(b, y) for b in blue for y in yellow]
            neighbours[one].append(other)
            neighbours[other].append(one)
    return neighbours


def _longest_cycle(neighbours: dict[Gate, list[Gate]]) -> list[Gate]:
    """The longest closed walk; no gate has more than two neighbours."""
    longest: list[Gate] = []
    seen: set[Gate] = set()
    for first in neighbours:
        if first in seen:
            continue
        walk, here, before = [first], first, None
        seen.add(first)
        while True:
            onward = [gate for gate in neighbours[here] if gate != before]
            before = here
            if not onward or onward[0] in seen:
                break
            here = onward[0]
            seen.add(here)
            walk.append(here)
        if len(walk) > max(2, len(longest)) and first in neighbours[walk[-1]]:
            longest = walk
    return longest


def _in_driving_order(cones: np.ndarray, gates: list[Gate]) -> np.ndarray:
    """The gates (n, 2) so that blue is on the left."""
    order = np.array(gates)
    middle = cones[order].mean(axis=1)
    along = np.roll(middle, -1, axis=0) - np.roll(middle, 1, axis=0)
    across = cones[order[:, 0]] - cones[order[:, 1]]
    to_left = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    return order if np.sum(to_left) >= 0.0 else order[::-1]


def _start(kinds: np.ndarray, places: np.ndarray) -> np.ndarray | None:
    for kind in ("start", "other"):
        if np.any(kinds == kind):
            return places[kinds == kind].mean(axis=0)
    return None


def _centre_line(cones: np.ndarray, gates: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    middle = cones[gates].mean(axis=1)
    if start is not None:
        middle = np.roll(middle, -int(np.hypot(*(middle - start).T).argmin()), axis=0)
    left, right = (cKDTree(_border(cones[gates[:, side]])).query(middle)[0] for side in (0, 1))
    return np.column_stack([middle, right, left])


def _border(cones: np.ndarray) -> np.ndarray:
    """Points of the closed line from cone to cone."""
    share = (np.arange(BORDER_POINTS) / BORDER_POINTS)[None, :, None]
    onward = np.roll(cones, -1, axis=0)
    return (cones[:, None] + share * (onward - cones)[:, None]).reshape(-1, 2)
