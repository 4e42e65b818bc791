"""Observation layouts: what a driver may see, a module each with its table and its kernels.

A module here is found by itself; its `LAYOUT` says by which name data sets and policies carry it.
"""

import importlib
import pkgutil
from functools import cache

from racing_env import DEFAULT_LAYOUT
from racing_env.common.errors import InputError
from racing_env.simulation.layout import Layout

DEFAULT = DEFAULT_LAYOUT


@cache
def layouts() -> dict[str, Layout]:
    """All layouts by name."""
    modules = (
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)
    )
    return {module.LAYOUT.name: module.LAYOUT for module in modules}


def layout_named(name: str, where: object) -> Layout:
    """The layout of this name; raises InputError that begins with `where` if there is none."""
    known = layouts()
    if name not in known:
        raise InputError(
            f"{where}: observation layout {name!r:.60} is unknown; known are {', '.join(known)}"
        )
    return known[name]
