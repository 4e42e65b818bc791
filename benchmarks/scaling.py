"""How each stage, and the whole pipeline, gains from more processes.

    python -m benchmarks.scaling --json benchmarks/results/scaling.json --plot docs/scaling.png

Runs the project's own scripts with 1, 2, 4, 8, ... processes, up to the cores of this machine, all
counts in turn and that several times, and shows the medians: throughput as the script reports it,
speed-up over the least count, efficiency (speed-up by the processes that work), and the peak memory
of a first run that is not timed. Batches of cloning are loaded by 0, 1, 2 and 4 processes on any
machine; "cloning" is that whole stage, its rounds of driving included, with none and with one that
loads. The learner of cloning and of reinforcement learning works beside its processes. The pipeline
is `train_optimized.sh --quick` with one process a stage and with its own choice.
"""

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

from benchmarks.markdown import table
from benchmarks.measuring import (
    DRIVER,
    in_turn,
    peak_memory,
    run_command,
    script,
    spread,
    write_results,
)
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.common.files import read_json, replaced_atomically
from racing_env.common.workers import LocalWorkers
from racing_env.laps.run_table import duration
from racing_env.tracks.sources import load_circuits

EPISODES = 60
EPOCHS = 3
UPDATES = 16  # of the RL driver, of 25,600 transitions each
STAGES = ("demonstrations", "bc", "rl")
PARTS = ("demonstrations", "bc", "cloning", "rl", "pipeline")
TRACK, JUDGE = "random:1:20", "random:500:1"
QUICK = ("random:1:300", "random:500:40", "random:1000:6")  # train_optimized.sh --quick
FULL = ("random:1:300", "random:500:160", "random:1000:20")
SEQUENTIAL = {"DEMO_WORKERS": "1", "BC_WORKERS": "0", "RL_ENVS": "1"}


def counts(up_to: int) -> list[int]:
    """1, 2, 4, 8, ... and up_to itself."""
    powers = [2**i for i in range(up_to.bit_length()) if 2**i < up_to]
    return [*powers, up_to]


def commands(sizes: argparse.Namespace, data: str) -> dict[str, Callable[[int], list[str]]]:
    """What starts each stage with so many processes, but for its --out."""
    return {
        "demonstrations": lambda workers: script(
            "collect_demonstrations.py", episodes=sizes.episodes, track=TRACK, workers=workers
        ),
        "bc": lambda workers: script(
            "train_bc.py", data=data, epochs=sizes.epochs, dagger_rounds=0, judge_on=JUDGE,
            device="cpu", workers=workers,
        ),
        "rl": lambda envs: script(
            "train_rl.py", policy=DRIVER, timesteps=sizes.timesteps,
            track=TRACK, judge_on=JUDGE, device="cpu", envs=envs,
        ),
    }  # fmt: skip


