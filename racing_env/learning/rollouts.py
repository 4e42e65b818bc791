"""Whole rollouts of a group of training cars by the learner's network, and their gradient.

The cars need nothing but the network's weights to drive for seconds and to pull back, through
those seconds, how what they were paid would have changed with each weight. So cars are shared out
to processes by fixed groups, of which each gives one sum a rollout: the same, in the same order,
whichever process it was driven in.
"""

import numpy as np

from racing_env.car.dynamics import new_scratch
from racing_env.common.errors import InputError
from racing_env.drivers.policy import ACTION_SIZE
from racing_env.learning.shared_block import EPISODES_KEPT, Block
from racing_env.learning.training_cars import TrainingCars, TrainingSettings
from racing_env.simulation import adaptation, closed_loop
from racing_env.simulation.adaptation import (
    EVIDENCE_SIZES,
    LEARNING,
    new_adaptation,
    no_adaptation,
)
from racing_env.simulation.gradients import new_probe, state_changes
from racing_env.simulation.perceptron import network_of, parameter_count, parameters_of
from racing_env.tracks.bank import CircuitBank

GROUP_CARS = 8  # a vector of the processor holds so many
LEAST_GROUPS = 16  # where there are fewer cars, groups are smaller
NOISE = 1  # tells the noise's streams from those of the episodes


def group_slices(cars: int) -> list[slice]:
    """The groups of so many cars, in order, whatever the number of processes."""
    size = min(max(cars // LEAST_GROUPS, 1), GROUP_CARS)
    return [slice(first, min(first + size, cars)) for first in range(0, cars, size)]


def new_cars(
    circuits: CircuitBank, block: Block, first_car: int, settings: TrainingSettings
) -> TrainingCars:
    """Cars that drive rollouts where the settings have them."""
    kind = RolloutCars if settings.rollouts else TrainingCars
    return kind(circuits, block, first_car, settings)


class RolloutCars(TrainingCars):
    """One group of training cars, whose block has the network and gets what comes of it."""

    def __init__(
        self, circuits: CircuitBank, block: Block, first_car: int, settings: TrainingSettings
    ):
        super().__init__(circuits, block, first_car, settings)
        assert settings.rollouts is not None
        self.rollouts = settings.rollouts
        simulator, task = self.simulator, settings.task
        n, size = simulator.n, simulator.layout.size
        wide = settings.inputs
        self.sizes = (wide, self.rollouts.hidden, ACTION_SIZE)
        self.driving = parameter_count(*self.sizes)  # the first parameters; the others weigh
        self.adaptation = no_adaptation()
        if self.rollouts.adapts:
            weighing = np.zeros(adaptation.parameters(), dtype=np.float32)
            self.adaptation = new_adaptation(
                simulator.layout, simulator.vehicle, weighing, LEARNING
            )
        self.tape = closed_loop.new_tape(self.rollouts.steps, n, size, wide, self.rollouts.hidden)
        self.episodes = closed_loop.Episodes(
            self.steps, self.sums, self.trouble_m, simulator.memory
        )
        self.numbers = closed_loop.LoopNumbers(
            task.weights, task.control_step_s, task.run_off_m, self.limit_steps,
            self.rollouts.discount, self.rollouts.lookahead_steps,
            self.rollouts.action_gradient_limit,
        )  # fmt: skip
        self.scaling = simulator.layout.scaling(simulator.vehicle)
        self.changes = state_changes(simulator.circuits.scales)
        self.probe = new_probe(size)
        self.nothing = np.zeros(adaptation.parameters(), dtype=np.float32)
        self.scratch = new_scratch()

    def rollout(self) -> None:
        """Drive a rollout by block.parameters, pull its gradient back, and save.

        Fills the block's gradients, what has ended, and what the cars see and are now. Raises
        InputError if the network's actions are not finite numbers.
        """
        self.drive()
        self._pull_back()
        self.save()

    def drive(self) -> None:
        """Fill the tape by block.parameters; cars whose episodes are over start anew.

        Raises InputError if the network's actions are not finite numbers.
        """
        driving, weighing = np.split(self.block.parameters, [self.driving])
        self.network = network_of(driving, *self.sizes)
        if self.rollouts.adapts:
            network = network_of(weighing, *EVIDENCE_SIZES)
            self.adaptation = self.adaptation._replace(network=network)
        block, tape, simulator = self.block, self.tape, self.simulator
        self._draw_noise()
        block.ended[:] = 0
        tape.seen[0] = block.observations
        step = 0
        while step < self.rollouts.steps:
            self._hand_over_errors(step)
            step = simulator.layout.drive(
                simulator.state, simulator.cars, simulator.circuits, self.numbers, self.scaling,
                simulator.sensors, self.scratch, self.network, self.adaptation, self.episodes, tape,
                step,
            )  # fmt: skip
            if step < 0:
                raise InputError("the network's actions are not finite numbers")
            over = np.flatnonzero(tape.terminated[step - 1] | tape.truncated[step - 1])
            for car in over.tolist():
                self._note_end(car)
                self.start(car)
            self._set_noise()
            if len(over):
                tape.seen[step, over] = simulator.observe(over)
        block.observations[:] = tape.seen[step]

    def _pull_back(self) -> None:
        """Fill the block's gradients from the tape."""
        block, simulator = self.block, self.simulator
        for array in (block.gradients, block.usable, block.losses, block.sizes):
            array[:] = 0
        driving, weighing = np.split(block.gradients[0], [self.driving])
        if not self.rollouts.adapts:
            weighing = self.nothing
        gradient = closed_loop.Gradient(
            tuple(parameters_of(driving, *self.sizes)),
            tuple(parameters_of(weighing, *EVIDENCE_SIZES)),
            block.losses,
            block.usable,
            block.sizes[0],
        )
        simulator.layout.pull_back(
            simulator.circuits, self.numbers, self.scaling, self.changes, self.probe, self.network,
            self.adaptation, self.tape, gradient,
        )  # fmt: skip

    def _hand_over_errors(self, first: int) -> None:
        """Those of the sensors from a step of the tape on, as far as the episodes can go."""
        if not self.noisy:
            return
        for car, steps in enumerate(self.steps.tolist()):
            errors = self.errors[car, steps + 1 :][: self.rollouts.steps - first]
            self.tape.sensor_noise[first : first + len(errors), car] = errors

    def _draw_noise(self) -> None:
        """Of the actions: of each car a stream of its own for each rollout."""
        steps, number = self.rollouts.steps, int(self.block.number[0])
        for car in range(self.simulator.n):
            name = [int(self.seed[car]), self.first_car + car, number, NOISE]
            rng = np.random.default_rng(name)
            draws = rng.standard_normal((steps, ACTION_SIZE)) * self.rollouts.noise
            self.tape.noise[:, car] = draws * (rng.random() >= self.rollouts.quiet_share)

    def _note_end(self, car: int) -> None:
        block = self.block
        slot = block.ended[car] % EPISODES_KEPT
        block.ended_returns[car, slot] = self.sums[car]
        block.ended_lengths[car, slot] = self.steps[car]
        block.ended[car] += 1
