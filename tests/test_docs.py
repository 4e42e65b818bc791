"""What the documentation names is there."""

import json
import re
from typing import Any

import pytest
from processes import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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
