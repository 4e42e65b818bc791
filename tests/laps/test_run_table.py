"""The table that ends a run."""

from pathlib import Path

import pytest

from racing_env.common.errors import InputError
from racing_env.common.files import write_json
from racing_env.laps.run_table import driver_rows, duration, run_table, table


def lap(driver: str, track: str, seconds: float | None) -> dict[str, object]:
    return {
        "driver": driver,
        "track": track,
        "finished": seconds is not None,
        "flying_lap_s": seconds,
        "standing_lap_s": None if seconds is None else seconds + 3,
    }


def finished_run(folder: Path) -> Path:
    write_json(
        folder / "demonstrations/summary.json",
        {"workers": 3, "wall_s": 59.6, "transitions_per_s": 12345.6, "speed_up": 2.954},
    )
    write_json(folder / "bc/summary.json", {"workers": 0, "wall_s": 125.0, "examples_per_s": None})
    write_json(folder / "rl/summary.json", {"envs": 4, "wall_s": 3600.0, "steps_per_s": 80000})
    write_json(folder / "evaluation/results.json", [lap("expert", "a", 90.0)])
    write_json(folder / "memory.json", {"peak_bytes": 1_500_000_000, "interval_s": 0.5})
    return folder


def test_a_run_in_words(tmp_path: Path) -> None:
    lines = run_table(finished_run(tmp_path)).splitlines()
    assert lines[1].split() == ["demonstrations", "3", "1:00", "12,346", "transitions/s", "2.95"]
    assert lines[2].split() == ["bc", "0", "2:05", "-", "-"]
    assert lines[3].split() == ["rl", "4", "60:00", "80,000", "steps/s", "-"]
    assert lines[-1].startswith("peak memory 1,500 MB")


def test_laps_are_compared_on_the_circuits_that_all_finished() -> None:
    results = [
        lap("expert", "a", 90.0),
        lap("expert", "b", 60.0),
        lap("runs/x/bc/policy.safetensors", "a", 92.0),
        lap("runs/x/bc/policy.safetensors", "b", None),
        lap("runs/x/rl/policy.safetensors", "a", 89.0),
        lap("runs/x/rl/policy.safetensors", "b", 58.0),
    ]
    assert driver_rows(results)[1:] == [
        ["expert", "2 of 2", "90.000 s", "93.000 s"],
        ["clone", "1 of 2", "92.000 s", "95.000 s"],
        ["RL driver", "2 of 2", "89.000 s", "92.000 s"],
    ]


def test_nobody_finished() -> None:
    assert driver_rows([lap("expert", "a", None)])[1] == ["expert", "0 of 1", "-", "-"]


@pytest.mark.parametrize("name", ["bc/summary.json", "evaluation/results.json"])
@pytest.mark.parametrize("content", [None, "{"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    path = finished_run(tmp_path) / name
    path.unlink()
    if content:
        path.write_text(content)
    with pytest.raises(InputError, match=name):
        run_table(tmp_path)


def test_memory_that_was_not_sampled_is_a_dash(tmp_path: Path) -> None:
    (finished_run(tmp_path) / "memory.json").unlink()
    assert run_table(tmp_path).endswith("peak memory -")


def test_durations_round_to_seconds() -> None:
    assert [duration(s) for s in (0.4, 59.6, 61.0, 3599.9)] == ["0:00", "1:00", "1:01", "60:00"]


def test_columns_are_aligned() -> None:
    assert table([["a", "long"], ["bcd", "1"]]) == "a    long\nbcd     1"
