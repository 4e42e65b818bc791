"""Which conditions an evaluation drives under."""

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled
from hypothesis import given
from hypothesis import strategies as st

from racing_env.car.conditions import NOMINAL, ROAD, Conditions, ranges_for
from racing_env.common.errors import InputError
from racing_env.laps import condition_rows as cr
from racing_env.laps.circuit_conditions import CircuitConditions

SMALL = scaled(RACECAR, 0.25)


def test_conditions_are_in_the_order_in_which_they_are_named():
    found = cr.named_conditions(["friction=0.9", "nominal", "mass=1.1,noise=1"], RACECAR)
    assert found == [Conditions(friction=0.9), NOMINAL, Conditions(mass=1.1, noise=1.0)]


@pytest.mark.parametrize(("texts", "message"), [
    ([""], "expected NAME=VALUE"),
    ([" , "], "expected NAME=VALUE"),
    (["nominal,mass=1.1"], "'nominal': expected NAME=VALUE"),
    (["mass=0.9", "mass=0.90"], "'mass=0.90': is the same as --condition 'mass=0.9'"),
    (["nominal", "friction=1"], "'friction=1': is the same as --condition 'nominal'"),
    (["friction=0.9,mass=1.1", "mass=1.1,friction=0.9"], "is the same"),
])  # fmt: skip
def test_what_cannot_be_a_row_is_refused_in_one_line(texts, message):
    with pytest.raises(InputError) as raised:
        cr.named_conditions(texts, RACECAR)
    assert message in str(raised.value) and "\n" not in str(raised.value)


@given(st.lists(st.text(max_size=30) | st.sampled_from(["nominal", "mass=1.1"]), max_size=4))
def test_any_texts_are_rows_that_differ_or_one_line(texts):
    try:
        found = cr.named_conditions(texts, RACECAR)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(set(found)) == len(found) == len(texts)


def test_names_say_what_is_not_nominal():
    assert cr.row_name(NOMINAL) == "nominal"
    assert cr.row_name(Conditions(friction=0.8, delay_s=0.0125)) == "friction 0.8, delay_s 0.0125"


def test_the_grid_is_on_the_road_each_once_nominal_first():
    assert cr.GRID[0] == NOMINAL and len(set(cr.GRID)) == len(cr.GRID) == 25
    for conditions in cr.GRID:
        for value, road in zip(conditions, ROAD, strict=True):
            assert road.least <= value <= road.most
    assert len({cr.row_name(conditions) for conditions in cr.GRID}) == 25


def test_a_replay_has_the_shown_drive_and_as_many_more_as_can_be_told_apart():
    def row(name, drives=1):
        return cr.Row(name, (None,) * drives)

    rows = [row("wet"), row("nominal"), row("5 draws", 5), row("late")]
    assert cr.replayed_rows(rows, 1, drivers=1) == {1: "nominal", 0: "wet", 7: "late"}
    assert list(cr.replayed_rows(rows, 1, drivers=1)) == [1, 0, 7]
    assert cr.replayed_rows(rows, 1, drivers=3) == {1: "nominal", 0: "wet"}
    assert cr.replayed_rows(rows, 0, drivers=9) == {0: "wet"}


def test_another_cars_grid_has_its_delays():
    small = cr.scaled_for(SMALL, Conditions(friction=0.8, delay_s=0.1, noise=0.5))
    assert small == Conditions(friction=0.8, delay_s=pytest.approx(0.05), noise=0.5)
    assert all(cr.scaled_for(RACECAR, conditions) == conditions for conditions in cr.GRID)


def test_draws_are_named_by_seed_circuit_and_draw(monkeypatch):
    monkeypatch.setattr(cr, "GRID", (NOMINAL,))
    circuits = [circuit_named("oval", SMALL), circuit_named("club", SMALL)]
    first, draws = cr.road_rows(circuits, seed=3)
    assert first.name == "nominal" and first.drives[0].conditions == (NOMINAL, NOMINAL)
    assert draws.name == "5 draws" and len(draws.drives) == cr.DRAWS
    found = [conditions for drive in draws.drives for conditions in drive.conditions]
    assert len(set(found)) == 10
    least, most, _ = np.array(ranges_for(ROAD, SMALL)).T
    assert all((least <= some).all() and (some <= most).all() for some in map(np.array, found))
    (_, alone), (_, other) = cr.road_rows(circuits[:1], 3), cr.road_rows(circuits[:1], 4)
    for drive, by_itself, by_another_seed in zip(
        draws.drives, alone.drives, other.drives, strict=True
    ):
        assert by_itself.conditions == drive.conditions[:1]
        assert by_itself.profile_lap_s == drive.profile_lap_s[:1]
        assert by_another_seed.conditions != by_itself.conditions


def test_pictures_show_the_nominal_drive_or_the_first():
    def drive(*conditions: Conditions) -> CircuitConditions:
        return CircuitConditions(conditions, np.ones(len(conditions)))

    wet, half = drive(Conditions(friction=0.8)), drive(NOMINAL, Conditions(friction=0.8))
    assert cr.shown_drive([wet, half, drive(NOMINAL, NOMINAL)]) == 2
    assert cr.shown_drive([wet, half]) == 0
