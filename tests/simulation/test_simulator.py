import numpy as np
import pytest
from cars import RACECAR
from processes import compiled_and_not

from racing_env.car import dynamics as dyn
from racing_env.common.errors import InputError
from racing_env.drivers.expert import expert_actions
from racing_env.simulation import observation as obs
from racing_env.simulation.simulator import (
    BACKWARDS,
    OFF_TRACK,
    ON_TRACK,
    REWARD_TERMS,
    STANDING,
    STANDING_LIMIT_S,
    RewardWeights,
    Simulator,
)
from racing_env.tracks import bank
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit, mirror_circuit, prepare_circuit
from racing_env.tracks.generator import built_in_track, generate_track
from racing_env.tracks.geometry import track_from_centre_line

STEP_S = dyn.CONTROL_STEP_S


@pytest.fixture(scope="module")
def circuits(tmp_path_factory) -> list[Circuit]:
    tracks = [generate_track(np.random.SeedSequence(4)), built_in_track("hairpins", RACECAR)]
    cache = tmp_path_factory.mktemp("cache")
    return [prepare_circuit(track, RACECAR, cache) for track in tracks]


@pytest.fixture(scope="module")
def round_circuit(tmp_path_factory) -> Circuit:
    """A circle of 100 m radius, 14 m wide, driven to the left."""
    angle = np.linspace(0.0, 2.0 * np.pi, 128, endpoint=False)
    half = np.full(angle.shape, 7.0)
    track = track_from_centre_line(
        "circle", 100.0 * np.cos(angle), 100.0 * np.sin(angle), half, half
    )
    return prepare_circuit(track, RACECAR, tmp_path_factory.mktemp("cache"))


def simulator_on(circuits: list[Circuit], n: int, **arguments) -> Simulator:
    return Simulator(pack_circuits(circuits), n, **arguments)


def scatter(simulator: Simulator, seed: int) -> None:
    """Cars all over the circuits, beside the line and at odds with it."""
    rng = np.random.default_rng(seed)
    lengths = simulator.circuits.count * simulator.circuits.step_m
    for car in range(simulator.n):
        circuit = car % len(lengths)
        simulator.place(
            car, circuit, rng.uniform(0.0, lengths[circuit]), rng.uniform(-2.0, 2.0),
            rng.uniform(-0.2, 0.2), rng.uniform(0.0, 40.0),
        )  # fmt: skip


def copy_car(source: Simulator, car: int, target: Simulator) -> None:
    target.state[:, 0] = source.state[:, car]
    for to, values in zip(target.cars, source.cars, strict=True):
        to[0] = values[car]


def test_batch_equals_single_cars(circuits):
    n = 24
    batch = simulator_on(circuits, n)
    scatter(batch, 0)
    singles = [simulator_on(circuits, 1) for _ in range(n)]
    for car, single in enumerate(singles):
        copy_car(batch, car, single)
    rng = np.random.default_rng(1)
    out = np.empty((n, obs.SIZE), dtype=np.float32)
    for _ in range(40):
        actions = rng.uniform(-1.3, 1.3, (n, 2))
        batch.step(actions, out)
        for car, single in enumerate(singles):
            single.step(actions[car : car + 1])
            np.testing.assert_allclose(single.observe()[0], out[car], rtol=0, atol=1e-6)
    for car, single in enumerate(singles):
        np.testing.assert_allclose(single.state[:, 0], batch.state[:, car], rtol=1e-9, atol=1e-9)
        for name, value, values in zip(batch.cars._fields, single.cars, batch.cars, strict=True):
            np.testing.assert_allclose(value[0], values[car], rtol=1e-9, atol=1e-9, err_msg=name)


def test_step_fills_the_same_observations_as_observe(circuits):
    simulator = simulator_on(circuits, 6)
    scatter(simulator, 2)
    out = np.full((6, obs.SIZE), np.nan, dtype=np.float32)
    simulator.step(np.zeros((6, 2), dtype=np.float32), out)
    np.testing.assert_array_equal(out, simulator.observe())
    some = np.array([4, 1])
    np.testing.assert_array_equal(simulator.observe(some), out[some])


