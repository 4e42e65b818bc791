"""Where the time of learning goes."""

import time

import pytest
from benchmark_runs import measured

from benchmarks import learning
from pages import performance


def test_stopwatch_counts_what_is_inside_once():
    stopwatch = learning.Stopwatch()
    with stopwatch.time("outer"):
        time.sleep(0.02)
        with stopwatch.time("inner"):
            time.sleep(0.2)
    assert stopwatch.seconds["inner"] >= 0.2
    assert 0.02 <= stopwatch.seconds["outer"] < stopwatch.seconds["inner"]


def test_shares_of_the_time_are_the_whole():
    seconds = {"environment": 4.0, "inference": 1.0, "update": 3.0}
    shares = learning.shares_of(seconds, 10.0, workers_s=6.0, processes=2)
    assert shares == {"cars": 0.3, "traffic": 0.1, "inference": 0.1, "update": 0.3, "rest": 0.2}
    alone = learning.shares_of(seconds, 10.0, workers_s=0.0, processes=0)
    assert alone["cars"] == 0.4 and alone["traffic"] == 0.0


@pytest.mark.slow
def test_learning_runs(tmp_path):
    results, said = measured(
        tmp_path, "learning", "--seconds", 0.1, "--repeats", 1, "--episodes", 4, "--envs", 1,
        "--only", "sac", "bc", "--bc-workers", 0, 1,
    )  # fmt: skip
    assert list(results["cases"]) == [
        "sac", "sac, SB3's defaults", "bc, loader workers: 0", "bc, loader workers: 1",
    ]  # fmt: skip
    for case in results["cases"].values():
        assert sum(case[part] for part in learning.PARTS) == pytest.approx(1.0)
        assert case["steps_per_s"] > 0 and case["updates_per_s"] > 0
    assert performance.TABLES["learning"](results) in said
