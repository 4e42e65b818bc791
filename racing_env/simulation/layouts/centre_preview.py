"""As `line_preview`, but the driver sees the centre line in place of the racing line.

The profile's speed stays that of the racing line. What the line is worth shows beside it.
"""

from racing_env.car.kernels import inlined
from racing_env.simulation.layout_kernels import new_layout
from racing_env.simulation.layouts.line_preview import (
    LineColumns,
    add_line_gradient,
    observe_line,
    quantities,
)
from racing_env.tracks import bank

CENTRE_LINE = LineColumns(
    bank.X, bank.Y, bank.COS, bank.SIN, bank.KAPPA, bank.ROOM_LEFT, bank.ROOM_RIGHT
)


@inlined
def see(state, car, cars, circuits, scaling, out):
    observe_line(state, car, cars, circuits, CENTRE_LINE, scaling, out)


@inlined
def add_seen_gradient(
    state, car, c, station, fraction, offset, own_conditions, circuits, scaling, changes, probe,
    by_seen, out,
):  # fmt: skip
    return add_line_gradient(
        state, car, c, station, fraction, offset, own_conditions, circuits, CENTRE_LINE, by_seen,
        out,
    )  # fmt: skip


LAYOUT = new_layout("centre-preview-1", quantities("centre line"), see, add_seen_gradient)
