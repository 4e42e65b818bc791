"""The programs work wherever, by whomever and on whatever they are started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

from racing_env.tracks.generator import built_in_track
from racing_env.tracks.reader import write_track

# What a system does of whose users this one is none.
UNKNOWN_USER = """
import pwd, runpy, sys

def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = unknown
script = sys.argv[1]
del sys.argv[0]
sys.path[0] = script.rpartition("/")[0]
runpy.run_path(script, run_name="__main__")
"""
LATIN = os.fsdecode(b"caf\xe9")  # of a file system whose names are not UTF-8


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True,
        errors="surrogateescape", timeout=600,
    )  # fmt: skip


def same_environment(**more: str) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8"} | more


@pytest.mark.slow
def test_an_unknown_user_without_a_home_who_cannot_write_to_the_code(tmp_path):
    """Kernels and lines are made anew, by several processes together; one line says so."""
    code, work = tmp_path / "code", tmp_path / "work"
    work.mkdir()
    shutil.copytree(ROOT / "racing_env", code / "racing_env",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    shutil.copy(ROOT / "evaluate.py", code)
    (code / "racing_env" / "__pycache__").write_text("no folder, even for root")
    done = run(
        sys.executable, "-c", UNKNOWN_USER, code / "evaluate.py", "--track", "oval", "club",
        "chicane", "--laps", 1, "--workers", 2, "--out", "out", cwd=work,
        PATH=os.environ["PATH"], TMPDIR=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1 and "there is no home folder" in done.stderr
    assert "3 of 3" in done.stdout
    assert [path.name for path in work.iterdir()] == ["out"]  # none that is called ~
    assert {path.name for path in tmp_path.iterdir()} == {"code", "work"}  # nothing is left


def test_a_program_is_started_through_a_link_from_another_folder(tmp_path):
    for name in ("export.py", "train_optimized.sh", "run_tests.sh"):
        (tmp_path / name).symlink_to(ROOT / name)
    here = same_environment(VIRTUAL_ENV=sys.prefix)
    done = run(sys.executable, "./export.py", "vehicle", "--vehicle", "racecar", "--out", "a.toml",
               cwd=tmp_path, **here)  # fmt: skip
    assert done.returncode == 0 and (tmp_path / "a.toml").exists(), done.stderr
    plans = [
        run(script, "--dry-run", "--out", tmp_path / "x", cwd=tmp_path, **here)
        for script in ("./train_optimized.sh", ROOT / "train_optimized.sh")
    ]
    assert plans[0].returncode == 0, plans[0].stderr
    assert plans[0].stdout == plans[1].stdout
    assert "usage" in run("./run_tests.sh", "--help", cwd=tmp_path, **here).stdout


def test_workers_have_the_package_of_their_script_wherever_it_is_started(tmp_path):
    """And not another of its name that lies there."""
    other = tmp_path / "racing_env"
    other.mkdir()
    (other / "__init__.py").write_text(f"open({str(tmp_path / 'met')!r}, 'w')")
    program = tmp_path / "elsewhere" / "program.py"
    program.parent.mkdir()
    program.write_text(
        f"import sys; sys.path[0] = {str(ROOT)!r}\n"
        "from pathlib import Path\n"
        "from racing_env.common.files import is_folder, readable\n"
        "from racing_env.common.workers import LocalPool\n"
        "if __name__ == '__main__':\n"
        "    with LocalPool(1, is_folder, (Path('/'),)) as pool:\n"
        "        print(*pool.imap(readable, ['a', 'b']), Path.cwd())\n"
    )
    done = run(sys.executable, program, cwd=tmp_path, **same_environment())
    assert done.stdout == f"a b {tmp_path}\n", done.stderr
    assert not (tmp_path / "met").exists()


@pytest.fixture
def latin(tmp_path) -> Path:
    """A folder, and in it a circuit, a car and a driver, whose names are not UTF-8."""
    folder = tmp_path / LATIN
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes no such names")
    from racing_env.car.vehicle_files import read_vehicle

    write_track(built_in_track("oval", read_vehicle("racecar")), folder / f"{LATIN}.csv")
    shutil.copy(ROOT / "racing_env/car/shipped/racecar.toml", folder / f"{LATIN}.toml")
    shutil.copy(ROOT / "policies/racecar.safetensors", folder / f"{LATIN}.safetensors")
    return folder


def test_a_file_name_that_is_not_utf8_is_driven_and_shown(latin):
    done = run(
        sys.executable, ROOT / "evaluate.py", "--driver", "expert", f"{LATIN}.safetensors",
        latin / f"{LATIN}.safetensors", "--track", latin, "--laps", 1, "--workers", 1,
        "--out", "out", cwd=latin, **same_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("caf�") > 2
    assert "caf�" in (latin / "out" / "report.html").read_text(encoding="utf-8")
    assert {path.name for path in (latin / "out").glob("caf*")} >= {"caf_.png", "caf_-expert.csv"}


@pytest.mark.parametrize(
    ("flags", "file"),
    [
        (["raceline", "--track", f"{LATIN}.csv"], "line.csv"),
        (["vehicle", "--vehicle", f"{LATIN}.toml"], "car.toml"),
        (["onnx", f"{LATIN}.safetensors"], "driver.onnx"),
    ],
)
def test_what_has_a_name_that_is_not_utf8_is_exported(latin, flags, file):
    done = run(sys.executable, ROOT / "export.py", *flags, "--out", latin / file, cwd=latin,
               **same_environment())  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (latin / file).exists()


def test_a_training_says_that_tensorboard_takes_no_such_folder(latin):
    done = run(
        sys.executable, ROOT / "train_rl.py", "--policy", f"{LATIN}.safetensors", "--out",
        latin / "rl", cwd=latin, **same_environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "TensorBoard" in done.stderr
