"""That it runs. Never how fast."""

import pytest
from benchmark_runs import measured

from pages import performance


@pytest.mark.slow
def test_throughput_runs(tmp_path):
    results, said = measured(tmp_path, "throughput", "--seconds", 0.05, "--repeats", 1)
    assert results["cases"]["simulator, cars: 256"]["per_cpu_s"] > 0
    table = performance.TABLES["throughput"](results)
    assert table in said and "subproc, processes: 8" in table
    for case in ("f1tenth", "formula_student", "under conditions"):
        assert f"simulator, cars: 256, {case}" in table
    assert "actions of racecar " in table and "actions of racecar-nominal" in table
