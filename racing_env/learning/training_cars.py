"""Cars that learn: a batch of the simulator that starts episodes by itself.

Every episode has a random stream of its own, named by the seed, the car's number and the episode's,
so that a car's episodes are the same in whichever process it drives, and go on the same when a run
is stopped and resumed.
"""

from typing import NamedTuple

import numpy as np

from racing_env.car.conditions import draw_conditions
from racing_env.drivers.policy import ACTION_SIZE
from racing_env.learning.shared_block import Block
from racing_env.simulation import adaptation
from racing_env.simulation.motion import ON_TRACK
from racing_env.simulation.perceptron import parameter_count
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.sensors import CHANNELS
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.starts import draw_start
from racing_env.simulation.task import Task
from racing_env.tracks.bank import LINE_SPEED, CircuitBank, slowest_stations

SENSORS = 2  # tells the stream of their errors from those of starts and of the actions' noise
TIGHT_OF = 8  # circuits, of which the slowest place is chosen
SEEDS = 2**53  # those that the float64 of a snapshot can hold


class RolloutSettings(NamedTuple):
    """Of whole rollouts by a network, whose gradient is pulled back through the simulator."""

    steps: int
    lookahead_steps: int  # an action is learnt from if so many steps after it are known
    discount: float  # a step
    action_gradient_limit: float  # a step's gradient by the action is scaled down to it
    noise: tuple[float, float]  # standard deviations, on steering and pedals
    hidden: int  # units of each of the network's two hidden layers
    adapts: bool = False  # whether drivers guess their conditions
    quiet_share: float = 0.0  # of the cars' rollouts, which are without noise


class TrainingSettings(NamedTuple):
    """What training cars are told; the task needs a time limit."""

    task: Task
    seed: int = 0
    rollouts: RolloutSettings | None = None  # None: cars are stepped by whoever has them

    @property
    def inputs(self) -> int:
        """Of the network that drives."""
        adapts = self.rollouts is not None and self.rollouts.adapts
        return adaptation.inputs(self.task.observation_layout(), adapts)

    @property
    def parameters(self) -> int:
        """Of the network that drives rollouts and, behind them, of the one that weighs evidence."""
        if self.rollouts is None:
            return 0
        weighing = adaptation.parameters() if self.rollouts.adapts else 0
        return weighing + parameter_count(self.inputs, self.rollouts.hidden, ACTION_SIZE)


def stream_seed(seed: int, car: int) -> int:
    """The seed of a car's random streams where its environment is given a seed.

    stable-baselines3 gives environment i the run's seed + i, while the streams of all cars of a run
    are named by the run's own.
    """
    return (seed - car) % SEEDS


