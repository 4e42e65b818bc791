"""Cars from files: what the flag `--vehicle` takes.

A car is a TOML file with a number for each field of `racing_env.car.vehicle.Vehicle`, by its name.
Those in `shipped/` can be called by the file's name alone. `.ini` and `.yaml` files are cars as
others publish them, see `racing_env.car.published_cars`.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from racing_env.car.published_cars import PublishedCar, car_of_ini, car_of_yaml
from racing_env.car.vehicle import Vehicle, refuse_undrivable, vehicle_from_record
from racing_env.common.errors import InputError
from racing_env.common.files import refuse_special_file, replaced_atomically, writing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "shipped"
FILE_SIZE_MAX_BYTES = 1_000_000
PUBLISHED: dict[str, Callable[[str, object], PublishedCar]] = {
    ".ini": car_of_ini,
    ".yaml": car_of_yaml,
    ".yml": car_of_yaml,
}


def shipped_names() -> list[str]:
    """Names of the cars that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read_vehicle(source: str | Path) -> Vehicle:
    """The shipped car of this name, or the one in this file.

    A warning names what a file in another's format does not say. Raises InputError, one line, for
    anything else.
    """
    if str(source) in shipped_names():
        source = SHIPPED / f"{source}.toml"
    path = Path(source)
    text = _text_of(path, str(source))
    reader = PUBLISHED.get(path.suffix.lower())
    if reader is None:
        vehicle = vehicle_from_record(_toml_record(text, path), path)
        refuse_undrivable(vehicle, path)
        return vehicle
    car = reader(text, path)
    vehicle = vehicle_from_record(car.record, path, car.known_as)
    refuse_undrivable(vehicle, path)
    warnings.warn(
        f"{path}: does not say {', '.join(car.taken)}; taken as of a car of this size "
        "(docs/files.md; export.py vehicle writes a file with every number)",
        stacklevel=2,
    )
    return vehicle


def name_of_vehicle(vehicle: Vehicle) -> str:
    """Name of the shipped car that this one is, "own" for any other."""
    return next((name for name in shipped_names() if read_vehicle(name) == vehicle), "own")


def write_vehicle(vehicle: Vehicle, path: Path, origin: str) -> None:
    """A TOML file of a car, which `read_vehicle` reads back exactly; origin: for its first line."""
    lines = [f"# {' '.join(origin.split())}", ""]
    lines += [f"{name} = {value!r}" for name, value in vehicle._asdict().items()]
    with writing(path), replaced_atomically(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _text_of(path: Path, asked_for: str) -> str:
    refuse_special_file(path)
    if not path.exists():
        raise InputError(
            f"vehicle {asked_for!r}: no such car or file; possible are "
            f"{', '.join(shipped_names())}, or a file: TOML, racecar.ini, F1TENTH's YAML"
        )
    try:
        if path.is_dir() or path.stat().st_size > FILE_SIZE_MAX_BYTES:
            raise InputError(f"{path}: is not the file of a car; one is needed")
        return path.read_text(encoding="utf-8-sig")  # some editors begin with a mark
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text ({error.reason}); a car's file is") from None


def _toml_record(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML, numbers of too many digits
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: is not TOML ({reason:.100}); see a car in {SHIPPED}") from None
