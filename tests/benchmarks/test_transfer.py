"""That it runs where nobody's models are installed, and what its table says."""

import json

import pytest
from processes import ROOT

from benchmarks import peer_venvs, transfer
from benchmarks.measuring import RESULTS
from pages import performance
from racing_env.common.errors import InputError
from racing_env.common.files import read_json
from racing_env.laps.evaluation import LapResult


def lap(track: str, end: str, *times_s: float) -> LapResult:
    return LapResult("d", track, 100.0, 10.0, end, times_s, 200.0, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not say")
def test_transfer_runs_without_any_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peer_venvs, "VENVS", tmp_path)
    path = tmp_path / "transfer.json"
    arguments = ["transfer.py", "--track", "random:4000:2", "--model", "st", "--json", str(path)]
    monkeypatch.setattr("sys.argv", arguments)
    transfer.main()
    results = json.loads(path.read_text())
    assert set(results["missing"]) == {"st"} and results["conditions"]["cores"] >= 1
    assert {case["driver"] for case in results["cases"]} >= {"expert at 0.9", "f1tenth"}
    assert all(case["finished"] == 2 for case in results["cases"])
    said = capsys.readouterr().out
    assert transfer.transfer_table(results["cases"]) in said and "missing: st" in said


def test_a_lap_is_told_beside_that_at_home_where_both_finish():
    home = [lap("a", "finished", 12.0, 11.0), lap("b", "off_track"), lap("c", "finished", 9.0, 8.0)]
    there = [lap("a", "finished", 9.0, 12.1), lap("b", "finished", 9.0, 9.9), lap("c", "lost")]
    told = transfer.result("st", "a model", there, home)
    assert (told["finished"], told["circuits"]) == (2, 3)
    assert told["lap_ratio"] == pytest.approx(1.1) and told["lap_to_home"] == pytest.approx(1.1)
    assert told["ends"] == {"finished": 2, "lost": 1} and len(told["laps"]) == 3
    row = transfer.transfer_table([told]).splitlines()[-1]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "st", "a model", "d", "2 of 3", "1.100", "1.100", "1 lost"
    ]  # fmt: skip


def test_nobody_finished_is_no_ratio():
    told = transfer.result("st", "a model", [lap("a", "lost")], [lap("a", "finished", 9.0, 8.0)])
    assert told["lap_ratio"] is None and told["lap_to_home"] is None
    json.dumps(told, allow_nan=False)


@pytest.mark.filterwarnings("ignore:.*does not say")
def test_a_driver_of_a_car_that_no_model_is_is_refused():
    with pytest.raises(InputError, match="drives a car of which no model is"):
        transfer.refuse_without_a_model([ROOT / "policies" / "racecar.safetensors"])


def test_the_published_results_have_a_table():
    results = read_json(RESULTS / "transfer.json")
    assert {case["model"] for case in results["cases"]} & set(transfer.CASES)
    told = performance.transfer_table(results)
    assert transfer.transfer_table(results["cases"]) in told
    assert all(name in told for name in results["missing"])
