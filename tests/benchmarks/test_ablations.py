"""What each part of the recipe is worth: that the parts are left out, and that it runs."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmark_runs import measured
from cars import RACECAR
from clusters import cluster_of

from benchmarks import ablations
from racing_env.drivers.policy import load_policy
from racing_env.simulation.layouts import DEFAULT, layout_named

BLIND = "without the racing line in the observation"


def test_one_variant_sees_no_racing_line():
    layouts = {name: layout_named(v.layout, name) for name, v in ablations.VARIANTS.items()}
    blind = layouts.pop(BLIND)
    assert {layout.name for layout in layouts.values()} == {DEFAULT}
    assert not any("racing line" in quantity.meaning for quantity in blind.quantities)
    assert blind.size == layout_named(DEFAULT, "the default").size


def test_demonstrations_and_clones_of_variants_are_kept_apart(tmp_path, monkeypatch):
    calls = {}

    def note(folder, name, **flags):
        calls[name] = folder.name, flags

    monkeypatch.setattr(ablations, "once", note)

    def started(name):
        calls.clear()
        ablations.clone(tmp_path, ablations.VARIANTS[name], 3, ablations.TINY)
        return dict(calls)

    recipe, blind, plain = map(started, ("the recipe", BLIND, "without DAgger"))
    assert recipe["collect_demonstrations.py"][1]["layout"] == DEFAULT
    assert blind["collect_demonstrations.py"][1]["layout"] == "centre-preview-1"
    assert plain["collect_demonstrations.py"] == recipe["collect_demonstrations.py"]
    assert plain["train_bc.py"][1]["dagger_rounds"] == 0
    assert started("without cloning") == {}
    folders = set()
    for calls_of in (recipe, blind, plain):
        demonstrations, clone = calls_of["collect_demonstrations.py"], calls_of["train_bc.py"]
        assert clone[1]["data"] == tmp_path / "seed-3" / demonstrations[0]
        assert clone[1]["seed"] == demonstrations[1]["seed"] == 3
        folders |= {demonstrations[0], clone[0]}
    assert len(folders) == 2 + 3


def test_a_driver_of_random_weights_is_decided_by_the_seed(tmp_path):
    one, same, other = (
        ablations.random_driver(tmp_path / str(i) / "random.safetensors", seed)
        for i, seed in enumerate((5, 5, 6))
    )
    assert one.read_bytes() == same.read_bytes() != other.read_bytes()
    policy = load_policy(one)
    assert policy.vehicle == RACECAR and policy.layout.name == DEFAULT


@pytest.mark.slow
def test_on_a_cluster_they_are_those_of_one_machine(tmp_path):
    pytest.importorskip("ray")
    flags = ["--tiny", "--seeds", 0, 1, "--only", "the recipe"]
    here, _ = measured(tmp_path, "ablations", *flags, "--out", tmp_path / "here")
    with cluster_of(2) as cluster:
        flags += ["--out", tmp_path / "there", "--cluster", cluster.address]
        there, said = measured(tmp_path, "ablations", *flags)
    for ours, theirs in zip(*(r["variants"]["the recipe"] for r in (here, there)), strict=True):
        assert ours.pop("minutes") > 0.0 and theirs.pop("minutes") > 0.0
        assert ours == theirs
    assert "the recipe" in said
    for seed in ("seed-0", "seed-1"):
        driver = Path("tiny", seed, "the-recipe", "policy.safetensors")
        one, other = (load_policy(tmp_path / place / driver) for place in ("here", "there"))
        np.testing.assert_array_equal(one.weights[0], other.weights[0])


@pytest.mark.slow
def test_ablations_run(tmp_path):
    flags = ["--tiny", "--seeds", 0, "--out", tmp_path / "runs"]
    results, said = measured(tmp_path, "ablations", *flags)
    assert results["variants"].keys() == ablations.VARIANTS.keys()
    for (trained,) in results["variants"].values():
        assert 0 <= trained["finished"] <= trained["circuits"] == 1
        assert trained["transitions"] > 0
    assert all(name in said for name in ablations.VARIANTS)
    seed = tmp_path / "runs" / "tiny" / "seed-0"
    manifest = json.loads((seed / "demonstrations-centre-preview-1" / "manifest.json").read_text())
    assert manifest["task"]["layout"] == "centre-preview-1"
    driver = load_policy(seed / BLIND.replace(" ", "-") / "policy.safetensors")
    assert driver.layout.name == "centre-preview-1"
