"""Virtual environments with the packages that this project is compared with.

Their requirements differ from ours and from each other's; git does not see them. Their tests and
benchmarks go without where they are missing.
"""

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.measuring import ROOT

VENVS = ROOT / "benchmarks" / ".peers-venv"
REQUIREMENTS = {
    "gymnasium": ("gymnasium[box2d]==1.4.0", "highway-env==1.12.1"),
    "gymkhana": ("gymkhana==1.2.0",),  # needs an older Gymnasium
    "commonroad": ("commonroad-vehicle-models==3.0.2", "numpy==2.4.6"),
}


def install() -> dict[str, str]:
    """Make what is missing; what could not be made, and why."""
    failed = {}
    for name, requirements in REQUIREMENTS.items():
        if python_of(name).exists():
            continue
        print(f"installing {' '.join(requirements)}", file=sys.stderr)
        unfinished = VENVS / f"{name}-unfinished"
        venv.create(unfinished, with_pip=True, clear=True, symlinks=True)
        done = subprocess.run(
            [unfinished / "bin" / "python", "-m", "pip", "install", "--quiet",
             "--disable-pip-version-check", *requirements],
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            failed[name] = done.stderr.strip().splitlines()[-1]
        else:
            unfinished.rename(VENVS / name)
    return failed


def python_of(name: str) -> Path:
    return VENVS / name / "bin" / "python"
