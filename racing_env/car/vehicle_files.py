"""Cars from files: what the flag `--vehicle` takes.

A car is a TOML file with a number for each field of `racing_env.car.vehicle.Vehicle`, by its name.
Those in `shipped/` can be called by the file's name alone.
"""

import sys
from pathlib import Path

from racing_env.car.vehicle import Vehicle, vehicle_from_record
from racing_env.common.errors import InputError
from racing_env.common.files import refuse_special_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "shipped"
FILE_SIZE_MAX_BYTES = 1_000_000


def shipped_names() -> list[str]:
    """Names of the cars that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read_vehicle(source: str | Path) -> Vehicle:
    """The shipped car of this name, or the one in this TOML file.

    Raises InputError, one line, for anything else.
    """
    if str(source) in shipped_names():
        source = SHIPPED / f"{source}.toml"
    path = Path(source)
    refuse_special_file(path)
    if not path.exists():
        raise InputError(
            f"vehicle {str(source)!r}: no such car or file; possible are "
            f"{', '.join(shipped_names())}, or a TOML file"
        )
    try:
        if path.is_dir() or path.stat().st_size > FILE_SIZE_MAX_BYTES:
            raise InputError(f"{path}: is not the TOML file of a car; one is needed")
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from error
    except (ValueError, RecursionError) as error:  # TOML, UTF-8, numbers of too many digits
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: is not TOML ({reason:.100}); see a car in {SHIPPED}") from None
    return vehicle_from_record(record, path)
