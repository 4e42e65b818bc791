"""Track geometry against closed forms, and every kind of file that is not a circuit."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR
from crossings import crossing
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from racing_env.common.errors import InputError
from racing_env.tracks.generator import generate_track
from racing_env.tracks.geometry import (
    Track,
    borders,
    mirror_track,
    track_from_centre_line,
)
from racing_env.tracks.reader import COLUMNS, read_track, write_track

HEADER = "# " + ",".join(COLUMNS)


def circle(radius_m: float = 100.0, n: int = 126) -> tuple[np.ndarray, ...]:
    angle = np.arange(n) * (2 * np.pi / n)
    x, y = radius_m * np.cos(angle), radius_m * np.sin(angle)
    return x, y, np.full(n, 5.0), np.full(n, 7.0)


def ellipse_rows(n: int = 120) -> list[list[float]]:
    angle = np.arange(n) * (2 * np.pi / n)
    table = [200 * np.cos(angle), 90 * np.sin(angle), np.full(n, 5.0), np.full(n, 6.0)]
    return [[float(value) for value in row] for row in np.transpose(table)]


def write_rows(path: Path, rows: list, header: str | None = HEADER, delimiter: str = ",") -> Path:
    lines = [delimiter.join(str(value) for value in row) for row in rows]
    path.write_text("\n".join(([header] if header else []) + lines) + "\n")
    return path


def assert_same(a: Track, b: Track, tolerance: float = 1e-9) -> None:
    for field in ("x_m", "y_m", "psi_rad", "kappa_radpm", "width_right_m", "width_left_m"):
        np.testing.assert_allclose(getattr(a, field), getattr(b, field), atol=tolerance)


def test_circle_has_its_closed_form():
    track = track_from_centre_line("circle", *circle())
    assert track.length_m == pytest.approx(2 * np.pi * 100, rel=1e-4)
    assert track.step_m == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(track.kappa_radpm, 0.01, rtol=1e-3)
    np.testing.assert_allclose(np.diff(track.psi_rad), 0.01 * track.step_m, rtol=1e-3)
    np.testing.assert_allclose(track.width_right_m, 5.0, atol=0.01)
    np.testing.assert_allclose(track.width_left_m, 7.0, atol=0.01)
    right, left = borders(track)
    np.testing.assert_allclose(np.hypot(*right.T), 105.0, atol=0.01)
    np.testing.assert_allclose(np.hypot(*left.T), 93.0, atol=0.01)


def test_curvature_matches_the_turning_of_a_circle_driven_clockwise():
    x, y, right, left = circle()
    track = track_from_centre_line("circle", x, -y, right, left)
    np.testing.assert_allclose(track.kappa_radpm, -0.01, rtol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_geometry_is_consistent(seed):
    track = generate_track(seed)
    gap = np.hypot(np.roll(track.x_m, -1) - track.x_m, np.roll(track.y_m, -1) - track.y_m)
    np.testing.assert_allclose(gap, track.step_m, rtol=0.01)
    heading = np.arctan2(
        np.roll(track.y_m, -1) - np.roll(track.y_m, 1),
        np.roll(track.x_m, -1) - np.roll(track.x_m, 1),
    )
    assert np.abs((heading - track.psi_rad + np.pi) % (2 * np.pi) - np.pi).max() < 0.02
    turning = np.sum(track.kappa_radpm) * track.step_m
    assert abs(turning) == pytest.approx(2 * np.pi, abs=0.01)
    np.testing.assert_allclose(
        np.diff(track.psi_rad),
        0.5 * (track.kappa_radpm[1:] + track.kappa_radpm[:-1]) * track.step_m,
        atol=2e-3,
    )


def test_smoothing_removes_ripple_and_moves_no_border():
    """Ripples of a decimetre: the curvature they cause goes, the borders stay where they were."""
    rng = np.random.default_rng(1)
    clean = generate_track(3, RACECAR)
    at = np.arange(0, clean.x_m.size, 5)
    ripple = 0.1 * rng.normal(size=at.size)
    x = clean.x_m[at] - ripple * np.sin(clean.psi_rad[at])
    y = clean.y_m[at] + ripple * np.cos(clean.psi_rad[at])
    right, left = clean.width_right_m[at] + ripple, clean.width_left_m[at] - ripple
    track = track_from_centre_line("rippled", x, y, right, left)

    raw = np.gradient(np.gradient(ripple, 5.0), 5.0)
    straight = np.abs(clean.kappa_radpm) < 1e-3
    assert track.kappa_radpm[: straight.size][straight[: track.x_m.size]].std() < raw.std()
    for border, expected in zip(borders(track), borders(clean), strict=True):
        gentle = np.abs(clean.kappa_radpm) < 0.02  # where the border is a smooth curve as well
        distance = distance_to_polyline(expected[gentle], border)
        assert np.quantile(distance, 0.99) < 0.1
        assert distance.max() < 0.3


def distance_to_polyline(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance of each point (n,) to a closed line, to within centimetres."""
    fine = np.linspace(0, 1, 20, endpoint=False)[None, :, None]
    fine = line[:, None] + fine * (np.roll(line, -1, axis=0) - line)[:, None]
    return cKDTree(fine.reshape(-1, 2)).query(points)[0]


