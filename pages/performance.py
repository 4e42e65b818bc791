"""Write the tables of docs/performance.md from benchmarks/results/*.json.

    python -m pages.performance

A table whose file is not there, or was left by an earlier form of its benchmark, stays as it is.
"""

import argparse
from collections.abc import Callable
from typing import Any

from benchmarks import (
    adaptation,
    learning,
    peers,
    practice,
    scaling,
    shares,
    throughput,
    transfer,
)
from benchmarks.markdown import table
from benchmarks.measuring import RESULTS, ROOT
from pages.marks import between
from racing_env import DEFAULT_VEHICLE
from racing_env.common import command_line as cli
from racing_env.common.files import read_json, replaced_atomically
from racing_env.laps.run_table import duration

PAGE = ROOT / "docs" / "performance.md"
STAGES = ("demonstrations", "bc", "rl", "road")


def scaling_tables(results: dict[str, Any]) -> str:
    return f"{scaling.tables(results)}\n\n![Speed-up over processes](scaling.png)"


def peers_table(results: dict[str, Any]) -> str:
    lines = [peers.tables(results["cases"])]
    lines += [f"- {name}: missing, {why}" for name, why in results["missing"].items()]
    return "\n".join(lines)


def transfer_table(results: dict[str, Any]) -> str:
    lines = [transfer.transfer_table(results["cases"])]
    lines += [f"- {name}: missing, {why}" for name, why in results["missing"].items()]
    return "\n".join(lines)


def run_table() -> str:
    """The published run: wall time of its stages, and memory; beside it a run on more cores."""
    folder = RESULTS / "cars" / DEFAULT_VEHICLE
    on, memory = (read_json(folder / f"{name}.json") for name in ("machine", "memory"))
    stages = [stage for stage in STAGES if (folder / f"{stage}.json").exists()]
    walls_s = {stage: read_json(folder / f"{stage}.json")["wall_s"] for stage in stages}
    other = read_json(RESULTS / "run_16_cores.json")
    others_s = other["wall_s"]
    rows = [[stage, duration(walls_s[stage]), duration(others_s[stage])] for stage in stages]
    totals_s = sum(walls_s.values()), sum(others_s[stage] for stage in stages)
    rows.append(["the stages", *map(duration, totals_s)])
    rows.append(["peak memory", f"{memory['peak_bytes'] / 1e6:,.0f} MB", "–"])
    columns = ["stage", *(f"{run['cores']} cores" for run in (on, other["conditions"]))]
    return f"{with_conditions({'conditions': on}, table(columns, rows))}\n\n{beside(other)}"


def beside(other: dict[str, Any]) -> str:
    """What the run in the last column was."""
    on, processes = other["conditions"], other["processes"]
    shared = ", ".join(f"{stage} {count}" for stage, count in processes.items())
    return (
        f"The last column: `{on['command']}` on {on['cores']} cores ({on['processor']}, Python "
        f"{on['python']}), {on['date']}, commit {on['commit'][:7]}; processes: {shared}."
    )


def accelerator_table(results: dict[str, Any]) -> str:
    """What the same training makes a second without and with a GPU, each measured once."""
    rows = [
        [name, f"{per_s['cpu']:,.0f}", f"{per_s['cuda']:,.0f}", results["unit"][name],
         f"{per_s['cuda'] / per_s['cpu']:.2f}"]
        for name, per_s in results["per_s"].items()
    ]  # fmt: skip
    on = results["conditions"]
    columns = ["training", "cpu", on["accelerator"], "of", "ratio"]
    return f"{table(columns, rows)}\n\n`bc` is `{on['cloning']}`."


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "throughput": lambda results: throughput.steps_table(results["cases"]),
    "peers": peers_table,
    "transfer": transfer_table,
    "learning": lambda results: learning.learning_table(results["cases"]),
    "scaling": scaling_tables,
    "shares": shares.tables,
    "shares_16_cores": shares.tables,
    "accelerator": accelerator_table,
    "adaptation": lambda results: adaptation.report(results["variants"]),
    "practice": lambda results: practice.practice_table(results["cases"]),
}


def with_conditions(results: dict[str, Any], content: str) -> str:
    on = results["conditions"]
    speed = f", NumPy {on['matrix_gflops']:.0f} GFLOP/s" if "matrix_gflops" in on else ""
    return (
        f"`{on['command']}` on {on['cores']} cores ({on['processor']}, Python {on['python']}"
        f"{speed}), {on['date']}:\n\n{content}"
    )


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    text = PAGE.read_text(encoding="utf-8")
    for name, write in TABLES.items():
        path = RESULTS / f"{name}.json"
        if path.exists() and "conditions" in (results := read_json(path)):
            text = between(text, name, with_conditions(results, write(results)))
        else:
            print(f"{path}: not there or of an earlier form; its table stays as it is")
    text = between(text, "run", run_table())
    with replaced_atomically(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
