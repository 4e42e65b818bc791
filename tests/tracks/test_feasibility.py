"""What a car cannot get round is refused, with the place, and only that."""

import numpy as np
import pytest
from cars import RACECAR
from circuit_files import oval_table, write_rows

from racing_env.common.errors import InputError
from racing_env.tracks.circuit import Circuit, prepare_circuit
from racing_env.tracks.feasibility import full_lock_radius_m, passable
from racing_env.tracks.reader import read_track


def hairpins(path, radius_m: float, half_width_m: float) -> Circuit:
    """Two straights of 150 m joined by half circles."""
    at = np.arange(0.0, 150.0)
    arc = np.linspace(-np.pi / 2, np.pi / 2, 20, endpoint=False)
    turn = radius_m * np.column_stack([np.cos(arc), np.sin(arc)])
    points = np.concatenate([
        np.column_stack([at, np.zeros(150)]), [150.0, radius_m] + turn,
        np.column_stack([150.0 - at, np.full(150, 2 * radius_m)]), [0.0, radius_m] - turn,
    ])  # fmt: skip
    rows = [[x, y, half_width_m, half_width_m] for x, y in points]
    return prepare_circuit(read_track(write_rows(path, rows), RACECAR), RACECAR, path.parent)


def test_a_corner_tighter_than_full_lock_is_refused_with_its_place(tmp_path):
    circuit = hairpins(tmp_path / "t.csv", 6.0, 4.0)
    message = (
        r"^t.csv: the corner at \(.*\) m, \d+ m along the lap is too tight, a radius of 7\.\d\d m "
        r"on the widest line; at full lock this car turns on 8\.22 m$"
    )
    with pytest.raises(InputError, match=message):
        passable(circuit, "t.csv")
    assert full_lock_radius_m(RACECAR) == pytest.approx(3.0 / np.tan(0.35))


@pytest.mark.parametrize(("radius_m", "half_width_m"), [(7.0, 4.0), (5.0, 6.0), (9.0, 2.5)])
def test_a_hairpin_that_is_driven_is_not_refused(tmp_path, radius_m, half_width_m):
    passable(hairpins(tmp_path / "t.csv", radius_m, half_width_m), "t.csv")


def test_a_track_without_room_to_steer_is_refused_with_its_place(tmp_path):
    table = oval_table()
    table[60:70, 2:] = 1.1
    path = write_rows(tmp_path / "t.csv", table.tolist())
    circuit = prepare_circuit(read_track(path, RACECAR), RACECAR, tmp_path)
    message = r"only 2\.\d\d m wide at \(-.*\) m, \d+ m along .* of 2 m needs at least 2\.50 m"
    with pytest.raises(InputError, match=message):
        passable(circuit, "t.csv")
