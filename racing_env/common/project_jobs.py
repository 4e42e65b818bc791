"""Programs of the project's root, run in a copy of it wherever a pool's workers are."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path


class _WorkerState:
    """A worker's copy of the project; it goes with the process."""

    folder: "tempfile.TemporaryDirectory[str]"


_worker = _WorkerState()


def files_below(folder: Path, pattern: str = "**/*") -> dict[str, bytes]:
    """Contents by path relative to the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.glob(pattern))
        if path.is_file() and "__pycache__" not in path.parts
    }


def write_below(folder: Path, files: Mapping[str, bytes]) -> None:
    """Undo `files_below`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def set_project(files: Mapping[str, bytes]) -> None:
    """Have this process run programs in a folder with these files."""
    _worker.folder = tempfile.TemporaryDirectory(prefix="racing-env-")
    write_below(Path(_worker.folder.name), files)


def run_program(arguments: Sequence[str]) -> dict[str, bytes]:
    """Run Python with these arguments; all that the program has written to the folder `results`.

    Raises ChildProcessError with the last line that it said if it fails.
    """
    project = Path(_worker.folder.name)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=project, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        last = (done.stdout.strip().splitlines() or [""])[-1]
        raise ChildProcessError(
            f"{' '.join(arguments)} ended with exit code {done.returncode}: {last}"
        )
    return files_below(project / "results")
