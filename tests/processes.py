"""Starting the scripts, and kernels without the compiler, as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def start(script: str, *arguments: object, cwd: str | Path = ".") -> subprocess.Popen[str]:
    """A script of this project at work, in a session of its own that can be interrupted whole."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *map(str, arguments)], cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def run(script: str, *arguments: object, cwd: str | Path = ".") -> subprocess.CompletedProcess[str]:
    """A script's exit code and output."""
    process = start(script, *arguments, cwd=cwd)
    out, error = process.communicate(timeout=300)
    return subprocess.CompletedProcess(script, process.returncode, out, error)


def run_module(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Exit code and output of a program that is started as a module, from the root."""
    return subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)], cwd=ROOT, text=True,
        capture_output=True, timeout=600,
    )  # fmt: skip


def run_without(package: str, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A script's exit code and output where a package is not installed."""
    code = (
        f"import runpy, sys; sys.modules[{package!r}] = None\n"
        f"sys.argv = {[script, *map(str, arguments)]!r}\n"
        f"runpy.run_path({script!r}, run_name='__main__')\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def compiled_and_not(code: str, *arguments: object, folder: Path) -> list[dict[str, np.ndarray]]:
    """What code saves to the .npz in its last argument, with the compiler and without."""
    results = []
    for disabled in ("0", "1"):
        path = folder / f"result{disabled}.npz"
        subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments), str(path)],
            check=True,
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
            cwd=ROOT,
        )
        with np.load(path) as archive:
            results.append({name: archive[name] for name in archive.files})
    return results