def test_smoothing_keeps_close_to_the_points():
    x, y, right, left = circle(radius_m=12.0, n=15)  # a hairpin's radius
    track = track_from_centre_line("tight", x, y, right, left)
    assert np.abs(np.hypot(track.x_m, track.y_m) - 12.0).max() < 0.1


def test_mirror_swaps_left_and_right():
    track = generate_track(5, RACECAR)
    mirrored = mirror_track(track)
    np.testing.assert_array_equal(mirrored.kappa_radpm, -track.kappa_radpm)
    np.testing.assert_array_equal(mirrored.width_left_m, track.width_right_m)
    right, left = borders(track)
    mirrored_right, mirrored_left = borders(mirrored)
    np.testing.assert_allclose(mirrored_right, left * [1, -1], atol=1e-9)
    np.testing.assert_allclose(mirrored_left, right * [1, -1], atol=1e-9)
    assert_same(mirror_track(mirrored), track)


def test_corner_tighter_than_half_the_width_is_valid(tmp_path):
    x, y = np.array([(0, 0), (300, 0), (300, 16), (0, 16)], dtype=float).T  # hairpins of radius 8
    s = np.array([0, 300, 316, 616, 632])
    at = np.arange(0, 632, 4.0)
    x, y = np.interp(at, s, np.append(x, 0)), np.interp(at, s, np.append(y, 0))
    track = read_track(write_rows(tmp_path / "t.csv", [[*p, 9, 9] for p in zip(x, y, strict=True)]))
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
    expected = read_track(write_rows(tmp_path / "plain.csv", rows))
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
    write_rows(tmp_path / "extra.csv", [[*row, 3] for row in rows], None)
    write_rows(tmp_path / "exp.csv", [[f"{value:.17e}" for value in row] for row in rows])
    for name in [*variants, "swapped", "extra", "exp"]:
        assert_same(read_track(tmp_path / f"{name}.csv"), expected)


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
    "repeated end": (ellipse_rows() + ellipse_rows()[:1], r":122: the last point repeats"),
    "duplicate": (ellipse_rows()[:7] + ellipse_rows()[6:], r":8: the same point.*line 9"),
    "column missing": ([row[:3] for row in ellipse_rows()], r":2: has 3 column.*w_tr_left_m"),
    "points out of order": (
        ellipse_rows()[:30] + [ellipse_rows()[i] for i in (31, 30, 33, 32)] + ellipse_rows()[34:],
        r"turns back by \d+ degrees|crosses itself",
    ),
    "millimetres": (
        [[1000 * x, 1000 * y, 5000, 5000] for x, y, _, _ in ellipse_rows()],
        r"is \d+ m long; 100 to 100000 m",
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


def test_crossing_line_is_refused_with_both_places(tmp_path):
    angle = np.arange(200) * (2 * np.pi / 200) + 0.01
    rows = [[300 * np.sin(a), 150 * np.sin(2 * a), 5, 5] for a in angle]
    with pytest.raises(InputError, match=r"crosses itself near \(.*\) m, lines \d+ and \d+"):
        read_track(write_rows(tmp_path / "eight.csv", rows))


def test_crossing_finds_nothing_on_a_circle_and_one_on_an_eight():
    assert crossing(track_from_centre_line("circle", *circle())) is None
    angle = np.arange(200) * (2 * np.pi / 200) + 0.01
    half = np.full(200, 5.0)
    x, y = 300 * np.sin(angle), 150 * np.sin(2 * angle)
    found = crossing(track_from_centre_line("eight", x, y, half, half))
    assert found is not None
    track = track_from_centre_line("eight", x, y, half, half)
    assert np.hypot(track.x_m[list(found)], track.y_m[list(found)]).max() < 2.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a text file"),
        (b"\x00\x01\x02" * 50, "is not a text file"),
        (b"# x_m,y_m,w_tr_right_m\n1,2,3\n", "column w_tr_left_m is missing in the header"),
        (b"x_m,x_m,y_m,w_tr_right_m,w_tr_left_m\n", "column x_m is there twice"),
        (b"# x_m;y_m;w_tr_right_m;w_tr_left_m\n1;2;3;4\n", "separated by semicolon; a comma"),
        (b"1\t2\t3\t4\n" * 20, "separated by tab; a comma"),
        (b"1 2 3 4\n" * 20, "separated by space; a comma"),
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
        read_track(write_rows(tmp_path / "t.csv", rows))


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
