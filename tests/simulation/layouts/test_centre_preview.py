"""The layout without a racing line: what of it differs from that with one, and what does not."""

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scatter, simulator_on

from racing_env.drivers.expert import expert_actions
from racing_env.simulation.layouts import centre_preview, line_preview
from racing_env.simulation.task import racing_task

CENTRE, LINE = centre_preview.LAYOUT, line_preview.LAYOUT
# Where the line is, where it goes, and how much room is beside it; not the profile's speed.
OF_THE_LINE = np.array([
    any(part in q.name for part in ("line_", "bearing")) or ("room" in q.name and "_in_" in q.name)
    for q in LINE.quantities
])  # fmt: skip


@pytest.fixture(scope="module")
def seen() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What both layouts show of the same cars, and offsets of the racing line (n,) beneath them."""
    circuit = circuit_named("club")
    task = racing_task(RACECAR)
    ours, theirs = (
        simulator_on([circuit], 30, task._replace(layout=layout.name)) for layout in (LINE, CENTRE)
    )
    for simulator in (ours, theirs):
        scatter(simulator, 0)
    for _ in range(5):
        actions = expert_actions(ours, np.full(30, 0.8))
        ours.step(actions)
        theirs.step(actions)
    np.testing.assert_array_equal(ours.state, theirs.state)  # cars move the same
    np.testing.assert_array_equal(ours.cars.rewards, theirs.cars.rewards)
    stations = np.append(circuit.line_offset_m, circuit.line_offset_m[0])
    offsets = np.interp(ours.cars.station + ours.cars.fraction, np.arange(len(stations)), stations)
    return ours.observe(), theirs.observe(), offsets


def test_all_but_the_line_is_seen_the_same(seen):
    by_line, by_centre, _ = seen
    np.testing.assert_array_equal(by_line[:, ~OF_THE_LINE], by_centre[:, ~OF_THE_LINE])
    assert (by_line[:, OF_THE_LINE] != by_centre[:, OF_THE_LINE]).any(axis=0).all()


def test_the_centre_line_stands_where_the_racing_line_stood(seen):
    by_line, by_centre, line_offset_m = seen
    place = [q.name for q in LINE.quantities].index("line_offset_m")
    scale = LINE.quantities[place].scale
    np.testing.assert_allclose(
        scale * (by_centre[:, place] - by_line[:, place]), line_offset_m, atol=1e-2
    )


def test_offset_from_the_centre_line():
    simulator = simulator_on(["club"], 8, racing_task(RACECAR, CENTRE.name))
    scatter(simulator, 1)
    place = [q.name for q in CENTRE.quantities].index("line_offset_m")
    seen_m = simulator.observe()[:, place] * CENTRE.quantities[place].scale
    np.testing.assert_allclose(seen_m, simulator.cars.offset_m, atol=1e-4)


def test_tables_differ_in_their_words_alone():
    assert [q._replace(meaning="") for q in CENTRE.quantities] == [
        q._replace(meaning="") for q in LINE.quantities
    ]
    changed = np.array([a != b for a, b in zip(CENTRE.quantities, LINE.quantities, strict=True)])
    assert (changed <= OF_THE_LINE).all() and changed.any()
    assert not any("racing line" in q.meaning for q in CENTRE.quantities)
