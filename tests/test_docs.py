"""What the documentation names is there."""

import re

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
    ):  # fmt: skip
        source = (ROOT / script).read_text(encoding="utf-8")
        for flag in re.findall(r'(?:flag|add|add_argument)\(\s*"(--[\w-]+)"', source):
            assert f"`{flag}" in text or f" {flag}" in text, f"{script} {flag}"


def test_every_module_is_on_the_map():
    text = (ROOT / "docs" / "how_it_works.md").read_text(encoding="utf-8")
    for module in (ROOT / "racing_env").glob("*.py"):
        assert module.name == "__init__.py" or f"  {module.name} " in text, module.name