def test_actions_outside_are_clipped_and_the_callers_are_left_alone(circuits):
    wild, tame = simulator_on(circuits, 4), simulator_on(circuits, 4)
    scatter(wild, 3)
    scatter(tame, 3)
    actions = np.array([[5.0, -5.0], [-5.0, 5.0], [1e300, 0.0], [0.3, -1e300]])
    kept = actions.copy()
    for _ in range(5):
        wild.step(actions)
        tame.step(np.clip(actions, -1.0, 1.0))
    np.testing.assert_array_equal(wild.state, tame.state)
    np.testing.assert_array_equal(actions, kept)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_not_finite_moves_no_car(circuits, bad):
    simulator = simulator_on(circuits, 3)
    scatter(simulator, 4)
    before = simulator.state.copy()
    actions = np.zeros((3, 2))
    actions[1, 1] = bad
    with pytest.raises(InputError, match="of car 1: two finite numbers"):
        simulator.step(actions)
    np.testing.assert_array_equal(simulator.state, before)
    assert not simulator.cars.time_s.any()


def test_curvilinear_position_agrees_with_the_plane(circuits):
    simulator = simulator_on(circuits, 16)
    scatter(simulator, 5)
    table, cars = simulator.circuits.table, simulator.cars
    for _ in range(15):
        simulator.step(expert_actions(simulator, np.full(16, 0.7)))
        on_track = cars.ended == ON_TRACK
        row = simulator.circuits.first[cars.circuit] + cars.station
        following = (
            simulator.circuits.first[cars.circuit]
            + (cars.station + 1) % simulator.circuits.count[cars.circuit]
        )
        share = cars.fraction[:, None]
        foot = (1.0 - share) * table[row] + share * table[following]
        normal = np.column_stack([-foot[:, bank.SIN], foot[:, bank.COS]])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        place = foot[:, [bank.X, bank.Y]] + cars.offset_m[:, None] * normal
        error = np.linalg.norm(place - simulator.state[[dyn.X, dyn.Y]].T, axis=1)
        assert error[on_track].max() < 0.05


def test_distance_follows_the_place_on_the_circuit(circuits):
    simulator = simulator_on(circuits[:1], 4)
    length = circuits[0].track.length_m
    for car in range(4):
        simulator.place(car, 0, length - 30.0 - 10.0 * car, speed_mps=20.0)
    start = simulator.place_s_m()
    for _ in range(80):
        simulator.step(expert_actions(simulator, np.full(4, 0.7)))
    assert (simulator.cars.ended == ON_TRACK).all()
    assert (simulator.place_s_m() < start).all()  # the finish line has been crossed
    moved = simulator.place_s_m() - start + length
    np.testing.assert_allclose(simulator.cars.distance_m, moved, atol=1e-6)


