"""What each part of adapting to conditions is worth: left out, on a part of the budget.

    python -m benchmarks.adaptation --json benchmarks/results/adaptation.json

For each variant the project is copied and some of its lines changed; in that copy a nominal driver
learns to adapt, in two processes, once for each seed, and drives the grid and the draws of
`evaluate.py --conditions road`. What is finished in --out is not done again; an --out of other code
than the project has now is refused. A price on steering is only paid for a car that swings: of the
shipped ones for the 1:10 car.
"""

import argparse
import itertools
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from benchmarks.markdown import table
from benchmarks.measuring import DRIVER, ROOT, in_threads, run_command, script, write_results
from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.common.files import read_json
from racing_env.common.project_jobs import files_below, write_below

PROJECT = ("*.py", "racing_env/**/*", "policies/*")


class Change(NamedTuple):
    """Some lines of the project, and what stands there instead."""

    file: str
    lines: str
    instead: str


TASK = "racing_env/simulation/task.py"
# What a driver adapts by is written twice: in kernels he learns, with numpy he is judged.
KERNELS, NUMPY = "racing_env/simulation/adaptation.py", "racing_env/drivers/guessing.py"
ADJOINT = "racing_env/simulation/adaptation_adjoint.py"
LOOP, JUDGED = "racing_env/simulation/closed_loop.py", "racing_env/laps/evaluation.py"
# A memory in which the conditions are as good as certain, in kernels and with numpy
TELL_IN_KERNELS = """
from racing_env.simulation.adaptation import SUMS, WEIGHTS
from racing_env.simulation.adaptation_adjoint import truth


@inlined
def tell(adaptation, own_conditions, memory):
    at = WEIGHTS
    for k in range(len(adaptation.middle)):
        memory[SUMS + k] = np.float32(1e4) * truth(adaptation, own_conditions, k)
        for other in range(k + 1):
            memory[at] = np.float32(1e4) if other == k else np.float32(0.0)
            at += 1


@inlined
def drive(
"""
TELL_WITH_NUMPY = """
from racing_env.drivers.guessing import COLUMNS, ROWS
from racing_env.simulation.adaptation import GUESSES, SEEN_ANY, SUMS, WEIGHTS


def tell(adaptation, simulator):
    told = 1.0 + simulator.cars.conditions[:, :GUESSES]
    told[:, DELAY] -= 1.0  # which is none of the factors
    simulator.memory[:, SUMS:WEIGHTS] = 1e4 * (told - adaptation.middle) / adaptation.half
    simulator.memory[:, WEIGHTS:SEEN_ANY] = 1e4 * (ROWS == COLUMNS)


def _act_by_policy("""
VARIANTS: Mapping[str, Sequence[Change]] = {
    "the recipe": [],
    "without other conditions": [
        Change(TASK, "conditions=ranges_for(LEARNING_ROAD, task.vehicle), starts", "starts")
    ],
    "without a price on steering": [
        Change(TASK, "ROAD_STEERING_PER_S * swinging * scales.turn_rate", "0.0")
    ],
    "without memory": [Change(KERNELS, "keep=math.exp(-1.0 / FADE_STEPS)", "keep=0.0")],
    "without the profile for the grip": [
        Change(
            KERNELS,
            "return np.sqrt(adaptation.middle[FRICTION] + adaptation.half[FRICTION] * careful)",
            "return np.float32(1.0)",
        ),
        Change(
            NUMPY,
            "np.sqrt(adaptation.middle[FRICTION] + adaptation.half[FRICTION] * careful)",
            "np.ones_like(careful)",
        ),
    ],
    "without care": [
        Change(
            KERNELS,
            "return Care(*(np.float32(part) for part in care))",
            "return Care(np.float32(0.0), np.float32(0.0), np.float32(GRIP_REACH))",
        )
    ],
    "without the actions on their way": [
        Change(KERNELS, "action = np.float32(asked[age, i])", "action = np.float32(0.0)"),
        Change(ADJOINT, "for age in range(len(by_asked)):", "for age in range(0):"),
        Change(NUMPY, "asked, pending, guess", "0.0 * asked, 0.0 * pending, guess"),
    ],
    "told the conditions": [
        Change(LOOP, "\n@inlined\ndef drive(\n", TELL_IN_KERNELS),
        Change(
            LOOP,
            "            tape.known[step, car] = episodes.memory[car, SEEN_ANY]\n",
            "            tape.known[step, car] = episodes.memory[car, SEEN_ANY]\n"
            "            tell(adaptation, cars.conditions[car], episodes.memory[car])\n",
        ),
        Change(JUDGED, "\ndef _act_by_policy(", TELL_WITH_NUMPY),
        Change(
            JUDGED,
            "    return policy.act(simulator.observe(), simulator.memory)\n",
            "    if policy.adapts:\n        tell(policy.adaptation, simulator)\n"
            "    return policy.act(simulator.observe(), simulator.memory)\n",
        ),
    ],
}


class Sizes(NamedTuple):
    policy: Path  # that learns
    timesteps: int
    training: Sequence[str]  # further flags of train_rl.py
    racing: str


FULL = Sizes(DRIVER, 10_000_000, (), "random:1000:20")
TINY = Sizes(DRIVER, 1_000, ("--cars", "8", "--track", "oval", "--judge-on", "oval"), "oval")


