"""Laps finished and pace over conditions, as a picture: a column a condition, a row a driver."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from racing_env.common.files import replaced_atomically
from racing_env.laps.condition_map import Rows, pace, share_finished

LOST, FINISHED = "#d9825b", "#d3e6f3"  # colours of no lap finished and of all


def write_condition_picture(rows: Rows, names: Sequence[str], path: Path) -> None:
    """rows: results by condition and driver; names: of the drivers, in their order."""
    drivers = list(next(iter(rows.values())))
    figure = Figure(figsize=(0.42 * len(rows) + 2.2, 0.5 * len(drivers) + 2.0), dpi=110)
    axes = figure.add_subplot()
    for y, driver in enumerate(drivers):
        for x, of_row in enumerate(rows.values()):
            share, mean_pace = share_finished(of_row[driver]), pace(of_row[driver])
            axes.barh(y, 0.94, left=x - 0.47, height=0.9, color=LOST)
            axes.barh(y, 0.94 * share, left=x - 0.47, height=0.9, color=FINISHED)
            slower = "–" if mean_pace is None else f"{100.0 * (mean_pace - 1.0):.1f}"
            finished = sum(drive["finished"] for drive in of_row[driver])
            axes.text(x, y - 0.16, f"{finished}/{len(of_row[driver])}", ha="center", fontsize=6.5)
            axes.text(x, y + 0.28, slower, ha="center", fontsize=6.5)
    axes.set_xticks(np.arange(len(rows)), list(rows), rotation=60, ha="right", fontsize=7)
    axes.set_yticks(np.arange(len(drivers)), names, fontsize=8)
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_ylim(len(drivers) - 0.5, -0.5)
    axes.set_title(
        "laps finished, and by how many per cent they are slower than the profile's lap under the "
        "condition", fontsize=8,
    )  # fmt: skip
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    with replaced_atomically(path) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight")
