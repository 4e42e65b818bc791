"""Compiled kernels, and their cache on disk, which is named by the sources that it was made from.

Numba keeps a compiled function as long as the function's own file is unchanged. A kernel contains
code of several modules and the order of the fields of the records that it is given, so after an
update of one of them the others would go on with its old code. Here each state of the sources has
a cache folder of its own.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _CacheLocator

PACKAGE = Path(__file__).resolve().parents[1]
KERNEL_ROOMS = ("car", "tracks", "simulation", "drivers")  # no other sub-package has kernels
PREFIX = "kernels-"


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
    """
    sources = (path for room in KERNEL_ROOMS for path in (package / room).rglob("*.py"))
    name = PREFIX + sources_digest(sources)
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / name
    base = package / "__pycache__"
    for earlier in base.glob(f"{PREFIX}*"):
        if earlier.name != name:  # read-only, or another process was quicker: it is in no one's way
            shutil.rmtree(earlier, ignore_errors=True)
    return base / name


_FOLDER = str(cache_folder())


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function, with strict IEEE arithmetic.

    Without fast-math the result does not depend on which functions the compiler inlined or
    vectorised, nor on whether the code was just compiled or came from the cache. Seeded runs repeat
    to the last bit, in a batch of any size; it costs a quarter of the speed.
    """
    return _compiled(function)


def inlined(function: Callable[..., Any]) -> Any:
    """As `kernel`, for what is inlined wherever a kernel calls it."""
    return _compiled(function, forceinline=True)


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    # numba reads its settings when a function is decorated; others' functions keep their own cache
    settings: Any = numba.config
    earlier = settings.CACHE_LOCATOR_CLASSES
    settings.CACHE_LOCATOR_CLASSES = f"{__name__}.{ByContent.__name__},UserWideCacheLocator"
    try:
        return numba.njit(cache=True, error_model="numpy", **options)(function)
    finally:
        settings.CACHE_LOCATOR_CLASSES = earlier


class ByContent(_CacheLocator):
    """Where numba keeps a kernel: in a folder that the sources' content alone has named.

    Numba's own locators have the package's path in the name: then each copy of the package, such as
    a cluster makes of it for each of its starts, would be compiled anew.
    """

    def __init__(self, path: Path, line: int):
        self._path, self._line = path, line

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "ByContent | None":
        folder = Path(_FOLDER, Path(py_file).parent.name)
        locator = cls(folder, py_func.__code__.co_firstlineno)
        try:
            locator.ensure_cache_path()
        except OSError:
            return None
        return locator

    def get_cache_path(self) -> str:
        return str(self._path)

    def get_source_stamp(self) -> str:
        return ""  # the folder's name is it

    def get_disambiguator(self) -> str:
        return str(self._line)
