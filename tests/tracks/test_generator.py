"""Generated circuits: deterministic, closed, drivable, and like real ones."""

import numpy as np
import pytest
from cars import RACECAR, scaled
from crossings import crossing
from scipy.spatial import cKDTree
from shapes import assert_same_track

from racing_env.common.errors import InputError
from racing_env.tracks import generator
from racing_env.tracks.circuit_kind import CONES, FULL_SIZE, RACE_TRACKS
from racing_env.tracks.generator import BUILT_IN, built_in_track, generate_track
from racing_env.tracks.geometry import scaled_track
from racing_env.tracks.reader import read_track, write_track
from racing_env.tracks.rounded_polygon import CORNER_SHAPES, Vertex, round_corners
from racing_env.tracks.sources import load_circuits, track_makers
from racing_env.tracks.statistics import track_statistics

TENTH = scaled(RACECAR, 0.11)._replace(width_m=0.31, steering_max_rad=0.42)  # as F1TENTH's
STUDENT = scaled(RACECAR, 0.508)._replace(width_m=1.4, steering_max_rad=0.47)
KART = scaled(RACECAR, 0.35)._replace(width_m=1.2, steering_max_rad=0.4)
# Of circuits for the racecar, before other cars had their own: stations, metres between them, and a
# sum to which every number of the track contributes differently.
FINGERPRINTS = {
    0: (4962, 0.9999253610804952, -80724.74678515567),
    1: (4465, 1.0000460010077876, -54998.36881156921),
    3: (3234, 0.9999113510271496, -24652.62077394595),
    17: (5194, 0.9999628435484301, -126443.35080882288),
    42: (4090, 0.9999108004655184, -54874.947805925345),
}


def fingerprint(track):
    values = np.stack([
        track.x_m, track.y_m, track.psi_rad, 1e3 * track.kappa_radpm, track.width_right_m,
        track.width_left_m,
    ])  # fmt: skip
    weights = np.sin(np.arange(1.0, values.size + 1.0) ** 1.5).reshape(values.shape)
    return track.x_m.size, track.step_m, float(np.sum(weights * values))


@pytest.mark.parametrize("seed", FINGERPRINTS)
def test_circuits_of_the_racecar_are_as_ever(seed):
    """Policies were trained and judged on them; the tolerance is for other processors."""
    assert fingerprint(generate_track(seed, RACECAR)) == pytest.approx(
        FINGERPRINTS[seed], rel=1e-10
    )


@pytest.fixture(scope="module")
def circuits():
    return [generate_track(seed, RACECAR) for seed in range(40)]


def test_every_circuit_lies_within_the_bounds_of_real_ones(circuits):
    for track in circuits:
        values = track_statistics(track, FULL_SIZE.nearly_straight_radpm)
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
    values = [track_statistics(track, FULL_SIZE.nearly_straight_radpm) for track in circuits]
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


def test_corridors_of_small_cars():
    tracks = [generate_track(seed, TENTH) for seed in range(24)]
    values = [track_statistics(track, RACE_TRACKS.nearly_straight_radpm) for track in tracks]
    for value in values:
        assert 20 <= value["length_m"] <= 550
        assert value["width_min_m"] >= 1.49 and value["width_max_m"] <= 3.01
        assert value["inside_radius_m"] >= (0.5 if value["length_m"] < 200 else -0.3)
        assert 0.75 <= value["radius_min_m"] <= 3.5
    lengths = np.array([value["length_m"] for value in values])
    assert lengths.min() < 60 and lengths.max() > 300  # hallways, and circuits at 1:10
    assert np.sum((lengths > 60) & (lengths < 250)) >= 4
    assert all(crossing(track) is None for track in tracks)


def test_courses_between_cones():
    tracks = [generate_track(seed, STUDENT) for seed in range(16)]
    values = [track_statistics(track, CONES.nearly_straight_radpm) for track in tracks]
    for value in values:
        assert 199 <= value["length_m"] <= 401
        assert value["width_min_m"] >= 2.99 and value["width_max_m"] <= 5.01
        assert value["longest_straight_m"] <= 80
        outside_m = value["radius_min_m"] + 0.5 * value["width_min_m"]
        assert 4.5 <= outside_m <= 25
    assert min(value["radius_min_m"] for value in values) < 4  # hairpins
    assert max(value["corners"] for value in values) >= 15  # slaloms
    assert all(crossing(track) is None for track in tracks)


