"""Cars from files: those that are shipped, those that are not TOML, and those that are no files."""

import os

import pytest
from cars import RACECAR

from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import (
    FILE_SIZE_MAX_BYTES,
    SHIPPED,
    read_vehicle,
    shipped_names,
    write_vehicle,
)
from racing_env.common.errors import InputError


def refused(source) -> str:
    """The one line with which a source is refused; it names the source."""
    with pytest.raises(InputError) as caught:
        read_vehicle(source)
    message = str(caught.value)
    assert str(source) in message and len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_cars_are_read_by_name_and_by_path(name):
    vehicle = read_vehicle(name)
    assert isinstance(vehicle, Vehicle)
    assert read_vehicle(SHIPPED / f"{name}.toml") == read_vehicle(str(SHIPPED / name) + ".toml")
    assert read_vehicle(SHIPPED / f"{name}.toml") == vehicle
    text = (SHIPPED / f"{name}.toml").read_text(encoding="utf-8")
    assert text.startswith("# ")  # where its numbers come from


def test_the_scripts_car_is_shipped():
    assert DEFAULT_VEHICLE in shipped_names()


def test_a_car_of_ones_own(tmp_path):
    path = tmp_path / "own.toml"
    text = (SHIPPED / "racecar.toml").read_text(encoding="utf-8")
    path.write_text(text.replace("mass_kg = 1200.0", "mass_kg = 900"), encoding="utf-8")
    assert read_vehicle(path) == RACECAR._replace(mass_kg=900.0)


def test_a_file_is_no_shipped_car_because_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "racecar").write_text("mass_kg = 1")
    assert read_vehicle("racecar") == RACECAR
    assert "is missing" in refused(tmp_path / "racecar")


@pytest.mark.parametrize("source", ["lorry", "lorry.toml", "racecar.toml", "../racecar", "Racecar"])
def test_neither_a_car_nor_a_file(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    message = refused(source)
    assert "no such car or file" in message and "racecar" in message


@pytest.mark.parametrize(
    "content",
    [b"mass_kg", b"mass_kg = ", b"\x00\x01", b"a = 1\na = 2\n", b"{}",
     b"x = " + b"[" * 100_000, b"x = " + b"9" * 5000, b"# x\n" + b"a" * 500],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_what_is_not_toml(tmp_path, content):
    path = tmp_path / "car.toml"
    path.write_bytes(content)
    message = refused(path)
    assert message.startswith(f"{path}: is not TOML") and len(message) < len(str(path)) + 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "mass_kg is missing"),
        ("[mass_kg]\nvalue = 1\n", "mass_kg is a dict; a finite number"),
        ("mass_kg = '1200'", "mass_kg is '1200'; a finite number"),
        ("mass_kg = 1200\ncolour = 'red'", "'colour' is no parameter of a car"),
        ("mass_kg = nan", "mass_kg is nan; a finite number"),
        (f"mass_kg = {10**400}", "a finite number is needed"),
        (f"mass_kg = 0x{'f' * 5000}", "a number of more than a thousand digits; a finite number"),
    ],
)
def test_toml_that_is_no_car(tmp_path, content, message):
    path = tmp_path / "car.toml"
    lines = (SHIPPED / "racecar.toml").read_text(encoding="utf-8").splitlines()
    others = "\n".join(line for line in lines if not line.startswith("mass_kg"))
    path.write_text(f"{others}\n{content}\n")
    assert message in refused(path)


def test_what_is_not_text(tmp_path):
    path = tmp_path / "car.toml"
    path.write_bytes(b"\xff\xfe")
    assert f"{path}: is not text" in refused(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"yaw_inertia_kgm2": 1.0}, "yaw_inertia_kgm2 is 1; a car of this mass and wheelbase has"),
        ({"tyre_nominal_load_n": 100.0}, "leaves -1.7 of the grip under 2747 N"),
        ({"drive_force_max_n": 100.0}, "drive_force_max_n is 100; rolling alone takes 153 N"),
    ],
)
def test_parameters_that_go_together_in_no_car(tmp_path, changes, message):
    path = tmp_path / "car.toml"
    write_vehicle(RACECAR._replace(**changes), path, "wrong")
    assert message in refused(path)


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_it(tmp_path):
    path = tmp_path / "car.toml"
    path.write_text("\ufeff" + (SHIPPED / "racecar.toml").read_text(encoding="utf-8"), "utf-8")
    assert read_vehicle(path) == RACECAR


@pytest.mark.parametrize("name", shipped_names())
def test_a_car_is_written_and_read_back_exactly(tmp_path, name):
    vehicle = read_vehicle(name)
    write_vehicle(vehicle, tmp_path / "car.toml", "made\nhere")
    assert read_vehicle(tmp_path / "car.toml") == vehicle
    assert (tmp_path / "car.toml").read_text().startswith("# made here\n")


def test_folders_pipes_and_devices_are_refused_and_not_waited_for(tmp_path):
    assert "is not the file of a car" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe.toml")
    assert "is not an ordinary file" in refused(tmp_path / "pipe.toml")
    assert "is not an ordinary file" in refused("/dev/zero")


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(FILE_SIZE_MAX_BYTES + 1)  # sparse
    assert "is not the file of a car" in refused(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "car.toml"
    path.write_bytes((SHIPPED / "racecar.toml").read_bytes())
    path.chmod(0)
    assert "cannot be read" in refused(path)


def test_a_name_that_no_file_can_have_is_refused():
    with pytest.raises(InputError):
        read_vehicle("x" * 5000)
