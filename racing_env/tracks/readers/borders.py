"""Circuits given by their borders: both borders at each of the same points along the lap."""

from pathlib import Path

import numpy as np

from racing_env.common.errors import InputError
from racing_env.tracks.readers.centre_line import closed_normals


def between_borders(path: Path, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The table (n, 4) of a centre line midway between borders (n, 2) each, in driving order.

    Raises InputError if what is named left lies to the right of the way that the points go.
    """
    table = between_inner_and_outer(left, right)
    middle = table[:, :2]
    with np.errstate(all="ignore"):  # what is not finite is found later
        to_left = np.sum((left - middle) * closed_normals(middle), axis=1)
    if np.median(to_left) < 0.0:
        raise InputError(
            f"{path}: the left border lies to the right of the driving direction, in which the "
            "points stand; exchange left and right, or turn the order of the points round"
        )
    return table


def between_inner_and_outer(
    one: np.ndarray, other: np.ndarray, centre: np.ndarray | None = None
) -> np.ndarray:
    """The table (n, 4) of a centre line between borders (n, 2) each, whichever is on the left.

    centre: points (n, 2) between them; midway if there are none. Widths are measured across the
    line, so that borders that were paired aslant do not widen the track.
    """
    with np.errstate(all="ignore"):
        middle = 0.5 * (one + other) if centre is None else centre
        normal = closed_normals(middle)
        to_one = np.sum((one - middle) * normal, axis=1)
        to_other = np.sum((other - middle) * normal, axis=1)
        one_is_left = np.median(to_one - to_other) >= 0.0
    left, right = (to_one, -to_other) if one_is_left else (to_other, -to_one)
    return np.column_stack([middle, right, left])
