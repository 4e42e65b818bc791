"""Cars that learn: a batch of the simulator that starts episodes by itself.

Every episode has a random stream of its own, named by the seed, the car's number and the episode's,
so that a car's episodes are the same in whichever process it drives, and go on the same when a run
is stopped and resumed.
"""

import math
from collections import deque
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from racing_env.learning.shared_block import Block, block_bytes, open_block
from racing_env.simulation.gradients import VARIANTS, StepGradient
from racing_env.simulation.motion import ON_TRACK
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.starts import draw_start
from racing_env.simulation.task import Task
from racing_env.tracks.bank import CircuitBank

SEEDS = 2**53  # those that the float64 of a snapshot can hold


class TrainingSettings(NamedTuple):
    """What training cars are told; the task needs a time limit."""

    task: Task
    seed: int = 0
    # of gradients through the simulator, for algorithms that learn from them
    tape_steps: int = 0  # how many steps back they can be pulled
    lookahead_steps: int = 0  # an action is learnt from if so many steps after it are known
    discount: float = 1.0  # a step
    action_gradient_limit: float = math.inf  # a step's gradient by the action is scaled down to it


class TapeStep(NamedTuple):
    """What has to be known of a step to pull gradients back through it; arrays of all cars."""

    state: np.ndarray
    circuit: np.ndarray
    station: np.ndarray
    actions: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray


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
        self.tape: deque[TapeStep] = deque(maxlen=settings.tape_steps)
        if settings.tape_steps:
            self.step_gradient = StepGradient(Simulator(circuits, n * VARIANTS, task))

    def reset(self) -> None:
        """Start an episode of every car; the first one of a seed where block.seeded says so.

        The clocks are staggered, so that episodes do not end together.
        """
        block = self.block
        self.seed[block.seeded] = block.seeds[block.seeded]
        self.episode[block.seeded] = 0
        block.seeded[:] = False
        self.trouble_m[:] = np.nan
        self.tape.clear()
        for car in range(len(self.steps)):
            steps = self._stream(car).integers(self.limit_steps)
            self._start(car)
            self.steps[car] = steps
        self.simulator.observe(out=block.observations)

    def save(self) -> None:
        """Fill block.snapshots with all that decides how the cars go on; the tape is left out."""
        parts = [array.reshape(len(self.steps), -1) for array in self._snapshot_parts()]
        np.concatenate(parts, axis=1, out=self.block.snapshots)

    def load(self) -> None:
        """Go on from block.snapshots, with an empty tape."""
        column = 0
        for array in self._snapshot_parts():
            width = array[0].size
            values = self.block.snapshots[:, column : column + width]
            array[...] = values.reshape(array.shape)
            column += width
        self.tape.clear()
        self.simulator.observe(out=self.block.observations)

    def _snapshot_parts(self) -> list[np.ndarray]:
        """What a snapshot is made of, arrays of shape (cars,) or (cars, numbers)."""
        simulator = self.simulator
        return [simulator.state.T, *simulator.cars, self.steps, self.sums, self.trouble_m,
                self.episode, self.seed]  # fmt: skip

    def step(self) -> None:
        """Drive by block.actions, fill block with what comes of it, and start ended cars anew."""
        block, simulator = self.block, self.simulator
        cars = simulator.cars
        taping = self.settings.tape_steps > 0
        before = (
            (simulator.state.copy(), cars.circuit.copy(), cars.station.copy()) if taping else ()
        )
        simulator.step(block.actions, out=block.observations)
        self.steps += 1
        self.sums += cars.rewards
        np.sum(cars.rewards, axis=1, out=block.rewards, dtype=np.float32)
        np.not_equal(cars.ended, ON_TRACK, out=block.terminations)
        np.greater_equal(self.steps, self.limit_steps, out=block.truncations)
        block.truncations[block.terminations] = False
        if taping:
            now = (block.actions, block.terminations, block.truncations)
            self.tape.append(TapeStep(*before, *(array.copy() for array in now)))
        trouble = (cars.room_m < 0.0) | block.terminations
        self.trouble_m[trouble] = simulator.place_s_m()[trouble]
        over = np.flatnonzero(block.terminations | block.truncations)
        if len(over):
            block.last_observations[over] = block.observations[over]
            block.returns[over] = self.sums[over]
            block.lengths[over] = self.steps[over]
            for car in over.tolist():
                self._start(car)
            block.observations[over] = simulator.observe(over)

    def pull_back(self) -> None:
        """Fill block.gradients and block.usable from block.jacobians, by going back on the tape.

        gradients: of the rewards of a step and of all that followed on the tape, discounted, by the
        step's action, with a driver who goes on to do what he does by what he sees.
        """
        block, settings = self.block, self.settings
        if len(self.tape) < settings.tape_steps:
            raise ValueError(f"{len(self.tape)} steps are on the tape, not {settings.tape_steps}")
        by_state = np.zeros_like(self.simulator.state)
        by_observation = np.zeros_like(block.observations)
        steps_ahead = np.zeros(len(block.rewards), dtype=np.int32)  # that are known
        for step in reversed(range(settings.tape_steps)):
            moment = self.tape[step]
            over = moment.terminations | moment.truncations
            by_state[:, over] = 0.0
            by_observation[over] = 0.0  # what was seen next was another episode
            steps_ahead += 1
            steps_ahead[moment.truncations] = 0
            steps_ahead[moment.terminations] = settings.lookahead_steps  # nothing follows
            by_state, by_action = self.step_gradient(
                moment.state, moment.circuit, moment.station, moment.actions,
                settings.discount * by_state, settings.discount * by_observation,
            )  # fmt: skip
            largest = np.maximum(np.abs(by_action).max(axis=1), 1e-9)
            shrink = np.minimum(settings.action_gradient_limit / largest, 1.0)
            by_state *= shrink
            block.gradients[step] = by_action * shrink[:, None]
            block.usable[step] = steps_ahead >= settings.lookahead_steps
            steering, pedals = block.gradients[step, :, :, None].swapaxes(0, 1)
            by_observation = steering * block.jacobians[step, :, 0]  # no einsum: its rounding
            by_observation += pedals * block.jacobians[step, :, 1]  # depends on the number of cars
        self.tape.clear()

    def _start(self, car: int) -> None:
        self.episode[car] += 1
        rng, simulator = self._stream(car), self.simulator
        starts = self.settings.task.starts
        if np.isfinite(self.trouble_m[car]) and rng.random() < starts.retry_share:
            circuit = int(simulator.cars.circuit[car])
            back_m = rng.uniform(starts.least_retry_back_m, starts.largest_retry_back_m)
            place_m = self.trouble_m[car] - back_m
        else:
            circuit = int(rng.integers(len(simulator.circuits.count)))
            place_m = None
        start = draw_start(starts, simulator.circuits, circuit, rng, place_m)
        simulator.place(car, circuit, *start)
        self.steps[car] = 0
        self.sums[car] = 0.0
        self.trouble_m[car] = np.nan

    def _stream(self, car: int) -> np.random.Generator:
        """The present episode's random numbers; number 0 staggers the clocks."""
        return np.random.default_rng(
            [int(self.seed[car]), self.first_car + car, int(self.episode[car])]
        )


