"""Random circuits from the cache: the same as made anew."""

from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR

from racing_env.car.vehicle_files import read_vehicle
from racing_env.tracks import random_track as module
from racing_env.tracks.generator import generate_track
from racing_env.tracks.geometry import TRACK_ARRAYS, Track
from racing_env.tracks.random_track import random_track

TENTH = read_vehicle("f1tenth")
SEED = np.random.SeedSequence(3).spawn(2)[1]


def assert_same(one: Track, other: Track) -> None:
    assert (one.name, one.step_m) == (other.name, other.step_m)
    for name in TRACK_ARRAYS:
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


def refuse(*_: object) -> Track:
    raise AssertionError("it is in the cache")


@pytest.mark.parametrize("vehicle", [RACECAR, TENTH], ids=["racecar", "f1tenth"])
def test_a_second_time_it_comes_from_the_cache(tmp_path, monkeypatch, vehicle) -> None:
    made = generate_track(SEED, vehicle)
    assert made.name == "random-3-1"
    assert_same(random_track(SEED, vehicle, tmp_path), made)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(module, "generate_track", refuse)
    assert_same(random_track(SEED, vehicle, tmp_path), made)


def test_other_seeds_and_cars_are_other_entries(tmp_path: Path) -> None:
    longer = RACECAR._replace(mass_kg=RACECAR.mass_kg + 1.0)
    for seed, vehicle in (
        (SEED, RACECAR),
        (np.random.SeedSequence(3).spawn(3)[2], RACECAR),
        (np.random.SeedSequence(4).spawn(2)[1], RACECAR),
        (SEED, longer),
        (SEED, TENTH),
    ):
        assert_same(random_track(seed, vehicle, tmp_path), generate_track(seed, vehicle))
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"step_m": np.array(0.0)},
        {"step_m": np.ones(3)},
        {"x_m": np.ones(3)},
        {"x_m": np.ones((3, 2))},
        {"kappa_radpm": None},
    ],
    ids=["no step", "many steps", "shorter", "square", "absent"],
)
def test_what_is_no_track_is_replaced(tmp_path: Path, change) -> None:
    made = random_track(SEED, RACECAR, tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    with np.load(file) as archive:
        arrays = {**archive, **change}
    np.savez(file, **{name: values for name, values in arrays.items() if values is not None})
    assert_same(random_track(SEED, RACECAR, tmp_path), made)
    assert file.read_bytes() == good
