"""From the plane to the circuit and back: the projection that the simulator's kernels use."""

from dataclasses import replace

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled, stations
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import circle_track

from racing_env.car.scales import scales_of
from racing_env.tracks import bank
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.circuit import Circuit, mirror_circuit, prepare_circuit
from racing_env.tracks.generator import built_in_track, generate_track

ROUNDED_M = 2e-4  # by single precision, at the most, of places in a circuit
FREE_M = 6.0  # off the centre line; nearer where the corner's centre is near


def circle(radius_m: float, turn: float) -> Circuit:
    """A circle about the origin, 10 m wide; turn is 1 to the left, -1 to the right."""
    return prepare_circuit(circle_track(radius_m, 5.0, 256, turn), RACECAR)


@pytest.fixture(scope="module")
def circuits() -> list[Circuit]:
    tracks = [built_in_track("hairpins", RACECAR), generate_track(4, RACECAR)]
    return [prepare_circuit(track, RACECAR) for track in tracks]


@pytest.fixture(scope="module")
def packed(circuits) -> CircuitBank:
    return pack_circuits(circuits)


def project(packed: CircuitBank, c: int, station: int, x: float, y: float):
    """(place along the circuit in stations, offset_m)."""
    found, fraction, offset = bank.project(
        packed.table, packed.first[c], packed.count[c], packed.step_m[c], station,
        x - packed.origin_m[c, 0], y - packed.origin_m[c, 1],
    )  # fmt: skip
    assert 0 <= found < packed.count[c]
    assert 0.0 <= fraction < 1.0
    return found + fraction, offset


def point(packed: CircuitBank, c: int, place: float, offset: float) -> tuple[np.ndarray, float]:
    """The point (2,) at a place (stations) and offset (m), and the curvature (1/m) there.

    Between stations: the cubic through both points with both tangents.
    """
    count, step = int(packed.count[c]), float(packed.step_m[c])
    station = int(place)
    table = stations(packed)
    a = table[packed.first[c] + station % count]
    b = table[packed.first[c] + (station + 1) % count]
    t = place - station
    ends = a[[bank.X, bank.Y]], b[[bank.X, bank.Y]]
    tangents = step * a[[bank.COS, bank.SIN]], step * b[[bank.COS, bank.SIN]]
    centre = (
        (2.0 * t**3 - 3.0 * t**2 + 1.0) * ends[0] + (3.0 * t**2 - 2.0 * t**3) * ends[1]
        + (t**3 - 2.0 * t**2 + t) * tangents[0] + (t**3 - t**2) * tangents[1]
    )  # fmt: skip
    along = (
        6.0 * (t * t - t) * (ends[0] - ends[1])
        + (3.0 * t * t - 4.0 * t + 1.0) * tangents[0] + (3.0 * t * t - 2.0 * t) * tangents[1]
    )  # fmt: skip
    normal = np.array([-along[1], along[0]]) / np.linalg.norm(along)
    kappa = max(abs(a[bank.KAPPA]), abs(b[bank.KAPPA]))
    return centre + min(abs(offset), 0.6 / kappa) * np.sign(offset) * normal, kappa


def apart(place: float, other: float, count: int) -> float:
    return abs((place - other + 0.5 * count) % count - 0.5 * count)


@pytest.mark.parametrize("radius_m", [12.0, 30.0, 200.0])
@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_round_trip_on_a_circle(radius_m, turn):
    packed = pack_circuits([circle(radius_m, turn)])
    count, step = int(packed.count[0]), float(packed.step_m[0])
    smoothed_m = count * step / (2.0 * np.pi)  # smoothing draws a tight circle in a little
    assert smoothed_m == pytest.approx(radius_m, rel=3e-3)
    rng = np.random.default_rng(0)
    for offset in rng.uniform(-6.0, 6.0, 200):
        place = rng.uniform(0.0, count)
        angle = 2.0 * np.pi * place / count
        radius = smoothed_m - turn * offset
        x, y = radius * np.cos(angle), turn * radius * np.sin(angle)
        station = (int(place) + int(rng.integers(-4, 5))) % count
        found, found_offset = project(packed, 0, station, x, y)
        assert found_offset == pytest.approx(offset, abs=1e-3)
        assert apart(found, place, count) * step < 1e-2


