"""Where episodes begin: at the line, anywhere, standing, at speed, beside the line, at a place."""

import numpy as np
import pytest
from cars import RACECAR, circuit_named

from racing_env.simulation.starts import Start, Starts, draw_start
from racing_env.simulation.task import demonstration_task, practice_task, racing_task, training_task
from racing_env.tracks.bank import LINE_SPEED, CircuitBank, pack_circuits


@pytest.fixture(scope="module")
def bank() -> CircuitBank:
    return pack_circuits([circuit_named("oval"), circuit_named("club")])


def drawn(starts: Starts, bank: CircuitBank, count: int = 400, **place: float) -> list[Start]:
    rng = np.random.default_rng(0)
    return [draw_start(starts, bank, i % 2, rng, **place) for i in range(count)]


def shares(starts: list[Start], bank: CircuitBank) -> np.ndarray:
    """Speeds over the profile's where the cars start."""
    profile = [
        bank.table[bank.first[i % 2] + int(start.start_s_m / bank.step_m[i % 2]), LINE_SPEED]
        for i, start in enumerate(starts)
    ]
    return np.array([start.speed_mps for start in starts]) / profile


def test_a_race_starts_standing_on_the_line(bank):
    assert set(drawn(racing_task(RACECAR).starts, bank)) == {Start()}


def test_starts_lie_anywhere_on_the_lap(bank):
    starts = drawn(Starts(), bank)
    for c in range(2):
        length_m = bank.count[c] * bank.step_m[c]
        places = np.array([start.start_s_m for start in starts[c::2]]) / length_m
        assert 0.0 <= places.min() < 0.05 and 0.95 < places.max() < 1.0
        assert np.mean(places) == pytest.approx(0.5, abs=0.06)


def test_speed_is_a_share_of_the_profiles(bank):
    some = shares(drawn(practice_task(RACECAR).starts, bank), bank)
    assert 0.4 <= some.min() < 0.45 and 0.85 < some.max() <= 0.9
    some = shares(drawn(Starts(least_speed_share=0.5, largest_speed_share=0.5), bank), bank)
    np.testing.assert_allclose(some, 0.5)


def test_some_stand_and_the_others_do_not(bank):
    some = shares(drawn(demonstration_task(RACECAR).starts, bank), bank)
    assert np.mean(some == 0.0) == pytest.approx(0.1, abs=0.05)
    assert some[some > 0.0].min() >= 0.6 and some.max() <= 0.95
    assert not shares(drawn(Starts(standing_share=1.0), bank), bank).any()


def test_places_beside_the_line_are_drawn_with_their_deviations(bank):
    starts = drawn(demonstration_task(RACECAR).starts, bank)
    assert np.std([s.line_offset_m for s in starts]) == pytest.approx(0.6, rel=0.1)
    assert np.std([s.heading_rad for s in starts]) == pytest.approx(0.04, rel=0.1)
    on_the_line = drawn(practice_task(RACECAR).starts, bank)
    assert {(s.line_offset_m, s.heading_rad) for s in on_the_line} == {(0.0, 0.0)}


def test_a_place_that_is_given_is_taken_round_the_lap(bank):
    length_m = float(bank.count[0] * bank.step_m[0])
    rng = np.random.default_rng(0)
    for place_m, expected in ((100.0, 100.0), (-30.0, length_m - 30.0), (length_m + 5.0, 5.0)):
        start = draw_start(training_task(RACECAR).starts, bank, 0, rng, place_m)
        assert start.start_s_m == pytest.approx(expected)
    assert draw_start(Starts(at_the_line=True), bank, 0, rng, 100.0).start_s_m == 0.0


def test_the_seed_decides_all(bank):
    starts = demonstration_task(RACECAR).starts
    assert drawn(starts, bank) == drawn(starts, bank)
    assert len(set(drawn(starts, bank))) == 400