class TrainingEnv(gym.Env[np.ndarray, np.ndarray]):
    """Car number `car` of a training run, the same as in `BatchVecEnv`: starts, ends and rewards.

    For a plain environment see `racing_env.environment.RaceEnv`.
    """

    def __init__(self, circuits: CircuitBank, car: int, settings: TrainingSettings):
        layout = settings.task.observation_layout()
        low, high = layout.bounds()
        self.observation_space = gym.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        steps = settings.tape_steps
        memory = bytearray(block_bytes(1, layout.size, steps))
        self.block = open_block(memoryview(memory), 1, layout.size, steps)
        self.cars = TrainingCars(circuits, self.block, car, settings)
        self.car = car
        self.over = False  # the last episode is; the car has begun another by itself

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Hands out the start that the car has made by itself after an end, or begins an episode.

        With a seed it is the first one of that seed. Its clock does not begin at zero, as those of
        the other cars of a run do not.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.block.seeded[0], self.block.seeds[0] = True, stream_seed(seed, self.car)
        if seed is not None or not self.over:
            self.cars.reset()
        self.over = False
        return self.block.observations[0].copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        block = self.block
        block.actions[0] = action
        self.cars.step()
        terminated, truncated = bool(block.terminations[0]), bool(block.truncations[0])
        self.over = terminated or truncated
        seen = block.last_observations[0] if self.over else block.observations[0]
        info: dict[str, Any] = {}
        if self.over:
            terms = dict(zip(REWARD_TERMS, block.returns[0].tolist(), strict=True))
            info["episode"] = {"r": sum(terms.values()), "l": int(block.lengths[0]), **terms}
        return seen.copy(), float(block.rewards[0]), terminated, truncated, info

    def pull_back(self, jacobians: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `racing_env.learning.car_vec_env.CarVecEnv.pull_back`, of this car.

        jacobians: (steps, 2, size); returns gradients (steps, 2) and usable (steps,).
        """
        self.block.jacobians[:, 0] = jacobians
        self.cars.pull_back()
        return self.block.gradients[:, 0].copy(), self.block.usable[:, 0].copy()

    def snapshot(self) -> np.ndarray:
        """All that decides how the car goes on, (SNAPSHOT_SIZE,) float64."""
        self.cars.save()
        return self.block.snapshots[0].copy()

    def restore(self, snapshot: np.ndarray) -> None:
        """Go on from a snapshot of this car; it needs no reset then."""
        self.block.snapshots[0] = snapshot
        self.cars.load()
        self.over = False
