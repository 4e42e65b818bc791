"""Circuits in text files: centre lines, borders and cones."""

from pathlib import Path

import numpy as np

from racing_env.common.errors import InputError
from racing_env.tracks.readers import columns
from racing_env.tracks.readers.borders import between_borders, between_inner_and_outer
from racing_env.tracks.readers.centre_line import COLUMNS, POINTS_MIN, CentreLine
from racing_env.tracks.readers.cones import is_tag, through_cones
from racing_env.tracks.readers.text_table import TextTable, numbers, read_text_table

FIELDS_SHOWN = 60


def read_text_circuit(path: Path, text: str) -> CentreLine:
    """The circuit in a text. Raises InputError if there is none, or more than one reading of it."""
    table = read_text_table(path, text)
    layout = _layout(path, table)
    _check_fields(path, table, layout)
    if not table.rows:
        raise InputError(f"{path}: has no points; at least {POINTS_MIN} are needed")
    if layout.kind == columns.CONES:
        tags = [row[layout.indices[0]] for row in table.rows]
        places = numbers(path, table, layout.indices[1:], layout.names[1:])
        return CentreLine(through_cones(path, tags, places))
    values = numbers(path, table, layout.indices, layout.names)
    lines = np.array(table.lines)
    if layout.kind == columns.BORDERS:
        return CentreLine(between_borders(path, values[:, :2], values[:, 2:]), lines)
    if layout.kind == columns.INNER_OUTER:
        return CentreLine(between_inner_and_outer(values[:, :2], values[:, 2:]), lines)
    if layout.kind == columns.TOTAL_WIDTH:
        values = np.column_stack([values[:, :2], 0.5 * values[:, 2], 0.5 * values[:, 2]])
    elif layout.kind == columns.HALF_WIDTH:
        values = np.column_stack([values, values[:, 2]])
    return CentreLine(values, lines, (*layout.names, layout.names[-1])[:4])


def _layout(path: Path, table: TextTable) -> columns.Layout:
    if table.headers:
        return columns.layout_of(path, table.headers)
    if table.rows and is_tag(table.rows[0][0]):
        return columns.Layout(columns.CONES, [0, 1, 2], columns.CONES)
    return columns.Layout(columns.CENTRE_LINE, [0, 1, 2, 3], COLUMNS)


def _check_fields(path: Path, table: TextTable, layout: columns.Layout) -> None:
    """Raise InputError for a row with more or fewer fields than there are columns."""
    named = len(table.headers[0].names) if table.headers else None
    unnamed_are_cones = named is None and layout.kind == columns.CONES
    for number, row in zip(table.lines, table.rows, strict=True):
        fields = len(row)
        while fields > (named or 4) and not row[fields - 1]:
            fields -= 1  # separators at the end of a line
        if fields <= max(layout.indices):
            raise InputError(
                f"{path}:{number}: has {fields} column(s), a column is missing; "
                f"{', '.join(layout.names)} are needed"
            )
        if named is not None and fields != named:
            raise InputError(
                f"{path}:{number}: has {fields} fields, '{','.join(row):.{FIELDS_SHOWN}}', where "
                f"the header in line {table.headers[0].line} names {named} columns; "
                f"{', '.join(layout.names)} are needed (a comma cannot be both separator and "
                "decimal sign)"
            )
        if named is None and fields > 4 and not unnamed_are_cones:
            raise InputError(
                f"{path}:{number}: has {fields} columns without names; at most the four "
                f"{', '.join(COLUMNS)} are read so, others need a header that names them"
            )
