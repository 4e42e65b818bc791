"""What the columns of a table are, by the names that people give them.

A name is taken apart into words. It is understood if all of its words are; what is not understood
is left out, unless it reads as a width or a side: then nobody can tell what it would change.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from racing_env.common.errors import InputError
from racing_env.tracks.readers.centre_line import COLUMNS, FORMATS

CENTRE_LINE = ("x", "y", "right", "left")
BORDERS = ("left_x", "left_y", "right_x", "right_y")
INNER_OUTER = ("inner_x", "inner_y", "outer_x", "outer_y")
CONES = ("tag", "x", "y")
TOTAL_WIDTH = ("x", "y", "width")
HALF_WIDTH = ("x", "y", "half_width")

UNIT = {"m", "meter", "meters", "metre", "metres"}
CENTRE = {"ref", "center", "centre", "centerline", "centreline", "mid", "middle", "pos", "position",
          "coordinate", "coord"}  # fmt: skip
EDGE = {"border", "boundary", "bound", "bounds", "edge", "wall", "limit", "track", "lane"}
MEASURE = {"w", "width", "dist", "distance", "d"}
ROAD = {"tr", "track", "road", "to", "half"}
SIDES = {"right": "right", "left": "left", "r": "right", "l": "left"}
WRITTEN_AS_ONE = {
    "wr": ("w", "r"), "wl": ("w", "l"), "wright": ("w", "right"), "wleft": ("w", "left"),
    "widthright": ("width", "right"), "widthleft": ("width", "left"),
    "rightwidth": ("width", "right"), "leftwidth": ("width", "left"),
    "trackwidth": ("track", "width"), "halfwidth": ("half", "width"), "xpos": ("x",),
    "ypos": ("y",), "xref": ("x",), "yref": ("y",), "posx": ("x",), "posy": ("y",),
    "east": ("x",), "easting": ("x",), "north": ("y",), "northing": ("y",),
}  # fmt: skip
TAGS = {"tag", "color", "colour", "type", "class", "cone"}
SUSPECT = {"right", "left", "width", "widths", "w", "wr", "wl", "inner", "outer", "inside",
           "outside"}  # fmt: skip


class Header(NamedTuple):
    """A line that names columns."""

    line: int
    names: list[str]


class Layout(NamedTuple):
    """What a table holds: one of the tuples above, where its columns are, and their names."""

    kind: tuple[str, ...]
    indices: list[int]
    names: tuple[str, ...]


def layout_of(path: Path, headers: Sequence[Header]) -> Layout:
    """What the headers say that the columns are.

    Raises InputError for names that are not understood, a column that is missing or there twice,
    and headers that contradict each other.
    """
    layouts = [_layout(path, header) for header in headers]
    for header, layout in zip(headers[1:], layouts[1:], strict=True):
        if layout[:2] != layouts[0][:2]:
            raise InputError(
                f"{path}:{header.line}: the header '{','.join(header.names):.80}' contradicts "
                f"that in line {headers[0].line}; leave one out"
            )
    return layouts[0]


def is_line_without_widths(header: Header) -> bool:
    """Whether a header is that of a trajectory: places and what a car does there, no widths."""
    meanings = [meaning(name) for name in header.names]
    return {"x", "y"} <= set(meanings) and not any(
        word in meanings for word in (*CENTRE_LINE[2:], "width", "half_width", *BORDERS, "tag")
    )


def names_places(names: Sequence[str]) -> bool:
    """Whether x and y of something are among the columns."""
    meanings = {meaning(name) for name in names}
    return any(set(pair) <= meanings for pair in (CENTRE_LINE[:2], BORDERS[:2], INNER_OUTER[:2]))


def meaning(name: str) -> str | None:
    """What a column of this name is: a word of the tuples above, or None."""
    words = _words(name)
    if words & TAGS and words <= TAGS:
        return "tag"
    for axis in ("x", "y"):
        if axis in words:
            return _place(words - {axis}, axis)
    sides = [SIDES[word] for word in words if word in SIDES]
    rest = words - SIDES.keys()
    if len(sides) == 1 and rest <= MEASURE | ROAD | EDGE:
        named = "right" in words or "left" in words
        if (not rest and named) or rest & (MEASURE if named else {"w", "width"}):
            return sides[0]
    if not sides and rest & {"w", "width"} and rest <= {"w", "width", "total", *ROAD}:
        return "half_width" if "half" in rest else "width"
    return None


def _place(others: set[str], axis: str) -> str | None:
    if others <= CENTRE:
        return axis
    for side, name in (*SIDES.items(), ("inner", "inner"), ("outer", "outer")):
        if side in others and others - {side} <= EDGE | CENTRE:
            return f"{name}_{axis}"
    return None


def _words(name: str) -> set[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", apart) if word]
    if len(words) > 1 and words[-1] in UNIT:
        words = words[:-1]
    return {part for word in words for part in WRITTEN_AS_ONE.get(word, (word,))}


def _layout(path: Path, header: Header) -> Layout:
    names, shown = header.names, f"'{','.join(header.names):.80}'"
    if len(names) < 3:
        raise InputError(f"{path}:{header.line}: has {len(names)} column(s), {shown}; {FORMATS}")
    meanings = [meaning(name) for name in names]
    if is_line_without_widths(header):
        raise InputError(
            f"{path}:{header.line}: is a line without widths, {shown}; a circuit needs "
            f"{COLUMNS[2]} and {COLUMNS[3]} as well, or width_m for both sides together"
        )
    kind = _kind(meanings)
    for i, name in enumerate(names):
        if meanings[i] is None and _words(name) & SUSPECT:
            raise InputError(
                f"{path}:{header.line}: column {name[:40]} of the header {shown} is not "
                f"understood; widths are {COLUMNS[2]} and {COLUMNS[3]} (or w_right and w_left, "
                "right_width and left_width, d_right and d_left, width_m for both sides together)"
            )
    for word in kind:
        if meanings.count(word) != 1:
            what = "is missing" if word not in meanings else "is there twice"
            column = COLUMNS[CENTRE_LINE.index(word)] if word in CENTRE_LINE else word
            raise InputError(
                f"{path}:{header.line}: column {column} {what} in the header {shown}; {FORMATS}"
            )
    indices = [meanings.index(word) for word in kind]
    return Layout(kind, indices, tuple(names[index] for index in indices))


def _kind(meanings: list[str | None]) -> tuple[str, ...]:
    """The first kind of table whose own columns are there; a centre line if none are."""
    one_sided = "right" in meanings or "left" in meanings
    for kind in (CENTRE_LINE, TOTAL_WIDTH, HALF_WIDTH, BORDERS, INNER_OUTER, CONES):
        if set(kind) <= set(meanings) and not (one_sided and kind in (TOTAL_WIDTH, HALF_WIDTH)):
            return kind
    return CENTRE_LINE
