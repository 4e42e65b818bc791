"""Where a lap ends, and circuits that cross themselves."""

import numpy as np
import pytest
from cars import RACECAR
from circuit_files import assert_same, oval_table, write_rows
from crossings import crossing

from racing_env.common.errors import InputError
from racing_env.tracks.circuit import prepare_circuit
from racing_env.tracks.feasibility import passable
from racing_env.tracks.reader import read_track

OVAL = oval_table(200)


@pytest.mark.parametrize(
    "end",
    [OVAL[:1], OVAL[:1] + [0.01, -0.01, 0, 0], OVAL[:12], 0.6 * OVAL[:1] + 0.4 * OVAL[1:2],
     OVAL[:20] + [0.8, 0.5, 0, 0]],
    ids=["the first point", "almost the first", "twelve points", "a part of a step", "beside"],
)  # fmt: skip
def test_what_is_driven_twice_is_left_out(tmp_path, end):
    once = read_track(write_rows(tmp_path / "t.csv", OVAL.tolist()), RACECAR)
    rows = np.vstack([OVAL, end]).tolist()
    assert_same(read_track(write_rows(tmp_path / "t.csv", rows), RACECAR), once, tolerance=0.0)


def test_a_line_that_is_not_closed_is_refused(tmp_path):
    path = write_rows(tmp_path / "t.csv", OVAL[:150].tolist())
    with pytest.raises(InputError, match=r":151: the line is not closed"):
        read_track(path, RACECAR)


def test_a_circuit_may_cross_itself(tmp_path):
    angle = np.arange(200) * (2 * np.pi / 200) + 0.01
    rows = [[300 * np.sin(a), 150 * np.sin(2 * a), 5, 5] for a in angle]
    track = read_track(write_rows(tmp_path / "eight.csv", rows), RACECAR)
    assert crossing(track) is not None
    circuit = prepare_circuit(track, RACECAR, tmp_path)
    passable(circuit, "eight")
    assert circuit.line_speed_mps.min() > 10.0
