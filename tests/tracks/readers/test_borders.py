"""Circuits by their borders: Assetto Corsa's files, and inner and outer lines."""

import numpy as np
import pytest
from cars import RACECAR
from circuit_files import LEFT_M, RIGHT_M, oval, oval_borders, write_rows
from scipy.spatial import cKDTree

from racing_env.common.errors import InputError
from racing_env.tracks.geometry import borders
from racing_env.tracks.reader import read_track
from racing_env.tracks.readers.borders import between_borders, between_inner_and_outer

NAMES = "left_border_x,left_border_y,right_border_x,right_border_y,pos_x,pos_y"


def test_centre_line_runs_midway_between_the_borders(tmp_path):
    left, right = oval_borders()
    path = write_rows(tmp_path / "t.csv", np.hstack([left, right, oval()]).tolist(), NAMES)
    track = read_track(path, RACECAR)
    half = 0.5 * (LEFT_M + RIGHT_M)
    np.testing.assert_allclose(track.width_left_m, half, atol=0.05)
    np.testing.assert_allclose(track.width_right_m, half, atol=0.05)
    for ours, theirs in zip(borders(track), reversed(oval_borders(20_000)), strict=True):
        assert cKDTree(theirs).query(ours)[0].max() < 0.1


def test_borders_on_the_wrong_sides_are_refused(tmp_path):
    left, right = oval_borders()
    path = write_rows(tmp_path / "t.csv", np.hstack([right, left, oval()]).tolist(), NAMES)
    with pytest.raises(InputError, match="the left border lies to the right of the driving"):
        read_track(path, RACECAR)


def test_inner_and_outer_need_no_side(tmp_path):
    left, right = oval_borders()
    names = "inner_x,inner_y,outer_x,outer_y"
    for rows in (np.hstack([left, right]), np.hstack([left, right])[::-1]):
        track = read_track(write_rows(tmp_path / "t.csv", rows.tolist(), names), RACECAR)
        np.testing.assert_allclose(track.width_left_m, 5.5, atol=0.05)


def test_points_paired_aslant_do_not_widen_the_track(tmp_path):
    x = np.arange(0.0, 400.0, 5.0)
    left = np.column_stack([x + 3.0, np.full_like(x, 4.0)])
    right = np.column_stack([x - 3.0, np.full_like(x, -4.0)])
    for table in (
        between_borders(tmp_path, left, right),
        between_inner_and_outer(right, left),
    ):
        np.testing.assert_allclose(table[1:-1, 2:], 4.0)
