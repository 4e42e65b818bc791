"""What each part of the recipe is worth: that the parts are left out, and that it runs."""

import re

import pytest
from benchmark_runs import measured
from processes import ROOT

from benchmarks import ablations


def test_centre_line_takes_the_racing_lines_place_in_the_observation():
    source = (ROOT / "racing_env" / "simulation" / "observation.py").read_text(encoding="utf-8")
    changed = ablations.seeing_the_centre_line(source)
    assert set(re.findall(r"bank\.(LINE_\w+)", changed)) == {"LINE_SPEED"}
    with pytest.raises(RuntimeError, match=r"does not read bank\.LINE_X"):
        ablations.seeing_the_centre_line(changed)


@pytest.mark.slow
def test_ablations_run(tmp_path):
    flags = ["--tiny", "--seeds", 0, "--out", tmp_path / "runs"]
    results, said = measured(tmp_path, "ablations", *flags)
    assert results["variants"].keys() == ablations.VARIANTS.keys()
    for (trained,) in results["variants"].values():
        assert 0 <= trained["finished"] <= trained["circuits"] == 1
        assert trained["transitions"] > 0
    assert all(name in said for name in ablations.VARIANTS)
