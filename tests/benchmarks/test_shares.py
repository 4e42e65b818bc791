"""What one process does alone, and what follows from it."""

import pytest
from benchmark_runs import measured

from benchmarks import learning, rendering, shares, throughput
from racing_env.drivers.policy import load_policy


def test_speed_ups_follow_from_what_is_done_alone():
    results = {
        "rl": {"1": {"driving_ms": 90.0, "besides_ms": 10.0},
               "8": {"driving_ms": 15.0, "besides_ms": 10.0},
               "16": {"driving_ms": 10.0, "besides_ms": 10.0}},
        "demonstrations": {"writing_ms": 10.0, "driving_ms": 90.0},
        "bc": {"learner_s": 50.0, "workers_s": 50.0},
    }  # fmt: skip
    results["rl"] |= dict.fromkeys(("2", "4"), results["rl"]["1"])
    found = shares.predicted(results)
    assert (found["rl"][8], found["rl"][16], found["rl"][64]) == (4.0, 5.0, 5.0)
    assert (found["demonstrations"][8], found["demonstrations"][64]) == (8.0, 10.0)
    assert found["bc"] == dict.fromkeys((2, 4, 8, 16, 64), 2.0)  # the learner waits for nobody


@pytest.mark.parametrize("benchmark", [learning, rendering, shares, throughput])
def test_drivers_of_benchmarks_need_no_memory(benchmark):
    assert not load_policy(benchmark.DRIVER).adapts


@pytest.mark.slow
def test_shares_runs(tmp_path):
    results, said = measured(
        tmp_path, "shares", "--only", "rl", "demonstrations", "--rollouts", 1, "--episodes", 2,
        "--repeats", 1,
    )  # fmt: skip
    assert list(results["rl"]) == ["1", "2", "4", "8", "16"]
    assert all(case["driving_ms"] > case["besides_ms"] > 0 for case in results["rl"].values())
    assert shares.tables(results) in said
