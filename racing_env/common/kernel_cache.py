"""Where compiled kernels lie on the disk: in a folder named by the sources they were made from.

Numba keeps a compiled function as long as the function's own file is unchanged. A kernel contains
code of several modules and the order of the fields of the records that it is given, so after an
update of one of them the others would go on with its old code. Here each state of the sources has
a cache folder of its own.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from racing_env.common.files import replaced_atomically, user_cache, why_not_writable

PACKAGE = Path(__file__).resolve().parents[1]
KERNEL_ROOMS = ("car", "tracks", "simulation", "drivers")  # no other sub-package has kernels
PREFIX = "kernels-"
# ROOM/MODULE.FUNCTION
CAR, ROLLOUT = "car/dynamics.step_dynamics", "simulation/closed_loop.pull_back"
LONG_TO_COMPILE = {CAR: "the simulator", ROLLOUT: "learning through the simulator"}


def sources_digest(paths: Iterable[Path]) -> str:
    """Of the names and contents of modules, in any order."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update("/".join(path.parts[-2:]).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def cache_folder(package: Path = PACKAGE) -> Path:
    """The folder of these sources: in $NUMBA_CACHE_DIR, or in the package's own __pycache__, from
    which the folders of earlier sources are removed.

    Where that cannot be written it is in the user's cache (`user_cache`), and begins with the
    kernels that the package has.
    """
    sources = (path for room in KERNEL_ROOMS for path in (package / room).rglob("*.py"))
    name = PREFIX + sources_digest(sources)
    base = Path(os.environ.get("NUMBA_CACHE_DIR") or package / "__pycache__")
    if why_not_writable(base):
        folder = user_cache() / name
        if not folder.exists():
            _add(_kernels_in(base / name), folder)
        return folder
    if base.parent == package:
        for earlier in base.glob(f"{PREFIX}*"):
            if earlier.name != name:  # another process was quicker: it is in no one's way
                shutil.rmtree(earlier, ignore_errors=True)
    return base / name


def announce_compiling(kernel: str) -> None:
    """Say, if one of LONG_TO_COMPILE has yet to be compiled, why nothing else is said."""
    if not any(cache_folder().glob(f"{kernel}-*.nbi")):
        what = LONG_TO_COMPILE[kernel]
        print(f"{what} is compiled for this machine, once: a minute or two", file=sys.stderr)


def compiled_kernels() -> dict[str, bytes]:
    """What has been compiled from these sources, by path within the folder."""
    return _kernels_in(cache_folder())


def add_kernels(kernels: Mapping[str, bytes]) -> None:
    """Put kernels that another machine has compiled beside those of this one, whose own are kept.

    Raises OSError where the disk is full. Those for another processor are compiled anew when they
    are called: numba tells them apart.
    """
    _add(kernels, cache_folder())


def _kernels_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.nb[ci]"))
    }


def _add(kernels: Mapping[str, bytes], folder: Path) -> None:
    for name, content in kernels.items():  # in order: a function's index comes last
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced_atomically(path) as temporary:
                temporary.write_bytes(content)