def throughput(stage: str, command: Sequence[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        wall_s = run_command([*command, "--out", out])
        return {"per_s": read_json(Path(out) / "summary.json")[THROUGHPUT[stage]], "wall_s": wall_s}


def memory(command: Sequence[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        return peak_memory([*command, "--out", out])._asdict()


def measure_stage(
    stage: str, command: Callable[[int], list[str]], counts: Sequence[int], repeats: int
) -> list[dict[str, Any]]:
    """Memory of all counts, which also fills the caches, and then their times."""
    print(f"{stage} with {', '.join(map(str, counts))} processes", file=sys.stderr, flush=True)
    peaks = {count: memory(command(count)) for count in counts}
    cases = {count: functools.partial(throughput, stage, command(count)) for count in counts}
    times = in_turn(cases, repeats)
    return compared({count: {**times[count], **peaks[count]} for count in counts}, BESIDE[stage])


def pipeline(flags: Sequence[str], choice: dict[str, str]) -> dict[str, float]:
    """Wall time (s) of the pipeline and of its stages, and its peak memory (MB)."""
    with tempfile.TemporaryDirectory() as out:
        wall_s = run_command(["./train_optimized.sh", *flags, "--out", out], choice)
        run = Path(out)
        stages = {name: read_json(run / name / "summary.json")["wall_s"] for name in STAGES}
        peak_mb = read_json(run / "memory.json")["peak_bytes"] / 1e6
    return {"wall_s": wall_s, **stages, "tree_mb": peak_mb}


def compared(cases: dict[int, dict[str, Any]], beside: int) -> list[dict[str, Any]]:
    """The cases of a stage by count of processes, with speed-up over the first and efficiency.

    beside: 1 where the main process works, too.
    """
    least, first = next(iter(cases.items()))
    rows = []
    for count, case in cases.items():
        speed_up = case["per_s"] / first["per_s"]
        more = (count + beside) / (least + beside)
        rows.append({"workers": count, **case, "speed_up": speed_up, "efficiency": speed_up / more})
    return rows


def stage_table(unit: str, cases: Sequence[dict[str, Any]]) -> str:
    columns = ["processes", unit, "spread", "speed-up", "efficiency", "script's wall time",
               "peak memory", "largest worker"]  # fmt: skip
    rows = [
        [case["workers"], f"{case['per_s']:,.0f}", spread(case, "per_s"),
         f"{case['speed_up']:.2f}", f"{case['efficiency']:.2f}", f"{case['wall_s']:.1f} s",
         f"{case['tree_mb']:,.0f} MB", f"{case['worker_mb']:,.0f} MB"]
        for case in cases
    ]  # fmt: skip
    return table(columns, rows)


def pipeline_table(cases: dict[str, dict[str, Any]]) -> str:
    names = ["wall_s", *STAGES]
    rows = [
        [name, *(duration(case[key]) for key in names), f"{case['tree_mb']:,.0f} MB"]
        for name, case in cases.items()
    ]
    rows.append(["ratio", *(f"{a[key] / b[key]:.2f}" for a, b in [cases.values()] for key in names),
                 ""])  # fmt: skip
    return table(["processes", "whole run", *STAGES, "peak memory"], rows)


def cloning(data: str, epochs: int, workers: int) -> dict[str, float]:
    """Wall time (s) of the whole stage."""
    with tempfile.TemporaryDirectory() as out:
        return {
            "wall_s": run_command(
                script("train_bc.py", data=data, epochs=epochs, device="cpu", workers=workers,
                       out=out)
            )
        }  # fmt: skip


def cloning_table(cases: dict[str, dict[str, Any]]) -> str:
    first = next(iter(cases.values()))["wall_s"]
    rows = [
        [
            loading,
            f"{case['wall_s']:.1f} s",
            spread(case, "wall_s"),
            f"{first / case['wall_s']:.2f}",
        ]
        for loading, case in cases.items()
    ]
    return table(["processes that load", "wall time", "spread", "speed-up"], rows)


THROUGHPUT = {  # keys of the stages' summaries
    "demonstrations": "transitions_per_s",
    "bc": "examples_per_s",
    "rl": "steps_per_s",
}
BESIDE = {"demonstrations": 0, "bc": 1, "rl": 1}
UNITS = {"demonstrations": "transitions/s", "bc": "examples/s", "rl": "transitions/s"}


def tables(results: dict[str, Any]) -> str:
    """All that was measured, as text and as Markdown."""
    parts = [
        f"{name}:\n\n{stage_table(UNITS[name], results[name])}"
        for name in UNITS
        if results.get(name)
    ]
    if results.get("cloning"):
        parts.append(f"cloning, driving included:\n\n{cloning_table(results['cloning'])}")
    if results.get("pipeline"):
        parts.append(f"pipeline:\n\n{pipeline_table(results['pipeline'])}")
    return "\n\n".join(parts)


def plot(results: dict[str, Any], path: Path) -> None:
    """Speed-up over processes, and the line where each process adds one."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    most = 1
    for name in UNITS:
        if cases := results.get(name):
            workers = [case["workers"] for case in cases]
            most = max(most, *workers)
            axes.plot(workers, [case["speed_up"] for case in cases], marker="o", label=name)
    axes.plot([1, most], [1, most], color="grey", linestyle=":", label="one more per process")
    axes.set(xlabel="processes", ylabel="speed-up over the least number", ylim=(0, None))
    axes.legend()
    with replaced_atomically(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    plt.close(figure)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run all that was asked for, after the caches of circuits are filled."""
    results: dict[str, Any] = {"repeats": args.repeats}
    powers = counts(args.up_to)
    workers = LocalWorkers(cli.available_cores())
    load_circuits([TRACK, JUDGE], read_vehicle(DEFAULT_VEHICLE), workers)
    with tempfile.TemporaryDirectory() as data:
        run_command(
            script("collect_demonstrations.py", episodes=args.episodes, track=TRACK, out=data)
        )
        for stage, command in commands(args, data).items():
            if stage in args.only:
                processes = [0, *counts(max(args.up_to, 4))] if stage == "bc" else powers
                results[stage] = measure_stage(stage, command, processes, args.repeats)
        if "cloning" in args.only:
            stages = {n: functools.partial(cloning, data, args.cloning_epochs, n) for n in (0, 1)}
            results["cloning"] = in_turn(stages, args.repeats)
    if "pipeline" in args.only:
        load_circuits(FULL if args.full else QUICK, read_vehicle(DEFAULT_VEHICLE), workers)
        flags = [] if args.full else ["--quick"]
        choices = {"one a stage": SEQUENTIAL, "own choice": {}}
        results["pipeline_command"] = " ".join(["./train_optimized.sh", *flags])
        results["pipeline"] = in_turn(
            {name: functools.partial(pipeline, flags, choice) for name, choice in choices.items()},
            args.pipeline_repeats,
        )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure (all)")
    flag("--up-to", type=cli.positive_int, default=cli.available_cores(),
         help="largest number of processes (cores)")  # fmt: skip
    flag("--repeats", type=cli.positive_int, default=3, help="turns of each stage (3)")
    flag("--episodes", type=cli.positive_int, default=EPISODES, help=f"to drive ({EPISODES})")
    flag("--epochs", type=cli.positive_int, default=EPOCHS, help=f"of cloning ({EPOCHS})")
    flag("--cloning-epochs", type=cli.positive_int, default=50, help="of the whole stage (50)")
    flag("--timesteps", type=cli.positive_int, default=UPDATES * 25_600,
         help=f"of reinforcement learning ({UPDATES * 25_600:,})")  # fmt: skip
    flag("--pipeline-repeats", type=cli.positive_int, default=1, help="turns of the pipeline (1)")
    flag("--full", action="store_true", help="the pipeline without --quick: an hour or so")
    flag("--json", type=Path, help="file for the results")
    flag("--plot", type=Path, help="file for a picture (PNG)")
    args = parser.parse_args()
    results = measure(args)
    print(tables(results))
    write_results(args.json, results)
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    cli.run(main)
