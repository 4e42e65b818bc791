"""What an observation layout is: one table of the quantities that a driver sees, and its kernels.

Scaling, bounds, mirror image, documentation and the names and units of exported drivers' inputs all
follow from the table. `racing_env.simulation.layouts` has the layouts.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from racing_env.car.kernels import inlined
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle

LIMIT = 5.0  # every number of an observation is clipped to [-LIMIT, LIMIT]
SCALE, LOW, HIGH = range(3)  # columns of a layout's limits


class Quantity(NamedTuple):
    """One number that a driver sees: a quantity over its scale, clipped to [-LIMIT, cap]."""

    name: str  # with its unit, as in "yaw_rate_radps"
    meaning: str
    scale: float  # of the reference car, in the unit
    scales_with: str = ""  # the field of Scales or Vehicle that it is multiplied by for a car
    cap: float = LIMIT  # of the scaled number
    sign: int = 1  # what its mirror image is multiplied by
    partner: str = ""  # the quantity whose place it takes in the mirror, where it is another

    def scale_for(self, vehicle: Vehicle) -> float:
        """The scale for a car, in the unit."""
        if not self.scales_with:
            return self.scale
        source = vehicle if self.scales_with in Vehicle._fields else scales_of(vehicle)
        return self.scale * getattr(source, self.scales_with)


class Layout(NamedTuple):
    """A layout by its name, which data sets and policies carry, its table and its kernels.

    observe(state, cars, circuits, scaling, sensors, noise, indices, out) fills out
    (len(indices), size) float32 with what these cars' drivers see; step(state, actions, cars,
    circuits, weights, dt_s, run_off_m, scratch, scaling, sensors, noise, out) is
    `racing_env.simulation.motion.move` and then the same for the first len(out) cars, in one call:
    with one car the unpacking of arguments costs more than the work. noise: (n, CHANNELS), see
    `racing_env.simulation.sensors`.

    drive(state, cars, circuits, numbers, scaling, sensors, scratch, network, adaptation, episodes,
    tape, first) and pull_back(circuits, numbers, scaling, changes, probe, network, adaptation,
    tape, gradient) are those of `racing_env.simulation.closed_loop`. All are made by
    `racing_env.simulation.layout_kernels`.
    """

    name: str
    quantities: tuple[Quantity, ...]
    observe: Callable[..., None]
    step: Callable[..., bool]
    drive: Callable[..., int]
    pull_back: Callable[..., None]

    @property
    def size(self) -> int:
        return len(self.quantities)

    def limits(self, vehicle: Vehicle) -> np.ndarray:
        """(size, 3) float64: each number's scale for this car, least and most."""
        rows = [(q.scale_for(vehicle), -LIMIT, q.cap) for q in self.quantities]
        return np.array(rows)

    def scaling(self, vehicle: Vehicle) -> np.ndarray:
        """(3, size) float32 for `scale`: one over each number's scale, least and most."""
        limits = self.limits(vehicle).T
        return np.stack([1.0 / limits[SCALE], limits[LOW], limits[HIGH]]).astype(np.float32)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and largest values, (size,) float32 each."""
        return (
            np.full(self.size, -LIMIT, dtype=np.float32),
            np.array([q.cap for q in self.quantities], dtype=np.float32),
        )

    def mirror(self) -> tuple[np.ndarray, np.ndarray]:
        """(signs, order) with which `observation[order] * signs` is what the mirror image sees.

        The mirrored car, circuit and action (steering negated) behave the same exactly.
        """
        place = {quantity.name: i for i, quantity in enumerate(self.quantities)}
        signs = np.array([quantity.sign for quantity in self.quantities], dtype=np.float32)
        return signs, np.array([place[q.partner or q.name] for q in self.quantities])

    def documentation(self) -> str:
        """The table in Markdown."""
        rows = ["| Num | Observation | Meaning | Scale | Scaled with | Min | Max |",
                "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
        rows += [
            f"| {i} | `{q.name}` | {q.meaning} | {q.scale:.4g} | {q.scales_with or '-'} | "
            f"{-LIMIT:g} | {q.cap:g} |"
            for i, q in enumerate(self.quantities)
        ]
        return "\n".join(rows)


@inlined
def scale(out, scaling):
    """Turn quantities out (size,) in their units, in place, into what the driver sees."""
    per_scale, low, high = scaling[0], scaling[1], scaling[2]
    for i in range(len(out)):
        out[i] = min(max(out[i] * per_scale[i], low[i]), high[i])


@inlined
def unscale_gradient(seen, by_seen, scaling):
    """Turn a gradient by_seen (size,) by what the driver sees, in place, into one by the quantities
    in their units: none by those that are clipped.
    """
    per_scale, low, high = scaling[0], scaling[1], scaling[2]
    for i in range(len(seen)):
        by_seen[i] *= per_scale[i] if low[i] < seen[i] and seen[i] < high[i] else np.float32(0.0)
