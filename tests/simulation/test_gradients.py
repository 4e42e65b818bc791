import numpy as np
import pytest
from cars import RACECAR, scaled, simulator_on

from racing_env.car import dynamics as dyn
from racing_env.car.scales import REFERENCE, scales_of
from racing_env.drivers.expert import expert_actions
from racing_env.simulation.gradients import VARIANTS, StepGradient, state_changes
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

STEPS = 30
TASK = racing_task(RACECAR)._replace(run_off_m=2.0)  # as in training


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


def at_speed(bank) -> Simulator:
    """Six cars that the expert has driven for a second, on the brakes, in corners, on straights."""
    simulator = simulator_on(bank, 6, TASK)
    for car in range(6):
        simulator.place(car, car % 2, 120.0 * car, line_offset_m=0.3, speed_mps=20.0)
    for _ in range(20):
        simulator.step(expert_actions(simulator, np.full(6, 0.9)))
    return simulator


def paid(start: Simulator, actions: np.ndarray) -> np.ndarray:
    """What each car is paid, in all, for actions (steps, n, 2)."""
    simulator = start.subset(np.ones(start.n, dtype=bool))
    total = np.zeros(start.n)
    for now in actions:
        simulator.step(now)
        total += simulator.cars.rewards.sum(axis=1)
    return total


def test_pulled_back_gradient_is_the_difference_of_driving_again(bank):
    """Through thirty steps of driving blindly, a change of the first action and of the tenth."""
    start = at_speed(bank)
    simulator = start.subset(np.ones(start.n, dtype=bool))
    step_gradient = StepGradient(simulator_on(bank, start.n * VARIANTS, TASK))
    actions, tape = [], []
    for _ in range(STEPS):
        actions.append(expert_actions(simulator, np.full(start.n, 0.9)))
        tape.append((simulator.state.copy(), simulator.cars.circuit, simulator.cars.station.copy()))
        simulator.step(actions[-1])
    assert not simulator.cars.ended.any()

    by_state = np.zeros_like(simulator.state)
    unseen = np.zeros((start.n, LAYOUT.size))
    by_action = np.zeros((STEPS, start.n, 2))
    for step in reversed(range(STEPS)):
        by_state, by_action[step] = step_gradient(*tape[step], actions[step], by_state, unseen)

    change = 1e-4
    for step in (0, 10):
        for i in range(2):
            ways = []
            for sign in (-1.0, 1.0):
                other = np.array(actions)
                other[step, :, i] += sign * change
                ways.append(paid(start, other))
            expected = (ways[1] - ways[0]) / (2.0 * change)
            np.testing.assert_allclose(
                by_action[step, :, i], expected, rtol=0.05, atol=0.05 * np.abs(expected).max()
            )


def test_gradient_by_what_is_seen(bank):
    """One step on, with weights on the observation: the difference of two simulators."""
    start = at_speed(bank)
    n = start.n
    rng = np.random.default_rng(0)
    actions = expert_actions(start, np.full(n, 0.9))
    weights = rng.normal(size=(n, LAYOUT.size))
    step_gradient = StepGradient(simulator_on(bank, n * VARIANTS, TASK))
    by_state, _ = step_gradient(
        start.state, start.cars.circuit, start.cars.station, actions,
        np.zeros_like(start.state), weights,
    )  # fmt: skip

    def value(quantity: int, change: float) -> np.ndarray:
        simulator = start.subset(np.ones(n, dtype=bool))
        simulator.state[quantity] += change
        simulator.locate()
        simulator.step(actions)
        return (weights * simulator.observe()).sum(axis=1) + simulator.cars.rewards.sum(axis=1)

    for quantity in (dyn.X, dyn.PSI, dyn.VX, dyn.VY, dyn.YAW_RATE):
        expected = (value(quantity, 1e-2) - value(quantity, -1e-2)) / 2e-2
        np.testing.assert_allclose(
            by_state[quantity], expected, rtol=0.1, atol=0.05 * np.abs(expected).max()
        )


def test_the_cut_of_the_heading_is_no_jump(bank):
    """A car that heads along -x, where the angle goes from pi to -pi, has a small gradient."""
    simulator = simulator_on(bank)
    simulator.place(0, 1, 0.0, speed_mps=20.0)
    state = simulator.state.copy()
    step_gradient = StepGradient(simulator_on(bank, VARIANTS))
    by_heading = np.zeros_like(state)
    by_heading[dyn.PSI] = 1.0
    for psi in (3.14159, -3.14159):
        state[dyn.PSI] = psi
        by_state, _ = step_gradient(
            state, simulator.cars.circuit, simulator.cars.station, np.zeros((1, 2)),
            by_heading, np.zeros((1, LAYOUT.size)),
        )  # fmt: skip
        assert by_state[dyn.PSI, 0] == pytest.approx(1.0, abs=0.1)


def test_changes_are_to_the_scale_of_the_car():
    ours, model = state_changes(REFERENCE), state_changes(scales_of(scaled(RACECAR, 0.25)))
    assert ours.tolist() == [1e-3, 1e-3, 1e-4, 1e-2, 1e-2, 1e-3, 1e-4, 10.0, 10.0, 1e-2, 1e-2]
    share = [0.25, 0.25, 1, 0.5, 0.5, 2, 1, 0.25**3, 0.25**3, 1, 1]
    np.testing.assert_allclose(model, ours * share)
