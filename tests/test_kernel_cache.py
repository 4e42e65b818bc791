"""Compiled kernels are dropped when a source is newer, and only then."""

import os
import runpy
from pathlib import Path

import pytest

from racing_env.kernel_cache import KERNEL_SOURCES, drop_stale_kernels

PACKAGE = Path(__file__).resolve().parent.parent / "racing_env"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "__pycache__").mkdir()
    for name in KERNEL_SOURCES:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000, 1000))
    for name, time in (("old.nbi", 900), ("new.nbi", 1100)):
        (tmp_path / "__pycache__" / name).touch()
        os.utime(tmp_path / "__pycache__" / name, (time, time))
    return tmp_path


def left(package: Path) -> list[str]:
    return sorted(file.name for file in (package / "__pycache__").iterdir())


def test_older_than_a_source_is_dropped(package):
    drop_stale_kernels(package)
    assert left(package) == ["new.nbi"]


@pytest.mark.parametrize("name", KERNEL_SOURCES)
def test_any_source_counts(package, name):
    os.utime(package / name, (2000, 2000))
    drop_stale_kernels(package)
    assert left(package) == []


def test_without_a_cache_nothing_happens(package):
    for file in (package / "__pycache__").iterdir():
        file.unlink()
    (package / "__pycache__").rmdir()
    drop_stale_kernels(package)


def test_every_module_with_kernels_is_named():
    with_kernels = {
        file.name
        for file in PACKAGE.glob("*.py")
        if "njit(" in (text := file.read_text()) or "@dyn.kernel" in text or "@inlined" in text
    }
    assert with_kernels <= set(KERNEL_SOURCES)


def test_the_dynamics_drop_them_when_imported(monkeypatch):
    calls = []
    monkeypatch.setattr("racing_env.kernel_cache.drop_stale_kernels", calls.append)
    runpy.run_path(str(PACKAGE / "dynamics.py"))
    assert calls == [PACKAGE]
