"""Make a finished run the one that the README shows, and its driver the one that is shipped.

    python -m pages.publish runs/default --real real.json

Copies the run's records into benchmarks/results (with the machine and the commit it was made with),
its driver and learning curve into policies/ and docs/, and writes the README's tables from them.
real.json is what `evaluate.py --driver expert CLONE RL --track FOLDER --reference CSV --json` wrote
about the run's drivers on real circuits, with their time-optimal laps as the reference.
`python -m pages.animation` makes the README's animation of the driver that is shipped.
"""

import argparse
import shutil
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.measuring import ROOT
from pages.marks import between
from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import read_json, replaced_atomically, write_json
from racing_env.common.run_record import FILE
from racing_env.laps.run_table import duration, finished_of, laps_compared

COPIES = {  # from the run's folder to the checkout
    "benchmarks/results/demonstrations.json": "demonstrations/summary.json",
    "benchmarks/results/bc.json": "bc/summary.json",
    "benchmarks/results/bc_curve.csv": "bc/curve.csv",
    "benchmarks/results/rl.json": "rl/summary.json",
    "benchmarks/results/rl_curve.csv": "rl/curve.csv",
    "benchmarks/results/evaluation.json": "evaluation/results.json",
    "benchmarks/results/memory_of_the_run.json": "memory.json",
    "policies/racecar.safetensors": "rl/policy.safetensors",
    "policies/racecar.csv": "rl/curve.csv",
    "docs/learning_curve.png": "rl/learning_curve.png",
    "docs/lap.png": "evaluation/random-1000-0.png",
}
DRIVER_NAMES = {
    "expert": "expert (classical, best pace per circuit)",
    "clone": "clone (behaviour cloning and DAgger)",
    "RL driver": "RL driver (from the clone)",
}


def machine(run: Path) -> dict[str, Any]:
    """On what, with what and when the run was made, as the last start of its last stage says.

    Raises InputError if it does not say so.
    """
    path = run / "rl" / FILE
    try:
        start = read_json(path)[-1]
        return {
            "command": "./train_optimized.sh",
            "commit": start["commit"],
            "date": start["started"].partition("T")[0],
            "cores": start["cores"],
            "processor": start["processor"],
            "python": start["versions"]["python"],
        }
    except (LookupError, TypeError, AttributeError):
        raise InputError(
            f"{path}: does not say when, on what and with what the run was made; "
            "expected started, commit, cores, processor and versions, as runs record them now"
        ) from None


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
        lines.append(
            f"| {DRIVER_NAMES[driver]} | {finished_of(laps.values())} | {mean(times):.2f} s "
            f"| {mean(a / b for a, b in zip(times, expert, strict=True)):.3f} "
            f"| {mean(a / b for a, b in zip(times, profile, strict=True)):.3f} |"
        )
    return "\n".join(lines)


def real_table(results: list[dict[str, Any]]) -> str:
    drivers, common = laps_compared(results)
    lines = [
        f"On {len(results) // len(drivers)} real circuits, a standing and three flying laps each "
        "(`benchmarks/results/real_circuits.json`):",
        "",
        "| driver | circuits finished | flying lap / time-optimal lap | worst circuit |",
        "| --- | ---: | ---: | ---: |",
    ]
    for driver, laps in drivers.items():
        ratios = [laps[track]["ratio"] for track in common]
        lines.append(f"| {DRIVER_NAMES[driver]} | {finished_of(laps.values())} "
                     f"| {mean(ratios):.3f} | {max(ratios):.3f} |")  # fmt: skip
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
            f"Peak memory of all processes: {memory['peak_bytes'] / 1e6:,.0f} MB (proportional "
            "set size).",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--real", type=Path, required=True, metavar="JSON",
                        help="the drivers' laps on real circuits")  # fmt: skip
    args = parser.parse_args()
    publish(args.run, args.real, ROOT)


def publish(run: Path, real: Path, checkout: Path) -> None:
    """Copy and write all, or nothing if something is lacking: then InputError names it."""
    copies = {target: run / source for target, source in COPIES.items()}
    copies["benchmarks/results/real_circuits.json"] = real
    for source in copies.values():
        if not source.is_file():
            raise InputError(f"{source}: not there; expected a file that a finished run has")
    on = machine(run)
    readme = checkout / "README.md"
    text = readme.read_text(encoding="utf-8")
    text = between(text, "laps", laps_table(read_json(run / "evaluation/results.json")))
    text = between(text, "real", real_table(read_json(real)))
    text = between(text, "stages", stages_table(run, on))
    for target, source in copies.items():
        with replaced_atomically(checkout / target) as temporary:
            shutil.copyfile(source, temporary)
    write_json(checkout / "benchmarks/results/machine.json", on)
    with replaced_atomically(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
