"""Files of one oval in every format that is read, made by code."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageDraw

from racing_env.tracks.geometry import Track
from racing_env.tracks.readers.centre_line import COLUMNS, closed_normals

RIGHT_M, LEFT_M = 5.0, 6.0
HEADER = "# " + ",".join(COLUMNS)


def oval(n: int = 200) -> np.ndarray:
    """Points (n, 2) of an ellipse, anticlockwise."""
    angle = np.arange(n) * (2 * np.pi / n)
    return np.column_stack([200 * np.cos(angle), 90 * np.sin(angle)])


def oval_table(n: int = 120) -> np.ndarray:
    """x, y, right, left (n, 4)."""
    return np.column_stack([oval(n), np.full(n, RIGHT_M), np.full(n, LEFT_M)])


def oval_borders(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Left and right border (n, 2) of the oval."""
    centre = oval(n)
    normal = closed_normals(centre)
    return centre + LEFT_M * normal, centre - RIGHT_M * normal


def write_rows(path: Path, rows: object, header: str | None = HEADER, separator: str = ",") -> Path:
    lines = [separator.join(str(value) for value in row) for row in rows]
    path.write_text("\n".join(([header] if header else []) + lines) + "\n")
    return path


def cone_lines() -> list[str]:
    """Cones of the oval: blue on the left, yellow on the right, orange at the start, mixed."""
    left, right = oval_borders()
    rows = [f"blue,{x:.3f},{y:.3f},0" for x, y in left[1::2]]
    rows += [f"yellow,{x:.3f},{y:.3f},0" for x, y in right[2::2]]
    rows += [f"big_orange,{x:.3f},{y + 0.5:.3f},0" for x, y in (left[0], right[0])]
    return [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]


def write_map(
    folder: Path, resolution_m: float = 0.5, suffix: str = ".png", negate: bool = False
) -> Path:
    """A ROS map of the oval: free track, black walls, free ground inside and outside."""
    size, corner = (int(480 / resolution_m), int(260 / resolution_m)), (-240.0, -130.0)
    image = Image.new("L", (4 * size[0], 4 * size[1]), 254)
    draw = ImageDraw.Draw(image)
    left, right = oval_borders()
    wall = 4 * resolution_m * closed_normals(oval())
    for border, shade in ((right - wall, 0), (right, 254), (left, 0), (left + wall, 254)):
        x = 4 * (border[:, 0] - corner[0]) / resolution_m
        y = 4 * (size[1] - (border[:, 1] - corner[1]) / resolution_m)
        draw.polygon(list(zip(x, y, strict=True)), fill=shade)
    image = image.reduce(4)
    if negate:
        image = image.point(lambda shade: 255 - shade)
    image.save(folder / f"oval{suffix}")
    return write_description(folder, f"oval{suffix}", resolution_m, corner, negate)


def write_description(
    folder: Path, image: str, resolution_m: float, corner: tuple[float, ...], negate: bool = False
) -> Path:
    record = {
        "image": image, "resolution": resolution_m, "origin": [*corner, 0.0],
        "negate": int(negate), "occupied_thresh": 0.65, "free_thresh": 0.196,
    }  # fmt: skip
    path = folder / "oval.yaml"
    path.write_text(yaml.safe_dump(record))
    return path


def assert_same(a: Track, b: Track, tolerance: float = 1e-9) -> None:
    for field in ("x_m", "y_m", "psi_rad", "kappa_radpm", "width_right_m", "width_left_m"):
        np.testing.assert_allclose(getattr(a, field), getattr(b, field), atol=tolerance)
