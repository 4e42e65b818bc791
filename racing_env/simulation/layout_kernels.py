"""The kernels of all layouts, from the two functions in which they differ.

Numba keeps no kernel on disk that is handed a function, or made within one. So each layout has
copies of the functions here, by names of their own, in whose globals are its own functions.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

from racing_env.car.conditions import NOISE
from racing_env.car.kernels import inlined, kernel
from racing_env.simulation import closed_loop
from racing_env.simulation.gradients import add_seen_differences
from racing_env.simulation.layout import Layout, Quantity
from racing_env.simulation.motion import move
from racing_env.simulation.sensors import measure


def new_layout(
    name: str,
    quantities: tuple[Quantity, ...],
    see: Callable[..., None],
    add_seen_gradient: Callable[..., tuple[float, float]] | None = None,
) -> Layout:
    """A layout of what `see` shows, both of a module in `racing_env.simulation.layouts`.

    see(state, car, cars, circuits, scaling, out), an inlined function, fills out (size,) with what
    one car's driver sees. add_seen_gradient(state, car, c, station, fraction, offset,
    own_conditions, circuits, scaling, changes, probe, by_seen, out), another, adds to out
    (STATE_SIZE, n) what a gradient by those quantities in their units, by_seen (size,), is by the
    state of a car on circuit c under its conditions (conditions.SIZE,), and returns what it is by
    the car's fraction and by its offset (m) at the station, which follow from
    its place. Without it, that is found by differences.
    """
    own: dict[str, Any] = {"see": see}
    own["add_seen_gradient"] = add_seen_gradient or inlined(_copy_for(name, _differences, own))
    own["see_with_errors"] = kernel(_copy_for(name, _see_with_errors, own))
    own["sense"] = inlined(_copy_for(name, _sense, own))
    templates = (_observe, _step, _drive, _pull_back)
    kernels = [kernel(_copy_for(name, template, own)) for template in templates]
    return Layout(name, quantities, *kernels)


def _copy_for(name: str, function: Any, own: dict[str, Any]) -> Any:
    """A function with these names in its globals; numba's cache knows it by its own."""
    copy: Any = FunctionType(function.__code__, function.__globals__ | own, function.__name__)
    copy.__qualname__ = f"{function.__qualname__}_{name}"
    copy.__doc__ = function.__doc__
    return copy


def see(state, car, cars, circuits, scaling, out):
    """In the copies, a layout's own."""


def add_seen_gradient(
    state, car, c, station, fraction, offset, own_conditions, circuits, scaling, changes, probe,
    by_seen, out,
):  # fmt: skip
    """In the copies, a layout's own."""


def _differences(
    state, car, c, station, fraction, offset, own_conditions, circuits, scaling, changes, probe,
    by_seen, out,
):  # fmt: skip
    return add_seen_differences(
        see, state, car, c, station, own_conditions, circuits, scaling, changes, probe, by_seen, out
    )


def see_with_errors(state, car, cars, circuits, scaling, sensors, noise, out):
    """In the copies, a layout's own."""


def sense(state, car, cars, circuits, scaling, sensors, noise, out):
    """In the copies, a layout's own."""


def _see_with_errors(state, car, cars, circuits, scaling, sensors, noise, out):
    measure(state, car, cars, circuits, sensors, noise)
    see(sensors.state, 0, sensors.cars, circuits, scaling, out)


def _sense(state, car, cars, circuits, scaling, sensors, noise, out):
    if cars.conditions[car, NOISE] == 0.0:
        see(state, car, cars, circuits, scaling, out)
    else:
        see_with_errors(state, car, cars, circuits, scaling, sensors, noise, out)


def _observe(state, cars, circuits, scaling, sensors, noise, indices, out):
    """See `racing_env.simulation.layout.Layout`."""
    for k in range(len(indices)):
        sense(state, indices[k], cars, circuits, scaling, sensors, noise[indices[k]], out[k])


def _step(
    state, actions, cars, circuits, weights, dt_s, run_off_m, scratch, scaling, sensors, noise, out
):
    """See `racing_env.simulation.layout.Layout`."""
    if not move(state, actions, cars, circuits, weights, dt_s, run_off_m, scratch):
        return False
    for car in range(len(out)):
        sense(state, car, cars, circuits, scaling, sensors, noise[car], out[car])
    return True


def _drive(
    state, cars, circuits, numbers, scaling, sensors, scratch, network, adaptation, episodes, tape,
    first,
):  # fmt: skip
    """See `racing_env.simulation.layout.Layout`."""
    return closed_loop.drive(
        sense, state, cars, circuits, numbers, scaling, sensors, scratch, network, adaptation,
        episodes, tape, first,
    )  # fmt: skip


def _pull_back(circuits, numbers, scaling, changes, probe, network, adaptation, tape, gradient):
    """See `racing_env.simulation.layout.Layout`."""
    closed_loop.pull_back(
        add_seen_gradient, circuits, numbers, scaling, changes, probe, network, adaptation, tape,
        gradient,
    )  # fmt: skip
