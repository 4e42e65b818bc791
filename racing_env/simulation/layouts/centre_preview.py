"""As `line_preview`, but the driver sees the centre line in place of the racing line.

The profile's speed stays that of the racing line. What the line is worth shows beside it.
"""

from racing_env.car.kernels import inlined, kernel
from racing_env.simulation import closed_loop
from racing_env.simulation.layout import Layout
from racing_env.simulation.layouts.line_preview import (
    LineColumns,
    add_line_gradient,
    observe_line,
    quantities,
)
from racing_env.simulation.motion import move
from racing_env.tracks import bank

CENTRE_LINE = LineColumns(
    bank.X, bank.Y, bank.COS, bank.SIN, bank.KAPPA, bank.ROOM_LEFT, bank.ROOM_RIGHT
)


@inlined
def see(state, car, cars, circuits, scaling, out):
    observe_line(state, car, cars, circuits, CENTRE_LINE, scaling, out)


@inlined
def add_seen_gradient(
    state, car, c, station, fraction, offset, circuits, scaling, changes, probe, by_seen, out
):
    return add_line_gradient(
        state, car, c, station, fraction, offset, circuits, CENTRE_LINE, by_seen, out
    )


@kernel
def observe(state, cars, circuits, scaling, indices, out):
    """See `racing_env.simulation.layout.Layout`."""
    for k in range(len(indices)):
        see(state, indices[k], cars, circuits, scaling, out[k])


@kernel
def step(state, actions, cars, circuits, weights, dt_s, run_off_m, scratch, scaling, out):
    """See `racing_env.simulation.layout.Layout`."""
    if not move(state, actions, cars, circuits, weights, dt_s, run_off_m, scratch):
        return False
    for car in range(len(out)):
        see(state, car, cars, circuits, scaling, out[car])
    return True


@kernel
def drive(state, cars, circuits, numbers, scaling, scratch, network, episodes, tape, first):
    """See `racing_env.simulation.layout.Layout`."""
    return closed_loop.drive(
        see, state, cars, circuits, numbers, scaling, scratch, network, episodes, tape, first
    )


@kernel
def pull_back(circuits, numbers, scaling, changes, probe, network, tape, gradient):
    """See `racing_env.simulation.layout.Layout`."""
    closed_loop.pull_back(
        add_seen_gradient, circuits, numbers, scaling, changes, probe, network, tape, gradient
    )


LAYOUT = Layout("centre-preview-1", quantities("centre line"), observe, step, drive, pull_back)
