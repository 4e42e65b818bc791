"""Running a benchmark as its users do."""

import json
from pathlib import Path

from processes import run_module


def measured(tmp_path: Path, name: str, *arguments: object) -> tuple[dict, str]:
    """The JSON and the output of a benchmark."""
    path = tmp_path / f"{name}.json"
    done = run_module(f"benchmarks.{name}", *arguments, "--json", path)
    assert done.returncode == 0, done.stderr
    results = json.loads(path.read_text())
    assert results["conditions"]["cores"] >= 1
    assert results["conditions"]["matrix_gflops"] > 0
    command = results["conditions"]["command"]
    assert command.startswith(f"python -m benchmarks.{name} ") and str(path) in command
    return results, done.stdout