def changed(source: str, change: Change) -> str:
    """Raises ValueError unless the lines are there once."""
    if source.count(change.lines) != 1:
        raise ValueError(f"{change.file}: has '{change.lines}' {source.count(change.lines)} times")
    return source.replace(change.lines, change.instead)


def _project_below(folder: Path) -> dict[str, bytes]:
    return {k: v for pattern in PROJECT for k, v in files_below(folder, pattern).items()}


def copy_project(folder: Path, changes: Sequence[Change]) -> None:
    """The project as the variant has it, unless it is there already.

    Raises InputError if what is there is of other code, of which its runs would be too.
    """
    files = _project_below(ROOT)
    for change in changes:
        files[change.file] = changed(files[change.file].decode(), change).encode()
    if folder.exists() or any(folder.parent.glob(f"{folder.name}-[0-9]*")):  # or its runs
        found = _project_below(folder)
        differ = sorted(k for k in files.keys() | found.keys() if files.get(k) != found.get(k))
        if differ:
            raise InputError(
                f"{folder / differ[0]}: is not as the project has it now; use another --out, or "
                f"remove the folder and its runs {folder.name}-*"
            )
        return
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_below(fresh, files)
    fresh.rename(folder)


def train(project: Path, out: Path, seed: int, sizes: Sizes) -> None:
    if not (out / "summary.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        command = script("train_rl.py", policy=sizes.policy, conditions="road", envs=1,
                         device="cpu", timesteps=sizes.timesteps, seed=seed, out=out)  # fmt: skip
        run_command([*command, *sizes.training], folder=project)


def drive(project: Path, out: Path, sizes: Sizes) -> list[dict[str, Any]]:
    """The rows of `evaluate.py --conditions road`: nominal, the grid, the draws."""
    laps = out / "laps.json"
    if not laps.exists():
        command = script("evaluate.py", driver=out / "policy.safetensors", conditions="road",
                         laps=1, track=sizes.racing, workers=1, json=laps)  # fmt: skip
        run_command(command, folder=project)
    found: list[dict[str, Any]] = read_json(laps)
    return found


def judged(laps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Drives that finished, of how many, and their mean of lap / lap of the condition's profile."""
    ratios = [lap["ratio"] for lap in laps if lap["finished"]]
    return {
        "finished": len(ratios), "drives": len(laps), "ratio": mean(ratios) if ratios else None
    }  # fmt: skip


def project_of(out: Path, name: str) -> Path:
    return out / name.replace(" ", "-")


def ablate(out: Path, name: str, seed: int, sizes: Sizes) -> dict[str, Any]:
    """One variant with one seed."""
    project = project_of(out, name)
    learnt = out / f"{project.name}-{seed}"
    train(project, learnt, seed, sizes)
    laps = drive(project, learnt, sizes)
    rows = {
        "nominal": [lap for lap in laps if lap["row"] == "nominal"],
        "draws": [lap for lap in laps if lap["row"].endswith("draws")],
        "all": laps,
    }
    return {key: judged(of_row) for key, of_row in rows.items()} | {
        "minutes": read_json(learnt / "summary.json")["wall_s"] / 60
    }


def shown(runs: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Finished, and the ratio, of each seed."""
    of_key = [run[key] for run in runs]
    ratios = ["-" if one["ratio"] is None else f"{one['ratio']:.3f}" for one in of_key]
    counts = " / ".join(str(one["finished"]) for one in of_key)
    return [f"{counts} of {of_key[0]['drives']}", " / ".join(ratios)]


def report(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    keys = ("nominal", "draws", "all")
    rows = [[name, *itertools.chain(*(shown(runs, key) for key in keys))]
            for name, runs in results.items()]  # fmt: skip
    columns = ["variant", *itertools.chain(*([f"{key}: finished", "ratio"] for key in keys))]
    return table(columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--out", type=Path, default=Path("runs/adaptation"), help="where runs are kept")
    flag("--seeds", type=cli.seed_int, nargs="+", default=[0, 1, 2])
    flag("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    flag("--jobs", type=cli.positive_int, default=cli.available_cores(),
         help="trainings at a time (cores)")  # fmt: skip
    flag("--policy", type=Path, default=DRIVER, help=f"nominal driver ({DRIVER.relative_to(ROOT)})")
    flag("--timesteps", type=cli.positive_int, help=f"of a training ({FULL.timesteps:,})")
    flag("--tiny", action="store_true", help="only to see that all parts work")
    flag("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    sizes = (TINY if args.tiny else FULL)._replace(policy=args.policy.resolve())
    if args.timesteps:
        sizes = sizes._replace(timesteps=args.timesteps)
    out = args.out.resolve() / f"{sizes.policy.stem}-{sizes.timesteps}"
    out.mkdir(parents=True, exist_ok=True)

    def job(seed_and_name: tuple[int, str]) -> dict[str, Any]:
        seed, name = seed_and_name
        done = ablate(out, name, seed, sizes)
        print(f"seed {seed}, {name}: {done}", file=sys.stderr, flush=True)
        return done

    for name in args.only:
        copy_project(project_of(out, name), VARIANTS[name])
    jobs = list(itertools.product(args.seeds, args.only))
    done = in_threads(job, jobs, args.jobs)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in args.only}
    for (_, name), found in zip(jobs, done, strict=True):
        results[name].append(found)
    print(report(results))
    written = {"policy": sizes.policy.stem, "seeds": args.seeds, "timesteps": sizes.timesteps,
               "variants": results}  # fmt: skip
    write_results(args.json, written)


if __name__ == "__main__":
    cli.run(main)
