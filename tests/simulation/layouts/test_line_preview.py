"""What a driver sees, against the plain geometry of a circuit."""

from dataclasses import replace

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scatter, simulator_on, stations
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import circle_track

from racing_env.car import dynamics as dyn
from racing_env.simulation.gradients import state_changes
from racing_env.simulation.layout import LIMIT, SCALE, unscale_gradient
from racing_env.simulation.layouts import line_preview as lp
from racing_env.simulation.layouts.centre_preview import CENTRE_LINE
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.motion_adjoint import add_place_gradient
from racing_env.simulation.simulator import Simulator
from racing_env.tracks import bank
from racing_env.tracks.circuit import Circuit, circuit_on_line

RADIUS_M = 100.0
BEARING, CURVATURE, SPEED, LEFT, RIGHT = range(lp.PREVIEW_FEATURES)
OWN = LAYOUT.size - lp.PREVIEW_FEATURES * len(lp.PREVIEW_S)  # numbers before the first preview


@pytest.fixture(scope="module")
def hairpins() -> Circuit:
    return circuit_named("hairpins")


@pytest.fixture(scope="module")
def round_circuit() -> Circuit:
    """A left-hand circle, 14 m wide, with a line that is a circle, too."""
    track = circle_track(RADIUS_M, 7.0)
    return circuit_on_line(track, RACECAR, np.full(len(track.x_m), -5.5))


def one_car(circuit: Circuit, *place: float, **where: float) -> Simulator:
    simulator = simulator_on([circuit])
    simulator.place(0, 0, *place, **where)
    return simulator


def preview(seen: np.ndarray) -> np.ndarray:
    """(preview points, features)."""
    return seen[OWN:].reshape(len(lp.PREVIEW_S), lp.PREVIEW_FEATURES)


def test_the_layout_adds_up():
    assert LAYOUT.name == "line-preview-1" and LAYOUT.size == 76 and OWN == 16
    assert list(lp.PREVIEW_S) == sorted(lp.PREVIEW_S)
    ahead = [q.name.partition("_in_") for q in LAYOUT.quantities[OWN:]]
    assert [when for _, _, when in ahead[:: lp.PREVIEW_FEATURES]] == [f"{s}s" for s in lp.PREVIEW_S]
    assert len({what for what, _, _ in ahead}) == lp.PREVIEW_FEATURES


def test_the_racecars_scales_are_the_former_ones():
    """What policies have learned to read; see also the tests of the numbers below."""
    own = [50, 5, 1, 0.35, 7000, 20000, 10, 15, 2, 1 / 3, 10, 0.04, 2, 2, 0.1, 0.1]
    ahead = [0.5, 0.04, 20, 4, 4]
    scales = LAYOUT.limits(RACECAR)[:, SCALE]
    np.testing.assert_allclose(scales, own + ahead * len(lp.PREVIEW_S), rtol=1e-15)


def test_the_cars_own_state(round_circuit):
    simulator = one_car(round_circuit, 40.0, speed_mps=20.0)
    state = simulator.state
    state[[dyn.VX, dyn.VY, dyn.YAW_RATE, dyn.AX, dyn.AY], 0] = 25.0, -1.5, 0.3, -4.0, 7.5
    state[[dyn.STEER, dyn.DRIVE, dyn.BRAKE], 0] = 0.07, 3500.0, 5000.0
    seen = simulator.observe()[0]
    np.testing.assert_allclose(seen[:8], [0.5, -0.3, 0.3, 0.2, 0.5, 0.25, -0.4, 0.5], rtol=1e-6)
    front = 0.07 - np.arctan((-1.5 + 0.3 * RACECAR.cog_to_front_m) / 25.0)
    rear = -np.arctan((-1.5 - 0.3 * RACECAR.cog_to_rear_m) / 25.0)
    np.testing.assert_allclose(seen[14:16], [front / 0.1, rear / 0.1], rtol=1e-5)


def test_no_slip_is_seen_on_a_standing_car(round_circuit):
    seen = one_car(round_circuit).observe()[0]
    assert not seen[14:16].any()


