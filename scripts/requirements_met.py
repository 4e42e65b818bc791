"""Exit 0 if this interpreter has everything that requirement files ask for, dependencies included.

    python scripts/requirements_met.py requirements.txt ...

Otherwise print each thing that is missing and exit 1. Reads package metadata, so it needs no
network and does not import the packages themselves.
"""

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path


def requirement_lines(path: Path) -> Iterator[str]:
    """The requirements of a file and of the files that it includes with -r."""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            yield from requirement_lines(path.parent / text[3:].strip())
        elif text:
            yield text


def missing(lines: list[str]) -> list[str]:
    """The requirements, or dependencies of theirs, that are absent, half installed or another
    version."""
    # packaging comes with the requirements themselves: without it they are not all there.
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return lines
    absent = []
    seen = set()
    pending = [(line, "") for line in lines]
    while pending:
        line, extra = pending.pop()
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        try:
            installed = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            absent.append(line)
            continue
        # An installer writes RECORD last: without it the package is half installed.
        complete = installed.read_text("RECORD") is not None
        if not complete or not requirement.specifier.contains(installed.version, prereleases=True):
            absent.append(line)
        for extra in ("", *requirement.extras):
            pending += [(dependency, extra) for dependency in installed.requires or []]
    return absent


if __name__ == "__main__":
    absent = missing([line for name in sys.argv[1:] for line in requirement_lines(Path(name))])
    for line in absent:
        print(f"missing: {line}", file=sys.stderr)
    sys.exit(bool(absent))
