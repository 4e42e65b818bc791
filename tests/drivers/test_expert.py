"""The expert: that it spares the tyres, that it finishes, and that it knows no side."""

import warnings

import numpy as np
import pytest
from cars import RACECAR, circuit_named, on_both_axles, scaled, simulator_on
from hypothesis import given, settings
from hypothesis import strategies as st

from racing_env.car import dynamics as dyn
from racing_env.car.scales import REFERENCE, scales_of
from racing_env.car.tyre import SLIP_SPEED_FLOOR_MPS, axle_tyres, peak_slip_rad
from racing_env.drivers import expert
from racing_env.simulation.motion import ON_TRACK
from racing_env.simulation.simulator import Simulator
from racing_env.tracks.bank import LINE_SPEED, CircuitBank, pack_circuits
from racing_env.tracks.circuit import Circuit, mirror_circuit
from racing_env.tracks.sources import load_circuits


@pytest.fixture(scope="module")
def circuits() -> list[Circuit]:
    return [circuit_named(name) for name in ("oval", "hairpins", 4, 11)]


@pytest.fixture(scope="module")
def fastest(circuits) -> tuple[np.ndarray, np.ndarray]:
    return expert.fastest_paces(pack_circuits(circuits))


def laps_driven(simulator: Simulator, paces: np.ndarray, laps: int) -> np.ndarray:
    """How many laps (n,) the expert completes, `laps` at the most."""
    finished = np.zeros(simulator.n, dtype=int)
    on_track = np.ones(simulator.n, dtype=bool)
    while (on_track & (finished < laps)).any():
        simulator.step(expert.expert_actions(simulator, paces))
        on_track &= simulator.cars.ended == ON_TRACK
        finished[on_track] = simulator.cars.laps[on_track]
    return np.minimum(finished, laps)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_actions_are_in_the_action_space_wherever_the_car_is(circuits, seed):
    simulator = simulator_on(circuits, 8)
    rng = np.random.default_rng(seed)
    for car in range(8):
        simulator.place(
            car, car % len(circuits), rng.uniform(0.0, 1000.0), rng.uniform(-9.0, 9.0),
            rng.uniform(-3.0, 3.0), rng.uniform(0.0, 80.0),
        )  # fmt: skip
    simulator.state[dyn.VY] = rng.normal(0.0, 10.0, 8)
    simulator.state[dyn.YAW_RATE] = rng.normal(0.0, 3.0, 8)
    simulator.state[dyn.AY] = rng.normal(0.0, 10.0, 8)
    actions = expert.expert_actions(simulator, np.full(8, 1.0))
    assert actions.shape == (8, 2)
    assert np.abs(actions).max() <= 1.0  # also false for NaN


def test_the_front_tyres_stay_before_their_peak(circuits):
    """The steering target is clamped; what is left is how far the slip overshoots it."""
    simulator = simulator_on(circuits, len(circuits))
    for car in range(len(circuits)):
        simulator.place(car, car)
    worst = 0.0
    for _ in range(1200):
        simulator.step(expert.expert_actions(simulator, np.full(len(circuits), 0.8)))
        vx = np.maximum(simulator.state[dyn.VX], SLIP_SPEED_FLOOR_MPS)
        front_y = simulator.state[dyn.VY] + simulator.state[dyn.YAW_RATE] * RACECAR.cog_to_front_m
        slip = simulator.state[dyn.STEER] - np.arctan(front_y / vx)
        worst = max(worst, float(np.abs(slip).max()))
    assert (simulator.cars.ended == ON_TRACK).all()
    assert worst < 1.1 * peak_slip_rad(axle_tyres(RACECAR)[0])