@pytest.mark.parametrize("aside_m", [-0.3, 0.0, 1.5])
@pytest.mark.parametrize("heading_rad", [-0.15, 0.0, 0.2])
def test_place_on_a_circle(round_circuit, aside_m, heading_rad):
    simulator = one_car(round_circuit, 100.0, aside_m, heading_rad, 20.0)
    seen = simulator.observe()[0]
    line = round_circuit.line_offset_m.mean()
    speed = round_circuit.line_speed_mps.mean()
    kappa = 1.0 / (RADIUS_M - line)
    assert seen[8] == pytest.approx(aside_m / 2.0, abs=1e-3)
    assert seen[9] == pytest.approx(3.0 * np.sin(heading_rad), abs=0.01)
    assert seen[10] == pytest.approx((speed - 20.0) / 10.0, abs=0.02)
    assert seen[11] == pytest.approx(kappa / 0.04, rel=0.03)
    room = 7.0 - 0.5 * RACECAR.width_m
    assert seen[12] == pytest.approx(min(room - line - aside_m, 4.0) / 2.0, abs=1e-3)
    assert seen[13] == pytest.approx(min(room + line + aside_m, 4.0) / 2.0, abs=1e-3)


@pytest.mark.parametrize("speed_mps", [0.0, 8.0, 20.0, 40.0])
def test_previews_on_a_circle_are_closed_forms(round_circuit, speed_mps):
    """A chord to the point an arc of angle a ahead has the bearing a/2."""
    seen = preview(one_car(round_circuit, 250.0, speed_mps=speed_mps).observe()[0])
    line = round_circuit.line_offset_m.mean()
    ahead_m = max(speed_mps, lp.PREVIEW_SPEED_FLOOR_MPS) * np.array(lp.PREVIEW_S)
    bearing = np.sin(0.5 * ahead_m / RADIUS_M) / 0.5
    near = ahead_m / RADIUS_M < np.pi
    np.testing.assert_allclose(seen[near, BEARING], bearing[near], atol=0.01)
    np.testing.assert_allclose(seen[:, CURVATURE], 1.0 / (RADIUS_M - line) / 0.04, rtol=0.05)
    gap = (round_circuit.line_speed_mps.mean() - speed_mps) / 20.0
    np.testing.assert_allclose(seen[:, SPEED], gap, atol=0.02)
    room = 7.0 - 0.5 * RACECAR.width_m
    np.testing.assert_allclose(seen[:, LEFT], min(room - line, 8.0) / 4.0, atol=1e-3)
    np.testing.assert_allclose(seen[:, RIGHT], min(room + line, 8.0) / 4.0, atol=1e-3)


@settings(max_examples=50)
@given(share=st.floats(0.0, 1.0, exclude_max=True), speed=st.floats(0.0, 60.0))
def test_previews_are_the_line_further_on(hairpins, share, speed):
    """A preview equals what a car there would see of the line beneath it; over the start too."""
    simulator = one_car(hairpins, share * hairpins.track.length_m, speed_mps=speed)
    seen = preview(simulator.observe()[0])
    count, step = int(simulator.circuits.count[0]), float(simulator.circuits.step_m[0])
    psi, table = simulator.state[dyn.PSI, 0], stations(simulator.circuits)
    for row, preview_s in zip(seen, lp.PREVIEW_S, strict=True):
        ahead_m = max(speed, lp.PREVIEW_SPEED_FLOOR_MPS) * preview_s
        place = (simulator.place_s_m()[0] + ahead_m) / step
        a, b = table[int(place) % count], table[(int(place) + 1) % count]
        there = a + (place % 1.0) * (b - a)
        dx = there[bank.LINE_X] - simulator.state[dyn.X, 0]
        dy = there[bank.LINE_Y] - simulator.state[dyn.Y, 0]
        bearing = np.sin(np.arctan2(dy, dx) - psi) / 0.5
        left, right = there[bank.LINE_ROOM_LEFT], there[bank.LINE_ROOM_RIGHT]
        expected = [
            bearing, there[bank.LINE_KAPPA] / 0.04, (there[bank.LINE_SPEED] - speed) / 20.0,
            min(left, 8.0) / 4.0, min(right, 8.0) / 4.0,
        ]  # fmt: skip
        np.testing.assert_allclose(row, np.clip(expected, -LIMIT, LIMIT), atol=1e-5)


