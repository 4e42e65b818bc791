"""Circuits of AWS DeepRacer: an array (n, 6) of centre, inner and outer border."""

from pathlib import Path

import numpy as np

from racing_env.common.errors import InputError
from racing_env.tracks.readers.borders import between_inner_and_outer
from racing_env.tracks.readers.centre_line import CentreLine

MAGIC = b"\x93NUMPY"
POINTS_MAX = 200_000


def read_deepracer(path: Path) -> CentreLine:
    """The circuit in a .npy file. Raises InputError for an array of another kind."""
    try:
        # Mapped, an array that is only declared cannot be allocated.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header raises anything, down to tokenize.TokenError
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: is no array of numbers ({reason:.80}); a DeepRacer circuit (n, 6) is needed"
        ) from None
    shape, kind = np.shape(array), array.dtype
    if (
        len(shape) != 2
        or shape[1] != 6
        or not 1 <= shape[0] <= POINTS_MAX
        or kind.kind not in "fiu"
    ):
        raise InputError(
            f"{path}: is an array {shape} of {kind}; numbers (n, 6) are needed: x and y of centre, "
            f"inner and outer border, at most {POINTS_MAX} points"
        )
    values = np.array(array, dtype=np.float64)
    # Without points that stand twice: they have no direction. The last mostly repeats the first.
    values = values[np.any(values[:, :2] != np.roll(values[:, :2], -1, axis=0), axis=1)]
    return CentreLine(between_inner_and_outer(values[:, 2:4], values[:, 4:], values[:, :2]))