def test_laps_are_counted_from_the_start_and_timed_within_the_step(round_circuit):
    simulator = simulator_on([round_circuit], 1)
    length = round_circuit.track.length_m
    simulator.place(0, 0, 0.3 * length, speed_mps=20.0)
    cars = simulator.cars
    distance, time = [0.0], [0.0]
    while cars.laps[0] < 3:
        simulator.step(expert_actions(simulator, np.array([0.7])))
        assert cars.ended[0] == ON_TRACK
        distance.append(float(cars.distance_m[0]))
        time.append(float(cars.time_s[0]))
        assert cars.laps[0] == int(distance[-1] // length)
    crossings = np.interp(np.arange(4) * length, distance, time)
    assert cars.lap_start_s[0] == pytest.approx(crossings[3], abs=1e-9)
    assert cars.lap_time_s[0] == pytest.approx(crossings[3] - crossings[2], abs=1e-9)


def test_lap_time_on_a_circle_at_constant_speed(round_circuit):
    """Moved by hand at 31 m/s on the centre line, a lap takes length / 31 s."""
    simulator = simulator_on([round_circuit], 1)
    simulator.place(0, 0)
    length, speed = round_circuit.track.length_m, 31.0
    cars, state = simulator.cars, simulator.state
    for k in range(1, 1 + int(2.2 * length / (speed * STEP_S))):
        angle = ((k - 1) * speed * STEP_S) / 100.0
        state[:, 0] = 0.0
        state[[dyn.X, dyn.Y, dyn.PSI, dyn.VX], 0] = (
            100.0 * np.cos(angle), 100.0 * np.sin(angle), angle + 0.5 * np.pi, speed
        )  # fmt: skip
        state[dyn.YAW_RATE, 0] = speed / 100.0
        simulator.step(np.zeros((1, 2)))
    assert cars.laps[0] == 2
    assert cars.lap_time_s[0] == pytest.approx(length / speed, abs=0.01)


@pytest.mark.parametrize("heading, reason", [(0.0, OFF_TRACK), (np.pi, BACKWARDS)])
def test_leaving_the_track_and_turning_round_end_an_episode(circuits, heading, reason):
    simulator = simulator_on(circuits, 1)
    simulator.place(0, 0, 50.0, heading_rad=heading, speed_mps=25.0)
    for _ in range(200):
        simulator.step(np.array([[1.0, 0.2]]))
        if simulator.cars.ended[0] != ON_TRACK:
            break
    assert simulator.cars.ended[0] == reason
    assert simulator.cars.rewards[0, REWARD_TERMS.index("end")] == -simulator.weights.end


def test_a_standing_car_ends_after_the_limit(circuits):
    simulator = simulator_on(circuits, 1)
    simulator.place(0, 0)
    ends = []
    for _ in range(round(STANDING_LIMIT_S / STEP_S) + 2):
        simulator.step(np.array([[0.0, -1.0]]))
        ends.append(int(simulator.cars.ended[0]))
    assert ends.index(STANDING) == pytest.approx(STANDING_LIMIT_S / STEP_S, abs=1)
    simulator.place(0, 0)
    assert simulator.cars.standing_s[0] == 0.0
    assert simulator.cars.ended[0] == ON_TRACK


@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_the_car_ends_half_its_width_inside_the_border(round_circuit, margin):
    simulator = simulator_on([round_circuit], 1, border_margin_m=margin)
    simulator.place(0, 0, speed_mps=20.0)
    offsets = []
    while simulator.cars.ended[0] == ON_TRACK:
        simulator.step(np.array([[0.0, 0.0]]))
        offsets.append(-simulator.cars.offset_m[0])
    admissible = 7.0 - 0.5 * RACECAR.width_m - margin
    assert simulator.cars.ended[0] == OFF_TRACK
    assert offsets[-2] <= admissible + 1e-3 < offsets[-1] + 2e-3


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_place_is_cut_at_the_border(circuits, side):
    simulator = simulator_on(circuits, 1, border_margin_m=0.2)
    simulator.place(0, 1, 100.0, line_offset_m=side * 50.0, speed_mps=1.5)
    row = simulator.circuits.first[1] + simulator.cars.station[0]
    room = simulator.circuits.table[row, bank.ROOM_LEFT if side > 0.0 else bank.ROOM_RIGHT]
    assert side * simulator.cars.offset_m[0] == pytest.approx(room - 0.25, abs=0.02)
    simulator.step(np.zeros((1, 2)))
    assert simulator.cars.ended[0] == ON_TRACK


def test_progress_pays_for_the_profiles_time(circuits):
    weights = RewardWeights(progress_per_s=1.0)
    simulator = simulator_on(circuits[:1], 1, weights=weights)
    simulator.place(0, 0)
    paid, terms = 0.0, np.zeros(len(REWARD_TERMS))
    while simulator.cars.laps[0] < 1:
        simulator.step(expert_actions(simulator, np.array([0.8])))
        assert simulator.cars.ended[0] == ON_TRACK
        paid += simulator.cars.rewards[0, 0]
        terms += simulator.cars.rewards[0]
        assert (simulator.cars.rewards[0, 1:] <= 0.0).all()
    overrun = simulator.cars.distance_m[0] - circuits[0].track.length_m
    # a lap, and the few metres past the line at the profile's speed there
    assert 0.0 <= paid - circuits[0].lap_time_s < 2.0 * overrun / circuits[0].line_speed_mps[0]
    assert terms[REWARD_TERMS.index("end")] == 0.0


def test_border_and_slip_cost_only_where_they_should(round_circuit):
    simulator = simulator_on([round_circuit], 2)
    simulator.place(0, 0, line_offset_m=-round_circuit.line_offset_m[0], speed_mps=10.0)
    simulator.place(1, 0, line_offset_m=50.0, speed_mps=10.0)
    simulator.step(np.zeros((2, 2)))
    border = simulator.cars.rewards[:, REWARD_TERMS.index("border")]
    assert border[0] == 0.0
    assert border[1] < 0.0
    slip = REWARD_TERMS.index("slip")
    assert (simulator.cars.rewards[:, slip] == 0.0).all()
    simulator.state[dyn.VY, 0] = 6.0
    simulator.step(np.zeros((2, 2)))
    assert simulator.cars.rewards[0, slip] < 0.0


def test_the_mirror_image_drives_the_same(circuits):
    n = 12
    straight = simulator_on(circuits, n)
    mirrored = simulator_on([mirror_circuit(circuit) for circuit in circuits], n)
    scatter(straight, 6)
    for car in range(n):
        copied = straight.cars
        mirrored.place(car, int(copied.circuit[car]), float(straight.place_s_m()[car]))
    mirrored.state[:] = straight.state
    odd = [dyn.Y, dyn.PSI, dyn.VY, dyn.YAW_RATE, dyn.STEER, dyn.AY]
    mirrored.state[odd] *= -1.0
    mirrored.cars.station[:] = straight.cars.station
    mirrored.cars.fraction[:] = straight.cars.fraction
    mirrored.cars.offset_m[:] = -straight.cars.offset_m
    signs, order = obs.mirror_signs_and_order()
    rng = np.random.default_rng(7)
    for _ in range(30):
        actions = rng.uniform(-1.0, 1.0, (n, 2))
        straight.step(actions)
        mirrored.step(actions * [-1.0, 1.0])
        on = straight.cars.ended == ON_TRACK
        np.testing.assert_allclose(
            mirrored.observe()[on], straight.observe()[on][:, order] * signs, rtol=0, atol=1e-6
        )
    sign = np.ones((dyn.STATE_SIZE, 1))
    sign[odd] = -1.0
    np.testing.assert_allclose(mirrored.state, straight.state * sign, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(mirrored.cars.rewards, straight.cars.rewards, rtol=0, atol=1e-9)


def test_mirroring_twice_changes_nothing():
    signs, order = obs.mirror_signs_and_order()
    seen = np.arange(obs.SIZE, dtype=np.float32)
    once = seen[order] * signs
    np.testing.assert_array_equal(once[order] * signs, seen)


DRIVE = """
import sys
import numpy as np
from racing_env.tracks.circuit import prepare_circuit
from racing_env.tracks.bank import pack_circuits
from racing_env.drivers.expert import expert_actions
from racing_env.simulation.simulator import Simulator
from racing_env.tracks.generator import built_in_track
from cars import RACECAR

circuit = prepare_circuit(built_in_track("oval", RACECAR), RACECAR, sys.argv[1])
simulator = Simulator(pack_circuits([circuit]), 3)
for car in range(3):
    simulator.place(car, 0, 200.0 * car, 0.5 * car, 0.02 * car, 15.0 * car)
for _ in range(6):
    actions = expert_actions(simulator, np.array([0.8, 0.9, 1.0]))
    simulator.step(actions + [0.1, 0.0])
np.savez(
    sys.argv[2], state=simulator.state, rewards=simulator.cars.rewards,
    distance=simulator.cars.distance_m, observations=simulator.observe(),
)
"""


def test_the_compiler_changes_nothing(tmp_path):
    prepare_circuit(built_in_track("oval", RACECAR), RACECAR, tmp_path)  # once, compiled
    compiled, plain = compiled_and_not(DRIVE, tmp_path, folder=tmp_path)
    for name, value in compiled.items():
        tolerance = 1e-6 if value.dtype == np.float32 else 1e-9
        np.testing.assert_allclose(value, plain[name], rtol=tolerance, atol=tolerance, err_msg=name)
