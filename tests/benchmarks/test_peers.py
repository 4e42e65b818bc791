"""That it runs without anything to compare with, and what is compared where gymkhana is there."""

import json
import subprocess

import pytest
from processes import ROOT

from benchmarks import peer_venvs, peers
from benchmarks.measuring import RESULTS
from pages import performance
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.files import read_json

GYMKHANA_PYTHON = peer_venvs.python_of("gymkhana")
with_gymkhana = pytest.mark.skipif(
    not GYMKHANA_PYTHON.exists(),
    reason="gymkhana is not installed: python -m benchmarks.peers --install does it",
)
PARAMETERS = """
import json
from gymkhana.envs.gymkhana_env import GKEnv
print(json.dumps(GKEnv.default_config()["params"]))
"""


@pytest.mark.slow
def test_peers_run_without_any_peer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peer_venvs, "VENVS", tmp_path)
    path = tmp_path / "peers.json"
    arguments = ["peers.py", "--seconds", "0.1", "--repeats", "1", "--json", str(path)]
    monkeypatch.setattr("sys.argv", arguments)
    peers.main()
    results = json.loads(path.read_text())
    assert set(results["missing"]) == set(peers.PEERS)
    assert set(results["cases"]) == {*peers.OUR_BATCHES, *peers.OUR_ENVIRONMENTS}
    said = capsys.readouterr().out
    assert performance.peers_table(results).startswith(said.partition("missing")[0].rstrip())
    assert "missing: CarRacing-v3" in said and peers.OURS in said


def test_what_is_installed_for_peers_is_ignored_by_git():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert f"{peer_venvs.VENVS.relative_to(ROOT)}/" in ignored


def test_the_same_car_is_compared_by_simulated_time():
    runs = [{"per_cpu_s": 1.0}]
    numbers = {
        peers.BATCH: (9000.0, 0.05), peers.OURS: (900.0, 0.05),
        peers.TENTH_ALONE: (1000.0, 0.02), peers.GYMKHANA: (100.0, 0.01),
    }  # fmt: skip
    cases = {
        name: {"what": "", "per_cpu_s": rate, "per_wall_s": rate, "step_s": step, "runs": runs}
        for name, (rate, step) in numbers.items()
    }
    steps, simulated = peers.tables(cases).split("\n\n")
    assert "9.0 |                 90 |" in steps.splitlines()[-1]
    cells = [cell.strip() for cell in simulated.splitlines()[-1].strip("|").split("|")]
    assert cells == [peers.GYMKHANA, "10.0 ms", "100", "1", "20.0"]
    assert len(simulated.splitlines()) == 4  # of the cars, those that are 1:10


def test_the_published_results_have_a_table():
    results = read_json(RESULTS / "peers.json")
    assert peers.compared(results["cases"]) in performance.peers_table(results)


@with_gymkhana
def test_gymkhana_has_the_same_car(tmp_path):
    done = subprocess.run([GYMKHANA_PYTHON, "-c", PARAMETERS], capture_output=True, text=True)
    path = tmp_path / "car.yaml"  # JSON is YAML
    path.write_text(done.stdout.splitlines()[-1])
    with pytest.warns(UserWarning, match="does not say"):  # what ours has, its model does not
        theirs, ours = read_vehicle(path), read_vehicle(peers.TENTH)
    for name in ("mass_kg", "yaw_inertia_kgm2", "cog_to_front_m", "cog_to_rear_m", "cog_height_m",
                 "length_m", "width_m", "steering_max_rad", "steering_full_s", "top_speed_mps",
                 "friction_front", "friction_rear", "power_max_w", "drive_force_max_n",
                 "brake_force_max_n"):  # fmt: skip
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name), rel=2e-3), name


@pytest.mark.slow
@with_gymkhana
def test_gymkhana_is_stepped_as_it_comes_and_at_our_step():
    found = peers.runnable({name: "" for name in peers.PEERS if not name.startswith("gymkhana")})
    assert set(found) == {peers.GYMKHANA, peers.GYMKHANA_FEW_BEAMS}
    beside = peers.stepped(peers.OUR_ENVIRONMENTS[peers.TENTH_ALONE], 0.2)
    few_beams = peers.stepped(found[peers.GYMKHANA_FEW_BEAMS], 0.2)
    assert peers.stepped(found[peers.GYMKHANA], 0.2)["step_s"] == 0.01
    assert few_beams["step_s"] == beside["step_s"] == pytest.approx(0.0162, abs=1e-4)
    assert few_beams["per_cpu_s"] > 0 and beside["per_cpu_s"] > 0
