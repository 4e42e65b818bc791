"""Compiled kernels are kept by the content of the sources that they were made from."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

from racing_env.common import kernel_cache
from racing_env.common.kernel_cache import (
    CAR,
    KERNEL_ROOMS,
    PACKAGE,
    ROLLOUT,
    add_kernels,
    announce_compiling,
    cache_folder,
    compiled_kernels,
    sources_digest,
)  # fmt: skip

PROFILE = """
import numpy as np
from racing_env.car.speed_profile import speed_profile
from racing_env.car.vehicle_files import read_vehicle
print(speed_profile(np.full(50, 0.02), np.full(50, 1.0), read_vehicle("racecar"))[0])
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for room in KERNEL_ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "module.py").write_text("x = 1\n")
    return tmp_path


@pytest.mark.parametrize("room", KERNEL_ROOMS)
@pytest.mark.parametrize("inner", [".", "inner"])
def test_any_source_counts_by_its_content(package, room, inner):
    def name() -> str:
        return cache_folder(package).name

    path = package / room / inner / "some.py"
    without = name()
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 1\n")
    before = name()
    assert before != without
    os.utime(path, (2_000_000_000, 2_000_000_000))
    assert name() == before
    path.write_text("x = 2\n")
    changed = name()
    assert changed != before
    path.rename(path.with_name("other.py"))
    assert name() not in (without, before, changed)


def test_the_digest_knows_no_order_and_no_folder(tmp_path):
    paths = [tmp_path / folder / "car" / "a.py" for folder in ("here", "there")]
    paths.append(tmp_path / "here" / "car" / "b.py")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.stem)
    here, there, other = paths
    assert sources_digest([here, other]) == sources_digest([other, here])
    assert sources_digest([here]) == sources_digest([there]) != sources_digest([other])


def test_folders_of_earlier_sources_are_removed(package, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    earlier = cache_folder(package)
    earlier.mkdir(parents=True)
    (package / "car" / "module.py").write_text("x = 3\n")
    assert cache_folder(package) != earlier
    assert not earlier.exists()


def test_a_folder_that_was_chosen_is_used(package, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert cache_folder(package).parent == tmp_path / "chosen"


def test_in_a_folder_that_cannot_be_written_kernels_are_read_and_others_are_kept_elsewhere(
    package, monkeypatch, tmp_path
):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("RACING_ENV_CACHE", str(tmp_path / "cache"))
    own = cache_folder(package)
    assert own.parent.parent == package
    kernels = {"car/a.1.nbc": b"code of a", "car/a.nbi": b"index of a"}
    for name, content in kernels.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(content)
    monkeypatch.setattr(kernel_cache, "why_not_writable", lambda folder: "Read-only file system")
    folder = cache_folder(package)
    assert folder == tmp_path / "cache" / own.name
    assert {name: (folder / name).read_bytes() for name in kernels} == kernels
    (folder / "car" / "a.nbi").write_bytes(b"index with more")
    assert cache_folder(package) == folder
    assert (folder / "car" / "a.nbi").read_bytes() == b"index with more"


def test_code_that_cannot_be_written_to_is_compiled_and_run(tmp_path):
    """No cache at all can be written; no word but one line, and no folder but for this start."""
    shutil.copytree(ROOT / "racing_env", tmp_path / "racing_env",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    (tmp_path / "racing_env" / "__pycache__").write_text("no folder, even for root")
    done = subprocess.run(
        [sys.executable, "-c", PROFILE], cwd=tmp_path, text=True, capture_output=True, check=True,
        env={"HOME": "/dev/null", "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert float(done.stdout) > 10.0
    assert done.stderr.count("Warning") == 1 and "set RACING_ENV_CACHE" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["racing_env"]


def test_kernels_of_another_machine_join_those_of_this_one(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "there"))
    theirs = {"car/a.nbi": b"their a", "car/b.1.nbc": b"their b", "car/b.nbi": b"index of b"}
    add_kernels(theirs)
    (cache_folder() / "car" / "a.nbi.tmp.1").write_bytes(b"half")
    assert compiled_kernels() == theirs
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "here"))
    assert compiled_kernels() == {}
    add_kernels({"car/a.nbi": b"our a"})
    add_kernels(theirs)
    assert compiled_kernels() == {**theirs, "car/a.nbi": b"our a"}


def test_all_kernels_are_in_rooms_whose_sources_count():
    with_kernels = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^@(kernel|inlined)\b", path.read_text(), re.MULTILINE)
    }
    assert with_kernels
    assert with_kernels <= set(KERNEL_ROOMS)


def test_an_updated_source_is_not_met_by_its_old_kernels(tmp_path):
    """A profile alone, whose own file stays as it is: the record of the car gains another order."""
    shutil.copytree(ROOT / "racing_env", tmp_path / "racing_env",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}

    def cornering_speed() -> str:
        return subprocess.run(
            [sys.executable, "-c", PROFILE], cwd=tmp_path, env=environment, text=True,
            capture_output=True, check=True,
        ).stdout  # fmt: skip

    before = cornering_speed()
    path = tmp_path / "racing_env" / "car" / "vehicle.py"
    lines = path.read_text().splitlines(keepends=True)
    mass, inertia = (
        next(i for i, line in enumerate(lines) if line.startswith(f"    {name}:"))
        for name in ("friction_front", "tyre_b_front")
    )
    lines[mass], lines[inertia] = lines[inertia], lines[mass]
    path.write_text("".join(lines))
    assert cornering_speed() == before


@pytest.mark.parametrize("kernel", [CAR, ROLLOUT])
def test_who_has_yet_to_compile_says_so_once(kernel, monkeypatch, tmp_path, capsys):
    """Nothing else is said for a minute then, and a newcomer takes it for an end."""
    room, _, function = kernel.partition("/")
    module, _, name = function.partition(".")
    assert f"def {name}(" in (PACKAGE / room / f"{module}.py").read_text()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    announce_compiling(kernel)
    said = capsys.readouterr().err
    assert "once: a minute or two" in said
    # a newcomer who evaluates first, and then learns, reads both
    assert said.startswith("learning through" if kernel == ROLLOUT else "the simulator")
    compiled = cache_folder() / room / f"{function}-241.py311.nbi"
    compiled.parent.mkdir(parents=True)
    compiled.write_bytes(b"")
    announce_compiling(kernel)
    assert capsys.readouterr().err == ""