def test_far_from_the_origin_of_the_coordinates_nothing_else_is_seen(hairpins):
    """As surveyed tracks are: single precision alone would blur them by half a metre."""
    track = replace(
        hairpins.track, x_m=hairpins.track.x_m + 5e5, y_m=hairpins.track.y_m - 5e6
    )  # fmt: skip
    here, far = (
        simulator_on([circuit], 50) for circuit in (hairpins, replace(hairpins, track=track))
    )
    for simulator in (here, far):
        scatter(simulator, 0)
        for _ in range(5):
            simulator.step(np.tile([0.1, 0.3], (50, 1)))
    np.testing.assert_allclose(far.cars.offset_m, here.cars.offset_m, atol=1e-4)
    np.testing.assert_allclose(far.observe(), here.observe(), atol=1e-4)
    np.testing.assert_allclose(far.cars.rewards, here.cars.rewards, atol=1e-6)


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1.0, 1e3, 1e9]))
def test_every_number_is_bounded(hairpins, seed, scale):
    simulator = one_car(hairpins)
    rng = np.random.default_rng(seed)
    # places the walk can still reach, everything else as wild as it gets
    simulator.state[dyn.PSI :, 0] = scale * rng.normal(0.0, 1.0, dyn.STATE_SIZE - dyn.PSI)
    simulator.state[dyn.VX, 0] = rng.uniform(-100.0, 100.0)
    seen = simulator.observe()
    assert seen.dtype == np.float32
    assert np.abs(seen).max() <= LIMIT  # also false for NaN


def test_the_mirror_exchanges_left_and_right():
    signs, order = LAYOUT.mirror()
    seen = np.arange(1.0, LAYOUT.size + 1.0)
    image = seen[order] * signs
    assert image[0] == seen[0] and image[1] == -seen[1]
    assert image[12] == seen[13] and image[13] == seen[12]
    first = preview(seen)
    np.testing.assert_array_equal(preview(image)[:, LEFT], first[:, RIGHT])
    np.testing.assert_array_equal(preview(image)[:, BEARING], -first[:, BEARING])


# --- gradients ----------------------------------------------------------------------------------

LINES = {"racing line": lp.RACING_LINE, "centre line": CENTRE_LINE}


def under_way(n: int) -> Simulator:
    """Cars all over two circuits; some slow, some off the track, some far from their heading."""
    simulator = simulator_on(["hairpins", 4], n)
    scatter(simulator, 2)
    rng = np.random.default_rng(1)
    state = simulator.state
    state[dyn.VX] = rng.uniform(1.0, 60.0, n)
    state[dyn.VY], state[dyn.YAW_RATE] = rng.normal(0.0, 1.0, n), rng.normal(0.0, 0.3, n)
    state[dyn.STEER] = rng.normal(0.0, 0.1, n)
    state[dyn.DRIVE], state[dyn.BRAKE] = 3000.0 * rng.random(n), 9000.0 * rng.random(n)
    state[[dyn.AX, dyn.AY]] = rng.normal(0.0, 4.0, (2, n))
    state[[dyn.X, dyn.Y]] += rng.normal(0.0, 2.0, (2, n))
    for _ in range(2):
        simulator.locate()
    return simulator


def seen_exactly(simulator: Simulator, line: lp.LineColumns) -> np.ndarray:
    """What the drivers see, (n, size), in double precision where what it is made of is."""
    scaling, out = LAYOUT.scaling(RACECAR), np.zeros((simulator.n, LAYOUT.size))
    for car in range(simulator.n):
        arguments = (simulator.state, car, simulator.cars, simulator.circuits, line, scaling)
        lp.observe_line(*arguments, out[car])
    return out