def test_corridors_grow_with_the_car():
    assert_same_track(
        generate_track(3, scaled(TENTH, 0.25)), scaled_track(generate_track(3, TENTH), 0.25)
    )


def test_full_size_circuits_and_courses_are_of_one_size():
    for size, car in ((0.9, RACECAR), (0.8, STUDENT)):
        ours, theirs = (generate_track(3, each) for each in (car, scaled(car, size)))
        assert theirs.length_m == pytest.approx(ours.length_m, rel=5e-3)
        assert theirs.step_m == pytest.approx(size * ours.step_m, rel=0.01)


@pytest.mark.parametrize(
    "car",
    [
        RACECAR._replace(steering_max_rad=0.22),
        RACECAR._replace(width_m=2.6),
        STUDENT._replace(steering_max_rad=0.3),
        STUDENT._replace(width_m=1.8),
        KART,
        TENTH._replace(steering_max_rad=0.15),
        TENTH._replace(width_m=0.7),
    ],
    ids=lambda car: f"{car.wheelbase_m:.2f}-{car.width_m:g}-{car.steering_max_rad:g}",
)
def test_a_car_gets_round_what_is_made_for_it(car):
    for circuit in load_circuits(["random:1:4"], car):
        width = circuit.track.width_left_m + circuit.track.width_right_m
        assert width.min() >= 1.99 * car.width_m


@pytest.mark.parametrize(
    "car",
    [
        RACECAR._replace(steering_max_rad=0.05),
        STUDENT._replace(width_m=3.0),
        TENTH._replace(steering_max_rad=0.01),
        TENTH._replace(width_m=2.0),
    ],
)
def test_a_car_for_which_there_is_none_is_refused(car):
    with pytest.raises(InputError, match=r"no circuit can be made for this car, .* wide and turn"):
        track_makers(["random:1:100"], car)  # before any is made


def test_no_search_is_endless(monkeypatch):
    monkeypatch.setattr(generator, "looks_real", lambda *_: False)
    monkeypatch.setattr(generator, "CANDIDATES_MAX", 5)
    with pytest.raises(InputError, match="no circuit can be made"):
        generate_track(0, TENTH)


def test_built_in_circuits_are_to_the_scale_of_the_car():
    built_in = built_in_track("club", RACECAR)
    assert_same_track(built_in_track("club", scaled(RACECAR, 0.25)), scaled_track(built_in, 0.25))


@pytest.mark.parametrize("shape", range(len(CORNER_SHAPES)))
def test_every_corner_shape_joins_its_straights(shape):
    """On a square: the line stays inside, touches all four edges, and turns by a full circle."""
    vertices = [Vertex(x, y, 40.0) for x, y in ((0, 0), (400, 0), (400, 400), (0, 400))]
    line = round_corners(vertices, np.full(4, shape), 5.0)
    assert line.min() == pytest.approx(0, abs=0.5) and line.max() == pytest.approx(400, abs=0.5)
    step = np.roll(line, -1, axis=0) - line
    step = step[np.hypot(*step.T) > 1e-6]
    heading = np.arctan2(step[:, 1], step[:, 0])
    turn = (np.diff(np.append(heading, heading[0])) + np.pi) % (2 * np.pi) - np.pi
    assert turn.sum() == pytest.approx(2 * np.pi)
    assert turn.min() > -0.01


def test_corners_without_room_shrink():
    vertices = [Vertex(x, y, 500.0) for x, y in ((0, 0), (200, 0), (200, 100), (0, 100))]
    line = round_corners(vertices, np.zeros(4, dtype=int), 5.0)
    assert line.min(axis=0) == pytest.approx([0, 0], abs=0.5)
    assert line.max(axis=0) == pytest.approx([200, 100], abs=0.5)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_circuits_are_valid_files(name, tmp_path):
    track = built_in_track(name, RACECAR)
    assert track.name == name and crossing(track) is None
    write_track(track, tmp_path / f"{name}.csv")
    again = read_track(tmp_path / f"{name}.csv", RACECAR)
    assert again.length_m == pytest.approx(track.length_m, rel=1e-3)
