"""Timed laps: what they must add up to, how drives end, and that one car does not touch another."""

import csv
import math

import numpy as np
import pytest
from cars import RACECAR

from racing_env.car.dynamics import CONTROL_STEP_S
from racing_env.common.errors import InputError
from racing_env.drivers.policy import Policy
from racing_env.laps import evaluation as ev
from racing_env.simulation import observation
from racing_env.tracks.circuit import Circuit, prepare_circuit
from racing_env.tracks.generator import built_in_track

MARGIN = 0.85  # of the speed profile: slow enough for the expert on these circuits


@pytest.fixture(scope="module")
def circuits() -> list[Circuit]:
    return [prepare_circuit(built_in_track(name, RACECAR), RACECAR) for name in ("oval", "club")]


@pytest.fixture(scope="module")
def driven(circuits) -> list[ev.LapResult]:
    expert = ev.expert_driver(np.full(2, MARGIN))
    return ev.drive_laps(circuits, expert, laps=2, name="expert", telemetry=True)


def constant(steering: float, pedals: float) -> ev.Driver:
    return lambda simulator: np.tile([steering, pedals], (simulator.n, 1))


def result(lap_times_s=(40.0, 30.0), end=ev.FINISHED, track="a", distance_m=2000.0, wanted=2):
    return ev.LapResult("driver", track, 1000.0, 25.0, end, lap_times_s, distance_m, wanted)


def test_the_expert_finishes_a_standing_and_all_flying_laps(circuits, driven):
    for circuit, drive in zip(circuits, driven, strict=True):
        assert drive.finished and drive.end == ev.FINISHED and drive.laps == 3
        assert drive.off_track == 0
        assert drive.track == circuit.track.name
        assert 3.0 * drive.length_m <= drive.distance_m < 3.0 * drive.length_m + 10.0
        assert drive.flying_lap_s == min(drive.lap_times_s[1:])
        assert drive.flying_lap_s <= drive.mean_flying_lap_s < drive.standing_lap_s
        assert circuit.lap_time_s < drive.flying_lap_s < circuit.lap_time_s / MARGIN * 1.05


def test_telemetry_is_the_best_flying_lap(circuits, driven):
    for circuit, drive in zip(circuits, driven, strict=True):
        lap = drive.telemetry
        assert lap.time_s[0] == 0.0
        assert lap.time_s[-1] == pytest.approx(drive.flying_lap_s, abs=1e-9)
        assert lap.s_m[0] == pytest.approx(0.0, abs=0.02)
        assert lap.s_m[-1] == pytest.approx(drive.length_m, abs=0.02)
        assert (np.diff(lap.time_s) <= CONTROL_STEP_S + 1e-9).all()
        assert (np.diff(lap.s_m) > 0.0).all()
        assert all(np.isfinite(column).all() for column in lap)
        assert np.hypot(lap.x_m[-1] - lap.x_m[0], lap.y_m[-1] - lap.y_m[0]) < 0.5
        half = min(circuit.track.width_left_m.max(), circuit.track.width_right_m.max())
        assert (np.abs(lap.offset_m) <= half - 1.0).all()
        assert lap.throttle.min() >= 0.0 and lap.throttle.max() <= 1.0
        assert lap.brake.min() >= 0.0 and lap.brake.max() <= 1.0


def test_telemetry_columns_agree_with_each_other(driven):
    lap = driven[1].telemetry
    speed = np.hypot(lap.vx_mps, lap.vy_mps)
    travelled = np.hypot(np.diff(lap.x_m), np.diff(lap.y_m)).sum()
    assert np.trapezoid(speed, lap.time_s) == pytest.approx(travelled, rel=1e-3)
    turned = np.trapezoid(lap.yaw_rate_radps, lap.time_s)
    assert lap.psi_rad[-1] - lap.psi_rad[0] == pytest.approx(turned, abs=0.02)
    assert abs(lap.psi_rad[0]) <= math.pi
    # over a closed lap the path turns by one full circle, as the car does
    assert abs(np.trapezoid(lap.kappa_radpm * speed, lap.time_s)) == pytest.approx(
        2.0 * math.pi, abs=0.1
    )


def test_the_batch_changes_nothing_and_neither_does_telemetry(circuits, driven):
    for i, circuit in enumerate(circuits):
        alone = ev.drive_laps([circuit], ev.expert_driver(np.array([MARGIN])), laps=2)[0]
        assert alone.telemetry is None
        np.testing.assert_allclose(alone.lap_times_s, driven[i].lap_times_s, atol=1e-6)


