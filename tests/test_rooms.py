"""The sub-packages import each other in one direction, and only some load heavy libraries."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROOT

PACKAGE = ROOT / "racing_env"
# From the ground up: a room may import those before it.
ROOMS = ("common", "car", "tracks", "simulation", "drivers", "data", "laps", "drawing", "learning")
HEAVY = {"torch", "stable_baselines3"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of what a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def rooms_imported(path: Path) -> set[str]:
    """Sub-packages, and modules beside them, of this package that a module imports."""
    parts = (name.split(".") for name in imported(path))
    return {part[1] for part in parts if part[0] == "racing_env" and len(part) > 1}


def test_there_is_something_to_read():
    assert {room_of(path) for path in MODULES} >= set(ROOMS)
    assert all(any(rooms_imported(path) for path in MODULES if room_of(path) == room)
               for room in ROOMS[1:])  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    room = room_of(path)
    if room in ROOMS:
        allowed = set(ROOMS[: ROOMS.index(room) + 1])
        if room == "drawing":  # people at play, and people who learn, need not know of each other
            allowed -= {"data"}
        if room == "learning":
            allowed -= {"drawing"}
    else:
        beside = {other.stem for other in MODULES if other.parent == PACKAGE}
        allowed = {*ROOMS, *beside, "__version__"} - {"learning"}
    assert rooms_imported(path) - {"__version__", "DEFAULT_LAYOUT"} <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_learning_imports_torch(path):
    heavy = {name.partition(".")[0] for name in imported(path)} & HEAVY
    assert not heavy or room_of(path) == "learning"


def test_no_cycle_within_a_room():
    needs = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): {
            name.rpartition(".")[0] if not (ROOT / (name.replace(".", "/") + ".py")).exists()
            else name
            for name in imported(path) if name.startswith("racing_env.")
        }
        for path in MODULES
    }  # fmt: skip
    done: set[str] = set()
    while ready := {name for name in needs.keys() - done if needs[name] & needs.keys() <= done}:
        done |= ready
    assert needs.keys() == done
