"""The scripts one after another, each with what the one before left, on a tiny budget."""

import json
from pathlib import Path

import pytest
from processes import run

from racing_env.drivers.policy import load_policy

STAGES = (
    ("collect_demonstrations.py", "--track oval club --episodes 2 --out demonstrations"),
    ("train_bc.py", "--data demonstrations --epochs 1 --dagger-rounds 0 --judge-on oval --out bc"),
    ("train_rl.py", "--policy bc/policy.safetensors --timesteps 6400 --envs 1 --cars 16 "
     "--track oval --judge-on oval --out rl"),
    ("train_rl.py", "--policy rl/policy.safetensors --timesteps 6400 --envs 1 --cars 16 "
     "--track oval --judge-on oval --conditions road --out road"),
    ("evaluate.py", "--driver expert bc/policy.safetensors rl/policy.safetensors --track oval "
     "--laps 1 --json evaluation.json"),
    ("evaluate.py", "--driver rl/policy.safetensors road/policy.safetensors --track oval --laps 1 "
     "--condition nominal --condition friction=0.9 --json conditions.json"),
)  # fmt: skip
SUMMARIES = {
    "demonstrations": {"stage", "workers", "wall_s", "transitions_per_s"},
    "bc": {"stage", "workers", "wall_s", "examples_per_s", "laps_finished", "lap_ratio"},
    "rl": {"stage", "envs", "wall_s", "steps_per_s", "timesteps", "laps_finished", "lap_ratio"},
}
SUMMARIES["road"] = SUMMARIES["rl"]


def strict_json(path: Path):
    return json.loads(path.read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "layout", ["line-preview-1", pytest.param("centre-preview-1", marks=pytest.mark.slow)]
)
def test_pipeline(tmp_path, layout):
    for script, flags in STAGES:
        seen = ("--layout", layout) if script == "collect_demonstrations.py" else ()
        done = run(script, *flags.split(), *seen, cwd=tmp_path)
        assert done.returncode == 0, (script, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
    for stage, keys in SUMMARIES.items():
        summary = strict_json(tmp_path / stage / "summary.json")
        assert keys <= set(summary), stage
        assert summary["wall_s"] > 0
    assert strict_json(tmp_path / "rl" / "summary.json")["timesteps"] == 6400
    for stage, script in (("bc", "train_bc.py"), ("rl", "train_rl.py"), ("road", "train_rl.py")):
        policy = load_policy(tmp_path / stage / "policy.safetensors")
        assert policy.record["made_by"] == script
        assert policy.adapts == (stage == "road")
        assert policy.layout.name == layout
        assert (tmp_path / stage / "curve.csv").read_text().count("\n") >= 2
    under = strict_json(tmp_path / "conditions.json")
    assert [result["condition"] for result in under] == [{}] * 2 + [{"friction": 0.9}] * 2
    results = strict_json(tmp_path / "evaluation.json")
    results = results["results"] if isinstance(results, dict) else results
    assert [result["track"] for result in results] == ["oval"] * 3
    expert, clone, driver = results
    assert expert["driver"] == "expert" and expert["finished"] and expert["flying_lap_s"] > 0
    assert clone["driver"] != driver["driver"]
    for result in results:
        assert result["distance_m"] > 0 and isinstance(result["off_track"], int)
