import numpy as np
import pytest
from cars import RACECAR
from simple_tracks import ring

from racing_env.car import dynamics as dyn
from racing_env.drivers.expert import expert_actions
from racing_env.laps.evaluation import drive_laps, expert_driver
from racing_env.laps.rival import drive_rival
from racing_env.laps.session import Session
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import demonstration_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit, prepare_circuit

PACE = np.array([0.9])
DRIVE, COAST = np.array([0.0, 0.5]), np.array([0.0, 0.0])


@pytest.fixture(scope="module")
def circuit() -> Circuit:
    return prepare_circuit(ring(), RACECAR)


@pytest.fixture(scope="module")
def rival(circuit):
    return drive_rival(circuit, expert_driver(PACE), "expert")


@pytest.fixture
def session(circuit, rival):
    laps = []
    session = Session(circuit, LAYOUT.name, rival, laps.append)
    session.told = laps
    return session


def drive(session, seconds: float, act=None) -> None:
    """By control steps; the expert where no one else is at the wheel."""
    expert = lambda _: expert_actions(session._simulator, PACE)[0]  # noqa: E731
    for _ in range(round(seconds / session.control_step_s)):
        session.advance(session.control_step_s, act or expert)


def test_laps_are_timed_as_an_evaluation_times_them(circuit, session):
    (result,) = drive_laps([circuit], expert_driver(PACE), laps=2)
    drive(session, sum(result.lap_times_s) + 1.0)
    assert [lap.time_s for lap in session.laps] == pytest.approx(result.lap_times_s, abs=1e-9)
    assert [lap.standing for lap in session.laps] == [True, False, False]
    assert session.best_lap_s == min(lap.time_s for lap in session.laps)
    # the rival is as fast, and his best flying lap is compared with each of ours
    assert session.laps[0].gap_s == pytest.approx(0.0, abs=1e-9)
    assert session.laps[1].gap_s == pytest.approx(
        session.laps[1].time_s - result.flying_lap_s, abs=0.1
    )


def test_everything_waits_until_the_person_drives_off(session):
    start = session.shown()
    drive(session, 5.0, lambda _: COAST)
    assert session.waiting and session.gap_s() is None
    np.testing.assert_array_equal(session.shown().state, start.state)
    assert session.shown().lap_s == 0.0
    drive(session, 0.5, lambda _: DRIVE)
    assert not session.waiting and session.shown().lap_s > 0.0
    drive(session, 1.0, lambda _: COAST)  # on its way, it rolls
    assert session.shown().lap_s == pytest.approx(1.45)


def test_rows_of_a_lap_repeat_it(circuit, session):
    drive(session, 40.0)
    simulator = Simulator(pack_circuits([circuit]), 1, demonstration_task(RACECAR))
    simulator.place(0, 0)
    assert len(session.told) >= 2 and all(not lap.rows for lap in session.laps)
    for lap in session.told[:2]:
        steps = lap.time_s / session.control_step_s
        assert steps - 1 <= len(lap.rows) <= steps + 1
        for seen, action, label, reward in lap.rows:
            np.testing.assert_array_equal(simulator.observe()[0], seen)
            np.testing.assert_array_equal(action, label)
            simulator.step(action[None])
            assert simulator.cars.rewards[0].sum() == reward
    assert simulator.cars.laps[0] == 2  # the second began where the first ended


