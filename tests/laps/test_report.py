"""The page of a run: it holds everything it needs, and names in it are nothing but text."""

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from processes import ROOT

from racing_env.common.errors import InputError
from racing_env.common.files import write_json
from racing_env.laps import report

HOSTILE = '</script><script>window.hacked = 1</script><img src=x onerror="hacked=1">&amp;\'"'
DRIVERS = ("expert", "runs/x/bc/policy.safetensors", f"{HOSTILE}/policy.safetensors")
LABELS = ("expert", "clone", 'script><img src=x onerror="hacked=1">&amp;\'"/policy')
GHOSTS = "evaluation/ghosts.json"
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


def write_run(folder: Path, circuits: int = 2, rows: Sequence[str] = ()) -> Path:
    """A finished run whose last driver is named to do harm, and failed on the last circuit.

    rows: names of conditions, all of the same laps.
    """
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
                "track": track, "length_m": 2 * math.pi * radius, "car_width_m": 2.0,
                "laps": laps,
                "right": ring(radius + 6), "left": ring(radius - 6), "line": ring(radius),
            }
        )  # fmt: skip
    if rows:
        records = [
            record
            | {"row": row, "condition": {"mass": 1.0 + i} if i else {}, "profile_lap_s": 99.0}
            for i, row in enumerate(rows)
            for record in records
        ]
        for ghost in ghosts:
            ghost["laps"] = [lap | {"row": row} for row in rows for lap in ghost["laps"]]
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
    write_json(folder / "memory.json", {"peak_bytes": 1_500_000_000, "interval_s": 0.5})
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


def test_of_many_circuits_the_page_has_as_many_replays_as_fit_and_says_so(tmp_path):
    folder = write_run(tmp_path, circuits=200)  # the last is the one that a driver did not finish
    path = make_report(folder)
    assert 9_700_000 < path.stat().st_size < 10_000_000
    text = path.read_text(encoding="utf-8")
    shown = [circuit["track"] for circuit in json.loads(Elements(text).text["data"])["circuits"]]
    every = [circuit["track"] for circuit in json.loads((folder / GHOSTS).read_text())]
    assert 12 < len(shown) < 200
    assert shown == [*every[: len(shown) - 1], every[-1]]
    assert f"Of {len(shown)} of the 200 circuits" in text
    assert text.count('<th scope="row">ring') == 200


def test_a_page_with_all_replays_says_nothing_of_them(text):
    assert "ghosts.json" not in text


def test_without_ghosts_or_curves_the_tables_remain(tmp_path):
    folder = write_run(tmp_path)
    (folder / "evaluation/ghosts.json").unlink()
    (folder / "bc/curve.csv").unlink()
    (folder / "rl/curve.csv").unlink()
    assert '{"curves":[],"circuits":[]}' in make_report(folder).read_text(encoding="utf-8")


def test_laps_under_several_conditions_are_of_the_results(tmp_path):
    folder = write_run(tmp_path, rows=["nominal", "wet"])
    names = ("expert", "clone", LABELS[2])
    data = json.loads(Elements(make_report(folder).read_text(encoding="utf-8")).text["data"])
    assert [lap["driver"] for lap in data["circuits"][0]["laps"]] == [
        f"{name}, {row}" for row in ("nominal", "wet") for name in names
    ]
    assert [lap["note"] for lap in data["circuits"][1]["laps"]] == ["", "", "off track"] * 2
    ghosts = json.loads((folder / "evaluation/ghosts.json").read_text())
    ghosts[0]["laps"][0]["row"] = "dry"
    (folder / "evaluation/ghosts.json").write_text(json.dumps(ghosts))
    with pytest.raises(InputError, match="is not of the evaluation"):
        make_report(folder)