class TrainingCars:
    """Cars number first_car, first_car + 1, … of a training run, as many as the block has rows."""

    def __init__(
        self,
        circuits: CircuitBank,
        block: Block,
        first_car: int,
        settings: TrainingSettings,
    ):
        self.block = block
        self.settings = settings
        n = len(block.rewards)
        task = settings.task
        self.simulator = Simulator(circuits, n, task)
        self.first_car = first_car
        self.seed = np.full(n, settings.seed, dtype=np.int64)
        self.episode = np.zeros(n, dtype=np.int64)  # number of the present one, from 1
        assert task.time_limit_s is not None
        self.limit_steps = round(task.time_limit_s / task.control_step_s)
        self.steps = np.zeros(n, dtype=np.int32)
        self.sums = np.zeros((n, len(REWARD_TERMS)))
        self.trouble_m = np.full(n, np.nan)  # where the episode last went wrong
        slowest = slowest_stations(circuits)
        self.slowest_mps = circuits.table[circuits.first + slowest, LINE_SPEED]
        self.slowest_m = slowest * circuits.step_m
        self.noisy = task.conditions.noise.most > 0.0
        # of the sensors, in each step of the present episodes
        self.errors = np.zeros((n, (self.limit_steps + 1) * self.noisy, CHANNELS))

    def reset(self) -> None:
        """Start an episode of every car; the first one of a seed where block.seeded says so.

        The clocks are staggered, so that episodes do not end together.
        """
        block = self.block
        self.seed[block.seeded] = block.seeds[block.seeded]
        self.episode[block.seeded] = 0
        block.seeded[:] = False
        self.trouble_m[:] = np.nan
        for car in range(len(self.steps)):
            steps = self._stream(car).integers(self.limit_steps)
            self.start(car)
            self.steps[car] = steps
        self._set_noise()
        self.simulator.observe(out=block.observations)

    def save(self) -> None:
        """Fill block.snapshots with all that decides how the cars go on."""
        parts = [array.reshape(len(self.steps), -1) for array in self._snapshot_parts()]
        np.concatenate(parts, axis=1, out=self.block.snapshots)

    def load(self) -> None:
        """Go on from block.snapshots."""
        column = 0
        for array in self._snapshot_parts():
            width = array[0].size
            values = self.block.snapshots[:, column : column + width]
            array[...] = values.reshape(array.shape)
            column += width
        for car in range(len(self.steps)):
            self._draw_errors(car)
        self._set_noise()
        self.simulator.observe(out=self.block.observations)

    def _snapshot_parts(self) -> list[np.ndarray]:
        """What a snapshot is made of, arrays of shape (cars,) or (cars, numbers)."""
        simulator = self.simulator
        return [simulator.state.T, *simulator.cars, simulator.memory, self.steps, self.sums,
                self.trouble_m, self.episode, self.seed]  # fmt: skip

    def step(self) -> None:
        """Drive by block.actions, fill block with what comes of it, and start ended cars anew."""
        block, simulator = self.block, self.simulator
        cars = simulator.cars
        self.steps += 1
        self._set_noise()
        simulator.step(block.actions, out=block.observations)
        self.sums += cars.rewards
        np.sum(cars.rewards, axis=1, out=block.rewards, dtype=np.float32)
        np.not_equal(cars.ended, ON_TRACK, out=block.terminations)
        np.greater_equal(self.steps, self.limit_steps, out=block.truncations)
        block.truncations[block.terminations] = False
        trouble = (cars.room_m < 0.0) | block.terminations
        self.trouble_m[trouble] = simulator.place_s_m()[trouble]
        over = np.flatnonzero(block.terminations | block.truncations)
        if len(over):
            block.last_observations[over] = block.observations[over]
            block.returns[over] = self.sums[over]
            block.lengths[over] = self.steps[over]
            for car in over.tolist():
                self.start(car)
            self._set_noise()
            block.observations[over] = simulator.observe(over)

    def start(self, car: int) -> None:
        """Begin another episode of a car.

        Who starts at speed has driven before: the car is under the same conditions as it was, and
        its driver remembers what they answered.
        """
        self.episode[car] += 1
        rng, simulator = self._stream(car), self.simulator
        starts = self.settings.task.starts
        circuits = len(simulator.circuits.count)
        place_m = None
        if np.isfinite(self.trouble_m[car]) and rng.random() < starts.retry_share:
            circuit = int(simulator.cars.circuit[car])
            place_m = self.trouble_m[car]
        elif starts.tight_share and rng.random() < starts.tight_share:
            several = rng.integers(circuits, size=TIGHT_OF)
            circuit = int(several[self.slowest_mps[several].argmin()])
            place_m = self.slowest_m[circuit]
        else:
            circuit = int(rng.integers(circuits))
        if place_m is not None:
            place_m -= rng.uniform(starts.least_retry_back_m, starts.largest_retry_back_m)
        start = draw_start(starts, simulator.circuits, circuit, rng, place_m)
        if start.speed_mps > 0.0 and self.episode[car] > 1:
            simulator.place_again(car, circuit, start)
        else:
            conditions = draw_conditions(self.settings.task.conditions, rng)
            simulator.place(car, circuit, *start, conditions=conditions)
        self.steps[car] = 0
        self.sums[car] = 0.0
        self.trouble_m[car] = np.nan
        self._draw_errors(car)

    def _draw_errors(self, car: int) -> None:
        """Those of the sensors in a car's present episode."""
        if self.noisy:
            rng = self._stream(car, SENSORS)
            rng.standard_normal(out=self.errors[car])

    def _set_noise(self) -> None:
        if self.noisy:
            self.simulator.noise[:] = self.errors[np.arange(len(self.steps)), self.steps]

    def _stream(self, car: int, *what: int) -> np.random.Generator:
        """The present episode's random numbers; number 0 staggers the clocks."""
        return np.random.default_rng(
            [int(self.seed[car]), self.first_car + car, int(self.episode[car]), *what]
        )
