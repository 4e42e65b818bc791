"""DeepRacer's arrays."""

import numpy as np
import pytest
from cars import RACECAR
from circuit_files import assert_same, oval, oval_borders, oval_table, write_rows

from racing_env.common.errors import InputError
from racing_env.tracks.reader import read_track


def oval_array() -> np.ndarray:
    left, right = oval_borders()
    return np.hstack([oval(), left, right])  # anticlockwise: inner is left


def save(path, array):
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.parametrize("again", [None, 0, 70])
def test_an_array_is_read_as_its_circuit(tmp_path, again):
    array = oval_array()
    array = array if again is None else np.insert(array, again or 200, array[again], axis=0)
    track = read_track(save(tmp_path / "oval.npy", array), RACECAR)
    csv = write_rows(tmp_path / "oval.csv", oval_table(200).tolist())
    assert_same(track, read_track(csv, RACECAR), tolerance=1e-6)


def test_driven_the_other_way_round_inner_is_right(tmp_path):
    track = read_track(save(tmp_path / "oval.npy", oval_array()[::-1]), RACECAR)
    np.testing.assert_allclose(track.width_right_m, 6.0, atol=0.05)
    assert track.kappa_radpm.sum() < 0.0


class Trap:
    def __reduce__(self):
        return print, ("a pickle was executed",)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (oval_array()[:, :4], r"is an array \(200, 4\) of float64; numbers \(n, 6\) are needed"),
        (oval_array().astype(complex), "of complex128"),
        (np.array([[Trap()] * 6] * 20), "is no array of numbers"),
        (np.full((20, 6), np.nan), "x_m is nan"),
        (np.zeros((0, 6)), "is no array of numbers|is an array .0, 6."),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, message, capsys):
    with pytest.raises(InputError, match=message):
        read_track(save(tmp_path / "bad.npy", array), RACECAR)
    assert capsys.readouterr().out == ""


def test_what_is_only_declared_is_not_allocated(tmp_path):
    path = tmp_path / "huge.npy"
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**45, 6)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(InputError, match="is no array of numbers"):
        read_track(path, RACECAR)
