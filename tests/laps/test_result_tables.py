"""The tables that evaluate.py prints."""

from racing_env.laps.evaluation import FINISHED, OFF_TRACK, LapResult
from racing_env.laps.result_tables import condition_table, lap_table


def result(flying_s: float, end: str = FINISHED, profile_s: float = 20.0) -> LapResult:
    laps = (30.0, flying_s) if end == FINISHED else (30.0,)
    return LapResult("driver", "oval", 1000.0, profile_s, end, laps, 2000.0, 2)


def test_a_row_sums_up_its_drives_and_the_last_one_all():
    results = [
        {"expert": [result(22.0), result(24.0)], "fast": [result(21.0), result(21.0, OFF_TRACK)]},
        {"expert": [result(40.0, profile_s=40.0)] * 2, "fast": [result(0.0, OFF_TRACK)] * 2},
        {"expert": [result(26.0)] * 2, "fast": [result(25.0), result(0.0, OFF_TRACK)]},
    ]
    head, second, *rows, legend = condition_table(
        [("nominal", 1), ("2 draws", 2)], results
    ).splitlines()
    assert head.split() == ["condition", "expert", "fast"]
    assert second.split() == ["finished", "ratio"] * 2
    assert [row.split() for row in rows] == [
        ["nominal", "2", "of", "2", "1.150", "1", "of", "2", "1.050"],
        ["2", "draws", "4", "of", "4", "1.150", "1", "of", "4", "1.250"],
        ["all", "6", "of", "6", "1.150", "2", "of", "6", "1.150"],
    ]
    assert len({row.rindex("of") for row in rows}) == 1  # aligned
    assert "profile" in legend


def test_nothing_finished_has_no_ratio_and_one_row_no_sum():
    lines = condition_table([("noise 1", 1)], [{"x": [result(0.0, OFF_TRACK)]}]).splitlines()
    assert lines[2].split() == ["noise", "1", "0", "of", "1", "-"] and len(lines) == 4


def test_the_fastest_of_a_circuit_has_a_star():
    results = {"a": [result(22.0)], "b": [result(21.0)], "c": [result(20.0, OFF_TRACK)]}
    row = lap_table(results, None, "the speed profile").splitlines()[2]
    assert row.split() == [
        "oval", "1.00", "km", "22.00", "1.100", "2/2", "*21.00", "1.050", "2/2",
        "-", "-", "1/2", "off_track",
    ]  # fmt: skip
    assert " 44.000 " not in row and "0.500" in lap_table(results, {"oval": 44.0}, "x")
