import numpy as np
import pytest
from cars import RACECAR
from simple_tracks import ring

from racing_env.car import dynamics as dyn
from racing_env.laps.evaluation import Driver, drive_laps, expert_driver
from racing_env.laps.rival import drive_rival
from racing_env.tracks.circuit import Circuit, prepare_circuit

PACE = np.array([0.9])


@pytest.fixture(scope="module")
def circuit() -> Circuit:
    return prepare_circuit(ring(), RACECAR)


@pytest.fixture(scope="module")
def rival(circuit):
    return drive_rival(circuit, expert_driver(PACE), "expert")


def test_his_laps_are_those_of_an_evaluation(circuit, rival):
    (result,) = drive_laps([circuit], expert_driver(PACE), laps=3, telemetry=True)
    assert rival.lap(standing=True).lap_s == result.standing_lap_s
    assert rival.lap(standing=False).lap_s == result.flying_lap_s
    np.testing.assert_allclose(rival.flying.driven, result.telemetry)


@pytest.mark.parametrize("standing", [True, False])
def test_he_is_where_he_was_and_goes_on_behind_the_line(circuit, rival, standing):
    lap_s, length_m = rival.lap(standing).lap_s, circuit.track.length_m
    for share in (0.1, 0.5, 0.9):
        state, s_m = rival.place_at(standing, share * lap_s)
        assert rival.time_at(standing, s_m) == pytest.approx(share * lap_s, abs=1e-6)
        near = int(s_m / circuit.track.step_m)
        centre = np.array([circuit.track.x_m[near], circuit.track.y_m[near]])
        assert np.hypot(*(state[[dyn.X, dyn.Y]] - centre)) < 6.0  # the ring is 5 m to each side
    before, after = (rival.place_at(standing, lap_s + dt) for dt in (-0.01, 0.01))
    assert np.hypot(*(before[0] - after[0])[[dyn.X, dyn.Y]]) < 3.0  # m: two laps are not the same
    assert before[1] > length_m - 1.0 and after[1] < 1.0
    much_later = lap_s + 7.0 * rival.flying.lap_s + 1.0
    assert rival.place_at(standing, much_later)[1] == pytest.approx(rival.place_at(False, 1.0)[1])
    assert rival.time_at(standing, length_m - 1e-3) == pytest.approx(lap_s, abs=1e-3)


def test_who_leaves_the_track_stays_there(circuit):
    straight_on = Driver(lambda simulator: np.tile([0.0, 0.5], (simulator.n, 1)))
    crash = drive_rival(circuit, straight_on, "crash")
    assert crash.standing.lap_s is None and crash.flying is crash.standing
    came_m = crash.standing.driven.s_m[-1]
    assert 1.0 < came_m < 0.5 * circuit.track.length_m
    assert crash.time_at(True, came_m - 1.0) < crash.time_at(False, came_m)
    assert crash.time_at(True, came_m + 1.0) is None
    for standing in (True, False):
        state, s_m = crash.place_at(standing, 1e3)
        assert s_m == pytest.approx(came_m) and state[dyn.X] == crash.standing.driven.x_m[-1]


def test_a_lap_that_fails_at_speed_is_shown_as_far_as_it_came(circuit):
    expert = expert_driver(PACE)

    def one_lap(simulator):
        return expert.act(simulator) if simulator.cars.laps[0] < 1 else np.array([[0.0, 0.5]])

    rival = drive_rival(circuit, Driver(one_lap), "one lap")
    assert rival.standing.lap_s is not None and rival.flying.lap_s is None
    end_s = rival.flying.driven.time_s[-1]
    assert 0.0 < end_s < rival.standing.lap_s
    at_end = rival.place_at(True, rival.standing.lap_s + end_s)
    assert rival.place_at(True, 1e3)[1] == pytest.approx(at_end[1])
