"""Laps thinned for the replay stay where the cars were."""

import json

import numpy as np
import pytest
from cars import RACECAR
from tenth import tenth_of_circuit

from racing_env.laps import evaluation as ev
from racing_env.laps.ghosts import SAMPLE_S, circuit_map, ghost, write_ghosts
from racing_env.laps.telemetry import Telemetry
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.generator import built_in_track

STEP_S = 0.05


@pytest.fixture(scope="module")
def circuit() -> Circuit:
    """The oval with its centre line for a racing line."""
    track = built_in_track("oval", RACECAR)
    zeros = np.zeros_like(track.x_m)
    return Circuit(track, RACECAR, zeros, zeros, zeros, zeros + 40.0, zeros, track.length_m / 40.0)


def result(circuit: Circuit, speed: float = 40.0, driver: str = "driver") -> ev.LapResult:
    """A lap along the centre line at a steady speed."""
    track = circuit.track
    end_s = track.length_m / speed
    time = np.append(np.arange(0.0, end_s, STEP_S), end_s)
    s = speed * time
    stations = np.arange(track.x_m.size + 1) * track.step_m
    values = dict.fromkeys(Telemetry._fields, np.zeros_like(time)) | {
        "s_m": s,
        "x_m": np.interp(s, stations, np.append(track.x_m, track.x_m[0])),
        "y_m": np.interp(s, stations, np.append(track.y_m, track.y_m[0])),
        "vx_mps": np.full_like(time, speed),
        "throttle": np.full_like(time, 0.25),
        "time_s": time,
    }
    return ev.LapResult(
        driver, track.name, track.length_m, circuit.lap_time_s, ev.FINISHED, (end_s + 3, end_s),
        2 * track.length_m, 2, Telemetry(**values),
    )  # fmt: skip


def test_samples_are_where_the_car_was(circuit: Circuit) -> None:
    driven = result(circuit)
    thin = ghost(driven, RACECAR)
    lap = driven.telemetry
    times = np.minimum(np.arange(len(thin["x_m"])) * SAMPLE_S, thin["end_s"])
    assert np.abs(np.interp(times, lap.time_s, lap.x_m) - thin["x_m"]).max() < 0.1
    assert np.abs(np.interp(times, lap.time_s, lap.y_m) - thin["y_m"]).max() < 0.1
    assert thin["end_s"] == pytest.approx(lap.time_s[-1], abs=1e-4)
    assert thin["s_m"][-1] == pytest.approx(circuit.track.length_m, abs=0.06)
    assert set(thin["speed_kph"]) == {144.0} and set(thin["pedal_percent"]) == {25}
    assert thin["flying"]


def test_distance_never_falls(circuit: Circuit) -> None:
    driven = result(circuit)
    driven.telemetry.s_m[-40:] -= np.arange(40.0)
    assert (np.diff(ghost(driven, RACECAR)["s_m"]) >= 0.0).all()


def test_map_is_closed_and_as_wide_as_the_track(circuit: Circuit) -> None:
    drawn = circuit_map(circuit)
    for name in ("right", "left", "line"):
        assert drawn[name]["x"][0] == drawn[name]["x"][-1]
        assert drawn[name]["y"][0] == drawn[name]["y"][-1]
    across = np.hypot(
        np.subtract(drawn["right"]["x"], drawn["left"]["x"]),
        np.subtract(drawn["right"]["y"], drawn["left"]["y"]),
    )
    width = circuit.track.width_right_m + circuit.track.width_left_m
    assert width.min() - 0.2 < across.min() and across.max() < width.max() + 0.2


def test_the_map_of_a_tenth_has_as_many_points_as_exactly_placed(circuit: Circuit) -> None:
    drawn, small_drawn = circuit_map(circuit), circuit_map(tenth_of_circuit(circuit))
    assert (drawn["car_width_m"], small_drawn["car_width_m"]) == pytest.approx((2.0, 0.2))
    for name in ("right", "left", "line"):
        np.testing.assert_allclose(small_drawn[name]["x"], 0.1 * np.array(drawn[name]["x"]),
                                   atol=0.011)  # fmt: skip


def test_file_has_a_circuit_with_a_lap_per_driver_and_condition(circuit: Circuit, tmp_path) -> None:
    drivers = {"fast": [result(circuit, 40.0, "fast")], "slow": [result(circuit, 30.0, "slow")]}
    write_ghosts([circuit], {"nominal": drivers, "wet": drivers}, tmp_path / "ghosts.json")
    (written,) = json.loads((tmp_path / "ghosts.json").read_text())
    assert written["track"] == "oval"
    laps = [(lap["row"], lap["driver"]) for lap in written["laps"]]
    assert laps == [
        ("nominal", "fast"), ("nominal", "slow"), ("wet", "fast"), ("wet", "slow")
    ]  # fmt: skip


def test_result_without_telemetry_is_refused(circuit: Circuit) -> None:
    bare = ev.LapResult("driver", "oval", 1.0, 1.0, ev.OFF_TRACK, (), 0.0, 2)
    with pytest.raises(ValueError, match="no telemetry"):
        ghost(bare, RACECAR)
