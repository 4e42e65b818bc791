"""Centre lines in the spellings that people have: the same circuit, or a refusal; never a guess."""

import numpy as np
import pytest
from cars import RACECAR
from circuit_files import HEADER, assert_same, oval_table, write_rows

from racing_env.common.errors import InputError
from racing_env.tracks.reader import read_track


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain.csv"
    return read_track(write_rows(path, oval_table().tolist()), RACECAR)


def table_as(separator: str, decimal: str = ".") -> list[str]:
    return [
        separator.join(repr(float(value)).replace(".", decimal) for value in row)
        for row in oval_table()
    ]


def quoted(line: str) -> str:
    return ",".join(f'"{field}"' for field in line.split(","))


LINES = table_as(",")
NAMES = HEADER[2:]
SPELLINGS = {
    "semicolon": [HEADER.replace(",", ";"), *table_as(";")],
    "tab": [HEADER.replace(",", "\t"), *table_as("\t")],
    "space": [HEADER.replace(",", " "), *table_as(" ")],
    "bar": [HEADER.replace(",", "|"), *table_as("|")],
    "space after comma": [HEADER.replace(",", ", "), *table_as(", ")],
    "decimal comma, semicolon": [HEADER.replace(",", ";"), *table_as(";", ",")],
    "decimal comma, tab": [HEADER.replace(",", "\t"), *table_as("\t", ",")],
    "decimal comma, space": [HEADER.replace(",", " "), *table_as("  ", ",")],
    "decimal comma in quotes": [
        NAMES, *(",".join(f'"{field}"' for field in line.split(";")) for line in table_as(";", ","))
    ],
    "quoted names": [quoted(NAMES), *LINES],
    "quoted numbers": [quoted(NAMES), *map(quoted, LINES)],
    "bare header": [NAMES, *LINES],
    "no header": LINES,
    "header in another separator": [HEADER.replace(",", "; "), *LINES],
    "header after comments": ["# Made by hand, with care", "# 2f5", HEADER, *LINES],
    "prose before the rows": ["# North of the town, y is up, x marks the start", *LINES],
    "header before a comment": [HEADER, "# the oval", *LINES],
    "both kinds of header": [HEADER, "x,y,w_right,w_left", *LINES],
    "separator at the end": [f"{line}," for line in [HEADER, *LINES]],
    "blank lines": [line for pair in zip(LINES, [""] * 120, strict=True) for line in pair],
    "comments between": [line for i, x in enumerate(LINES) for line in (f"# {i}", x)],
    "index column": [f",{NAMES}", *(f"{i},{line}" for i, line in enumerate(LINES))],
    "height": ["x_m,y_m,w_tr_right_m,w_tr_left_m,z_m", *(f"{line},30" for line in LINES)],
    "text beside": ["name,x,y,w_right,w_left", *(f"T{i},{line}" for i, line in enumerate(LINES))],
    "planner": [
        "# 3eb8-c3", "# 5a",
        "# x_ref_m; y_ref_m; width_right_m; width_left_m; x_normvec_m; y_normvec_m; alpha_m",
        *(f"{line};0;1;0.2" for line in table_as("; ")),
    ],
    "widths by distance": ["# id, x_m, y_m, d_right, d_left", *(f"1,{line}" for line in LINES)],
    "camel case": ["X [m],Y [m],trackWidthRight [m],trackWidthLeft [m]", *LINES],
    "short": ["x\ty\twr\twl", *table_as("\t")],
    "surveyed": ["easting,northing,dist_to_right,dist_to_left", *LINES],
    "for a spreadsheet": ["sep=;", HEADER[2:].replace(",", ";"), *table_as(";")],
    "latin-1 comment": ["# Strecke für alle", HEADER, *LINES],
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings_read_the_same(name, expected, tmp_path):
    path = tmp_path / "spelt.csv"
    path.write_bytes("\n".join(SPELLINGS[name]).encode("latin-1"))
    assert_same(read_track(path, RACECAR), expected, tolerance=0.0)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_spreadsheets(encoding, expected, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\r\n".join(["# Länge – 5 €", HEADER, *LINES]).encode(encoding))
    assert_same(read_track(path, RACECAR), expected, tolerance=0.0)


def test_a_header_that_exchanges_the_sides_is_obeyed(tmp_path, expected):
    rows = oval_table()[:, [1, 3, 2, 0]].tolist()
    for header in ("y,w_left,w_right,x", "# y_m; left_width; right_width; x_m", "y,wl,wr,x"):
        path = write_rows(tmp_path / "t.csv", rows, header)
        assert_same(read_track(path, RACECAR), expected, tolerance=0.0)


@pytest.mark.parametrize(
    ("header", "side_m"),
    [("x,y,width", 5.5), ("x_m,y_m,track_width_m", 5.5), ("x,y,w", 5.5), ("x,y,half_width", 11.0)],
)
def test_one_width_is_for_both_sides(tmp_path, header, side_m):
    rows = [[x, y, 11.0] for x, y, _, _ in oval_table()]
    track = read_track(write_rows(tmp_path / "t.csv", rows, header), RACECAR)
    for width in (track.width_left_m, track.width_right_m):
        np.testing.assert_allclose(width, side_m, atol=0.1)


REFUSED = {
    "comma for two things": (
        [HEADER, *table_as(",", ",")],
        r":2: has 8 fields, .* x_m, y_m, w_tr_right_m, w_tr_left_m are needed",
    ),
    "five without names": ([f"{line},30" for line in LINES], r":1: has 5 columns without names"),
    "three without names": ([line.rsplit(",", 1)[0] for line in LINES], r":1: has 3 column\(s\)"),
    "unknown names": (["# east_ft,north_ft,a,b", *LINES], r":1: column x_m is missing"),
    "a width nobody knows": (
        ["x,y,w_right,left_wheel", *LINES], r"left_wheel .* is not understood; widths are"
    ),
    "a width too many": (
        ["x,y,w_right,w_left,right_lane_width_2", *(f"{line},1" for line in LINES)],
        "right_lane_width_2 .* is not understood",
    ),
    "total and one side": (["x,y,width,w_left", *LINES], "column w_tr_right_m is missing"),
    "twice": (["x,y,w_right,width_right_m", *LINES], "column w_tr_right_m is there twice"),
    "two centre lines": (
        ["x,y,w_right,w_left,x_ref", *(f"{line},1" for line in LINES)], "column x_m is there twice"
    ),
    "contradicting headers": (
        [HEADER, "x,y,w_left,w_right", *LINES], r":2: the header .* contradicts that in line 1"
    ),
    "millimetres": (["x_mm,y_mm,w_right_mm,w_left_mm", *LINES], "is not understood"),
    "mixed decimal signs": (
        [*table_as(";")[:60], *table_as(";", ",")[60:]], r":120: has a decimal comma, line 60 a"
    ),
    "thousands": (["1,234.5;0;5;6", *table_as(";")], r":1: x_m is '1,234.5'; a number"),
    "race line": (
        ["# s_m; x_m; y_m; psi_rad; kappa_radpm; vx_mps; ax_mps2", *[f"0;{x};0;8;0" for x in
         table_as(";")]], r":1: is a line without widths",
    ),
    "shorter row": ([HEADER, *LINES[:5], "1,2,3", *LINES[5:]], r":7: has 3 column\(s\)"),
    "empty field": ([HEADER, "1,2,,4", *LINES], r":2: w_tr_right_m is ''; a number is needed"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(name, tmp_path):
    lines, message = REFUSED[name]
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=message) as error:
        read_track(path, RACECAR)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
