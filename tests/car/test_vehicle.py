"""A car's record: what is no car is refused by name; a field may be added that changes no car."""

import math

import pytest
from cars import RACECAR, LaterVehicle

from racing_env.car import vehicle as module
from racing_env.car.vehicle import (
    LIMITS,
    TYRE_PARAMETERS,
    Vehicle,
    vehicle_from_record,
)
from racing_env.common.errors import InputError


def refused(changes: dict, without: str | None = None) -> str:
    """The one line with which the racecar is refused with these changes."""
    record = RACECAR._asdict() | changes
    if without is not None:
        del record[without]
    with pytest.raises(InputError) as caught:
        vehicle_from_record(record, "car.toml")
    message = str(caught.value)
    assert message.startswith("car.toml: ") and len(message.splitlines()) == 1
    return message


def test_a_record_gives_the_same_car_again():
    assert vehicle_from_record(RACECAR._asdict(), "here") == RACECAR
    whole = vehicle_from_record(RACECAR._asdict() | {"mass_kg": 1000}, "here")
    assert isinstance(whole.mass_kg, float) and whole.mass_kg == 1000.0


def test_no_parameter_has_a_value_of_its_own():
    """What would be right for one car only: a car says it."""
    assert not Vehicle._field_defaults


@pytest.mark.parametrize("name", Vehicle._fields)
def test_each_parameter_is_needed(name):
    assert f"{name} is missing" in refused({}, without=name)


@pytest.mark.parametrize("name", ["colour", "mass", "", "a\nb", 7, "x" * 1000], ids=repr)
def test_what_is_no_parameter_is_named_and_so_are_those_there_are(name):
    message = refused({name: 1.0})
    assert "is no parameter of a car" in message and "tyre_nominal_load_n" in message
    assert len(message) < 1000


@pytest.mark.parametrize("name", TYRE_PARAMETERS)
def test_a_tyre_on_both_axles_may_be_given_once(name):
    record = RACECAR._asdict()
    value = record.pop(f"{name}_front")
    assert record.pop(f"{name}_rear") == value  # of the racecar
    assert vehicle_from_record(record | {name: value}, "here") == RACECAR
    assert f"has both {name} and {name}_rear" in refused({name: value}, without=f"{name}_front")


@pytest.mark.parametrize("name", Vehicle._fields)
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, "1200", None, True, [1.0], {}, "9" * 1000, 10**400],
    ids=lambda value: f"{value!s:.12}",
)
def test_what_is_no_finite_number_is_refused(name, value):
    message = refused({name: value})
    assert f"{name} is " in message and "a finite number is needed" in message
    assert len(message) < 200


def test_every_parameter_has_limits():
    assert list(LIMITS) == list(Vehicle._fields)


@pytest.mark.parametrize("name", [name for name, (least, _) in LIMITS.items() if least > 0.0])
@pytest.mark.parametrize("value", [0, -1.0, -1e-9])
def test_what_has_to_be_above_zero(name, value):
    assert f"{name} is {value:g}; it must be from" in refused({name: value})


@pytest.mark.parametrize(("name", "limits"), LIMITS.items())
def test_limits_are_included_and_no_more_is(name, limits):
    for limit, beyond in zip(limits, (-1e-6, 1e-6), strict=True):
        if math.isfinite(limit):
            kept = vehicle_from_record(RACECAR._asdict() | {name: limit}, "here")
            assert getattr(kept, name) == limit
            assert f"{name} is " in refused({name: limit + beyond})
            assert f"from {limits[0]:g} to {limits[1]:g}" in refused({name: limit + beyond})


def test_lift_may_be_negative_and_resistance_nothing():
    record = RACECAR._asdict() | {"lift_front_kgpm": -0.2, "drag_kgpm": 0.0}
    assert vehicle_from_record(record, "here").lift_front_kgpm == -0.2


def test_a_younger_field_with_a_neutral_value_leaves_older_records_readable(monkeypatch):
    monkeypatch.setattr(module, "Vehicle", LaterVehicle)
    older = vehicle_from_record(RACECAR._asdict(), "here")
    assert older.wet_friction == 1.0 and older[:-1] == tuple(RACECAR)
    younger = vehicle_from_record(RACECAR._asdict() | {"wet_friction": 0.9}, "here")
    assert younger.wet_friction == 0.9
