#!/usr/bin/env python
"""Make a finished run the one that the README shows, and its driver the one that is shipped.

    python benchmarks/publish.py runs/default

Copies the run's records into benchmarks/results (with the machine and the commit), its driver and
learning curve into policies/ and docs/, and writes the README's tables from them.
`benchmarks/animation.py` makes the README's animation of the driver that is shipped.
"""

import argparse
import shutil
import sys
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measuring import RESULTS, ROOT, between, commit_of, conditions
from racing_env.files import write_json
from racing_env.summary import duration, laps_compared, read_json

RECORDS = {
    "demonstrations/summary.json": "demonstrations.json",
    "bc/summary.json": "bc.json",
    "bc/curve.csv": "bc_curve.csv",
    "rl/summary.json": "rl.json",
    "rl/curve.csv": "rl_curve.csv",
    "evaluation/results.json": "evaluation.json",
    "memory.json": "memory_of_the_run.json",
}
SAID = {
    "expert": "expert (classical, best pace per circuit)",
    "clone": "clone (behaviour cloning and DAgger)",
    "RL driver": "RL driver (from the clone)",
}


def machine(run: Path) -> dict[str, Any]:
    """On what, with what and when the run was made; its folder lies in the checkout it ran in."""
    return {**conditions(), "command": "./train_optimized.sh", "commit": commit_of(run)}


def laps_table(results: list[dict[str, Any]]) -> str:
    drivers, common = laps_compared(results)
    lines = [
        f"Mean of the best flying laps on the {len(common)} circuits that all three finish",
        "(`benchmarks/results/evaluation.json`):",
        "",
        "| driver | circuits finished | flying lap | lap / expert's lap | lap / speed profile |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for driver, laps in drivers.items():
        times = [laps[track]["flying_lap_s"] for track in common]
        expert = [drivers["expert"][track]["flying_lap_s"] for track in common]
        profile = [laps[track]["profile_lap_s"] for track in common]
        finished = sum(lap["finished"] for lap in laps.values())
        lines.append(
            f"| {SAID[driver]} | {finished} of {len(laps)} | {mean(times):.2f} s "
            f"| {mean(a / b for a, b in zip(times, expert, strict=True)):.3f} "
            f"| {mean(a / b for a, b in zip(times, profile, strict=True)):.3f} |"
        )
    return "\n".join(lines)


def stages_table(run: Path, on: dict[str, Any]) -> str:
    demos, bc, rl = (
        read_json(run / stage / "summary.json") for stage in ("demonstrations", "bc", "rl")
    )
    memory = read_json(run / "memory.json")
    return "\n".join(
        [
            f"One `{on['command']}` on {on['cores']} cores ({on['processor']}), {on['date']}",
            "(`benchmarks/results/*.json`):",
            "",
            "| stage | workers | wall time | throughput |",
            "| --- | ---: | ---: | ---: |",
            f"| demonstrations | {demos['workers']} | {duration(demos['wall_s'])} "
            f"| {demos['transitions_per_s']:,.0f} transitions/s |",
            f"| bc | {bc['workers']} | {duration(bc['wall_s'])} "
            f"| {bc['examples_per_s']:,.0f} examples/s |",
            f"| rl | {rl['envs']} | {duration(rl['wall_s'])} | {rl['steps_per_s']:,.0f} steps/s |",
            "",
            f"Peak memory of all processes: {memory['peak_bytes'] / 2**20:,.0f} MB (proportional "
            "set size).",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    run = parser.parse_args().run
    for source, target in RECORDS.items():
        shutil.copy(run / source, RESULTS / target)
    on = machine(run)
    write_json(RESULTS / "machine.json", on)
    shutil.copy(run / "rl/policy.safetensors", ROOT / "policies/racecar.safetensors")
    shutil.copy(run / "rl/curve.csv", ROOT / "policies/racecar.csv")
    shutil.copy(run / "rl/learning_curve.png", ROOT / "docs/learning_curve.png")
    shutil.copy(run / "evaluation/random-1000-0.png", ROOT / "docs/lap.png")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    text = between(text, "laps", laps_table(read_json(run / "evaluation/results.json")))
    text = between(text, "stages", stages_table(run, on))
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
