"""Each layout has kernels of its own, which numba keeps on disk."""

import subprocess
import sys

import numpy as np
from cars import RACECAR, scatter, simulator_on
from processes import ROOT

from racing_env.car.dynamics import STATE_SIZE
from racing_env.simulation.gradients import add_seen_differences, new_probe, state_changes
from racing_env.simulation.layout_kernels import new_layout
from racing_env.simulation.layouts import layouts, line_preview
from racing_env.simulation.task import racing_task

KERNELS = ("observe", "step", "drive", "pull_back")

PROGRAM = """
import sys
sys.path.insert(0, "tests")
from cars import RACECAR, simulator_on
from racing_env.simulation.layouts import layouts
from racing_env.simulation.task import racing_task
for name, layout in layouts().items():
    simulator = simulator_on(["oval"], 1, racing_task(RACECAR)._replace(layout=name))
    simulator.place(0, 0)
    simulator.observe()
    print(name, len(layout.observe.stats.cache_hits), len(layout.observe.stats.cache_misses))
"""


def test_kernels_come_from_the_cache_in_another_process():
    for name in layouts():
        simulator = simulator_on(["oval"], 1, racing_task(RACECAR)._replace(layout=name))
        simulator.place(0, 0)
        simulator.observe()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, cwd=ROOT
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name} 1 0" for name in layouts()]


def test_no_two_kernels_share_a_name():
    """By which the cache knows them."""
    kernels = [getattr(layout, kernel) for layout in layouts().values() for kernel in KERNELS]
    assert len({kernel.py_func.__qualname__ for kernel in kernels}) == len(kernels) >= 8


def test_without_a_gradient_of_its_own_a_layout_has_differences():
    """Of its own `see`: here one whose code is in the package, of which the cache takes note."""
    layout = new_layout("differences of line-preview", line_preview.LAYOUT.quantities,
                        line_preview.see)  # fmt: skip
    add_seen_gradient = layout.pull_back.py_func.__globals__["add_seen_gradient"]
    simulator = simulator_on(["club"], 1)
    scatter(simulator, 1)
    cars, circuits = simulator.cars, simulator.circuits
    by_seen = np.ones(layout.size, np.float32)
    where = (simulator.state, 0, cars.circuit[0], cars.station[0])
    rest = (cars.conditions[0], circuits, layout.scaling(RACECAR), state_changes(circuits.scales))
    ours, expected = np.zeros((2, STATE_SIZE, 1))
    place = (cars.fraction[0], cars.offset_m[0])
    left = add_seen_gradient(*where, *place, *rest, new_probe(layout.size), by_seen, ours)
    add_seen_differences.py_func(
        line_preview.see.py_func, *where, *rest, new_probe(layout.size), by_seen, expected
    )
    assert left == (0.0, 0.0) and expected.any()
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
