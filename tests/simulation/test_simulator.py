"""The simulator's cars: many as one, actions that are refused, mirror images, the compiler."""

import inspect

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled, scatter, simulator_on
from processes import compiled_and_not

from racing_env.car import dynamics as dyn
from racing_env.common.errors import InputError
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.motion import ON_TRACK
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit, mirror_circuit, prepare_circuit
from racing_env.tracks.generator import built_in_track


@pytest.fixture(scope="module")
def circuits() -> list[Circuit]:
    return [circuit_named(4), circuit_named("hairpins")]


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
    out = np.empty((n, LAYOUT.size), dtype=np.float32)
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


def test_fewer_cars_go_on_as_they_were(circuits):
    everyone = simulator_on(circuits, 5)
    scatter(everyone, 8)
    everyone.step(np.zeros((5, 2)))
    keep = np.array([True, False, False, True, True])
    fewer = everyone.subset(keep)
    assert fewer.n == 3 and fewer.task == everyone.task and fewer.circuits is everyone.circuits
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (5, 2))
    for _ in range(10):
        everyone.step(actions)
        fewer.step(actions[keep])
    np.testing.assert_array_equal(fewer.state, everyone.state[:, keep])
    np.testing.assert_array_equal(fewer.observe(), everyone.observe()[keep])


def test_the_car_is_the_banks():
    """Nothing but the bank says which car drives: a simulator of another one cannot be had."""
    model = scaled(RACECAR, 0.25)
    ours = simulator_on(["oval"])
    theirs = Simulator(pack_circuits([circuit_named("oval", model)]), 1, racing_task(model))
    assert ours.vehicle == RACECAR and theirs.vehicle == model
    assert list(inspect.signature(Simulator).parameters) == ["circuits", "n", "task"]
    with pytest.raises(AttributeError):
        ours.vehicle = model


def test_an_unknown_layout_is_refused(circuits):
    task = racing_task(RACECAR)._replace(layout="camera\n")
    with pytest.raises(InputError, match="the task: observation layout 'camera") as error:
        simulator_on(circuits, 1, task)
    assert "\n" not in str(error.value)


def test_step_fills_the_same_observations_as_observe(circuits):
    simulator = simulator_on(circuits, 6)
    scatter(simulator, 2)
    out = np.full((6, LAYOUT.size), np.nan, dtype=np.float32)
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
    signs, order = LAYOUT.mirror()
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


DRIVE = """
import sys
import numpy as np
from racing_env.car.vehicle_files import read_vehicle
from racing_env.tracks.circuit import prepare_circuit
from racing_env.tracks.bank import pack_circuits
from racing_env.drivers.expert import expert_actions
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task
from racing_env.tracks.generator import built_in_track

vehicle = read_vehicle("racecar")
circuit = prepare_circuit(built_in_track("oval", vehicle), vehicle, sys.argv[1])
simulator = Simulator(pack_circuits([circuit]), 3, racing_task(vehicle))
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


def test_a_task_of_another_car_is_refused():
    bank = pack_circuits([circuit_named("oval")])
    with pytest.raises(ValueError, match="different cars"):
        Simulator(bank, 1, racing_task(scaled(RACECAR, 0.25)))
