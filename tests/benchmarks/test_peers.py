"""That it runs without anything to compare with."""

import json

import pytest
from processes import ROOT

from benchmarks import peer_venvs, peers


@pytest.mark.slow
def test_peers_run_without_any_peer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peer_venvs, "VENVS", tmp_path)
    path = tmp_path / "peers.json"
    arguments = ["peers.py", "--seconds", "0.1", "--repeats", "1", "--json", str(path)]
    monkeypatch.setattr("sys.argv", arguments)
    peers.main()
    results = json.loads(path.read_text())
    assert set(results["missing"]) == set(peers.PEERS)
    assert set(results["cases"]) == {peers.OURS, f"{peers.OURS}, batch of {peers.CARS}"}
    said = capsys.readouterr().out
    assert "missing: CarRacing-v3" in said and peers.OURS in said


def test_what_is_installed_for_peers_is_ignored_by_git():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert f"{peer_venvs.VENVS.relative_to(ROOT)}/" in ignored