@settings(max_examples=300)
@given(
    c=st.integers(0, 1),
    share=st.floats(0.0, 1.0, exclude_max=True),
    offset=st.floats(-FREE_M, FREE_M),
    stale_m=st.floats(-5.0, 5.0),
)
def test_round_trip_on_circuits(packed, c, share, offset, stale_m):
    """From a stale station too, as far off as a control step at top speed moves a car."""
    count, step = int(packed.count[c]), float(packed.step_m[c])
    place = share * count
    (x, y), kappa = point(packed, c, place, offset)
    offset = np.sign(offset) * min(abs(offset), 0.6 / kappa)
    station = int(place + stale_m / step) % count
    found, found_offset = project(packed, c, station, x, y)
    assert found_offset == pytest.approx(offset, abs=1e-3)
    # along, a change of curvature between two stations counts, times the offset
    assert apart(found, place, count) * step < 0.04


def test_round_trip_in_the_tightest_corners(packed):
    for c in range(2):
        first, count = int(packed.first[c]), int(packed.count[c])
        kappa = np.abs(packed.table[first : first + count, bank.KAPPA])
        for station in np.argsort(kappa)[-40:]:
            for offset in (-FREE_M, -1.0, 0.0, 2.0, FREE_M):
                place = station + 0.37
                (x, y), here = point(packed, c, place, offset)
                expected = np.sign(offset) * min(abs(offset), 0.6 / here)
                found, found_offset = project(packed, c, int(station), x, y)
                assert found_offset == pytest.approx(expected, abs=1e-3)
                assert apart(found, place, count) * packed.step_m[c] < 0.04


def test_the_start_line_is_no_edge(packed):
    count, step = int(packed.count[0]), float(packed.step_m[0])
    for place in (count - 0.5, count - 1e-3, 0.0, 1e-3, 0.5):
        (x, y), _ = point(packed, 0, place % count, 1.5)
        for station in (count - 4, count - 1, 0, 3):
            found, offset = project(packed, 0, station, x, y)
            assert apart(found, place % count, count) * step < 0.04
            assert offset == pytest.approx(1.5, abs=1e-3)


@settings(max_examples=200)
@given(
    c=st.integers(0, 1),
    station=st.integers(0, 10**6),
    x=st.floats(-1e4, 1e4),
    y=st.floats(-1e4, 1e4),
)
def test_a_point_far_away_ends_the_walk_too(packed, c, station, x, y):
    _, offset = project(packed, c, station % int(packed.count[c]), x, y)
    assert np.isfinite(offset)


def test_a_bank_is_for_one_car(circuits):
    model = scaled(RACECAR, 0.1)
    with pytest.raises(ValueError, match="one car"):
        pack_circuits([*circuits, circuit_named("oval", model)])
    packed = pack_circuits([circuit_named("oval", model)])
    assert packed.vehicle == model and packed.scales == scales_of(model)


