"""Circuits between cones in any order."""

from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR
from circuit_files import LEFT_M, RIGHT_M, cone_lines, oval
from scipy.spatial import cKDTree

from racing_env.common.errors import InputError
from racing_env.tracks.generator import generate_track
from racing_env.tracks.geometry import Track, borders
from racing_env.tracks.reader import read_track
from racing_env.tracks.readers.cones import is_tag, through_cones

HEADER = "tag,x,y,direction"


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines))
    return path


def check_is_oval(track: Track) -> None:
    nearest = cKDTree(oval(4000)).query(np.column_stack([track.x_m, track.y_m]))[0]
    middle = 0.5 * (LEFT_M - RIGHT_M)
    assert np.abs(nearest - middle).max() < 0.5
    np.testing.assert_allclose(track.width_left_m, 5.5, atol=0.4)
    np.testing.assert_allclose(track.width_right_m, 5.5, atol=0.4)


@pytest.mark.parametrize("header", [[HEADER], [], ["color;x;y;z"]])
def test_cones_mark_the_oval_with_blue_on_the_left(tmp_path, header):
    lines = cone_lines()
    if header and ";" in header[0]:
        lines = [line.replace(",", ";") for line in lines]
    track = read_track(write(tmp_path / "cones.csv", header + lines), RACECAR)
    check_is_oval(track)
    assert track.kappa_radpm.sum() > 0.0  # anticlockwise, as blue is inside
    assert np.hypot(track.x_m[0] - 200.0, track.y_m[0]) < 10.0  # at the orange cones


def test_colours_exchanged_turn_the_direction_round(tmp_path):
    swap = {"blue": "yellow", "yellow": "blue"}
    lines = [",".join([swap.get(tag, tag), *rest]) for tag, *rest in
             (line.split(",") for line in cone_lines())]  # fmt: skip
    track = read_track(write(tmp_path / "cones.csv", [HEADER, *lines]), RACECAR)
    check_is_oval(track)
    assert track.kappa_radpm.sum() < 0.0


def test_the_lap_begins_where_the_car_stands(tmp_path):
    lines = [HEADER, *cone_lines(), "car_start,-200,0,0"]
    track = read_track(write(tmp_path / "cones.csv", lines), RACECAR)
    assert np.hypot(track.x_m[0] + 200.0, track.y_m[0]) < 10.0


@pytest.mark.parametrize("seed", range(3))
def test_circuits_with_hairpins_are_found_from_their_cones(seed):
    """Cones about 12 m apart on a track of some 12 m: as far as in Formula Student, full size."""
    rng = np.random.default_rng(seed)
    track = generate_track(seed, RACECAR)
    tags, places = [], []
    for tag, border in zip(("yellow", "blue"), borders(track), strict=True):
        first = rng.integers(12)
        tags += [tag] * len(border[first::12])
        places.append(border[first::12])
    order = rng.permutation(len(tags))
    table = through_cones(Path("t"), [tags[i] for i in order], np.concatenate(places)[order])
    centre = np.column_stack([track.x_m, track.y_m])
    assert cKDTree(centre).query(table[:, :2])[0].max() < 4.0
    assert cKDTree(table[:, :2]).query(centre)[0].max() < 12.0
    assert np.median(table[:, 2] + table[:, 3]) == pytest.approx(
        np.median(track.width_left_m + track.width_right_m), rel=0.1
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, *cone_lines()[:4]], "blue and .* yellow cones; at least 5 of each"),
        ([HEADER, *cone_lines(), "green,1,2,0"], "'green' is no cone"),
        ([HEADER, *cone_lines(), "blue,nan,2,0"], "a cone is nowhere"),
        ([HEADER, *(f"{tag},{i},{i},0" for i in range(9) for tag in ("blue", "yellow"))],
         "stand in one line"),
        ([HEADER, *(f"{tag},{i},{y + i % 2},0" for i in range(9)
                    for tag, y in (("blue", 5), ("yellow", 0)))], "mark no closed circuit"),
    ],
)  # fmt: skip
def test_cones_that_mark_no_circuit_are_refused(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        read_track(write(tmp_path / "cones.csv", lines), RACECAR)


def test_tags():
    for tag in ("blue", "yellow", "big_orange", "orange_big", "car_start", "Blue_Cone", "unknown"):
        assert is_tag(tag)
    for field in ("1.5", "", "x_m", "green", "blueberry"):
        assert not is_tag(field)
