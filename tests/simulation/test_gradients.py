import numpy as np
from cars import RACECAR, scaled, scatter, simulator_on

from racing_env.car.dynamics import STATE_SIZE
from racing_env.car.scales import REFERENCE, scales_of
from racing_env.simulation.gradients import add_seen_differences, new_probe, state_changes
from racing_env.simulation.layout import unscale_gradient
from racing_env.simulation.layouts import line_preview
from racing_env.simulation.motion_adjoint import add_place_gradient


def test_changes_are_to_the_scale_of_the_car():
    ours, model = state_changes(REFERENCE), state_changes(scales_of(scaled(RACECAR, 0.25)))
    assert ours.tolist() == [1e-3, 1e-3, 1e-4, 1e-2, 1e-2, 1e-3, 1e-4, 10.0, 10.0, 1e-2, 1e-2]
    share = [0.25, 0.25, 1, 0.5, 0.5, 2, 1, 0.25**3, 0.25**3, 1, 1]
    np.testing.assert_allclose(model, ours * share)


def test_differences_of_what_is_seen_are_its_gradient():
    """As written out for a layout that has both, place and all; added to what is there."""
    n = 12
    simulator = simulator_on(["club"], n)
    scatter(simulator, 1)
    cars, circuits = simulator.cars, simulator.circuits
    layout, changes = simulator.layout, state_changes(simulator.circuits.scales)
    scaling, probe = layout.scaling(RACECAR), new_probe(layout.size)
    by_seen = np.random.default_rng(0).normal(size=(n, layout.size)).astype(np.float32)
    ours, written_out = np.ones((STATE_SIZE, n)), np.zeros((STATE_SIZE, n))
    for car in range(n):
        c, station = cars.circuit[car], cars.station[car]
        fraction, offset = cars.fraction[car], cars.offset_m[car]
        unscale_gradient.py_func(simulator.observe()[car], by_seen[car], scaling)
        left = add_seen_differences.py_func(
            line_preview.see.py_func, simulator.state, car, c, station, cars.conditions[car],
            circuits, scaling, changes, probe, by_seen[car], ours,
        )  # fmt: skip
        assert left == (0.0, 0.0)
        by_place = line_preview.add_seen_gradient.py_func(
            simulator.state, car, c, station, fraction, offset, cars.conditions[car], circuits,
            scaling, changes, probe, by_seen[car], written_out,
        )  # fmt: skip
        add_place_gradient(
            simulator.state, car, circuits, c, station, fraction, *by_place, written_out
        )
    size = np.abs(written_out).mean(axis=1, keepdims=True)
    assert (size > 0.0).all()
    assert np.median(np.abs(ours - 1.0 - written_out) / size) < 1e-3
    np.testing.assert_allclose((ours - 1.0) / size, written_out / size, rtol=0.02, atol=0.05)
