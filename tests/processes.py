"""Starting the scripts, as processes of their own or within the tests', and kernels without the
compiler.
"""

import contextlib
import io
import os
import runpy
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

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


def call(
    script: str, *arguments: object, cwd: str | Path = "."
) -> subprocess.CompletedProcess[str]:
    """As `run`, within this process, which has imported most of it already: a start costs seconds.

    For what does not depend on the process. What a script changes of that is put back.
    """
    said, error = io.StringIO(), io.StringIO()
    code: object = 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        patch.setattr(threading, "excepthook", threading.excepthook)
        patch.setattr(warnings, "showwarning", warnings.showwarning)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(error):
            try:
                runpy.run_path(str(ROOT / script), run_name="__main__")
            except SystemExit as end:
                code = end.code
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
    return subprocess.CompletedProcess(script, code, said.getvalue(), error.getvalue())


def run_module(
    name: str, *arguments: object, cwd: str | Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Exit code and output of a program of this project that is started as a module."""
    return subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)], cwd=cwd, text=True,
        capture_output=True, timeout=600, env=os.environ | {"PYTHONPATH": str(ROOT)},
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
