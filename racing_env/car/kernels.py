"""Compiled kernels; `racing_env.common.kernel_cache` has where they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _CacheLocator

from racing_env.common.kernel_cache import cache_folder

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
