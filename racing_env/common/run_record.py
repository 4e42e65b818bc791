"""What a run was made with: its flags, the program's version and its libraries', the machine."""

import argparse
import platform
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import racing_env
from racing_env.common.command_line import available_cores
from racing_env.common.files import read_json, write_json

FILE = "run.json"
LIBRARIES = (
    "torch", "numpy", "scipy", "numba", "piqp", "gymnasium", "stable-baselines3", "safetensors",
)  # fmt: skip


def write_run_record(folder: str | Path, args: argparse.Namespace) -> None:
    """Add this start of a script to the folder's run.json. Atomic.

    A list, so that a run that went on with --resume has a record of each of its starts.
    """
    path = Path(folder) / FILE
    starts = read_json(path) if path.exists() else []
    write_json(path, [*starts, run_record(args)])


def run_record(args: argparse.Namespace) -> dict[str, Any]:
    """This start: the command, its flags with their defaults filled in, versions, commit, time,
    machine.
    """
    flags = {name: _plain(value) for name, value in vars(args).items()}
    return {
        "script": Path(sys.argv[0]).name,
        "command": sys.argv,
        "flags": flags,
        "seed": flags.get("seed"),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "versions": {
            "python": platform.python_version(),
            "racing_env": racing_env.__version__,
            **{name: version(name) for name in LIBRARIES},
        },
        "platform": platform.platform(),
        "processor": processor(),
        "cores": available_cores(),
    }


def commit() -> str | None:
    """The commit of the checkout, "-dirty" behind it if files differ; None outside of one."""
    try:
        answer = subprocess.run(
            # no lock is taken, so none can be left behind
            ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=40",
             "--exclude=*"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):  # no git, no repository
        return None
    return answer.stdout.strip()


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def version(library: str) -> str | None:
    """The installed version, None if it is not installed."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
