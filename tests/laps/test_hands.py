import math

import numpy as np
import pytest
from cars import RACECAR, scaled, simulator_on
from tenth import tenth_of_state

from racing_env.car import dynamics as dyn
from racing_env.car.loads import grip_n
from racing_env.car.scales import scales_of
from racing_env.car.tyre import axle_tyres, peak_slip_rad
from racing_env.laps.hands import DEAD_ZONE, TURN_S, Controls, Hands, without_dead_zone
from racing_env.simulation.task import CONTROL_STEP_S, racing_task

REST = np.zeros(dyn.STATE_SIZE)


def state_at(speed_mps: float) -> np.ndarray:
    state = REST.copy()
    state[dyn.VX] = speed_mps
    return state


def driven(held: Controls, seconds: float, speed_mps: float) -> np.ndarray:
    """A car on open ground in which keys are held for seconds: its states by control steps."""
    simulator = simulator_on(["oval"], task=racing_task(RACECAR)._replace(run_off_m=1e9))
    hands = Hands(RACECAR, CONTROL_STEP_S)
    simulator.place(0, 0)
    simulator.state[dyn.VX] = speed_mps
    states = []
    for _ in range(round(seconds / CONTROL_STEP_S)):
        simulator.step(hands.act(held, simulator.state[:, 0])[None])
        states.append(simulator.state[:, 0].copy())
    return np.array(states)


def test_a_key_that_is_tapped_does_less_than_one_that_is_held_and_comes_back():
    hands = Hands(RACECAR, CONTROL_STEP_S)
    state = state_at(20.0)
    tapped = hands.act(Controls(left=True), state)[0]
    for _ in range(round(TURN_S / CONTROL_STEP_S)):
        held = hands.act(Controls(left=True), state)[0]
    assert 0.0 < tapped < 0.5 * held
    assert hands.act(Controls(left=True), state)[0] == held  # it is down
    for _ in range(round(TURN_S / CONTROL_STEP_S)):
        released = hands.act(Controls(), state)[0]
    assert released == pytest.approx(0.0, abs=1e-12)
    hands.let_go()
    assert hands.act(Controls(right=True), state)[0] == pytest.approx(-tapped)


def test_the_brake_does_not_wait_for_the_other_foot():
    hands = Hands(RACECAR, CONTROL_STEP_S)
    for _ in range(10):
        assert hands.act(Controls(drive=True), state_at(20.0))[1] > 0.0
    assert hands.act(Controls(drive=True, brake=True), state_at(20.0))[1] < 0.0


@pytest.mark.parametrize("speed_mps", [12.0, 30.0, 60.0])
@pytest.mark.parametrize("key", ["left", "right"])
def test_a_key_that_is_held_corners_near_the_grip_and_the_car_does_not_spin(key, speed_mps):
    states = driven(Controls(**{key: True}, drive=speed_mps < 20.0), 3.0, speed_mps)
    rear = np.array([dyn.axle_slips(state[:, None], 0, RACECAR)[1] for state in states])
    assert np.abs(rear).max() < peak_slip_rad(axle_tyres(RACECAR)[1])
    grip_mps2 = np.array([grip_n(v, RACECAR) for v in states[:, dyn.VX]]) / RACECAR.mass_kg
    sign = 1.0 if key == "left" else -1.0
    assert np.max(sign * states[20:, dyn.AY] / grip_mps2[20:]) > 0.75


def test_pedals_use_the_grip_of_a_straight_line_and_keep_it_in_a_corner():
    braking = driven(Controls(brake=True), 1.0, 50.0)
    assert np.min(braking[:, dyn.AX]) < -0.8 * grip_n(40.0, RACECAR) / RACECAR.mass_kg
    assert np.abs(braking[:, dyn.YAW_RATE]).max() < 1e-6
    cornering = driven(Controls(left=True, drive=True), 4.0, 10.0)
    rear = [dyn.axle_slips(state[:, None], 0, RACECAR)[1] for state in cornering]
    assert np.abs(rear).max() < peak_slip_rad(axle_tyres(RACECAR)[1])
    assert cornering[-1, dyn.VX] > 12.0


def test_a_tenth_of_the_car_does_the_same_in_scaled_time():
    small = scaled(RACECAR, 0.1)
    both = Hands(RACECAR, CONTROL_STEP_S), Hands(small, CONTROL_STEP_S * scales_of(small).time)
    for held in [Controls(left=True, drive=True)] * 4 + [Controls(brake=True)] * 6:
        state = state_at(25.0)
        state[dyn.VY], state[dyn.YAW_RATE] = 0.3, 0.2
        actions = [
            h.act(held, s) for h, s in zip(both, (state, tenth_of_state(state)), strict=True)
        ]
        np.testing.assert_allclose(*actions, rtol=1e-6)


def test_a_gamepad_is_taken_as_it_is_beside_a_small_dead_zone():
    assert without_dead_zone(0.9 * DEAD_ZONE) == without_dead_zone(-0.9 * DEAD_ZONE) == 0.0
    assert without_dead_zone(1.0) == 1.0 and without_dead_zone(-1.0) == -1.0
    assert without_dead_zone(DEAD_ZONE + 1e-6) == pytest.approx(0.0, abs=1e-5)
    hands = Hands(RACECAR, CONTROL_STEP_S)
    action = hands.act(Controls(right=True, brake=True, stick=1.0, pedals=0.5), state_at(60.0))
    assert action[0] == 1.0 and action[1] == without_dead_zone(0.5)
    idle = hands.act(Controls(right=True, brake=True, stick=0.02, pedals=-0.03), state_at(60.0))
    assert idle[0] < 0.0 and idle[1] < 0.0  # the keys again
    assert math.isfinite(idle.sum())
