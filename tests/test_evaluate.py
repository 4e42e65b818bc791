"""The script as its users start it; where nothing depends on the process, within the tests' own."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from adapting import adapting_straight_on
from cars import RACECAR, scaled
from processes import ROOT, call, run

from evaluate import file_stems
from racing_env.car.vehicle import Vehicle
from racing_env.drivers.policy import Policy, save_policy
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.tracks.generator import built_in_track
from racing_env.tracks.reader import write_track
from stress.car_seeds import YAML

FIELDS = {
    "driver": str, "track": str, "finished": bool, "flying_lap_s": (float, type(None)),
    "standing_lap_s": (float, type(None)), "off_track": int, "distance_m": float,
}  # fmt: skip


def evaluate(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return call("evaluate.py", *arguments, cwd=cwd)


def straight_on(vehicle: Vehicle) -> Policy:
    weights = (np.zeros((2, LAYOUT.size), np.float32),)
    return Policy(weights, (np.array([0.0, 5.0], np.float32),), vehicle, LAYOUT, {})


@pytest.fixture(scope="module")
def policy_path(tmp_path_factory) -> Path:
    """A policy that drives straight on."""
    path = tmp_path_factory.mktemp("clone") / "policy.safetensors"
    save_policy(straight_on(RACECAR), path)
    return path


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, policy_path):
    folder = tmp_path_factory.mktemp("evaluated")
    done = run(
        "evaluate.py", "--driver", "expert", policy_path, "--track", "club", "--laps", 1,
        "--json", "laps.json", "--out", "out", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done, policy_path


def test_json_has_an_object_per_driver_and_circuit(evaluated):
    folder, _, policy_path = evaluated
    records = json.loads((folder / "laps.json").read_text())
    assert [record["driver"] for record in records] == ["expert", str(policy_path)]
    for record in records:
        for name, kind in FIELDS.items():
            assert isinstance(record[name], kind), name
    expert, clone = records
    assert expert["finished"] and expert["off_track"] == 0 and expert["ratio"] == 1.0
    assert expert["distance_m"] >= 2 * expert["length_m"]
    assert expert["flying_lap_s"] < expert["standing_lap_s"]
    assert not clone["finished"] and clone["off_track"] == 1 and clone["flying_lap_s"] is None
    assert json.loads((folder / "out" / "results.json").read_text()) == records


def test_out_has_a_picture_and_telemetry(evaluated):
    out = evaluated[0] / "out"
    assert (out / "club.png").read_bytes().startswith(b"\x89PNG")
    tables = sorted(out.glob("club-*.csv"))
    others = {"club.png", "results.json", "ghosts.json", "report.html", "run.json"}
    assert len(tables) == 2
    assert {path.name for path in out.iterdir()} == others | {table.name for table in tables}
    for table in tables:
        assert table.read_text().startswith("s_m,x_m,y_m,psi_rad,kappa_radpm,vx_mps,ax_mps2,")


def test_out_has_a_report_with_both_drivers(evaluated):
    text = (evaluated[0] / "out" / "report.html").read_text(encoding="utf-8")
    assert "club" in text and "off track" in text and '"flying":true' in text


@pytest.fixture(scope="module")
def on_other_roads(tmp_path_factory):
    """Of a driver who guesses his conditions, and the expert."""
    folder = tmp_path_factory.mktemp("roads")
    save_policy(adapting_straight_on(), folder / "guesser.safetensors")
    done = evaluate(
        "--driver", "expert", "guesser.safetensors", "--track", "oval", "club", "--laps", 1,
        "--condition", "friction=0.9,noise=1", "--condition", "nominal", "--out", "out",
        "--workers", 1, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def test_conditions_are_a_row_each(on_other_roads):
    _, lines = on_other_roads
    assert lines[0].split() == ["condition", "expert", "guesser"]
    names, counts = ["friction 0.9, noise 1", "nominal", "all"], ["2 of 2", "2 of 2", "4 of 4"]
    for line, name, count in zip(lines[2:5], names, counts, strict=True):
        assert line.startswith(f"{name}  ") and count in line and "0 of " in line


def test_results_have_all_conditions_and_pictures_the_nominal_one(on_other_roads):
    out = on_other_roads[0] / "out"
    records = json.loads((out / "results.json").read_text())
    wet = {"friction": 0.9, "noise": 1.0}
    keys = [(record["condition"], record["track"], record["driver"]) for record in records]
    assert keys == [
        (condition, track, driver) for condition in (wet, {}) for track in ("oval", "club")
        for driver in ("expert", "guesser.safetensors")
    ]  # fmt: skip
    expert = {
        (bool(record["condition"]), record["track"]): record
        for record in records if record["driver"] == "expert"
    }  # fmt: skip
    for track in ("oval", "club"):
        slow, fast = expert[True, track], expert[False, track]
        assert slow["profile_lap_s"] > 1.01 * fast["profile_lap_s"]
        assert slow["reference_lap_s"] == slow["flying_lap_s"] > fast["flying_lap_s"]
        assert slow["ratio"] == fast["ratio"] == 1.0
    laps = json.loads((out / "ghosts.json").read_text())[0]["laps"]
    assert laps[0]["end_s"] == pytest.approx(expert[False, "oval"]["flying_lap_s"], abs=1e-4)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Best flying lap in seconds" in page and "Under friction" not in page


def test_telemetry_of_one_who_guesses_has_his_guesses_and_the_truth(on_other_roads):
    out = on_other_roads[0] / "out"
    with open(out / "oval-guesser.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {float(row["friction"]) for row in rows} == {1.0}
    assert float(rows[0]["guess_friction"]) == pytest.approx(0.95)
    assert "guess_friction" not in (out / "oval-expert.csv").read_text().splitlines()[0]


def test_the_page_names_the_condition_that_it_shows(tmp_path):
    done = evaluate(
        "--track", "oval", "--laps", 1, "--condition", "mass=1.1", "--condition", "friction=0.9",
        "--out", "out", "--workers", 1, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Under mass 1.1. Best" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_table_is_aligned_and_names_the_failure(evaluated):
    lines = evaluated[1].stdout.splitlines()
    row = next(line for line in lines if line.startswith("club"))
    assert "*" in row and "2/2" in row and "0/2 off_track" in row
    assert row.index("1.000") == lines[1].index("ratio")
    assert "1 of 1" in lines[3] and "0 of 1" in lines[3]


def test_reference_file_gives_the_ratio(tmp_path):
    (tmp_path / "limits.csv").write_text("circuit,length_m,mintime_s\noval,1,10.0\n")
    done = evaluate(
        "--track", "oval", "club", "--laps", 1, "--reference", "limits.csv",
        "--json", "laps.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    oval, club = json.loads((tmp_path / "laps.json").read_text())
    assert oval["ratio"] == pytest.approx(oval["flying_lap_s"] / 10.0)
    assert club["ratio"] is None
    assert oval["reference_lap_s"] == 10.0 and club["reference_lap_s"] is None
    assert oval["vehicle"] == "racecar" and oval["condition"] == {}


def test_a_car_is_written_as_toml_and_driven(tmp_path):
    """export.py vehicle, of a car in another's format: what it drives with, in the open."""
    (tmp_path / "car.yaml").write_text(YAML)
    out = ("--out", "car.toml")
    done = call("export.py", "vehicle", "--vehicle", "car.yaml", *out, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "car.toml: the car of car.yaml, all numbers\n"
    assert done.stderr.startswith("warning: car.yaml: does not say axle_track_m, ")
    assert len(done.stderr.splitlines()) == 1
    laps = {}
    for car in ("car.yaml", "car.toml"):
        done = evaluate("--vehicle", car, "--track", "random:1", "--laps", 1,
                        "--json", "laps.json", cwd=tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stderr
        laps[car] = json.loads((tmp_path / "laps.json").read_text())
        assert laps[car][0]["vehicle"] == car and laps[car][0]["finished"]
    assert laps["car.yaml"][0]["lap_times_s"] == laps["car.toml"][0]["lap_times_s"]
    done = call("export.py", "vehicle", "--vehicle", "car.yaml", "--out", ".", cwd=tmp_path)
    assert done.returncode == 2 and "is a folder" in done.stderr


def test_a_car_that_was_edited_is_not_written_over(tmp_path):
    (tmp_path / "car.toml").write_text("mine")
    done = call("export.py", "vehicle", "--vehicle", "f1tenth", "--out", "car.toml", cwd=tmp_path)
    assert done.returncode == 2 and "car.toml: is there already" in done.stderr
    assert (tmp_path / "car.toml").read_text() == "mine"


BAD_CALLS = {
    "no policy": ["--driver", "missing.safetensors"],
    "not a policy": ["--driver", "text.txt"],
    "no track": ["--track", "missing.csv"],
    "no car": ["--vehicle", "lorry"],
    "not a car": ["--vehicle", "text.txt"],
    "not a track": ["--track", "text.txt"],
    "no reference": ["--track", "oval", "--reference", "missing.csv"],
    "not a reference": ["--track", "oval", "--reference", "text.txt"],
    "other circuits": ["--track", "oval", "--reference", "other.csv"],
    "negative time": ["--track", "oval", "--reference", "negative.csv"],
    "binary reference": ["--track", "oval", "--reference", "binary"],
    "json is a folder": ["--track", "oval", "--json", "."],
    "out is a file": ["--track", "oval", "--out", "text.txt"],
    "unknown condition": ["--condition", "grip=0.9"],
    "condition out of range": ["--condition", "friction=30"],
    "condition without a name": ["--condition", "0.9"],
    "same condition": ["--condition", "mass=1.1", "--condition", "mass=1.10"],
    "both": ["--conditions", "road", "--condition", "nominal"],
}


@pytest.mark.parametrize("arguments", BAD_CALLS.values(), ids=BAD_CALLS)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, arguments):
    (tmp_path / "text.txt").write_text("nothing\n")
    (tmp_path / "other.csv").write_text("circuit,mintime_s\nelsewhere,80\n")
    (tmp_path / "negative.csv").write_text("circuit,mintime_s\noval,-80\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    done = evaluate(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")
    assert arguments[-1].rpartition("=")[2] in done.stderr or arguments[-2] in done.stderr


def test_circuits_of_the_same_name_are_refused(tmp_path):
    write_track(built_in_track("club", RACECAR), tmp_path / "oval.csv")
    done = evaluate("--track", "oval", "oval.csv", "--workers", 1, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: circuit 'oval': is there 2 times")


def test_a_policy_drives_its_own_car(tmp_path):
    """Without a word about it; and a driver of another car is no rival."""
    small, large = tmp_path / "small.safetensors", tmp_path / "large.safetensors"
    save_policy(straight_on(scaled(RACECAR, 0.25)), small)
    save_policy(straight_on(RACECAR), large)
    call = ("--track", "oval", "--laps", 1, "--workers", 1, "--json", "laps.json", "--driver")
    done = evaluate(*call, small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads((tmp_path / "laps.json").read_text())
    length_m = built_in_track("oval", RACECAR).length_m
    assert record["length_m"] == pytest.approx(0.25 * length_m)
    for more, hint in (
        ((large,), "drivers of one car race each other"),
        (("--vehicle", "racecar"), "a condition in place of --vehicle, such as evaluate.py"),
    ):
        done = evaluate(*call, small, *more, cwd=tmp_path)
        assert done.returncode == 2 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")
        assert "safetensors: its car has mass_kg" in done.stderr
        assert "the one that is driven has" in done.stderr and hint in done.stderr


def test_names_of_files_are_safe_and_differ():
    names = ["a b", "a_b", "a/b", "a_b-2", "c", "c"]
    assert file_stems(names) == ["a_b", "a_b-2", "a_b-3", "a_b-2-2", "c", "c-2"]


def test_help_imports_nothing_heavy():
    code = (
        "import sys, runpy\n"
        "sys.argv = ['evaluate.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / 'evaluate.py')!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert not {'numba', 'scipy', 'torch', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
