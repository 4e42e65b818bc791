"""What must hold for every layout of observations: its table, and its kernels against it."""

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled, scatter, simulator_on
from hypothesis import given, settings
from hypothesis import strategies as st

from racing_env.car import dynamics as dyn
from racing_env.car.scales import Scales, scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.simulation import layout as module
from racing_env.simulation.layout import HIGH, LIMIT, LOW, SCALE, Layout, Quantity
from racing_env.simulation.layouts import DEFAULT, layout_named, layouts
from racing_env.simulation.task import racing_task
from racing_env.tracks.circuit import mirror_circuit

LAYOUTS = list(layouts().values())
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=[layout.name for layout in LAYOUTS])


def test_there_are_layouts_and_each_is_found_by_its_name():
    assert len(LAYOUTS) >= 2 and DEFAULT in layouts()
    for layout in LAYOUTS:
        assert layout_named(layout.name, "here") is layout


@pytest.mark.parametrize("name", ["", "line-preview-2", "a\nb", "x" * 1000])
def test_an_unknown_layout_is_refused_and_those_there_are_named(name):
    with pytest.raises(InputError) as error:
        layout_named(name, "--layout")
    message = str(error.value)
    assert message.startswith("--layout: ") and DEFAULT in message
    assert "\n" not in message and len(message) < 300


@every_layout
def test_names_are_there_once_and_words_are_plain(layout: Layout):
    names = [q.name for q in layout.quantities]
    assert len(set(names)) == layout.size == len(names)
    for q in layout.quantities:
        assert q.name and q.meaning and "|" not in q.meaning and "{" not in q.meaning
        assert q.scale > 0.0 and 0.0 < q.cap <= LIMIT and q.sign in (-1, 1)


@every_layout
def test_scales_go_with_something_that_a_car_has(layout: Layout):
    for q in layout.quantities:
        assert q.scales_with in ("", *Scales._fields, *Vehicle._fields)


@every_layout
def test_partners_are_each_others_and_alike(layout: Layout):
    by_name = {q.name: q for q in layout.quantities}
    for q in layout.quantities:
        partner = by_name[q.partner or q.name]
        assert (partner.partner or partner.name) == q.name
        assert (partner.scale, partner.scales_with) == (q.scale, q.scales_with)
        assert (partner.cap, partner.sign) == (q.cap, q.sign)
    assert any(q.partner for q in layout.quantities) and any(q.sign < 0 for q in layout.quantities)


@every_layout
def test_what_changes_sign_has_bounds_on_both_sides_alike(layout: Layout):
    """Or the mirror image of what can be seen could not be seen."""
    for q in layout.quantities:
        assert q.sign > 0 or q.cap == LIMIT, q.name


@every_layout
def test_mirroring_twice_changes_nothing(layout: Layout):
    signs, order = layout.mirror()
    assert set(np.abs(signs)) == {1.0}
    assert sorted(order) == list(range(layout.size))
    seen = np.arange(1, layout.size + 1, dtype=np.float32)
    once = seen[order] * signs
    assert (once != seen).any()
    np.testing.assert_array_equal(once[order] * signs, seen)


@every_layout
@pytest.mark.parametrize("vehicle", [RACECAR, scaled(RACECAR, 0.1)], ids=["racecar", "model"])
def test_limits_are_the_scales_of_the_car_and_the_bounds(layout: Layout, vehicle: Vehicle):
    limits = layout.limits(vehicle)
    assert limits.shape == (layout.size, 3) and limits.dtype == np.float64
    least, most = layout.bounds()
    assert least.dtype == most.dtype == np.float32
    np.testing.assert_array_equal(limits[:, LOW], least)
    np.testing.assert_array_equal(limits[:, HIGH], most)
    np.testing.assert_array_equal(
        limits[:, SCALE], [q.scale_for(vehicle) for q in layout.quantities]
    )


def test_a_scale_goes_with_a_scale_or_a_parameter_of_the_car():
    model = scaled(RACECAR, 0.1)
    assert Quantity("x_m", "", 2.0, "width").scale_for(model) == 2.0 * scales_of(model).width
    assert Quantity("x_n", "", 2.0, "drive_force_max_n").scale_for(model) == (
        2.0 * model.drive_force_max_n
    )
    assert Quantity("x", "", 2.0).scale_for(model) == 2.0


@every_layout
def test_the_documentation_has_a_row_for_each_quantity(layout: Layout):
    head, rule, *rows = layout.documentation().splitlines()
    assert len(rows) == layout.size
    for i, (row, q) in enumerate(zip(rows, layout.quantities, strict=True)):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == head.count("|") - 1 == rule.count("|") - 1
        assert cells[:3] == [str(i), f"`{q.name}`", q.meaning]
        assert float(cells[-1]) == q.cap


@every_layout
@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), wild=st.sampled_from([1.0, 1e3, 1e9]))
def test_whatever_is_seen_is_within_the_bounds(layout: Layout, seed: int, wild: float):
    if layout.name not in _SIMULATORS:
        task = racing_task(RACECAR, layout.name)
        _SIMULATORS[layout.name] = simulator_on([circuit_named("hairpins")], 4, task)
    simulator = _SIMULATORS[layout.name]
    scatter(simulator, seed)
    rng = np.random.default_rng(seed)
    simulator.state[dyn.VX :] = wild * rng.normal(0.0, 1.0, simulator.state[dyn.VX :].shape)
    simulator.state[dyn.VX] = rng.uniform(-100.0, 100.0, 4)
    seen = simulator.observe()
    least, most = layout.bounds()
    assert seen.shape == (4, layout.size) and seen.dtype == np.float32
    assert ((least <= seen) & (seen <= most)).all()  # also false for NaN


_SIMULATORS: dict = {}


@every_layout
def test_the_mirror_image_is_seen_as_the_table_says(layout: Layout):
    """The kernel against the table: signs and partners are those of the quantities themselves."""
    circuit = circuit_named("club")
    task = racing_task(RACECAR, layout.name)
    ours, image = simulator_on([circuit], 9, task), simulator_on([mirror_circuit(circuit)], 9, task)
    scatter(ours, 3)
    scatter(image, 3)
    odd = [dyn.Y, dyn.PSI, dyn.VY, dyn.YAW_RATE, dyn.STEER, dyn.AY]
    rng = np.random.default_rng(0)
    ours.state[[dyn.VY, dyn.YAW_RATE, dyn.STEER]] = rng.normal(0.0, 0.1, (3, 9))
    image.state[:] = ours.state
    image.state[odd] *= -1.0
    image.cars.station[:] = ours.cars.station
    ours.locate()
    image.locate()
    signs, order = layout.mirror()
    np.testing.assert_allclose(image.observe(), ours.observe()[:, order] * signs, atol=1e-6)


def test_the_kernels_clip_at_the_limits():
    for value, seen in ((4.0, 2.0), (100.0, 3.0), (-100.0, -LIMIT), (-2.0, -1.0)):
        out = np.array([value], dtype=np.float32)
        module.scale(out, np.array([[0.5], [-LIMIT], [3.0]], dtype=np.float32))
        assert out[0] == seen


@every_layout
def test_the_kernels_get_one_over_the_scales(layout: Layout):
    scaling, limits = layout.scaling(RACECAR), layout.limits(RACECAR)
    assert scaling.shape == (3, layout.size) and scaling.dtype == np.float32
    np.testing.assert_allclose(scaling[0] * limits[:, SCALE], 1.0, rtol=1e-7)
    np.testing.assert_array_equal(scaling[1:], limits[:, [LOW, HIGH]].T)
