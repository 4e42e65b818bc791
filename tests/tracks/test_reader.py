"""Circuits from files: variants that read the same, and every kind of file that is no circuit."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR, scaled
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import assert_same_track, distance_to_polyline

from racing_env.common.errors import InputError
from racing_env.tracks.generator import generate_track
from racing_env.tracks.geometry import borders
from racing_env.tracks.reader import COLUMNS, read_track, write_track

HEADER = "# " + ",".join(COLUMNS)


def ellipse_rows(n: int = 120) -> list[list[float]]:
    angle = np.arange(n) * (2 * np.pi / n)
    table = [200 * np.cos(angle), 90 * np.sin(angle), np.full(n, 5.0), np.full(n, 6.0)]
    return [[float(value) for value in row] for row in np.transpose(table)]


def write_rows(path: Path, rows: list, header: str | None = HEADER, delimiter: str = ",") -> Path:
    lines = [delimiter.join(str(value) for value in row) for row in rows]
    path.write_text("\n".join(([header] if header else []) + lines) + "\n")
    return path


def test_corner_tighter_than_half_the_width_is_valid(tmp_path):
    x, y = np.array([(0, 0), (300, 0), (300, 16), (0, 16)], dtype=float).T  # hairpins of radius 8
    s = np.array([0, 300, 316, 616, 632])
    at = np.arange(0, 632, 4.0)
    x, y = np.interp(at, s, np.append(x, 0)), np.interp(at, s, np.append(y, 0))
    track = read_track(
        write_rows(tmp_path / "t.csv", [[*p, 9, 9] for p in zip(x, y, strict=True)]), RACECAR
    )
    assert 1 / np.abs(track.kappa_radpm).max() < 9.0


def test_round_trip(tmp_path):
    track = generate_track(2, RACECAR)
    write_track(track, tmp_path / "a.csv")
    again = read_track(tmp_path / "a.csv", RACECAR)
    assert again.length_m == pytest.approx(track.length_m, rel=2e-4)
    right, left = borders(track)
    for mine, theirs in zip(borders(again), (right, left), strict=True):
        assert np.quantile(distance_to_polyline(mine[::5], theirs), 0.99) < 0.1
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_variants_of_the_format_read_the_same(tmp_path):
    rows = ellipse_rows()
    expected = read_track(write_rows(tmp_path / "plain.csv", rows), RACECAR)
    assert expected.name == "plain"
    text = (tmp_path / "plain.csv").read_text()
    swapped = [[left, y, x, right, 1.0] for x, y, right, left in rows]
    variants = {
        "crlf": text.replace("\n", "\r\n"),
        "bom": "\ufeff" + text,
        "no_header": text.split("\n", 1)[1],
        "blank_lines": text.replace("\n", "\n\n"),
        "comment": "# made by hand\n" + text,
        "spaces": text.replace(",", " , "),
        "bare_header": text.replace("# ", ""),
    }
    for name, content in variants.items():
        (tmp_path / f"{name}.csv").write_bytes(content.encode())
    write_rows(tmp_path / "swapped.csv", swapped, "w_tr_left_m,y_m,x_m,w_tr_right_m,banking")
    write_rows(tmp_path / "exp.csv", [[f"{value:.17e}" for value in row] for row in rows])
    for name in [*variants, "swapped", "exp"]:
        assert_same_track(read_track(tmp_path / f"{name}.csv", RACECAR), expected)


def changed(index: int, column: int, value: object) -> list:
    rows: list = ellipse_rows()
    rows[index][column] = value
    return rows


BAD_ROWS = {
    "nan": (changed(5, 0, "nan"), r":7: x_m is nan; a finite number"),
    "infinity": (changed(5, 3, "inf"), r":7: w_tr_left_m is inf; a finite number"),
    "far away": (changed(5, 1, "1e300"), r":7: y_m is 1e\+300; metres"),
    "text": (changed(5, 1, "abc"), r":7: y_m is 'abc'; a number"),
    "zero width": (changed(5, 2, 0.0), r":7: w_tr_right_m is 0; a width above 0"),
    "negative width": (changed(5, 3, -1.5), r":7: w_tr_left_m is -1.5; a width above 0"),
    "few points": (ellipse_rows(9), r"has 9 points; at least 10"),
    "no points": ([], r"has no points; at least 10"),
    "narrow": (
        [[x, y, 0.9, 1.0] for x, y, _, _ in ellipse_rows()],
        r":2: the track is 1.90 m wide, narrower than the car; more than 2 m",
    ),
    "not closed": (ellipse_rows()[:90], r":91: the line is not closed, \d+\.\d m are missing"),
    "duplicate": (ellipse_rows()[:7] + ellipse_rows()[6:], r":8: the same point.*line 9"),
    "column missing": ([row[:3] for row in ellipse_rows()], r":2: has 3 column.*w_tr_left_m"),
    "points out of order": (
        ellipse_rows()[:30] + [ellipse_rows()[i] for i in (31, 30, 33, 32)] + ellipse_rows()[34:],
        r"turns back by \d+ degrees|crosses itself",
    ),
    "millimetres": (
        [[1000 * x, 1000 * y, 5000, 5000] for x, y, _, _ in ellipse_rows()],
        r"is \d+ m long; for this car, which is [\d.]+ m long, 100 to 100000 m",
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_refused(tmp_path, case):
    rows, message = BAD_ROWS[case]
    path = write_rows(tmp_path / "bad.csv", rows)
    with pytest.raises(InputError, match=message) as error:
        read_track(path, RACECAR)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_wider_car_needs_a_wider_track(tmp_path):
    path = write_rows(tmp_path / "t.csv", ellipse_rows())
    with pytest.raises(InputError, match="11.00 m wide, narrower than the car"):
        read_track(path, RACECAR._replace(width_m=11.5))


def test_what_is_too_short_for_one_car_is_not_for_a_smaller_one(tmp_path):
    rows = [[0.1 * x, 0.1 * y, 1.0, 1.0] for x, y, _, _ in ellipse_rows()]
    path = write_rows(tmp_path / "t.csv", rows)
    model = scaled(RACECAR, 0.1)
    assert read_track(path, model).length_m == pytest.approx(94.4, rel=0.01)
    with pytest.raises(InputError, match="m wide, narrower than the car|m long, 100 to"):
        read_track(path, RACECAR)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is an image; of a map"),
        (b"\x00\x01\x02" * 50, "is not a text file"),
        (b"# x_m,y_m,w_tr_right_m\n1,2,3\n", "column w_tr_left_m is missing in the header"),
        (b"x_m,x_m,y_m,w_tr_right_m,w_tr_left_m\n", "column x_m is there twice"),
        (b"1,2\n" * 20, r"has 2 column\(s\)"),
        (b"<html><body>404</body></html>", r"has 1 column\(s\)"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_track(path, RACECAR)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_what_never_ends_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", "/dev/zero"):
        with pytest.raises(InputError, match="is not an ordinary file"):
            read_track(path, RACECAR)


def test_directory_missing_and_huge_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        read_track(tmp_path, RACECAR)
    with pytest.raises(InputError, match="no such file"):
        read_track(tmp_path / "absent.csv", RACECAR)
    with open(tmp_path / "huge.csv", "wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(InputError, match="has 50 MB"):
        read_track(tmp_path / "huge.csv", RACECAR)


@settings(max_examples=150)
@given(st.binary(max_size=300) | st.text("0123456789.,-;e#\n \rnaif_mxy", max_size=400))
def test_hostile_content_gives_an_input_error_or_a_track(content):
    data = content if isinstance(content, bytes) else content.encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_bytes(data)
        check_reads_or_refuses(path)


def test_points_nearer_than_can_be_told_apart_are_duplicates(tmp_path):
    rows = [(float(x), 0.0, 3.0, 3.0) for x in range(0, 100, 10)]
    rows += [(90.0, 1e-199, 3.0, 3.0), (45.0, 80.0, 3.0, 3.0)]
    with pytest.raises(InputError, match="the same point stands again"):
        read_track(write_rows(tmp_path / "t.csv", rows), RACECAR)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(*[st.floats(-1e3, 1e3)] * 2, *[st.floats(0.1, 20)] * 2), min_size=10, max_size=30
    )
)
def test_hostile_points_give_an_input_error_or_a_track(rows):
    with tempfile.TemporaryDirectory() as folder:
        check_reads_or_refuses(write_rows(Path(folder, "t.csv"), rows))


def check_reads_or_refuses(path: Path) -> None:
    try:
        track = read_track(path, RACECAR)
    except InputError as error:
        assert os.fspath(path) in str(error) and "\n" not in str(error)
    else:
        assert np.isfinite(track.kappa_radpm).all()
