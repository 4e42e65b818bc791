"""The page of a run: it holds everything it needs, and names in it are nothing but text."""

import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from racing_env import report
from racing_env.errors import InputError
from racing_env.files import write_json

HOSTILE = '</script><script>window.hacked = 1</script><img src=x onerror="hacked=1">&amp;\'"'
DRIVERS = ("expert", "runs/x/bc/policy.safetensors", f"{HOSTILE}/policy.safetensors")
LABELS = ("expert", "clone", DRIVERS[2])
SIZE_MAX_BYTES = 8_000_000  # for twelve circuits


def lap(driver: str, seconds: float, radius_m: float) -> dict[str, object]:
    """A lap of a round track at a speed that varies a little."""
    steps = range(int(10 * seconds) + 1)
    turns = [min(0.1 * i / seconds, 1.0) for i in steps]
    wave = [math.sin(0.05 * i) for i in steps]
    return {
        "driver": driver, "sample_s": 0.1, "end_s": seconds, "flying": True,
        "s_m": [round(2 * math.pi * radius_m * t, 1) for t in turns],
        "x_m": [round(radius_m * math.cos(2 * math.pi * t), 1) for t in turns],
        "y_m": [round(radius_m * math.sin(2 * math.pi * t), 1) for t in turns],
        "speed_kph": [round(190 + 40 * w, 1) for w in wave],
        "pedal_percent": [round(99 * w) for w in wave],
        "steer_deg": [round(12 * w, 1) for w in wave],
    }  # fmt: skip


def ring(radius_m: float) -> dict[str, list[float]]:
    angles = [2 * math.pi * i / 1000 for i in range(1001)]
    return {
        "x": [round(radius_m * math.cos(a), 1) for a in angles],
        "y": [round(radius_m * math.sin(a), 1) for a in angles],
    }


def write_run(folder: Path, circuits: int = 2) -> Path:
    """A finished run whose last driver is named to do harm, and failed on the last circuit."""
    records, ghosts = [], []
    for i in range(circuits):
        track, radius = f"ring {i} {HOSTILE}", 900.0 - i
        laps = [lap(driver, 100.0 + 2.5 * k, radius) for k, driver in enumerate(DRIVERS)]
        for k, driver in enumerate(DRIVERS):
            failed = i == circuits - 1 and k == 2
            seconds = None if failed else 100.0 + 2.5 * k
            laps[k]["flying"] = not failed
            records.append(
                {
                    "driver": driver, "track": track, "finished": not failed,
                    "flying_lap_s": seconds, "standing_lap_s": seconds, "laps": 0 if failed else 4,
                    "end": "off_track" if failed else "finished", "length_m": 5655.0,
                    "ratio_to": "the expert", "reference_lap_s": 100.0,
                }
            )  # fmt: skip
        ghosts.append(
            {
                "track": track, "length_m": 2 * math.pi * radius, "laps": laps,
                "right": ring(radius + 6), "left": ring(radius - 6), "line": ring(radius),
            }
        )  # fmt: skip
    write_json(folder / "evaluation/results.json", records)
    (folder / "evaluation/ghosts.json").write_text(json.dumps(ghosts))
    for stage in ("demonstrations", "bc", "rl"):
        write_json(folder / stage / "summary.json", {"workers": 3, "envs": 4, "wall_s": 65.0})
    (folder / "bc/curve.csv").write_text(
        "round,wall_s,examples,finished,circuits,lap_ratio\n0,50,400000,0,20,nan\n1,90,8e5,18,20,1.09\n"
    )
    (folder / "rl/curve.csv").write_text(
        "wall_s,timesteps,finished,circuits,lap_ratio\n3,0,24,40,1.043\n60,1000000,40,40,1.02\n"
    )
    write_json(folder / "memory.json", {"peak_bytes": 1500 * 2**20, "interval_s": 0.5})
    (folder / "plan.txt").write_text("quick, seed 0\n")
    return folder


def make_report(folder: Path) -> Path:
    report.write_report(folder / "report.html", HOSTILE, folder / "evaluation", folder)
    return folder / "report.html"


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text in scripts of JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        tag, attributes = self.elements[-1] if self.elements else ("", {})
        self.text.setdefault(attributes.get("id") or tag, data)


