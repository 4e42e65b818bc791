"""Where lines cross themselves."""

import numpy as np
from scipy.spatial import cKDTree

from racing_env.tracks.geometry import Track, cross


def crossing(track: Track) -> tuple[int, int] | None:
    """Two stations at which the centre line crosses itself, or None where it never does."""
    start = np.column_stack([track.x_m, track.y_m])
    along = np.roll(start, -1, axis=0) - start
    n = start.shape[0]
    reach = 1.01 * np.linalg.norm(along, axis=1).max()
    i, j = cKDTree(start + 0.5 * along).query_pairs(reach, output_type="ndarray").T
    apart = np.abs(i - j)
    i, j = (index[(apart > 1) & (apart < n - 1)] for index in (i, j))
    between = start[j] - start[i]
    area = cross(along[i], along[j])
    with np.errstate(divide="ignore", invalid="ignore"):  # parallel segments: NaN, never inside
        at_i = cross(between, along[j]) / area
        at_j = cross(between, along[i]) / area
    hits = np.flatnonzero((at_i >= 0.0) & (at_i <= 1.0) & (at_j >= 0.0) & (at_j <= 1.0))
    return (int(i[hits[0]]), int(j[hits[0]])) if hits.size else None
