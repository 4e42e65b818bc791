"""Contents compared: where two nests differ first, and the line that says so."""

import math
from collections import namedtuple

import pytest
from cars import RACECAR
from hypothesis import given
from hypothesis import strategies as st

from racing_env.common.content import (
    RELATIVE_TOLERANCE,
    file_digest,
    first_difference,
    refuse_difference,
)
from racing_env.common.errors import InputError

VEHICLE = RACECAR._asdict()
plain = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
nests = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(nest=nests)
def test_a_nest_does_not_differ_from_itself(nest):
    assert first_difference(nest, nest) is None
    refuse_difference("here", nest, nest, "")


@pytest.mark.parametrize(
    ("found", "wanted", "difference"),
    [
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, ("a.b.2.c", 2, 3)),
        ({"a": 1, "b": 2}, {"a": 5, "b": 6}, ("a", 1, 5)),  # the first one
        ([[1, 2], [3, 4]], [[1, 2], [3, 5]], ("2.2", 4, 5)),
        ({"a": "x"}, {"a": "y"}, ("a", "x", "y")),
        ({"a": "x"}, {"a": ["x"]}, ("a", "x", ["x"])),  # a string is no list of letters
        ({"a": 1}, {"a": "1"}, ("a", 1, "1")),
        ({"a": None}, {"a": 0}, ("a", None, 0)),
        ({"a": {}}, {"a": []}, ("a", {}, [])),
        ({"a": {"b": 1}}, {"a": 1}, ("a", {"b": 1}, 1)),
        (1, 2, ("", 1, 2)),
    ],
)
def test_the_first_difference_has_a_name_and_both_values(found, wanted, difference):
    assert first_difference(found, wanted) == difference


def test_a_missing_key_differs_from_either_side():
    """A car with a parameter more or less."""
    less = {name: value for name, value in VEHICLE.items() if name != "friction_front"}
    assert first_difference({"vehicle": less}, {"vehicle": VEHICLE}) == (
        "vehicle.friction_front", "nothing", 1.0
    )  # fmt: skip
    assert first_difference({"vehicle": VEHICLE}, {"vehicle": less}) == (
        "vehicle.friction_front", 1.0, "nothing"
    )  # fmt: skip


def test_the_order_of_keys_is_no_difference():
    assert first_difference(dict(reversed(VEHICLE.items())), VEHICLE) is None


@pytest.mark.parametrize("lengths", [(2, 3), (3, 2), (0, 1), (1, 0)])
def test_lengths_that_differ_are_told(lengths):
    found, wanted = ({"circuits": ["a"] * length} for length in lengths)
    name, theirs, ours = first_difference(found, wanted)
    assert name == "circuits"
    assert theirs == f"{lengths[0]} of them" and ours == f"{lengths[1]}"


@pytest.mark.parametrize("value", [1.0, 1234.5, -3e-5, 7e12])
def test_numbers_differ_beyond_the_tolerance_only(value):
    within, beyond = (value * (1.0 + share * RELATIVE_TOLERANCE) for share in (0.5, 2.0))
    assert first_difference([within], [value]) is None
    assert first_difference([beyond], [value]) == ("1", beyond, value)


def test_whole_numbers_and_others_may_be_equal():
    assert first_difference({"a": 1, "b": [2.0]}, {"a": 1.0, "b": [2]}) is None
    assert first_difference([0.0], [1e-13]) is None
    assert first_difference([math.inf], [math.inf]) is None
    assert first_difference([math.inf], [1.0]) is not None


def test_what_json_makes_of_a_record_is_the_same_record():
    pair = namedtuple("pair", "a b")(1.0, 2.0)
    assert first_difference([1.0, 2.0], pair) is None
    assert first_difference([1.0, 2.0], (1.0, 2.0)) is None


def test_the_refusal_is_one_line_with_the_way_out():
    with pytest.raises(InputError) as error:
        refuse_difference(
            "runs/x/manifest.json",
            {"vehicle": VEHICLE | {"friction_front": 0.8}},
            {"vehicle": VEHICLE},
            "use another --out",
        )  # fmt: skip
    assert str(error.value) == (
        "runs/x/manifest.json: was made with vehicle.friction_front 0.8, asked for is 1.0; "
        "use another --out"
    )


def test_long_values_are_cut():
    with pytest.raises(InputError) as error:
        refuse_difference("here", {"a": "x" * 10_000}, {"a": [1] * 10_000}, "")
    assert len(str(error.value)) < 250


def test_the_digest_of_a_file_is_of_its_content(tmp_path):
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (file_digest(tmp_path / name) for name in "abc")
    assert a == b != c and len(a) == 64
