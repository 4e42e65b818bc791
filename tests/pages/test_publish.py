"""What of a finished run is published, and that it is all or nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from models import new_clone
from processes import ROOT

from pages import publish
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle, shipped_names
from racing_env.common.errors import InputError
from racing_env.common.files import write_json
from racing_env.drivers.policy import save_policy

MARKS = tuple(publish.TABLES)
RECORDED = {"started": "2026-01-02T03:04:05Z", "commit": "abc-dirty", "cores": 64,
            "processor": "some", "versions": {"python": "3.12.0"}}  # fmt: skip


def finished_run(folder: Path, car: str, reference: bool = True) -> Path:
    """A finished run of a car, as small as can be, with its drivers' laps on real circuits."""
    for source in (*publish.RECORDS.values(), *publish.PICTURES.values()):
        path = folder / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{car} {source}")
    drivers = ("expert", *(f"x/{stage}/policy.safetensors" for stage in ("bc", "rl", "road")))
    laps = [
        {"driver": driver, "track": "a", "finished": True, "flying_lap_s": 90.0 + i,
         "profile_lap_s": 89.0, "ratio": 1.01 + i / 100,
         "ratio_to": "limits.csv" if reference else "the expert"}
        for i, driver in enumerate(drivers)
    ]  # fmt: skip
    write_json(folder / "evaluation/results.json", laps)
    write_json(folder / "real.json", laps)
    rows = ("nominal", "friction 0.8", "delay_s 0.1", "5 draws")
    under = [lap | {"row": row, "finished": row != "delay_s 0.1"} for row in rows for lap in laps]
    write_json(folder / "conditions/results.json", [lap for lap in under if "/r" in lap["driver"]])
    write_json(folder / "memory.json", {"peak_bytes": 1_234_000_000})
    stage = {"wall_s": 61.0, "transitions_per_s": 5.0, "examples_per_s": 6.0, "steps_per_s": 7000.0}
    for name in ("demonstrations", "bc", "rl", "road"):
        write_json(folder / name / "summary.json", stage)
    write_json(folder / "road/run.json", [{"started": "earlier"}, RECORDED])
    for stage in publish.DRIVERS.values():
        policy = replace(new_clone(), vehicle=read_vehicle(car))
        save_policy(policy, folder / stage / "policy.safetensors")
    return folder


