"""What of a finished run is published, and that it is all or nothing."""

import json
import shutil

import pytest
from processes import ROOT

from pages import publish
from racing_env.common.errors import InputError
from racing_env.common.files import write_json


@pytest.fixture
def run_and_checkout(tmp_path):
    """A finished run, as small as can be, and what of a checkout it is published to."""
    run_folder, checkout = tmp_path / "run", tmp_path / "checkout"
    for target, source in publish.COPIES.items():
        path = run_folder / source
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / target, path)
    drivers = ("expert", "x/bc/policy.safetensors", "x/rl/policy.safetensors")
    laps = [
        {"driver": driver, "track": "a", "finished": True, "flying_lap_s": 90.0 + i,
         "profile_lap_s": 89.0, "ratio": 1.01 + i / 100}
        for i, driver in enumerate(drivers)
    ]  # fmt: skip
    write_json(run_folder / "evaluation/results.json", laps)
    write_json(run_folder / "real.json", laps)
    start = {"started": "2026-01-02T03:04:05Z", "commit": "abc-dirty", "cores": 64,
             "processor": "some", "versions": {"python": "3.12.0"}}  # fmt: skip
    write_json(run_folder / "rl/run.json", [{"started": "earlier"}, start])
    (checkout / "docs").mkdir(parents=True)
    shutil.copy(ROOT / "README.md", checkout)
    return run_folder, checkout


def test_a_run_is_published_with_its_own_machine_commit_and_date(run_and_checkout):
    run_folder, checkout = run_and_checkout
    publish.publish(run_folder, run_folder / "real.json", checkout)
    machine = json.loads((checkout / "benchmarks/results/machine.json").read_text())
    assert machine == {
        "command": "./train_optimized.sh", "commit": "abc-dirty", "date": "2026-01-02", "cores": 64,
        "processor": "some", "python": "3.12.0",
    }  # fmt: skip
    for target, source in publish.COPIES.items():
        assert (checkout / target).read_bytes() == (run_folder / source).read_bytes()
    readme = (checkout / "README.md").read_text()
    assert "on 64 cores (some), 2026-01-02" in readme and "| 90.00 s | 1.000 |" in readme
    assert "| 1 of 1 | 1.030 | 1.030 |" in readme  # on real circuits


@pytest.mark.parametrize("lost", ["rl/learning_curve.png", "rl/run.json", "real.json", "cores"])
def test_a_run_that_lacks_something_is_not_published(run_and_checkout, lost):
    run_folder, checkout = run_and_checkout
    if lost == "cores":
        record = json.loads((run_folder / "rl/run.json").read_text())
        del record[-1]["cores"]
        write_json(run_folder / "rl/run.json", record)
    else:
        (run_folder / lost).unlink()
    with pytest.raises(InputError, match=lost):
        publish.publish(run_folder, run_folder / "real.json", checkout)
    assert [path for path in checkout.rglob("*") if path.is_file()] == [checkout / "README.md"]
    assert (checkout / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
