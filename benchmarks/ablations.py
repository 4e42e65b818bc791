"""What each part of the recipe is worth: left out, or replaced, on a small budget.

    python -m benchmarks.ablations --json benchmarks/results/ablations.json

For each seed demonstrations, by the script's defaults, and a clone, with 20 epochs and 3 DAgger
rounds; from there reinforcement learning in variants, each for about the same time, and a race on
circuits that nobody has seen. What is finished in --out is not done again. With --cluster each
variant of each seed is a job of its own on a Ray cluster, demonstrations and clone included.
"""

import argparse
import itertools
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch

from benchmarks.markdown import table
from benchmarks.measuring import ROOT, in_threads, run_command, script, write_results
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.common.cluster import Cluster
from racing_env.common.files import read_json
from racing_env.common.project_jobs import files_below, run_program, set_project, write_below
from racing_env.drivers.policy import Policy, save_policy
from racing_env.learning.network import linear_layers, policy_from_layers, policy_network
from racing_env.simulation.layouts import DEFAULT, layout_named

# Transitions: a small part of what the defaults are.
BUDGET = {"apg": 1_500_000, "ppo": 2_500_000, "sac": 3_000_000, "subproc": 40_000}


class Variant(NamedTuple):
    """A chain of training that differs from the recipe."""

    budget: str = "apg"
    rl: Mapping[str, str] = {}  # further flags of train_rl.py
    cloned: bool = True  # else reinforcement learning starts from random weights
    dagger: bool = True
    layout: str = DEFAULT  # what the driver sees
    demonstrations_in_rl: bool = False


VARIANTS = {
    "the recipe": Variant(),
    "without cloning": Variant(cloned=False),
    "without DAgger": Variant(dagger=False),
    "without the racing line in the observation": Variant(layout="centre-preview-1"),
    "one car a process (subproc)": Variant("subproc", {"vec_env": "subproc"}),
    "PPO": Variant("ppo", {"algo": "ppo"}),
    "SAC": Variant("sac", {"algo": "sac"}, demonstrations_in_rl=True),
    "SAC without demonstrations": Variant("sac", {"algo": "sac"}),
}


class Budgets(NamedTuple):
    """How much is done in the parts that all variants share."""

    demonstrations: Mapping[str, Any]
    cloning: Mapping[str, Any]
    training: str
    judging: str
    racing: str
    share: float  # of BUDGET


FULL = Budgets(
    {}, {"epochs": 20, "dagger_rounds": 3}, "random:1:200", "random:500:40", "random:1000:40", 1.0
)
TINY = Budgets(
    {"episodes": 2, "track": "oval"}, {"epochs": 3, "dagger_rounds": 1, "judge_on": "oval"},
    "oval", "oval", "oval", 1e-3,
)  # fmt: skip


