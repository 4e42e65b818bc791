"""As `line_preview`, but the driver sees the centre line in place of the racing line.

The profile's speed stays that of the racing line. What the line is worth shows beside it.
"""

from racing_env.car.kernels import kernel
from racing_env.simulation.layout import Layout
from racing_env.simulation.layouts.line_preview import LineColumns, observe_line, quantities
from racing_env.simulation.motion import move
from racing_env.tracks import bank

CENTRE_LINE = LineColumns(
    bank.X, bank.Y, bank.COS, bank.SIN, bank.KAPPA, bank.ROOM_LEFT, bank.ROOM_RIGHT
)


@kernel
def observe(state, cars, circuits, scaling, indices, out):
    """See `racing_env.simulation.layout.Layout`."""
    for k in range(len(indices)):
        observe_line(state, indices[k], cars, circuits, CENTRE_LINE, scaling, out[k])


@kernel
def step(state, actions, cars, circuits, weights, dt_s, run_off_m, scratch, scaling, out):
    """See `racing_env.simulation.layout.Layout`."""
    if not move(state, actions, cars, circuits, weights, dt_s, run_off_m, scratch):
        return False
    for car in range(len(out)):
        observe_line(state, car, cars, circuits, CENTRE_LINE, scaling, out[car])
    return True


LAYOUT = Layout("centre-preview-1", quantities("centre line"), observe, step)