def line_gradients(simulator: Simulator, line: lp.LineColumns, by_seen: np.ndarray) -> np.ndarray:
    """By the state (STATE_SIZE, n), the place's included."""
    cars, circuits = simulator.cars, simulator.circuits
    scaling, ours = LAYOUT.scaling(RACECAR), np.zeros_like(simulator.state)
    by_seen, seen = by_seen.copy(), seen_exactly(simulator, line)
    for car in range(simulator.n):
        c, station = cars.circuit[car], cars.station[car]
        unscale_gradient(seen[car], by_seen[car], scaling)
        by_place = lp.add_line_gradient(
            simulator.state, car, c, station, cars.fraction[car], cars.offset_m[car],
            cars.conditions[car], circuits, line, by_seen[car], ours,
        )  # fmt: skip
        add_place_gradient(
            simulator.state, car, circuits, c, station, cars.fraction[car], *by_place, ours
        )
    return ours


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_gradient_is_the_difference_of_seeing_again(line: lp.LineColumns):
    """By each number of the state, of all that is seen at once."""
    simulator = under_way(40)
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(40, LAYOUT.size)).astype(np.float32)
    ours = line_gradients(simulator, line, weights)
    changes = 5.0 * state_changes(simulator.circuits.scales)  # rounding in single precision
    sides = []
    now = seen_exactly(simulator, line)
    for sign in (-1.0, 1.0):
        side = []
        for row in range(dyn.STATE_SIZE):
            other = simulator.subset(np.ones(40, dtype=bool))
            other.state[row] += sign * changes[row]
            other.locate()
            moved = seen_exactly(other, line) - now
            side.append((weights * moved).sum(axis=1) / (sign * changes[row]))
        sides.append(np.array(side))
    low, high = np.minimum(*sides), np.maximum(*sides)
    size = np.abs(low).mean(axis=1, keepdims=True)
    assert (size > 0.0).all()
    assert np.median(np.abs(ours - 0.5 * (low + high)) / size) < 2e-3
    beside = np.maximum(np.maximum(low - ours, ours - high), 0.0) / size
    # between two stations all is smooth; a preview point may come to lie on one
    assert (beside > 0.02).mean() < 0.02
    assert ((high - low) / size > 0.05).mean() < 0.05


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_each_number_has_its_own_gradient(line: lp.LineColumns):
    """None where it is clipped: numbers that are at their least or most do not change."""
    simulator = under_way(6)
    simulator.state[dyn.VY, :3] = 40.0  # 5 is seen
    simulator.state[dyn.VX, 1:] = np.linspace(2.0, 8.0, 5)  # previews go no nearer
    now = seen_exactly(simulator, line)
    low, high = LAYOUT.bounds()
    clipped = (now == low) | (now == high)
    assert clipped.any() and clipped[0, 1]
    changes = 5.0 * state_changes(simulator.circuits.scales)  # rounding in single precision
    ways = []
    for sign in (-1.0, 1.0):
        rows = []
        for row in range(dyn.STATE_SIZE):
            other = simulator.subset(np.ones(6, dtype=bool))
            other.state[row] += sign * changes[row]
            other.locate()
            rows.append(seen_exactly(other, line))
        ways.append(np.array(rows))
    expected = (ways[1] - ways[0]) / (2.0 * changes[:, None, None])
    for k in range(LAYOUT.size):
        by_seen = np.zeros((6, LAYOUT.size), np.float32)
        by_seen[:, k] = 1.0
        ours = line_gradients(simulator, line, by_seen)
        size = np.abs(expected[:, :, k]).max(axis=1, keepdims=True)
        off = np.abs(ours - expected[:, :, k]) > 0.02 * size + 1e-9
        assert off.sum() <= 3, LAYOUT.quantities[k].name  # a station passed
        assert not ours[:, clipped[:, k]].any(), LAYOUT.quantities[k].name