@pytest.fixture
def checkout(tmp_path):
    """What of a checkout a run is published to."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    marks = "\n".join(f"before {name} <!-- {name} -->old<!-- /{name} -->" for name in MARKS)
    (folder / "README.md").write_text(marks + "\nend\n", encoding="utf-8")
    return folder


def test_the_readme_has_a_place_for_each_table():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in MARKS:
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- /{name} -->") == 1


def test_the_readmes_tables_are_those_of_the_committed_records(checkout):
    """Figures of README come from a committed result, not from a hand."""
    committed = ROOT / publish.RESULTS
    (checkout / publish.RESULTS).parent.mkdir(parents=True)
    (checkout / publish.RESULTS).symlink_to(committed)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (checkout / "README.md").write_text(text, encoding="utf-8")
    publish.write_tables(checkout)
    assert (checkout / "README.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("car", shipped_names())
def test_a_run_is_published_with_its_own_machine_commit_and_date(tmp_path, checkout, car):
    run = finished_run(tmp_path / "run", car)
    publish.publish(run, run / "real.json", checkout)
    results = checkout / publish.RESULTS / car
    named = "" if car == DEFAULT_VEHICLE else f" --vehicle {car}"
    assert json.loads((results / "machine.json").read_text()) == {
        "command": f"./train_optimized.sh{named}", "commit": "abc-dirty", "date": "2026-01-02",
        "cores": 64, "processor": "some", "python": "3.12.0",
    }  # fmt: skip
    for target, source in publish.RECORDS.items():
        assert (results / target).read_bytes() == (run / source).read_bytes()
    for name in (car, f"{car}-nominal"):
        assert (checkout / "policies" / f"{name}.safetensors").is_file()
        assert (checkout / "policies" / f"{name}.csv").is_file()
    pictures = [(checkout / target).exists() for target in publish.PICTURES]
    assert all(pictures) if car == DEFAULT_VEHICLE else not any(pictures)
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    assert f"| {car} | clone (behaviour cloning and DAgger) | 1 of 1 | 1.011 | 1.022 |" in readme
    assert f"| {car} | RL driver (from the clone) | 1 of 1 | 1.034 | 1.030 |" in readme  # real
    assert f"| `./train_optimized.sh{named}` | 64 cores (some), 2026-01-02 | 1:01, 5 " in readme
    adapting = f"| {car} | adapting driver (from the RL driver) |"
    assert f"{adapting} 1 of 1, 1.045 | 1 of 2, 1.045 | 1 of 1, 1.045 |" in readme
    assert "1,234 MB" in readme and readme.startswith("before laps") and readme.endswith("end\n")


def test_tables_have_every_car_the_default_first(tmp_path, checkout):
    for car in shipped_names():
        run = finished_run(tmp_path / car, car, reference=car == DEFAULT_VEHICLE)
        publish.publish(run, run / "real.json", checkout)
    lines = (checkout / "README.md").read_text(encoding="utf-8").splitlines()
    cars = [line.split(" | ")[0] for line in lines if " | expert (" in line]
    others = [f"| {name}" for name in shipped_names() if name != DEFAULT_VEHICLE]
    assert cars == [f"| {DEFAULT_VEHICLE}", *others] * 2
    assert sum(line.endswith("| – |") for line in lines) == 4 * len(others)


def test_real_circuits_are_not_needed(tmp_path, checkout):
    publish.publish(finished_run(tmp_path / "run", "formula_student"), None, checkout)
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    assert readme.count("| formula_student | expert") == 1


def test_a_car_that_is_not_shipped_is_not_published(tmp_path, checkout):
    run = finished_run(tmp_path / "run", "racecar")
    policy = new_clone()
    light = policy.vehicle._replace(mass_kg=900.0)
    save_policy(replace(policy, vehicle=light), run / "road/policy.safetensors")
    with pytest.raises(InputError, match="drives a car that is not shipped"):
        publish.publish(run, None, checkout)


@pytest.mark.parametrize("what", ["evaluation/results.json", "real.json"])
@pytest.mark.parametrize("change", ["no expert", "no common circuit"])
def test_laps_that_cannot_be_compared_are_not_published(tmp_path, checkout, what, change):
    run = finished_run(tmp_path / "run", DEFAULT_VEHICLE)
    laps = json.loads((run / what).read_text())
    laps = laps[1:] if change == "no expert" else [lap | {"finished": False} for lap in laps]
    write_json(run / what, laps)
    with pytest.raises(InputError, match="and one circuit are needed"):
        publish.publish(run, run / "real.json", checkout)
    assert [path for path in checkout.rglob("*") if path.is_file()] == [checkout / "README.md"]


@pytest.mark.parametrize(
    "lost",
    [
        "rl/learning_curve.png",
        "road/run.json",
        "rl/policy.safetensors",
        "road/policy.safetensors",
        "real.json",
        "cores",
    ],
)
def test_a_run_that_lacks_something_is_not_published(tmp_path, checkout, lost):
    run = finished_run(tmp_path / "run", DEFAULT_VEHICLE)
    if lost == "cores":
        record = json.loads((run / "road/run.json").read_text())
        del record[-1]["cores"]
        write_json(run / "road/run.json", record)
    else:
        (run / lost).unlink()
    before = (checkout / "README.md").read_bytes()
    with pytest.raises(InputError, match=lost):
        publish.publish(run, run / "real.json", checkout)
    assert [path for path in checkout.rglob("*") if path.is_file()] == [checkout / "README.md"]
    assert (checkout / "README.md").read_bytes() == before


def test_a_run_whose_driver_does_not_adapt_has_one_driver(tmp_path, checkout):
    run = finished_run(tmp_path / "run", "f1tenth")
    shutil.rmtree(run / "road")
    shutil.rmtree(run / "conditions")
    write_json(run / "rl/run.json", [RECORDED])
    laps = json.loads((run / "real.json").read_text())[:3]
    write_json(run / "evaluation/results.json", laps)
    publish.publish(run, None, checkout)
    assert sorted(path.name for path in (checkout / "policies").iterdir()) == [
        "f1tenth.csv", "f1tenth.safetensors"
    ]  # fmt: skip
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    assert "| `./train_optimized.sh --vehicle f1tenth --conditions nominal` |" in readme
    assert "| – | 1,234 MB |" in readme and "adapting driver" not in readme
