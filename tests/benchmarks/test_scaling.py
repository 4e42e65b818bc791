"""Each stage by the number of processes."""

import pytest
from benchmark_runs import measured

from benchmarks import scaling


def test_counts_go_up_to_the_cores():
    assert scaling.counts(1) == [1]
    assert scaling.counts(8) == [1, 2, 4, 8]
    assert scaling.counts(12) == [1, 2, 4, 8, 12]


def test_speed_up_is_over_the_first_count():
    speeds = {0: 100.0, 1: 90.0, 4: 200.0}
    rows = scaling.compared({count: {"per_s": speed} for count, speed in speeds.items()}, beside=1)
    assert [row["workers"] for row in rows] == [0, 1, 4]
    assert [row["speed_up"] for row in rows] == [1.0, 0.9, 2.0]
    assert [row["efficiency"] for row in rows] == [1.0, 0.45, 0.4]
    (alone, two) = scaling.compared({1: {"per_s": 10.0}, 2: {"per_s": 19.0}}, beside=0)
    assert alone["efficiency"] == 1.0 and two["efficiency"] == two["speed_up"] / 2 == 0.95


@pytest.mark.slow
def test_scaling_runs(tmp_path):
    picture = tmp_path / "scaling.png"
    results, said = measured(
        tmp_path, "scaling", "--only", "demonstrations", "cloning", "rl", "--up-to", 1,
        "--repeats", 1, "--episodes", 4, "--cloning-epochs", 1, "--timesteps", 20_480,
        "--plot", picture,
    )  # fmt: skip
    for name in ("demonstrations", "rl"):
        (case,) = results[name]
        assert case["workers"] == case["speed_up"] == 1
        assert case["per_s"] > 0 and case["tree_mb"] > case["worker_mb"] > 0
    assert all(case["wall_s"] > 0 for case in results["cloning"].values())
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert scaling.tables(results) in said
