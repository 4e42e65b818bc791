import json

from benchmarks import practice
from benchmarks.measuring import ROOT


def laps(ratio: float | None) -> dict[str, object]:
    driver = str(ROOT / "policies/some.safetensors")
    return {"driver": driver, "finished": ratio is not None, "ratio": ratio, "end": "off_track"}


def case(name: str, before: float | None, after: float) -> dict[str, object]:
    return {"circuit": name, "wall_s": 60.0, "before": laps(before), "after": laps(after)}


def test_the_mean_is_of_circuits_that_both_finish():
    rows = practice.practice_table([case("a", 1.02, 1.01), case("b", None, 1.5)]).splitlines()
    assert [cell.strip() for cell in rows[-2].split("|")[1:4]] == ["b", "off_track", "1.5000"]
    assert [cell.strip() for cell in rows[-1].split("|")[1:4]] == ["mean", "1.0200", "1.0100"]


def test_what_is_there_is_not_done_again(tmp_path, monkeypatch):
    (tmp_path / "rl").mkdir()
    (tmp_path / "rl" / "summary.json").write_text(json.dumps({"wall_s": 61.5}))
    (tmp_path / "laps.json").write_text(json.dumps([laps(1.02), laps(1.01)]))
    monkeypatch.setattr(practice, "run_command", None)
    found = practice.practised(tmp_path / "mine.csv", None, tmp_path)
    assert found["circuit"] == "mine" and found["wall_s"] == 61.5
    assert found["after"]["ratio"] == 1.01
    assert found["before"]["driver"] == "policies/some.safetensors"