def once(folder: Path, name: str, **flags: Any) -> None:
    """Run a script into the folder, unless that is done already."""
    if not (folder / "summary.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run_command(script(name, **flags, out=folder))


def random_driver(path: Path, seed: int) -> Path:
    """A policy of random weights; its actions are near zero."""
    torch.manual_seed(seed)
    layout = layout_named(DEFAULT, "the default")
    record = {"made_by": "benchmarks/ablations.py"}
    nobody = Policy((), (), read_vehicle(DEFAULT_VEHICLE), layout, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_policy(policy_from_layers(linear_layers(policy_network(layout.size)), nobody), path)
    return path


def clone(out: Path, variant: Variant, seed: int, budgets: Budgets) -> Path:
    """Demonstrations and behaviour cloning as the variant has them: the policy to start from."""
    folder = out / f"seed-{seed}"
    if not variant.cloned:
        return random_driver(folder / "random.safetensors", seed)
    demonstrations = folder / f"demonstrations-{variant.layout}"
    once(demonstrations, "collect_demonstrations.py", layout=variant.layout,
         seed=seed, workers=1, **budgets.demonstrations)  # fmt: skip
    bc = folder / f"bc-{variant.layout}{'' if variant.dagger else '-no-dagger'}"
    flags = {**budgets.cloning, **({} if variant.dagger else {"dagger_rounds": 0})}
    once(bc, "train_bc.py", data=demonstrations, seed=seed, workers=1, **flags)
    return bc / "policy.safetensors"


def ablate(out: Path, name: str, seed: int, budgets: Budgets) -> dict[str, Any]:
    """One variant with one seed, judged before and after reinforcement learning."""
    variant = VARIANTS[name]
    policy = clone(out, variant, seed, budgets)
    folder = out / f"seed-{seed}" / name.replace(" ", "-")
    flags = {**variant.rl, "envs": 1, "seed": seed}
    flags |= {"track": budgets.training, "judge_on": budgets.judging}
    if variant.demonstrations_in_rl:
        flags["data"] = out / f"seed-{seed}" / f"demonstrations-{DEFAULT}"
    timesteps = max(int(budgets.share * BUDGET[variant.budget]), 1000)
    once(folder, "train_rl.py", policy=policy, timesteps=timesteps, **flags)
    laps = folder / "laps.json"
    command = script("evaluate.py", driver=policy, track=budgets.racing, laps=1, json=laps)
    run_command([*command, "--driver", str(folder / "policy.safetensors")])
    summary = read_json(folder / "summary.json")
    before, after = (
        [lap for lap in read_json(laps) if lap["driver"] == str(driver)]
        for driver in (policy, folder / "policy.safetensors")
    )
    return {
        "transitions": summary["timesteps"],
        "minutes": summary["wall_s"] / 60,
        "circuits": len(after),
        **{f"start_{key}": value for key, value in judged(before).items()},
        **judged(after),
    }


def on_cluster(args: argparse.Namespace) -> list[dict[str, dict[str, Any]]]:
    """The results of each seed, by variant; what else the runs have left is in args.out, too."""
    cluster = Cluster(args.cluster)
    patterns = ("*.py", "benchmarks/*.py", "racing_env/**/*")
    project = {k: v for pattern in patterns for k, v in files_below(ROOT, pattern).items()}
    of_seeds: dict[int, dict[str, dict[str, Any]]] = {seed: {} for seed in args.seeds}
    jobs = list(itertools.product(args.seeds, args.only))
    commands = [
        ["-m", "benchmarks.ablations", "--seeds", str(seed), "--only", name, "--jobs", "1",
         "--out", "results", "--json", "results/ablations.json", *["--tiny"] * args.tiny]
        for seed, name in jobs
    ]  # fmt: skip
    with cluster.pool(set_project, (project,)) as pool:
        for (seed, name), files in zip(jobs, pool.imap(run_program, commands), strict=True):
            write_below(args.out, files)
            (of_seeds[seed][name],) = read_json(args.out / "ablations.json")["variants"][name]
            (args.out / "ablations.json").unlink()
            print(f"seed {seed}, {name}: {of_seeds[seed][name]}", file=sys.stderr, flush=True)
    return list(of_seeds.values())


def judged(laps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Circuits finished, and there the mean of lap / lap of the speed profile."""
    ratios = [lap["flying_lap_s"] / lap["profile_lap_s"] for lap in laps if lap["finished"]]
    return {"finished": len(ratios), "ratio": mean(ratios) if ratios else None}


def shown(runs: Sequence[Mapping[str, Any]], prefix: str) -> tuple[str, str]:
    """Laps finished and ratio of each seed."""
    ratios = [run[f"{prefix}ratio"] for run in runs]
    return (
        " / ".join(str(run[f"{prefix}finished"]) for run in runs),
        " / ".join("-" if ratio is None else f"{ratio:.3f}" for ratio in ratios),
    )


def report(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = [
        [name, f"{mean(run['minutes'] for run in runs):.1f}",
         f"{mean(run['transitions'] for run in runs):,.0f}",
         *shown(runs, "start_"), *shown(runs, "")]
        for name, runs in results.items()
    ]  # fmt: skip
    return table(["variant", "minutes", "transitions", "finished at the start",
                  "ratio at the start", "finished", "ratio"], rows)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--out", type=Path, default=Path("runs/ablations"), help="where runs are kept")
    flag("--seeds", type=cli.seed_int, nargs="+", default=[0, 1, 2])
    flag("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    flag("--jobs", type=cli.worker_int, default=2, help="seeds trained at a time (2)")
    flag("--cluster", metavar="ADDRESS", help=cli.CLUSTER_HELP)
    flag("--tiny", action="store_true", help="only to see that all parts work")
    flag("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    size, budgets = ("tiny", TINY) if args.tiny else ("full", FULL)
    out = args.out.resolve() / size  # or small runs would be taken for finished large ones

    def with_seed(seed: int) -> dict[str, dict[str, Any]]:
        done = {}
        for name in args.only:
            done[name] = ablate(out, name, seed, budgets)
            print(f"seed {seed}, {name}: {done[name]}", file=sys.stderr, flush=True)
        return done

    of_seeds = on_cluster(args) if args.cluster else in_threads(with_seed, args.seeds, args.jobs)
    results = {name: [of_seed[name] for of_seed in of_seeds] for name in args.only}
    print(report(results))
    write_results(args.json, {"seeds": args.seeds, "jobs": args.jobs, "variants": results})


if __name__ == "__main__":
    cli.run(main)