def test_finishes_standing_and_flying_laps_from_anywhere(circuits):
    starts = 5
    simulator = simulator_on(circuits, 2 * starts * len(circuits))
    bank = simulator.circuits
    for car in range(simulator.n):
        circuit, start = divmod(car // 2, starts)
        station = int(bank.count[circuit] * start / starts)
        speed = 0.8 * float(bank.table[bank.first[circuit] + station, LINE_SPEED]) * (car % 2)
        simulator.place(car, circuit, station * bank.step_m[circuit], speed_mps=speed)
    laps = laps_driven(simulator, np.full(simulator.n, 0.8), 1)
    np.testing.assert_array_equal(laps, 1)


def test_fastest_paces_finish_close_to_the_profile(circuits, fastest):
    paces, lap_s = fastest
    assert np.isin(paces, expert.PACES).all()
    ratio = lap_s / [circuit.lap_time_s for circuit in circuits]
    assert ((ratio > 1.0) & (ratio < 1.1)).all()
    simulator = simulator_on(circuits, len(circuits))
    for car in range(len(circuits)):
        simulator.place(car, car)
    times = np.full(len(circuits), np.nan)
    while np.isnan(times).any():
        simulator.step(expert.expert_actions(simulator, paces))
        assert (simulator.cars.ended == ON_TRACK).all()
        done = np.isnan(times) & (simulator.cars.laps == 3)
        times[done] = simulator.cars.lap_time_s[done]
    np.testing.assert_array_equal(times, lap_s)  # dropping cars from the batch changed nothing


def test_fastest_paces_where_none_finishes(circuits):
    """Half the grip that the profile counts on: no pace gets round."""
    packed = pack_circuits(circuits[1:2])
    bank: CircuitBank = packed._replace(vehicle=RACECAR._replace(**on_both_axles(friction=0.35)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paces, lap_s = expert.fastest_paces(bank, laps=1)
    assert np.isnan(paces).all() and np.isnan(lap_s).all()


def test_the_mirror_image_is_driven_the_same(circuits):
    n = 40
    ours = simulator_on(circuits, n)
    image = simulator_on([mirror_circuit(circuit) for circuit in circuits], n)
    rng = np.random.default_rng(0)
    for car in range(n):
        ours.place(
            car, car % len(circuits), rng.uniform(0.0, 1500.0), rng.uniform(-2.0, 2.0),
            rng.uniform(-0.2, 0.2), rng.uniform(0.0, 40.0),
        )  # fmt: skip
    ours.state[dyn.VY] = rng.normal(0.0, 0.5, n)
    ours.state[dyn.STEER] = rng.uniform(-0.3, 0.3, n)
    image.state[:] = ours.state
    image.state[[dyn.Y, dyn.PSI, dyn.VY, dyn.YAW_RATE, dyn.STEER, dyn.AY]] *= -1.0
    for values, of_ours in zip(image.cars, ours.cars, strict=True):
        values[:] = of_ours
    image.cars.offset_m[:] *= -1.0
    paces = rng.uniform(0.7, 1.0, n)
    np.testing.assert_allclose(
        expert.expert_actions(image, paces) * [-1.0, 1.0],
        expert.expert_actions(ours, paces),
        rtol=0,
        atol=1e-6,
    )


def test_gains_are_to_the_scale_of_the_car():
    assert expert.gains_for(REFERENCE) == expert.Gains()
    model = expert.gains_for(scales_of(scaled(RACECAR, 0.25)))
    ours = expert.Gains()
    times = {"preview_s": 0.5, "speed_per_s": 2.0}
    speeds = {"steering_speed_floor_mps": 0.5}
    assert model == ours._replace(
        **{name: factor * getattr(ours, name) for name, factor in (times | speeds).items()}
    )


@pytest.mark.slow
def test_finishes_every_generated_circuit():
    circuits = load_circuits(["random:7:100"], RACECAR)
    paces, lap_s = expert.fastest_paces(pack_circuits(circuits))
    assert np.isfinite(paces).sum() == 100
    assert (lap_s / [circuit.lap_time_s for circuit in circuits]).mean() < 1.05
