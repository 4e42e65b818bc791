"""The reference of the site: a page for each sub-package, out of the docstrings of the sources.

Docstrings are Markdown, and so are the pages. Nothing is imported to read them but the environment,
whose docstring is completed when it is.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

from racing_env.environment import RaceEnv

PACKAGE = "racing_env"
COMPLETED = {f"{RaceEnv.__module__}.{RaceEnv.__name__}": RaceEnv}
INDEX = f"""# Reference

What the modules of `{PACKAGE}` say of themselves. Modules may move between versions; what is
promised to stay is in the [changelog](../CHANGELOG.md).

"""


def write_reference(root: Path, folder: Path) -> None:
    """Write `index.md` and a page for each sub-package into a folder; what it had is replaced.

    root: of the repository.
    """
    package = griffe.load(PACKAGE, search_paths=[root], submodules=True)
    pages = {of.path: page(of) for of in packages(package) if documented(of)}
    names = "\n".join(pages)
    pages["index"] = f"{INDEX}```{{toctree}}\n{names}\n```\n"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # else not built again
            path.write_text(text, encoding="utf-8")


def packages(package: Any) -> Iterator[Any]:
    """A package and all within it, the outer ones first."""
    yield package
    for module in sorted(package.modules.values(), key=lambda module: module.name):
        if module.is_package or module.is_subpackage:
            yield from packages(module)


def documented(package: Any) -> list[Any]:
    """The modules of a package itself that say anything."""
    inner = (module for module in package.modules.values() if not module.is_init_module)
    modules = [package, *sorted(inner, key=lambda module: str(module.name))]
    return [module for module in modules if module.docstring]


def page(package: Any) -> str:
    sections = [section(module) for module in documented(package)]
    return f"# {package.path}\n\n" + "\n".join(sections)


def section(module: Any) -> str:
    """A module: what it says, its constants, its functions and classes."""
    parts = [
        f"## {module.path.removeprefix(f'{PACKAGE}.')}",
        f"```{{py:module}} {module.path}\n```",
        text(module),
        assignments(module),
        *(directive(member) for member in public(module, "function", "class")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def directive(member: Any) -> str:
    """A function or class of Sphinx's domain of Python, so that it can be found by its name."""
    kind = "class" if member.is_class else "method" if member.parent.is_class else "function"
    options, inner = "", [text(member)]
    if member.is_class:
        inner += [assignments(member), *map(directive, public(member, "function"))]
    elif "property" in member.labels:
        kind = "property"
    elif "classmethod" in member.labels:
        options = ":classmethod:\n"
    name = member.path.removeprefix(f"{member.module.path}.")
    content = "\n\n".join(part for part in inner if part)
    fence = "`" * (3 + 2 * (member.is_class + 1))  # longer than those within
    return f"{fence}{{py:{kind}}} {name}{signature(member)}\n{options}\n{content}\n{fence}"


def signature(member: Any) -> str:
    """What it is called with, and what it returns."""
    if "property" in member.labels:
        return ""
    try:
        parameters = [each for each in member.parameters if each.name not in ("self", "cls")]
    except KeyError:
        return ""
    written = ", ".join(parameter(each) for each in parameters)
    returns = "" if member.is_class or member.returns is None else f" -> {hint(member.returns)}"
    return f"({written}){returns}"


def parameter(each: Any) -> str:
    stars = {"variadic positional": "*", "variadic keyword": "**"}.get(each.kind.value, "")
    type_hint = "" if each.annotation is None else f": {hint(each.annotation)}"
    value = "" if each.default is None or stars else f" = {each.default}"
    return f"{stars}{each.name}{type_hint}{value}"


def hint(annotation: Any) -> str:
    """A type hint; what is the package's own by its full name, so that it leads there."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, griffe.ExprName | griffe.ExprAttribute):
        path = annotation.canonical_path
        return path if path.startswith(f"{PACKAGE}.") else str(annotation)
    return "".join(hint(part) for part in annotation.iterate(flat=False))


def assignments(owner: Any) -> str:
    """Constants of a module or fields of a class as the source has them, with their comments."""
    lines = [
        re.sub(r"  # (fmt|noqa|type):.*$", "", inspect.cleandoc(each.source), flags=re.MULTILINE)
        for each in public(owner, "attribute")
    ]
    return "```python\n" + "\n".join(lines) + "\n```" if lines else ""


def public(owner: Any, *kinds: str) -> list[Any]:
    """Members that are its own, in the order of the source."""
    members = [each for each in owner.members.values() if not each.is_alias]
    shown = [
        each
        for each in members
        if each.kind.value in kinds and not each.name.startswith("_") and each.lineno is not None
    ]
    return sorted(shown, key=lambda each: int(each.lineno))


def text(member: Any) -> str:
    """A docstring as Markdown that may stand anywhere: headings are for pages."""
    if member.path in COMPLETED:
        docstring = inspect.getdoc(COMPLETED[member.path]) or ""
    else:
        docstring = inspect.cleandoc(member.docstring.value) if member.docstring else ""
    return re.sub(r"^#+ (.*)$", r"**\1**", docstring, flags=re.MULTILINE)
