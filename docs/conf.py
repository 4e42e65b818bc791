"""The documentation as a site: these pages, the README as its first, and the code's reference.

    python -m sphinx -W --keep-going -c docs . build/site

The pages are read on GitHub, too, so nothing in them is for the site alone.
"""

from pathlib import Path

from sphinx.application import Sphinx

from pages.reference import write_reference

ROOT = Path(__file__).resolve().parents[1]
PAGES = (  # in the order of reading
    "how_it_works", "tutorials/circuit", "tutorials/car", "tutorials/onnx", "tutorials/cluster",
    "extending", "scripts", "files", "recipe", "performance",
    "reliability", "cluster", "troubleshooting",
)  # fmt: skip

project = "racing_env"
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/**.md", "reference/*.md"]
html_theme = "furo"
html_title = project
html_show_sphinx = html_copy_source = False

python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

# As on GitHub: links to headings, and diagrams.
myst_heading_anchors = 6
myst_fence_as_directive = ["mermaid"]


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the first page a table of contents, which GitHub would show as code."""
    if name == root_doc:
        pages = "\n".join(f"docs/{page}" for page in PAGES)
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{pages}\nreference/index\nCHANGELOG\n```\n"


def setup(app: Sphinx) -> None:
    write_reference(ROOT, ROOT / "reference")
    app.connect("source-read", add_contents)