def test_a_car_that_ends_leaves_the_others_alone(circuits, driven):
    """The car on circuit 0 drives off the track, the other one laps as it did in company."""
    expert = ev.expert_driver(np.full(2, MARGIN))

    def driver(simulator):
        actions = expert(simulator)
        actions[simulator.cars.circuit == 0] = [1.0, 1.0]
        return actions

    crashed, other = ev.drive_laps(circuits, driver, laps=2)
    assert crashed.end in (ev.OFF_TRACK, "backwards") and not crashed.finished
    assert other.finished
    np.testing.assert_allclose(other.lap_times_s, driven[1].lap_times_s, atol=1e-6)


@pytest.mark.parametrize(
    ("driver", "end"),
    [(constant(0.0, 0.0), "standing"), (constant(0.0, 1.0), ev.OFF_TRACK)],
)
def test_failures_are_results(circuits, driver, end):
    for drive in ev.drive_laps(circuits, driver, laps=1, telemetry=True):
        assert drive.end == end and not drive.finished
        assert drive.off_track == (end == ev.OFF_TRACK)
        assert drive.lap_times_s == ()
        assert drive.flying_lap_s is drive.standing_lap_s is drive.mean_flying_lap_s is None
        assert drive.telemetry.s_m[-1] == pytest.approx(drive.distance_m, abs=0.01)


def test_a_slow_car_meets_the_time_limit(circuits):
    crawl = ev.expert_driver(np.array([0.15]))
    drive = ev.drive_laps(circuits[:1], crawl, laps=1)[0]
    assert drive.end == ev.TIME_LIMIT and 0.0 < drive.distance_m < 2.0 * drive.length_m


def test_a_policy_drives_by_what_it_observes(circuits):
    """Full throttle by a bias alone is the same as constant full throttle."""
    policy = Policy(
        (np.zeros((2, observation.SIZE), np.float32),), (np.array([0.0, 20.0], np.float32),), {}
    )
    by_policy = ev.drive_laps(circuits, ev.policy_driver(policy), laps=1)
    by_hand = ev.drive_laps(circuits, constant(0.0, 1.0), laps=1)
    assert [r.distance_m for r in by_policy] == [r.distance_m for r in by_hand]


def test_no_circuits_no_results():
    assert ev.drive_laps([], constant(0.0, 0.0)) == []
    assert math.isnan(ev.summary([]).lap_ratio)


def test_an_action_that_is_no_number_is_refused(circuits):
    with pytest.raises(ValueError, match="finite"):
        ev.drive_laps(circuits, constant(math.nan, 0.0))


def test_expert_margins_finish(circuits):
    margins = ev.expert_margins(circuits[1:], laps=1)
    assert margins.shape == (1,) and 0.7 <= margins[0] <= 1.0
    assert ev.drive_laps(circuits[1:], ev.expert_driver(margins), laps=1)[0].finished


def test_laps_that_could_not_be_told_apart_are_refused(circuits):
    with pytest.raises(InputError, match=f"{circuits[0].track.name}.* 2 times"):
        ev.demonstrated_laps([*circuits, circuits[0]])


def test_summary_counts_and_averages_finished_circuits_only():
    failed = result((40.0, 20.0), ev.OFF_TRACK, "b", 2500.0, wanted=4)
    sums = ev.summary([result(), failed, result((50.0, 40.0), track="c")])
    assert (sums.circuits, sums.finished) == (3, 2)
    assert sums.lap_ratio == pytest.approx((30.0 / 25.0 + 40.0 / 25.0) / 2.0)
    assert ev.summary([result(), failed], {"a": 15.0}).lap_ratio == 2.0
    assert math.isnan(ev.summary([result()], {"other": 1.0}).lap_ratio)
    assert ev.lap_ratio(result((40.0,))) is None


def test_telemetry_file_has_a_header_with_units(driven, tmp_path):
    path = tmp_path / "new" / "lap.csv"
    ev.write_telemetry(driven[0].telemetry, path)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == ev.Telemetry._fields
    assert tuple(rows[0])[:7] == (
        "s_m", "x_m", "y_m", "psi_rad", "kappa_radpm", "vx_mps", "ax_mps2",
    )  # fmt: skip
    read = np.array([float(row["vx_mps"]) for row in rows])
    np.testing.assert_allclose(read, driven[0].telemetry.vx_mps, atol=1e-5)
    assert [file.name for file in path.parent.iterdir()] == ["lap.csv"]
