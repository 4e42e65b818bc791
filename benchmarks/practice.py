"""What practice on a circuit is worth: a driver's laps before and after, and what it takes.

    python -m benchmarks.practice --track CIRCUITS --reference LIMITS.csv --out runs/practised \\
        --json benchmarks/results/practice.json

Runs `train_rl.py --practice` for each file of the folder, then both drivers on it. What --out has
already is not done again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.markdown import table
from benchmarks.measuring import DRIVER, ROOT, run_command, script, write_results
from racing_env.common import command_line as cli
from racing_env.common.files import read_json
from racing_env.laps.run_table import duration


def practised(circuit: Path, reference: Path | None, out: Path) -> dict[str, Any]:
    """Laps of both drivers, as `evaluate.py --json` has them, and the wall time (s) of practice."""
    learnt, laps = out / "rl", out / "laps.json"
    if not (learnt / "summary.json").exists():
        run_command(script("train_rl.py", practice=circuit, policy=DRIVER, out=learnt))
    if not laps.exists():
        flags = {"track": circuit, "json": laps} | ({"reference": reference} if reference else {})
        drivers = ["--driver", str(DRIVER), str(learnt / "policy.safetensors")]
        run_command([*script("evaluate.py", **flags), *drivers])
    before, after = read_json(laps)
    return {
        "circuit": circuit.stem,
        "wall_s": read_json(learnt / "summary.json")["wall_s"],
        "before": _without_root(before),
        "after": _without_root(after),
    }


def _without_root(laps: dict[str, Any]) -> dict[str, Any]:
    """As they were driven in any checkout."""
    return laps | {"driver": laps["driver"].removeprefix(f"{ROOT}/")}


def practice_table(cases: Sequence[dict[str, Any]]) -> str:
    rows = [
        [case["circuit"], *(shown(case[driver]) for driver in ("before", "after")),
         duration(case["wall_s"])]
        for case in cases
    ]  # fmt: skip
    finished = [case for case in cases if case["before"]["finished"] and case["after"]["finished"]]
    means = [
        f"{mean(case[driver]['ratio'] for case in finished):.4f}" if finished else "-"
        for driver in ("before", "after")
    ]
    rows.append(["mean", *means, duration(mean(case["wall_s"] for case in cases))])
    return table(["circuit", "before", "after", "minutes"], rows)


def shown(laps: dict[str, Any]) -> str:
    return f"{laps['ratio']:.4f}" if laps["finished"] else laps["end"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--track", type=Path, required=True, help="folder of circuits")
    flag("--reference", type=Path, help="their lap times to compare with (the speed profile's)")
    flag("--out", type=Path, default=Path("runs/practised"), help="folder (runs/practised)")
    flag("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    files = sorted(args.track.glob("*.csv"))
    cases = [practised(file.resolve(), args.reference, args.out.resolve() / file.stem)
             for file in files]  # fmt: skip
    print(practice_table(cases))
    write_results(args.json, {"cases": cases})


if __name__ == "__main__":
    cli.run(main)
