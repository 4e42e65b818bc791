"""Occupancy maps: centre line and widths from the picture's free space."""

import numpy as np
import pytest
import yaml
from cars import RACECAR
from circuit_files import LEFT_M, RIGHT_M, oval, oval_borders, write_description, write_map
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from racing_env.common.errors import InputError
from racing_env.tracks.geometry import Track
from racing_env.tracks.reader import read_track

HALF_M = 0.5 * (LEFT_M + RIGHT_M)


def check_is_oval(track: Track, resolution_m: float) -> None:
    left, right = oval_borders(20_000)
    middle = 0.5 * (left + right)
    nearest = cKDTree(middle).query(np.column_stack([track.x_m, track.y_m]))[0]
    assert nearest.max() < resolution_m
    for width in (track.width_left_m, track.width_right_m):
        assert np.abs(width - HALF_M).max() < 2.0 * resolution_m
    assert track.kappa_radpm.sum() > 0.0


@pytest.mark.parametrize(
    ("resolution_m", "suffix", "negate"),
    [(0.5, ".png", False), (0.25, ".pgm", False), (0.4, ".bmp", True), (0.5, ".png", True)],
)
def test_the_oval_is_found_in_its_map(tmp_path, resolution_m, suffix, negate):
    path = write_map(tmp_path, resolution_m, suffix, negate)
    check_is_oval(read_track(path, RACECAR), resolution_m)


def test_a_map_is_told_by_its_content(tmp_path):
    path = write_map(tmp_path)
    check_is_oval(read_track(path.rename(tmp_path / "map.txt"), RACECAR), 0.5)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16", "1"])
def test_pictures_of_any_depth(tmp_path, mode):
    path = write_map(tmp_path)
    image = Image.open(tmp_path / "oval.png")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image, np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "oval.png")
    check_is_oval(read_track(path, RACECAR), 0.5)


def test_origin_and_heading_move_and_turn_the_map(tmp_path):
    path = write_map(tmp_path)
    straight = read_track(path, RACECAR)
    record = yaml.safe_load(path.read_text())
    x, y, _ = record["origin"]
    path.write_text(yaml.safe_dump(record | {"origin": [-y, x, np.pi / 2]}))
    turned = read_track(path, RACECAR)
    points = np.column_stack([turned.y_m, -turned.x_m])
    nearest = cKDTree(np.column_stack([straight.x_m, straight.y_m])).query(points)[0]
    assert nearest.max() < 0.6  # half of what stations are apart


def test_specks_are_part_of_the_nearer_wall(tmp_path):
    path = write_map(tmp_path)
    with Image.open(tmp_path / "oval.png") as image:
        draw = ImageDraw.Draw(image)
        column, row = (0 + 240) / 0.5, 520 - (-90 - 4 + 130) / 0.5  # at the right border
        draw.ellipse((column - 2, row - 2, column + 2, row + 2), fill=0)
        image.save(tmp_path / "oval.png")
    track = read_track(path, RACECAR)
    total = track.width_left_m + track.width_right_m
    assert 2 * HALF_M - 4.0 < total.min() < 2 * HALF_M - 1.0
    assert cKDTree(oval(20_000)).query(np.column_stack([track.x_m, track.y_m]))[0].max() < 3.0


def ring(hole, size=(400, 300), gap=False):
    image = Image.new("L", size, 0)
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 40, size[0] - 40, size[1] - 40), fill=255)
    for box in hole:
        draw.rectangle(box, fill=0)
    if gap:
        draw.rectangle((0, 140, 60, 160), fill=255)
    return image


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (ring([]), "no free space of the map leads round a hole"),
        (ring([(100, 100, 300, 200)], gap=True), "keeps off the picture's edge"),
        (ring([(70, 70, 190, 230), (210, 70, 330, 230)]), "parts round an island near column"),
        (Image.new("L", (6000, 6000)), "has 36 million pixels; at most 25"),
        (Image.new("L", (1, 1), 255), "no free space"),
    ],
)
def test_maps_without_one_way_round_are_refused(tmp_path, image, message):
    image.save(tmp_path / "bad.png")
    with pytest.raises(InputError, match=message):
        read_track(write_description(tmp_path, "bad.png", 0.5, (0.0, 0.0)), RACECAR)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n- 2", "is no map; image, resolution and origin are needed"),
        ("image: [", "is not YAML"),
        ("image: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("image: oval.png\nresolution: -1\norigin: [0, 0, 0]", "resolution is -1"),
        ("image: oval.png\nresolution: wide\norigin: [0, 0, 0]", "resolution is wide"),
        ("image: oval.png\nresolution: .nan\norigin: [0, 0, 0]", "resolution is float"),
        ("image: oval.png\nresolution: 0.5\norigin: 3", r"origin is not \[x, y, heading\]"),
        ("image: gone.png\nresolution: 0.5\norigin: [0, 0, 0]", "gone.png is not there"),
        ("image: oval.yaml\nresolution: 0.5\norigin: [0, 0, 0]", "cannot be read"),
        ("image: 7\nresolution: 0.5\norigin: [0, 0, 0]", "image is not the name"),
        ("image: oval.png\nresolution: 0.5\norigin: [0, 0]\nfree_thresh: 2", "free_thresh is 2"),
        ("[" * 20_000, "is not YAML"),
    ],
)
def test_other_yaml_is_refused(tmp_path, text, message):
    path = write_map(tmp_path)
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_track(path, RACECAR)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_image_alone_needs_its_yaml(tmp_path):
    write_map(tmp_path)
    with pytest.raises(InputError, match=r"is an image; of a map, its \.yaml has to be named"):
        read_track(tmp_path / "oval.png", RACECAR)