def test_off_the_track_the_car_is_put_back_and_the_lap_does_not_count(circuit, session):
    drive(session, 4.0)
    while not session.waiting:
        session.advance(session.control_step_s, lambda _: DRIVE)  # straight on
    assert not session.counts and session.gap_s() is None
    drive(session, 3.0, lambda _: COAST)
    place = session.shown()
    assert place.state[dyn.VX] == 0.0 and 4.0 < place.lap_s < 10.0
    assert 5.0 < place.lap_m < circuit.track.length_m
    near = round(place.lap_m / circuit.track.step_m)
    psi, offset = circuit.track.psi_rad[near], circuit.line_offset_m[near]
    line = np.array([circuit.track.x_m[near], circuit.track.y_m[near]])
    line += offset * np.array([-np.sin(psi), np.cos(psi)])
    assert np.hypot(*(place.state[[dyn.X, dyn.Y]] - line)) < 1.0
    drive(session, 40.0)
    first = session.told[0]
    assert not first.standing  # the one that was left uncounted was the standing one
    assert first.time_s == pytest.approx(first.rival_s, rel=0.02)
    assert session.counts and session.gap_s() is not None


@pytest.mark.parametrize("steering", [1.0, -1.0])
def test_who_turns_round_is_put_back(session, steering):
    drive(session, 3.0)
    drive(session, 20.0, lambda state: np.array([steering, 1.0 if state[dyn.VX] < 4.0 else 0.0]))
    assert not session.counts
    assert len(session.told) == 0


def test_who_stands_still_waits_on_the_line(session):
    drive(session, 2.0)
    drive(session, 10.0, lambda _: np.array([0.0, -1.0]))
    assert session.waiting and not session.counts


def test_a_restart_drops_the_lap_under_way(session):
    drive(session, 5.0)
    session.restart()
    assert session.waiting and session.counts and session.shown().lap_s == 0.0
    drive(session, 20.0)
    assert len(session.told) == 1 and session.told[0].standing
    steps = session.told[0].time_s / session.control_step_s
    assert len(session.told[0].rows) == pytest.approx(steps, abs=1.5)
    assert session.told[0].gap_s == pytest.approx(0.0, abs=1e-9)


def test_the_gap_at_the_line_is_that_of_the_laps(session):
    slower = lambda _: expert_actions(session._simulator, 0.8 * PACE)[0]  # noqa: E731
    while not session.laps:
        gap_s = session.gap_s()
        session.advance(session.control_step_s, slower)
    assert session.laps[0].gap_s > 0.5
    assert gap_s == pytest.approx(session.laps[0].gap_s, abs=0.05)


def test_what_is_shown_moves_evenly_between_control_steps_and_across_the_line(session):
    expert = lambda _: expert_actions(session._simulator, PACE)[0]  # noqa: E731
    drive(session, 3.0)
    places, times, headings, along = [], [], [], []
    for _ in range(1800):
        session.advance(session.control_step_s / 5, expert)
        shown = session.shown()
        places.append(shown.state[[dyn.X, dyn.Y]])
        times.append(shown.lap_s)
        headings.append(np.exp(1j * shown.state[dyn.PSI]))
        along.append(np.exp(2j * np.pi * shown.lap_m / session.circuit.track.length_m))
    assert len(session.laps) == 1
    moved_m = np.hypot(*np.diff(places, axis=0).T)
    assert moved_m.min() > 0.0 and moved_m.max() < 1.5 * np.median(moved_m)
    for turning in (headings, along):  # both come round, and neither goes back to do so
        turned = np.angle(np.divide(turning[1:], turning[:-1]))
        assert turned.sum() > 2.0 * np.pi and turned.min() > -0.01 and turned.max() < 0.1
    passed_s = np.diff(times)
    usual = np.isclose(passed_s, session.control_step_s / 5)
    assert usual.sum() == len(passed_s) - 1  # but for the one at the line


def test_the_car_drives_the_same_however_often_it_is_drawn(circuit, rival):
    laps = []
    for frame_s in (0.05, 1.0 / 60.0, 0.21):
        session = Session(circuit, LAYOUT.name, rival, lambda lap: None)
        expert = lambda _, own=session: expert_actions(own._simulator, PACE)[0]  # noqa: E731
        for _ in range(round(20.0 / frame_s)):
            session.advance(frame_s, expert)
        laps.append(session.laps[0].time_s)
    assert len(set(laps)) == 1
