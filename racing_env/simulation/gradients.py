"""Gradients through a control step: what a small change of state or action would have gained.

By forward differences of the simulator itself, so that there are no second equations of the car to
keep in step with the first: each car is joined by one variant for every number that can be changed.
"""

import math

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.kernels import kernel
from racing_env.car.scales import Scales
from racing_env.simulation.simulator import Simulator

ACTION_CHANGE = 1e-3
VARIANTS = 1 + dyn.STATE_SIZE + 2  # unchanged, state changed, action changed


def state_changes(scales: Scales) -> np.ndarray:
    """One change (STATE_SIZE,) per number of the state, in its unit, for a car: far above float32's
    rounding in the observation, far below what bends the tyre curve.
    """
    changes = np.zeros(dyn.STATE_SIZE)
    changes[[dyn.X, dyn.Y]] = 1e-3 * scales.length
    changes[dyn.PSI] = 1e-4
    changes[[dyn.VX, dyn.VY]] = 1e-2 * scales.speed
    changes[dyn.YAW_RATE] = 1e-3 * scales.turn_rate
    changes[dyn.STEER] = 1e-4
    changes[[dyn.DRIVE, dyn.BRAKE]] = 10.0 * scales.force
    changes[[dyn.AX, dyn.AY]] = 1e-2 * scales.acceleration
    return changes


@kernel
def _gains(state, rewards, observations, state_gradient, observation_gradient, gains):
    """Fill gains (n, VARIANTS) with what each variant has more than its car, to first order."""
    for car in range(gains.shape[0]):
        base = car * gains.shape[1]
        for variant in range(gains.shape[1]):
            row = base + variant
            gain = 0.0
            for term in range(rewards.shape[1]):
                gain += rewards[row, term] - rewards[base, term]
            for i in range(state.shape[0]):
                change = state[i, row] - state[i, base]
                if i == dyn.PSI and abs(change) > math.pi:  # across the cut of the angle
                    change -= math.copysign(2.0 * math.pi, change)
                gain += state_gradient[i, car] * change
            for i in range(observations.shape[1]):
                change = observations[row, i] - observations[base, i]
                gain += observation_gradient[car, i] * change
            gains[car, variant] = gain


class StepGradient:
    """Pulls gradients back through single control steps of n cars.

    simulator: drives like the cars and has VARIANTS of its own for each of them.
    """

    def __init__(self, simulator: Simulator):
        self.simulator = simulator
        n = simulator.n // VARIANTS
        self._changes = state_changes(simulator.circuits.scales)
        self._actions = np.empty((n, VARIANTS, 2))
        self._observations = np.empty((simulator.n, simulator.layout.size), dtype=np.float32)
        self._gains = np.empty((n, VARIANTS))

    def __call__(
        self,
        state: np.ndarray,
        circuit: np.ndarray,
        station: np.ndarray,
        actions: np.ndarray,
        state_gradient: np.ndarray,
        observation_gradient: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient of a step's reward and of what follows it, by the state and by the action.

        state: (STATE_SIZE, n) before the step, circuit and station: (n,), actions: (n, 2);
        state_gradient: (STATE_SIZE, n), observation_gradient: (n, size): of what follows, by the
        state and the observation after the step. Returns (STATE_SIZE, n) and (n, 2).
        """
        simulator, cars = self.simulator, self.simulator.cars
        n = len(circuit)
        variants = simulator.state.reshape(dyn.STATE_SIZE, n, VARIANTS)
        variants[:] = state[:, :, None]
        for i in range(dyn.STATE_SIZE):
            variants[i, :, 1 + i] += self._changes[i]
        changes = np.where(actions > 0.0, -ACTION_CHANGE, ACTION_CHANGE)  # never out of range
        self._actions[:] = actions[:, None]
        for i in range(2):
            self._actions[:, 1 + dyn.STATE_SIZE + i, i] += changes[:, i]
        cars.circuit.reshape(n, VARIANTS)[:] = circuit[:, None]
        cars.station.reshape(n, VARIANTS)[:] = station[:, None]
        cars.standing_s[:] = 0.0  # of the last cars that were asked about
        simulator.locate()
        simulator.step(self._actions.reshape(-1, 2), self._observations)
        _gains(
            simulator.state, cars.rewards, self._observations, state_gradient,
            observation_gradient, self._gains,
        )  # fmt: skip
        # in rows, as the learner's first one: or the kernel is compiled again, in each worker
        by_state = np.divide(
            self._gains[:, 1 : 1 + dyn.STATE_SIZE].T, self._changes[:, None], order="C"
        )
        return by_state, self._gains[:, 1 + dyn.STATE_SIZE :] / changes
