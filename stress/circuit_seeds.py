"""Small good files of circuits in every format, to be damaged."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

MAP = "map.yaml"


def circuit_seeds(folder: Path) -> list[tuple[Path, bytes]]:
    """Files and their contents; those of the map are written, as each needs the other."""
    angle = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    radius = 60.0 + 8.0 * np.cos(3.0 * angle)
    centre = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    inner, outer = 0.9 * centre, 1.1 * centre
    table = np.column_stack([centre, np.full(24, 5.0), np.full(24, 6.5)])
    header = "# x_m,y_m,w_tr_right_m,w_tr_left_m\n"
    rows = [",".join(f"{value:.3f}" for value in row) for row in table]
    cones = [f"{tag},{x:.2f},{y:.2f},0" for tag, line in (("blue", inner), ("yellow", outer))
             for x, y in line]  # fmt: skip
    texts = {
        "decimal_comma.csv": header.replace(",", ";")
        + "\n".join(row.replace(",", ";").replace(".", ",") for row in rows),
        "quoted.csv": '"x","y","width","z"\n' + "\n".join(rows),
        "spaces.csv": "\n".join(row.replace(",", " ") for row in rows),
        "repeated.csv": "%id\tx_ref\ty_ref\td_right\td_left\n"
        + "\n".join(f"1\t{row}".replace(",", "\t") for row in [*rows, *rows[:3]]),
        "borders.csv": "left_border_x,left_border_y,right_border_x,right_border_y\n"
        + "\n".join(",".join(f"{v:.3f}" for v in row) for row in np.hstack([inner, outer])),
        "cones.csv": "tag,x,y,direction\n" + "\n".join(["car_start,60,0,0", *cones]),
    }
    seeds = [(folder / name, text.encode()) for name, text in texts.items()]
    array = io.BytesIO()
    np.save(array, np.hstack([centre, inner, outer]))
    seeds.append((folder / "deepracer.npy", array.getvalue()))
    pair = [
        (folder / MAP, b"image: map.png\nresolution: 2.0\norigin: [-90.0, -90.0, 0.0]\nnegate: 0\n"
         b"occupied_thresh: 0.65\nfree_thresh: 0.196\n"),
        (folder / "map.png", _picture(outer, inner)),
    ]  # fmt: skip
    for path, content in pair:
        path.write_bytes(content)
    return seeds + 2 * pair


def _picture(outer: np.ndarray, inner: np.ndarray) -> bytes:
    image = Image.new("L", (90, 90), 0)
    draw = ImageDraw.Draw(image)
    for line, shade in ((1.1 * outer, 255), (0.9 * inner, 0)):
        draw.polygon([(x, y) for x, y in line / 2.0 + 45.0], fill=shade)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
