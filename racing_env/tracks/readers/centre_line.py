"""What every reader of circuits makes of a file: points of a centre line with widths."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

COLUMNS = ("x_m", "y_m", "w_tr_right_m", "w_tr_left_m")
POINTS_MIN = 10
FORMATS = (
    f"what is read: CSV of a centre line ({', '.join(COLUMNS)}), of borders (left_border_x, "
    "left_border_y, right_border_x, right_border_y) or of cones (tag, x, y), a ROS map (.yaml with "
    "its image), DeepRacer .npy"
)


class CentreLine(NamedTuple):
    """A closed centre line in driving order."""

    table: np.ndarray  # (n, 4): x, y, width to the right and to the left [m]
    lines: np.ndarray | None = None  # (n,) lines of the file that the points stand in
    names: tuple[str, ...] = COLUMNS  # of the columns, as the file has them

    def label(self, point: int) -> str:
        """What a point is called in messages."""
        return f"point {point + 1}" if self.lines is None else f"line {self.lines[point]}"

    def place(self, path: Path, point: int) -> str:
        """Where a point stands, as messages begin."""
        if self.lines is None:
            return f"{path}: {self.label(point)}"
        return f"{path}:{self.lines[point]}"


def closed_normals(points: np.ndarray) -> np.ndarray:
    """Unit normals to the left (n, 2) of a closed line (n, 2); zero where the line stands still."""
    along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    length = np.hypot(along[:, 0], along[:, 1])
    normal = np.column_stack([-along[:, 1], along[:, 0]])
    return normal / np.maximum(length, np.finfo(float).tiny)[:, None]
