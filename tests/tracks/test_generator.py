"""Generated circuits: deterministic, closed, drivable, and like real ones."""

import numpy as np
import pytest
from cars import RACECAR, scaled
from crossings import crossing
from scipy.spatial import cKDTree
from shapes import assert_same_track

from racing_env.tracks.generator import BUILT_IN, built_in_track, generate_track, track_statistics
from racing_env.tracks.geometry import scaled_track
from racing_env.tracks.reader import read_track, write_track
from racing_env.tracks.rounded_polygon import CORNER_SHAPES, Vertex, round_corners


@pytest.fixture(scope="module")
def circuits():
    return [generate_track(seed, RACECAR) for seed in range(40)]


def test_every_circuit_lies_within_the_bounds_of_real_ones(circuits):
    for track in circuits:
        values = track_statistics(track)
        assert 2300 <= values["length_m"] <= 7000
        assert values["width_min_m"] >= 7.4 and values["width_max_m"] <= 20.1
        assert 9 <= values["width_mean_m"] <= 16
        assert 0.55 <= values["straight_share"] <= 0.8
        assert 5 <= values["radius_min_m"] <= 20
        assert 0.03 <= values["kappa_99_radpm"] <= 0.085
        assert values["longest_straight_m"] <= 1200


def test_circuits_do_not_overlap_themselves(circuits):
    for track in circuits:
        assert crossing(track) is None
        points = np.column_stack([track.x_m, track.y_m])
        width = track.width_left_m + track.width_right_m
        i, j = cKDTree(points).query_pairs(width.max(), output_type="ndarray").T
        along = np.minimum(np.abs(i - j), points.shape[0] - np.abs(i - j)) * track.step_m
        gap = np.hypot(*(points[i] - points[j]).T) - 0.5 * (width[i] + width[j])
        assert np.all(gap[along > 60 + width.max()] > 0)


def test_laps_begin_on_a_straight(circuits):
    for track in circuits:
        assert np.abs(track.kappa_radpm[:50]).max() < 0.005
        assert np.abs(track.kappa_radpm[-50:]).max() < 0.005


def test_circuits_differ_in_direction_length_and_corners(circuits):
    left = [track.kappa_radpm.sum() > 0 for track in circuits]
    assert 0.25 < np.mean(left) < 0.75
    values = [track_statistics(track) for track in circuits]
    assert np.std([value["length_m"] for value in values]) > 500
    assert np.ptp([value["corners"] for value in values]) >= 10
    assert max(value["longest_straight_m"] for value in values) > 800


def test_hairpins_and_long_bends_occur(circuits):
    angles, lengths = zip(*(corner for track in circuits for corner in corners(track)), strict=True)
    assert max(angles) > np.radians(165)
    assert np.sum(np.array(angles) > np.radians(140)) > 10
    assert np.sum(np.array(lengths) > 150) > 5


def corners(track):
    """Angle and length of each stretch that bends to one side with a radius below 200 m."""
    side = np.where(np.abs(track.kappa_radpm) > 0.005, np.sign(track.kappa_radpm), 0)
    for stretch in np.split(np.arange(side.size), np.flatnonzero(np.diff(side)) + 1):
        if side[stretch[0]]:
            angle = abs(track.kappa_radpm[stretch].sum()) * track.step_m
            yield angle, stretch.size * track.step_m


def test_the_seed_decides_all():
    for seed in (3, np.random.SeedSequence(4)):
        first, second = generate_track(seed, RACECAR), generate_track(seed, RACECAR)
        assert first.name == second.name
        for field in ("x_m", "y_m", "kappa_radpm", "width_left_m", "width_right_m"):
            np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert generate_track(3, RACECAR).length_m != generate_track(4, RACECAR).length_m


def test_another_car_has_the_same_circuits_to_its_scale():
    model = scaled(RACECAR, 0.25)
    assert_same_track(generate_track(3, model), scaled_track(generate_track(3, RACECAR), 0.25))
    built_in = built_in_track("club", RACECAR)
    assert_same_track(built_in_track("club", model), scaled_track(built_in, 0.25))


@pytest.mark.parametrize("shape", range(len(CORNER_SHAPES)))
def test_every_corner_shape_joins_its_straights(shape):
    """On a square: the line stays inside, touches all four edges, and turns by a full circle."""
    vertices = [Vertex(x, y, 40.0) for x, y in ((0, 0), (400, 0), (400, 400), (0, 400))]
    line = round_corners(vertices, np.full(4, shape))
    assert line.min() == pytest.approx(0, abs=0.5) and line.max() == pytest.approx(400, abs=0.5)
    step = np.roll(line, -1, axis=0) - line
    step = step[np.hypot(*step.T) > 1e-6]
    heading = np.arctan2(step[:, 1], step[:, 0])
    turn = (np.diff(np.append(heading, heading[0])) + np.pi) % (2 * np.pi) - np.pi
    assert turn.sum() == pytest.approx(2 * np.pi)
    assert turn.min() > -0.01


def test_corners_without_room_shrink():
    vertices = [Vertex(x, y, 500.0) for x, y in ((0, 0), (200, 0), (200, 100), (0, 100))]
    line = round_corners(vertices, np.zeros(4, dtype=int))
    assert line.min(axis=0) == pytest.approx([0, 0], abs=0.5)
    assert line.max(axis=0) == pytest.approx([200, 100], abs=0.5)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_circuits_are_valid_files(name, tmp_path):
    track = built_in_track(name, RACECAR)
    assert track.name == name and crossing(track) is None
    write_track(track, tmp_path / f"{name}.csv")
    again = read_track(tmp_path / f"{name}.csv", RACECAR)
    assert again.length_m == pytest.approx(track.length_m, rel=1e-3)