def test_circuits_follow_one_another_in_the_table(circuits, packed):
    assert packed.table.shape == (packed.count.sum(), bank.COLUMNS)
    assert np.isfinite(packed.table).all()
    table = stations(packed)
    for c, prepared in enumerate(circuits):
        track = prepared.track
        rows = table[packed.first[c] : packed.first[c] + packed.count[c]]
        np.testing.assert_allclose(rows[:, bank.X], track.x_m, atol=ROUNDED_M)
        np.testing.assert_allclose(rows[:, bank.Y], track.y_m, atol=ROUNDED_M)
        for column, room in (
            (bank.ROOM_LEFT, track.width_left_m - 0.5 * RACECAR.width_m),
            (bank.ROOM_RIGHT, track.width_right_m - 0.5 * RACECAR.width_m),
            (bank.LINE_KAPPA, prepared.line_kappa_radpm),
            (bank.LINE_SPEED, prepared.line_speed_mps),
            (bank.LINE_TIME, prepared.line_time_s),
        ):
            np.testing.assert_allclose(rows[:, column], room, rtol=6e-8)
        assert packed.line_lap_s[c] == prepared.lap_time_s
        line = np.hypot(rows[:, bank.LINE_X] - track.x_m, rows[:, bank.LINE_Y] - track.y_m)
        np.testing.assert_allclose(line, np.abs(prepared.line_offset_m), atol=2.0 * ROUNDED_M)
        offset = rows[:, bank.ROOM_LEFT] - rows[:, bank.LINE_ROOM_LEFT]
        np.testing.assert_allclose(offset, prepared.line_offset_m, atol=2e-6)
        offset = rows[:, bank.LINE_ROOM_RIGHT] - rows[:, bank.ROOM_RIGHT]
        np.testing.assert_allclose(offset, prepared.line_offset_m, atol=2e-6)
        last = packed.count[c] - 1
        assert bank.next_line_time(packed, c, 0) == np.float32(prepared.line_time_s[1])
        assert bank.next_line_time(packed, c, last) == prepared.lap_time_s


def test_mirror_images_are_those_of_the_circuits(circuits, packed):
    images = pack_circuits([*circuits, *map(mirror_circuit, circuits)])
    for ours, theirs in zip(bank.with_mirror_images(packed), images, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_slowest_stations_are_those_of_each_circuits_profile(circuits, packed):
    found = bank.slowest_stations(packed)
    assert found.tolist() == [int(circuit.line_speed_mps.argmin()) for circuit in circuits]


def test_a_station_is_a_cache_line_mapped_or_not(packed, tmp_path):
    bank.save_table(packed, tmp_path / "table.npy")
    mapped = bank.with_mapped_table(packed, tmp_path / "table.npy")
    np.testing.assert_array_equal(mapped.table, packed.table)
    for table in (packed.table, mapped.table):
        assert table.strides[0] == 64 and table.ctypes.data % 64 == 0
        assert not table.flags.writeable and table.flags.c_contiguous


@pytest.mark.parametrize("far_m", [0.0, 5e6])
def test_single_precision_moves_no_place_by_a_fifth_of_a_millimetre(circuits, far_m):
    """Against the same projection on a table in double precision; far from the origin of the
    coordinates too, as surveyed tracks are.
    """
    moved = [displaced(circuit, far_m) for circuit in circuits]
    packed = pack_circuits(moved)
    exact = double_table(packed, moved)
    rng = np.random.default_rng(0)
    for c in range(2):
        count, step = int(packed.count[c]), float(packed.step_m[c])
        for place, offset in zip(
            rng.uniform(0.0, count, 300), rng.uniform(-FREE_M, FREE_M, 300), strict=True
        ):
            (x, y), _ = point(packed, c, place, offset)
            found, found_offset = project(packed, c, int(place), x, y)
            expected, expected_offset = project(
                packed._replace(table=exact), c, int(place), x, y
            )  # fmt: skip
            assert abs(found_offset - expected_offset) < ROUNDED_M
            assert apart(found, expected, count) * step < 2.0 * ROUNDED_M


def displaced(circuit: Circuit, far_m: float) -> Circuit:
    track = replace(
        circuit.track, x_m=circuit.track.x_m + 0.1 * far_m, y_m=circuit.track.y_m - far_m
    )
    return replace(circuit, track=track)


def double_table(packed: CircuitBank, circuits: list[Circuit]) -> np.ndarray:
    """The bank's table in double precision, unrounded."""
    table = np.empty(packed.table.shape)
    for c, circuit in enumerate(circuits):
        rows = slice(packed.first[c], packed.first[c] + packed.count[c])
        bank._fill(table[rows], circuit, packed.origin_m[c])
    return table
