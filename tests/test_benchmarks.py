"""That the benchmarks run, and what they make of what they measured. Never how fast."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import ablations, learning, measuring, peers, performance, publish, scaling
from benchmarks.faults import session_of
from racing_env.common.errors import InputError
from racing_env.common.files import write_json
from tests.processes import ROOT, run


def measured(tmp_path: Path, name: str, *arguments: object) -> tuple[dict, str]:
    """The JSON and the output of a benchmark, started in some other folder."""
    path = tmp_path / f"{name}.json"
    done = run(f"benchmarks/{name}.py", *arguments, "--json", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(path.read_text())
    assert results["conditions"]["cores"] >= 1
    assert results["conditions"]["matrix_gflops"] > 0
    assert results["conditions"]["command"].startswith("python ")
    return results, done.stdout


def test_cases_take_turns():
    order = []
    values = iter([1.0, 10.0, 3.0, 30.0, 2.0, 20.0])

    def case(name: str) -> dict[str, float]:
        order.append(name)
        return {"per_s": next(values)}

    results = measuring.in_turn({"a": lambda: case("a"), "b": lambda: case("b")}, repeats=3)
    assert order == ["a", "b"] * 3
    assert results["a"]["per_s"] == 2.0 and results["b"]["per_s"] == 20.0
    assert [turn["per_s"] for turn in results["a"]["runs"]] == [1.0, 3.0, 2.0]
    assert measuring.spread(results["a"], "per_s") == "100%"


def test_table_is_markdown():
    lines = measuring.table(["what", "per s"], [["a", "1,000"], ["longer", 5]]).splitlines()
    assert lines == [
        "| what   | per s |", "| ------ | ----: |", "| a      | 1,000 |", "| longer |     5 |",
    ]  # fmt: skip


def test_only_what_is_between_the_marks_changes():
    text = "before <!-- a -->\nold\n<!-- /a --> after <!-- b -->\nkept\n<!-- /b -->"
    assert measuring.between(text, "a", "new") == text.replace("old", "new")
    with pytest.raises(ValueError):
        measuring.between(text, "c", "new")


def test_centre_line_takes_the_racing_lines_place_in_the_observation():
    source = (measuring.ROOT / "racing_env" / "simulation" / "observation.py").read_text(
        encoding="utf-8"
    )
    changed = ablations.seeing_the_centre_line(source)
    assert set(re.findall(r"bank\.(LINE_\w+)", changed)) == {"LINE_SPEED"}
    with pytest.raises(RuntimeError, match=r"does not read bank\.LINE_X"):
        ablations.seeing_the_centre_line(changed)


@pytest.mark.slow
def test_ablations_run(tmp_path):
    flags = ["--tiny", "--seeds", 0, "--out", tmp_path / "runs"]
    results, said = measured(tmp_path, "ablations", *flags)
    assert results["variants"].keys() == ablations.VARIANTS.keys()
    for (trained,) in results["variants"].values():
        assert 0 <= trained["finished"] <= trained["circuits"] == 1
        assert trained["transitions"] > 0
    assert all(name in said for name in ablations.VARIANTS)


def test_commands_are_timed_and_their_memory_seen():
    assert measuring.run_command(["sleep", "0.2"]) >= 0.2
    code = "import time; block = bytearray(60 << 20); time.sleep(1.5)"
    peaks = measuring.peak_memory(["bash", "-c", f"python3 -c {shlex.quote(code)}; true"])
    assert peaks.tree_mb >= peaks.worker_mb > 60
    with pytest.raises(RuntimeError, match="exit code 3\n.*no luck"):
        measuring.run_command(["bash", "-c", "echo no luck; exit 3"])


def test_a_benchmark_that_is_stopped_stops_its_command(tmp_path):
    code = (
        "from benchmarks import measuring; from racing_env.common import command_line as cli\n"
        f"cli.run(lambda: measuring.run_command(['bash', '-c', 'touch at-work; exec sleep 300'], "
        f"folder={str(tmp_path)!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60.0
    while not (tmp_path / "at-work").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(60.0) == 130
    assert not session_of(process.pid)


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


def test_counts_go_up_to_the_cores():
    assert scaling.counts(1) == [1]
    assert scaling.counts(8) == [1, 2, 4, 8]
    assert scaling.counts(12) == [1, 2, 4, 8, 12]


def test_speed_up_is_over_the_first_count():
    speeds = {0: 100.0, 1: 90.0, 4: 200.0}
    rows = scaling.compared({count: {"per_s": speed} for count, speed in speeds.items()}, beside=1)
    assert [row["workers"] for row in rows] == [0, 1, 4]
    assert [row["speed_up"] for row in rows] == [1.0, 0.9, 2.0]
    assert [row["efficiency"] for row in rows] == [1.0, 0.45, 0.4]
    (alone, two) = scaling.compared({1: {"per_s": 10.0}, 2: {"per_s": 19.0}}, beside=0)
    assert alone["efficiency"] == 1.0 and two["efficiency"] == two["speed_up"] / 2 == 0.95


def test_stopwatch_counts_what_is_inside_once():
    stopwatch = learning.Stopwatch()
    with stopwatch.time("outer"):
        time.sleep(0.02)
        with stopwatch.time("inner"):
            time.sleep(0.2)
    assert stopwatch.seconds["inner"] >= 0.2
    assert 0.02 <= stopwatch.seconds["outer"] < stopwatch.seconds["inner"]


def test_shares_of_the_time_are_the_whole():
    seconds = {"environment": 4.0, "inference": 1.0, "update": 3.0}
    shares = learning.shares_of(seconds, 10.0, workers_s=6.0, processes=2)
    assert shares == {"cars": 0.3, "traffic": 0.1, "inference": 0.1, "update": 0.3, "rest": 0.2}
    alone = learning.shares_of(seconds, 10.0, workers_s=0.0, processes=0)
    assert alone["cars"] == 0.4 and alone["traffic"] == 0.0


def test_every_table_of_the_page_has_its_marks():
    page = performance.PAGE.read_text()
    for name in [*performance.TABLES, "run"]:
        assert page.count(f"<!-- {name} -->") == page.count(f"<!-- /{name} -->") == 1


@pytest.mark.slow
def test_throughput_runs(tmp_path):
    results, said = measured(tmp_path, "throughput", "--seconds", 0.05, "--repeats", 1)
    assert results["cases"]["simulator, cars: 256"]["per_cpu_s"] > 0
    table = performance.TABLES["throughput"](results)
    assert table in said and "subproc, processes: 8" in table


@pytest.mark.slow
def test_peers_run_without_any_peer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peers, "VENVS", tmp_path)
    path = tmp_path / "peers.json"
    arguments = ["peers.py", "--seconds", "0.1", "--repeats", "1", "--json", str(path)]
    monkeypatch.setattr("sys.argv", arguments)
    peers.main()
    results = json.loads(path.read_text())
    assert set(results["missing"]) == set(peers.PEERS)
    assert set(results["cases"]) == {peers.OURS, f"{peers.OURS}, batch of {peers.CARS}"}
    said = capsys.readouterr().out
    assert "missing: CarRacing-v3" in said and peers.OURS in said


@pytest.mark.slow
def test_learning_runs(tmp_path):
    results, said = measured(
        tmp_path, "learning", "--seconds", 0.1, "--repeats", 1, "--episodes", 4, "--envs", 1,
        "--only", "sac", "bc", "--bc-workers", 0, 1,
    )  # fmt: skip
    assert list(results["cases"]) == [
        "sac", "sac, SB3's defaults", "bc, loader workers: 0", "bc, loader workers: 1",
    ]  # fmt: skip
    for case in results["cases"].values():
        assert sum(case[part] for part in learning.PARTS) == pytest.approx(1.0)
        assert case["steps_per_s"] > 0 and case["updates_per_s"] > 0
    assert performance.TABLES["learning"](results) in said


@pytest.mark.slow
def test_scaling_runs(tmp_path):
    picture = tmp_path / "scaling.png"
    results, said = measured(
        tmp_path, "scaling", "--only", "demonstrations", "rl", "--up-to", 1, "--repeats", 1,
        "--episodes", 4, "--timesteps", 20_480, "--plot", picture,
    )  # fmt: skip
    for name in ("demonstrations", "rl"):
        (case,) = results[name]
        assert case["workers"] == case["speed_up"] == 1
        assert case["per_s"] > 0 and case["tree_mb"] > case["worker_mb"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert scaling.tables(results) in said


def test_what_is_installed_for_peers_is_ignored_by_git():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert f"{peers.VENVS.relative_to(ROOT)}/" in ignored
