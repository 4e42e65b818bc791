"""What the documentation names is there."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from processes import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SITE = ("sphinx", "myst_parser", "sphinxcontrib.mermaid", "furo", "griffe")


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), target


def test_every_flag_of_the_scripts_is_documented():
    text = (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")
    for script in (
        "collect_demonstrations.py", "train_bc.py", "train_rl.py", "evaluate.py", "export.py",
        "drive.py",
    ):  # fmt: skip
        source = (ROOT / script).read_text(encoding="utf-8")
        for flag in re.findall(r'(?:flag|add|add_argument)\(\s*"(--[\w-]+)"', source):
            assert f"`{flag}" in text or f" {flag}" in text, f"{script} {flag}"


def test_every_module_is_on_the_map():
    """By its name; or none of a folder is, where the folder is described as a whole."""
    text = (ROOT / "docs" / "how_it_works.md").read_text(encoding="utf-8")
    folders = {path.parent for path in (ROOT / "racing_env").rglob("*.py")}
    assert len(folders) > 10
    for folder in folders:
        assert re.search(rf"^ *{folder.name}/|, {folder.name}/", text, re.MULTILINE), folder
        names = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
        named = {name for name in names if re.search(rf"[ ,/]{re.escape(name)}\b", text)}
        assert named in (names, set()), f"{folder}: {names - named}"


def result(name: str, folder: str = "benchmarks") -> Any:
    return json.loads((ROOT / folder / "results" / f"{name}.json").read_text())


def test_figures_in_the_text_are_those_of_the_results():
    performance = (ROOT / "docs/performance.md").read_text()
    peak_mb = f"{result('cars/racecar/memory')['peak_bytes'] / 1e6:,.0f} MB"
    assert peak_mb in performance and peak_mb in (ROOT / "README.md").read_text()
    cloning = result("learning")["cases"]["bc, loader workers: 0"]
    update_ms = 1000.0 / cloning["updates_per_s"]
    assert f"small updates of {update_ms:.2f} ms" in performance
    assert f"and back take {cloning['update'] * update_ms:.2f} ms" in performance
    assert f"shards takes {cloning['cars'] * update_ms:.2f} ms" in performance
    soak = [sample["memory_mb"] for sample in result("soak", "stress")["samples"]]
    text = " ".join((ROOT / "docs/reliability.md").read_text().split())
    assert f"{soak[0]:.0f} MB after the first 200,000 steps, {max(soak):.0f} MB at the most" in text


class Page(HTMLParser):
    """What a page of the site leads to, and what in it can be led to."""

    def __init__(self, path: Path):
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        self.targets += [of[name] or "" for name in ("href", "src") if name in of]
        self.ids |= {of["id"] or ""} if "id" in of else set()


def build_site(out: Path) -> subprocess.CompletedProcess[str]:
    """By the command that docs/conf.py names."""
    text = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    python (-m sphinx .*) build/site$", text, re.MULTILINE)
    return subprocess.run(
        [sys.executable, *command.split(), str(out), "-q"], cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site; a warning of its generator, as of a link that leads nowhere, is an error."""
    for name in SITE:
        pytest.importorskip(name)
    out = tmp_path_factory.mktemp("site")
    done = build_site(out)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return out


def test_the_site_has_every_page_and_its_links_lead_somewhere(site):
    for page in PAGES:
        assert (site / page.relative_to(ROOT)).with_suffix(".html").exists(), page
    pages = {path: Page(path) for path in site.rglob("*.html")}
    led_to = set()
    for path, page in pages.items():
        for target in page.targets:
            if re.match(r"https?:|data:", target):
                continue
            file, _, anchor = target.partition("#")
            linked = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            assert linked.exists(), f"{path}: {target}"
            if anchor and linked in pages:
                assert unquote(anchor) in pages[linked].ids, f"{path}: {target}"
                led_to.add(linked.name)
    assert {"files.html", "README.html", "racing_env.car.html"} <= led_to


def test_the_reference_has_every_module_and_what_the_environment_says(site):
    ids = {name for path in (site / "reference").glob("*.html") for name in Page(path).ids}
    for path in (ROOT / "racing_env").rglob("*.py"):
        if path.read_text(encoding="utf-8"):  # else an empty __init__
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            assert f"module-{name}" in ids, name
    assert {
        "racing_env.simulation.layout.Layout.bounds",
        "racing_env.tracks.reader.read_track",
    } <= ids
    assert not [name for name in ids if "._" in name]
    text = re.sub(r"<[^>]*>", "", (site / "reference" / "racing_env.html").read_text())
    assert "yaw_rate_radps" in text and "{observations}" not in text


def test_git_ignores_what_the_site_is_made_of():
    for name in ("build/site", "reference/index.md"):
        assert not subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT).returncode