@pytest.fixture(scope="module")
def page_path(tmp_path_factory) -> Path:
    return make_report(write_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def text(page_path) -> str:
    return page_path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def elements(text) -> Elements:
    return Elements(text)


def test_nothing_is_loaded(elements):
    loads = {"src", "srcset", "href", "data", "action", "poster"}
    for tag, attributes in elements.elements:
        for name in loads & attributes.keys():
            assert attributes[name].startswith(("#", "data:")), (tag, attributes)
    assert "default-src 'none'" in str(elements.elements)


def test_names_are_text_in_tables_and_data(elements, text):
    tags = [tag for tag, _ in elements.elements]
    assert tags.count("script") == 3 and "img" not in tags
    data = json.loads(elements.text["data"], parse_constant=pytest.fail)
    assert [lap["driver"] for lap in data["circuits"][0]["laps"]] == list(LABELS)
    assert data["circuits"][1]["track"] == f"ring 1 {HOSTILE}"
    assert "window.hacked = 1</script>" not in text


def test_laps_with_difference_and_star(text):
    row = next(line for line in text.splitlines() if "ring 1" in line)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
    assert cells[0] == "★ 100.00" and "class=best" in row
    assert cells[1].startswith("102.50") and "+2.50 s" in cells[1] and "+2.5 %" in cells[1]
    assert cells[2].startswith("-<br>") and "off track" in cells[2] and "in lap 1" in cells[2]
    assert "of 1 that all finished" in text
    assert "<td>2 of 2</td><td>2 of 2</td><td>1 of 2</td>" in text


def test_a_driver_that_is_faster_has_a_minus():
    assert "−1.00 s" in report.difference(99.0, 100.0)[0]
    assert "−1.0 %" in report.difference(99.0, 100.0)[0]
    assert report.difference(None, 100.0) == report.difference(100.0, None) == []


def test_reference_has_a_column_unless_it_is_the_expert():
    record = {
        "driver": "a", "track": "t", "finished": True, "flying_lap_s": 90.0,
        "ratio_to": "limits.csv", "reference_lap_s": 88.5,
    }  # fmt: skip
    section = report.lap_section([[record]], ["a"])
    assert "<td>88.50</td><td>90.00<br>" in section and "limits.csv" in section
    assert "★ 90" not in section  # alone, it is not the fastest of anything


def test_stages_memory_and_curves(text, elements):
    assert "1:05" in text and "Peak memory 1,500 MB" in text and "quick, seed 0" in text
    clone, driver = json.loads(elements.text["data"])["curves"]
    assert clone["lap_ratio"] == [None, 1.09] and clone["steps"] == [400000.0, 800000.0]
    assert driver["name"] == "RL driver" and driver["finished"] == [24.0, 40.0]


def test_twelve_circuits_are_small_enough(tmp_path):
    assert make_report(write_run(tmp_path, circuits=12)).stat().st_size < SIZE_MAX_BYTES


def test_without_ghosts_or_curves_the_tables_remain(tmp_path):
    folder = write_run(tmp_path)
    (folder / "evaluation/ghosts.json").unlink()
    (folder / "bc/curve.csv").unlink()
    (folder / "rl/curve.csv").unlink()
    assert '{"curves":[],"circuits":[]}' in make_report(folder).read_text(encoding="utf-8")


BAD_FILES = {
    "evaluation/results.json": ["", "[]", "{}", "[1]", '[{"driver": "a"}]'],
    "evaluation/ghosts.json": ["{", "[]", '[{"track": "elsewhere", "laps": []}]'],
    "rl/curve.csv": ["", "wall_s,finished\n1,2\n"],
    "rl/summary.json": ["{"],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, text) for name, texts in BAD_FILES.items() for text in texts]
)
def test_a_damaged_file_is_named_and_no_page_written(tmp_path, name, content):
    folder = write_run(tmp_path)
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(name)) as error:
        make_report(folder)
    assert "\n" not in str(error.value)
    assert not (folder / "report.html").exists()


def test_command_line(tmp_path):
    folder = write_run(tmp_path)
    command = [sys.executable, "-m", "racing_env.report"]
    root = Path(__file__).parents[1]
    done = subprocess.run([*command, folder], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"report: {folder / 'report.html'}\n"
    shutil.rmtree(folder / "evaluation")
    done = subprocess.run([*command, folder], cwd=root, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
