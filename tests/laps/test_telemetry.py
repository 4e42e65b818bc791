"""Telemetry: the best flying lap, or the last one as far as it came; its columns and its file."""

import csv
import math

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled

from racing_env.car.conditions import Conditions
from racing_env.laps import evaluation as ev
from racing_env.laps.telemetry import Telemetry, write_telemetry
from racing_env.simulation.adaptation import GUESSED
from racing_env.simulation.task import CONTROL_STEP_S as STEP_S
from racing_env.tracks.circuit import Circuit

PACE = 0.85  # slow enough for the expert on these circuits


@pytest.fixture(scope="module")
def circuits() -> list[Circuit]:
    return [circuit_named("oval"), circuit_named("club")]


@pytest.fixture(scope="module")
def driven(circuits) -> list[ev.LapResult]:
    expert = ev.expert_driver(np.full(2, PACE))
    return ev.drive_laps(circuits, expert, laps=2, name="expert", telemetry=True)


def test_telemetry_is_the_best_flying_lap(circuits, driven):
    for circuit, drive in zip(circuits, driven, strict=True):
        lap = drive.telemetry
        assert lap.time_s[0] == 0.0
        assert lap.time_s[-1] == pytest.approx(drive.flying_lap_s, abs=1e-9)
        assert lap.s_m[0] == pytest.approx(0.0, abs=0.02)
        assert lap.s_m[-1] == pytest.approx(drive.length_m, abs=0.02)
        assert (np.diff(lap.time_s) <= STEP_S + 1e-9).all()
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


def test_a_lap_that_was_not_finished_is_shown_as_far_as_it_came(circuits):
    driver = ev.Driver(lambda simulator: np.tile([0.0, 1.0], (simulator.n, 1)))
    for drive in ev.drive_laps(circuits, driver, laps=1, telemetry=True):
        lap = drive.telemetry
        assert lap.time_s[0] == 0.0 and lap.s_m[0] == 0.0 and lap.vx_mps[0] == 0.0
        assert (np.diff(lap.time_s) > 0.0).all()
        assert lap.s_m[-1] == pytest.approx(drive.distance_m, abs=0.01)
        assert lap.throttle[-1] == 1.0 and not lap.brake.any()


def test_pedals_are_shares_of_the_cars_own_forces():
    model = scaled(RACECAR, 0.25)
    driver = ev.Driver(lambda simulator: np.tile([0.0, 0.5], (simulator.n, 1)))
    (drive,) = ev.drive_laps([circuit_named("oval", model)], driver, laps=1, telemetry=True)
    assert drive.telemetry.throttle[-1] == pytest.approx(0.5)


def test_telemetry_file_has_a_header_with_units(driven, tmp_path):
    path = tmp_path / "new" / "lap.csv"
    write_telemetry(driven[0].telemetry, path)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == Telemetry._fields
    assert tuple(rows[0])[:7] == (
        "s_m", "x_m", "y_m", "psi_rad", "kappa_radpm", "vx_mps", "ax_mps2",
    )  # fmt: skip
    read = np.array([float(row["vx_mps"]) for row in rows])
    np.testing.assert_allclose(read, driven[0].telemetry.vx_mps, atol=1e-5)
    assert [file.name for file in path.parent.iterdir()] == ["lap.csv"]


def test_guesses_are_written_beside_the_truth(driven, tmp_path):
    telemetry, path = driven[0].telemetry, tmp_path / "lap.csv"
    guesses = np.random.default_rng(0).uniform(0.8, 1.2, (len(telemetry.time_s), len(GUESSED)))
    write_telemetry(telemetry, path, guesses, Conditions(friction=0.9, delay_s=0.05))
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = [name for known in GUESSED for name in (f"guess_{known}", known)]
    assert tuple(rows[0]) == (*Telemetry._fields, *pairs)
    assert {(row["friction"], row["mass"], row["delay_s"]) for row in rows} == {
        ("0.90000", "1.00000", "0.05000")
    }
    read = np.array([float(row["guess_delay_s"]) for row in rows])
    np.testing.assert_allclose(read, guesses[:, GUESSED.index("delay_s")], atol=1e-5)
