"""Tables as text: separators, decimal signs, comments and headers as people really have them."""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from racing_env.common.errors import InputError
from racing_env.tracks.readers.columns import Header, names_places

COMMENT = re.compile(r"\s*(#|%|//|sep=.$)")  # the last for a spreadsheet, with its separator
SEPARATORS = (";", "\t", "|", ",", " ")  # " " stands for any white space
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
COLUMN_NAME = re.compile(r"[A-Za-z][\w./()\[\]-]*(?: ?[\[(]\w+[\])])?|")


class TextTable(NamedTuple):
    """Fields of the rows of a text file, and what its headers name them."""

    headers: list[Header]
    rows: list[list[str]]
    lines: list[int]  # of each row


def read_text_table(path: Path, text: str) -> TextTable:
    """Split a text into headers and rows.

    The separator is that of the rows: semicolon, tab, bar, comma or white space. A header is a
    first line without a number in it; a comment that names x and y; or the comment before the
    first row if it names as many columns as there are. Raises InputError for a row that cannot be
    split.
    """
    comments, body = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip(" \t;,|\"'"):
            continue
        if COMMENT.match(line) is None:
            body.append((number, line))
        elif not body:
            comments.append((number, line))
    separator = _separator(body[1 if len(body) > 1 else 0][1]) if body else ","
    split = [(number, _split(path, number, line, separator)) for number, line in body]
    bare = split[0] if split and not any(map(_is_number, split[0][1])) else None
    if bare is not None:
        split = split[1:]
    columns = len(split[0][1]) if split else 0
    headers = []
    for i, (number, line) in enumerate(comments):
        last = i == len(comments) - 1
        names = _names_in_comment(path, number, line, separator, columns if last else 0)
        if names:
            headers.append(Header(number, names))
    if bare is not None:
        names = bare[1]
        if len(names) == 1:
            names = _split(path, bare[0], body[0][1], _separator(body[0][1]))
        headers.append(Header(bare[0], names))
    return TextTable(headers, [row for _, row in split], [number for number, _ in split])


def numbers(path: Path, table: TextTable, indices: list[int], names: tuple[str, ...]) -> np.ndarray:
    """Columns of a table as an array (rows, columns) of float64.

    A comma is a decimal sign where no field has a point for one. Raises InputError for a row with a
    field that is missing or not a number.
    """
    values = np.empty((len(table.rows), len(indices)))
    comma_at = point_at = None
    for i, row in enumerate(table.rows):
        for j, index in enumerate(indices):
            field = row[index]
            if DECIMAL_COMMA.fullmatch(field):
                comma_at, field = table.lines[i], field.replace(",", ".")
            elif "." in field:
                point_at = table.lines[i]
            try:
                values[i, j] = float(field)
            except ValueError:
                raise InputError(
                    f"{path}:{table.lines[i]}: {names[j]} is '{row[index][:40]}'; "
                    "a number is needed"
                ) from None
    if comma_at and point_at:
        raise InputError(
            f"{path}:{comma_at}: has a decimal comma, line {point_at} a decimal point; one of them "
            "is needed"
        )
    return values


def _separator(line: str) -> str:
    """What separates the fields of a row of numbers."""
    for separator in SEPARATORS[:3]:
        if separator in line:
            return separator
    words = line.split()
    if len(words) > 2 and all(DECIMAL_COMMA.fullmatch(word) or "," not in word for word in words):
        return " "
    return "," if "," in line else " "


def _split(path: Path, number: int, line: str, separator: str) -> list[str]:
    if separator == " ":
        fields = line.split()
    elif '"' in line:
        try:
            fields = next(csv.reader([line.strip()], delimiter=separator, skipinitialspace=True))
        except csv.Error as error:
            raise InputError(
                f"{path}:{number}: is no row of a table ({error}); numbers are needed"
            ) from None
    else:
        fields = line.split(separator)
    return [field.strip().strip("\"'").strip() for field in fields]


def _is_number(field: str) -> bool:
    try:
        float(field.replace(",", "."))
    except ValueError:
        return False
    return True


def _names_in_comment(
    path: Path, number: int, line: str, separator: str, columns: int
) -> list[str] | None:
    """Column names, if the comment has them: x and y among them, or as many as `columns`."""
    text = line.strip().lstrip("#%/ \t")
    for candidate in (separator, *SEPARATORS):
        names = _split(path, number, text, candidate)
        if len(names) < 3 or not all(COLUMN_NAME.fullmatch(name) for name in names):
            continue
        if names_places(names) or (candidate != " " and len(names) == columns):
            return names
    return None