def test_a_replay_of_an_earlier_version_is_named(tmp_path):
    path = write_run(tmp_path) / "evaluation/ghosts.json"
    path.write_text(path.read_text().replace("car_width_m", "car_width"))
    with pytest.raises(InputError, match=r"ghosts\.json: lacks car_width_m"):
        make_report(tmp_path)


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
    command = [sys.executable, "-m", "racing_env.laps.report"]
    root = ROOT
    done = subprocess.run([*command, folder], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"report: {folder / 'report.html'}\n"
    shutil.rmtree(folder / "evaluation")
    done = subprocess.run([*command, folder], cwd=root, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


# ---------------------------------------------------------------- in a browser

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
CAR_X = "document.getElementById('map').data.at(-1).x"
MOST_MS = 120_000  # for what a browser is asked, while all other tests run


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("the browser tests need Chromium; on Debian: apt install chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, page_path):
    """A function that opens a page; at the end nothing must have gone wrong in it."""
    wrong, contexts = [], []

    def open_with(page_path=page_path, laps=3, **settings):
        contexts.append(browser.new_context(**settings))
        contexts[-1].set_default_timeout(MOST_MS)
        page = contexts[-1].new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: request.url == page_path.as_uri() or wrong.append(request.url),
        )
        page.goto(page_path.as_uri())
        wait_until(page, f"{CAR_X}?.length === {laps}")
        return page

    yield open_with
    for context in contexts:
        context.close()
    assert wrong == []


def wait_until(page, condition: str) -> None:
    """Ask until the JavaScript holds; the page forbids the eval that Playwright would wait with."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"not within 20 s: {condition}")


def seconds(page) -> float:
    return float(page.locator("#clock").text_content().split()[0])


def car_x(page) -> list[float | None]:
    return page.evaluate(CAR_X)


def test_browser_shows_names_as_text(open_page):
    page = open_page(**DESKTOP)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("#circuit option").all_text_contents()[1] == f"ring 1 {HOSTILE}"
    assert page.locator("#readout tbody th").all_text_contents() == list(LABELS)
    assert page.locator("#map .main-svg").count() > 0
    for plot in ("#map", "#charts", "#curve-plot"):
        assert len(page.locator(plot).get_attribute("aria-label")) > 50


def test_browser_plays_in_real_time_and_pauses(open_page):
    page = open_page(**DESKTOP)
    before = car_x(page)
    page.click("#play")
    page.wait_for_timeout(1500)
    page.click("#play")
    reached = seconds(page)
    assert 0.7 < reached < 15.0  # a busy machine may have held up the click that ends it
    assert all(a != b for a, b in zip(before, car_x(page), strict=True))
    page.wait_for_timeout(300)
    assert seconds(page) == reached
    assert page.locator("#play").text_content().endswith("Play")


def test_browser_plays_faster_and_stops_at_the_end(open_page):
    page = open_page(**DESKTOP)
    page.select_option("#pace", "10")
    page.locator("#time").fill("100")
    page.click("#play")
    wait_until(page, "document.getElementById('play').textContent.includes('Play')")
    assert seconds(page) == 105.0
    page.click("#play")  # again from the start
    page.wait_for_timeout(100)
    assert seconds(page) < 100.0


def test_browser_by_keyboard(open_page):
    page = open_page(**DESKTOP)
    page.focus("#time")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert seconds(page) == 0.5
    page.focus("#play")
    page.keyboard.press("Space")
    wait_until(page, "parseFloat(document.getElementById('clock').textContent) > 0.7")
    page.keyboard.press("Space")
    page.focus("#circuit")
    page.keyboard.press("ArrowDown")
    assert "ring 1" in page.locator("#map").get_attribute("aria-label")
    assert seconds(page) == 0.0


def test_browser_chooses_drivers(open_page):
    page = open_page(**DESKTOP)
    boxes = page.locator("#drivers input")
    boxes.nth(0).uncheck()
    assert page.locator("#leader").input_value() == "1"
    assert page.locator("#readout tbody th").all_text_contents() == list(LABELS[1:])
    wait_until(page, f"{CAR_X}[0] === null")
    page.select_option("#leader", "0")  # who is compared with is shown
    assert boxes.nth(0).is_checked()
    for i in (2, 1, 0):
        boxes.nth(i).click()
    assert boxes.nth(0).is_checked()  # one remains


def test_browser_links_charts_and_map(open_page):
    page = open_page(**DESKTOP)
    cursor = page.locator("#cursor")
    before = cursor.bounding_box()["x"]
    charts = page.locator("#charts")
    charts.scroll_into_view_if_needed()
    box = charts.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 80)
    wait_until(page, "parseFloat(document.getElementById('clock').textContent) > 30")
    assert cursor.bounding_box()["x"] - before > 0.3 * box["width"]
    middle = box["x"] + 0.5 * box["width"]
    assert cursor.bounding_box()["x"] == pytest.approx(middle, abs=6)
    wait_until(page, f"{CAR_X}[0] < -800")  # half a lap round the ring
    page.evaluate("document.getElementById('map').scrollIntoView()")
    buttons = page.locator("#map .modebar-btn").all()
    assert buttons and "Share" not in [b.get_attribute("data-title")[:5] for b in buttons]
    place = page.evaluate(
        "() => { const { xaxis, yaxis } = document.getElementById('map')._fullLayout;"
        "const box = document.getElementById('map').getBoundingClientRect();"
        "return [box.x + xaxis._offset + xaxis.d2p(0), box.y + yaxis._offset + yaxis.d2p(900)]; }"
    )
    page.mouse.move(*place)
    wait_until(page, "parseFloat(document.getElementById('clock').textContent) < 30")
    assert seconds(page) == pytest.approx(25.0, abs=1.0)


def test_browser_follows_the_car_in_the_close_view(open_page):
    page = open_page(**DESKTOP)
    page.select_option("#view", "close")
    page.locator("#time").fill("50")
    wait_until(page, "document.getElementById('map').layout.xaxis.range[1] < -500")
    low, high = page.evaluate("document.getElementById('map').layout.yaxis.range")
    assert low < 0.0 < high and high - low < 400.0


def test_browser_learning_curves_over_steps(open_page):
    page = open_page(**DESKTOP)
    title = "document.getElementById('curve-plot').layout.xaxis.title.text"
    assert "wall time" in page.evaluate(title)
    page.get_by_label("steps").check()
    assert "million" in page.evaluate(title)


@pytest.mark.parametrize("screen", [DESKTOP, PHONE])
def test_browser_shows_one_condition_beside_another(open_page, tmp_path, screen):
    path = make_report(write_run(tmp_path, rows=["nominal", f"wet {HOSTILE}"]))
    page = open_page(path, laps=6, **screen)
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    table = page.locator("table.conditions")
    assert table.locator("tbody th").all_text_contents() == ["nominal", f"wet {HOSTILE}", "all"]
    assert table.locator("tr").nth(1).locator("td").all_text_contents() == [
        "2 of 2 1.010", "2 of 2 1.035", "1 of 2 1.061"
    ]  # fmt: skip
    bars = "[...document.querySelectorAll('td.share')].map(d => getComputedStyle(d).backgroundSize)"
    assert page.evaluate(bars)[:3] == ["100% 100%", "100% 100%", "50% 100%"]
    drivers = page.locator("#readout tbody th").all_text_contents()
    assert drivers[0] == "expert, nominal" and drivers[3] == f"expert, wet {HOSTILE}"
    region = page.locator("section[aria-labelledby=conditions] .wide")
    region.focus()
    assert page.evaluate("document.activeElement.className") == "wide"


def test_browser_on_a_phone_scrolls_only_down(open_page):
    page = open_page(**PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".modebar").count() == 0
    page.tap("#play")
    wait_until(page, "parseFloat(document.getElementById('clock').textContent) > 0.3")


def test_browser_light_and_dark(open_page):
    page = open_page(**DESKTOP, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    road = "document.getElementById('map').data[0].fillcolor"
    dark = [page.evaluate(colour) for colour in (paper, road)]
    page.emulate_media(color_scheme="light")
    for colour, before in zip((paper, road), dark, strict=True):
        wait_until(page, f"{colour} !== '{before}'")
