"""Cars with a network at the wheel: rollouts and their gradient, for tests of what these are made
of.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from racing_env.car.dynamics import new_scratch
from racing_env.simulation import adaptation as ad
from racing_env.simulation import closed_loop
from racing_env.simulation.adaptation import EXTRA_INPUTS, Adaptation, no_adaptation
from racing_env.simulation.gradients import new_probe, state_changes
from racing_env.simulation.perceptron import network_of, parameter_count, parameters_of
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import Task

HIDDEN = 8


def driver_parameters(size: int, hidden: int = HIDDEN, seed: int = 3) -> np.ndarray:
    """Parameters (parameters,) float32 of a network that sees `size` numbers.

    It goes straight on with half the power, a little moved by all that it sees.
    """
    rng = np.random.default_rng(seed)
    flat = np.zeros(parameter_count(size, hidden, 2), np.float32)
    parts = parameters_of(flat, size, hidden, 2)
    for weight in parts[::2]:
        weight[:] = rng.normal(0.0, 0.5 / np.sqrt(len(weight)), weight.shape)
    parts[-2][:, 0] *= 0.2
    parts[-1][1] = 0.5
    return flat


def loop_numbers(task: Task, **others: float) -> closed_loop.LoopNumbers:
    """Undiscounted, without limits, where not said otherwise."""
    numbers = closed_loop.LoopNumbers(
        task.weights, task.control_step_s, task.run_off_m,
        limit_steps=10**6, discount=1.0, lookahead_steps=1, action_gradient_limit=np.inf,
    )  # fmt: skip
    return numbers._replace(**others)


class Driven(NamedTuple):
    """A rollout: its tape, what each car was paid (n, terms), and its cars at the end."""

    tape: closed_loop.Tape
    paid: np.ndarray
    simulator: Simulator
    episodes: closed_loop.Episodes


def drive(
    start: Simulator,
    parameters: np.ndarray,
    numbers: closed_loop.LoopNumbers,
    steps: int,
    noise: np.ndarray | None = None,
    restart: Callable[[Simulator, int], None] | None = None,
    hidden: int = HIDDEN,
    adaptation: Adaptation | None = None,
) -> Driven:
    """Drive from the start, which stays as it is; restart: places a car whose episode is over."""
    n, layout = start.n, start.layout
    simulator = start.subset(np.ones(n, dtype=bool))
    inputs = layout.size + (EXTRA_INPUTS if adaptation else 0)
    tape = closed_loop.new_tape(steps, n, layout.size, inputs, hidden)
    simulator.observe(out=tape.seen[0])
    if noise is not None:
        tape.noise[:] = noise
    episodes = closed_loop.Episodes(
        np.zeros(n, np.int32),
        np.zeros((n, len(REWARD_TERMS))),
        np.full(n, np.nan),
        simulator.memory,
    )
    network, scratch = network_of(parameters, inputs, hidden, 2), new_scratch()
    adaptation = adaptation or no_adaptation()
    scaling = layout.scaling(start.vehicle)
    step = 0
    while step < steps:
        step = layout.drive(
            simulator.state, simulator.cars, simulator.circuits, numbers, scaling,
            simulator.sensors, scratch, network, adaptation, episodes, tape, step,
        )  # fmt: skip
        assert step > 0
        for car in np.flatnonzero(tape.terminated[step - 1] | tape.truncated[step - 1]).tolist():
            assert restart is not None
            restart(simulator, car)
            episodes.steps[car] = 0
        tape.seen[step] = simulator.observe()
    return Driven(tape, episodes.sums, simulator, episodes)


def pulled_back(
    driven: Driven,
    parameters: np.ndarray,
    numbers: closed_loop.LoopNumbers,
    hidden: int = HIDDEN,
    adaptation: Adaptation | None = None,
) -> tuple[np.ndarray, int, np.ndarray]:
    """Gradient (parameters,), how many steps were learnt from, sizes (2,) by the actions."""
    gradient, flat, _ = _all_pulled_back(driven, parameters, numbers, hidden, adaptation)
    return flat, int(gradient.usable[0]), gradient.sizes


def weighed_back(
    driven: Driven,
    parameters: np.ndarray,
    numbers: closed_loop.LoopNumbers,
    adaptation: Adaptation,
) -> tuple[np.ndarray, float]:
    """Gradient by the parameters of the network that weighs evidence, and the guesses' loss."""
    gradient, _, flat = _all_pulled_back(driven, parameters, numbers, HIDDEN, adaptation)
    return flat, float(gradient.loss[0])


def _all_pulled_back(
    driven: Driven,
    parameters: np.ndarray,
    numbers: closed_loop.LoopNumbers,
    hidden: int,
    adaptation: Adaptation | None,
) -> tuple[closed_loop.Gradient, np.ndarray, np.ndarray]:
    simulator, size = driven.simulator, driven.simulator.layout.size
    sizes = (driven.tape.inputs.shape[2], hidden, 2)
    flat, weighing = np.zeros(len(parameters), np.float32), np.zeros(ad.parameters(), np.float32)
    gradient = closed_loop.Gradient(
        tuple(parameters_of(flat, *sizes)), tuple(parameters_of(weighing, *ad.EVIDENCE_SIZES)),
        np.zeros(1), np.zeros(1, np.int64), np.zeros(2),
    )  # fmt: skip
    simulator.layout.pull_back(
        simulator.circuits, numbers, simulator.layout.scaling(simulator.vehicle),
        state_changes(simulator.circuits.scales), new_probe(size), network_of(parameters, *sizes),
        adaptation or no_adaptation(), driven.tape, gradient,
    )  # fmt: skip
    return gradient, flat, weighing
