"""Cars that learn: a batch of the simulator that starts episodes by itself.

Every episode has a random stream of its own, named by the seed, the car's number and the episode's,
so that a car's episodes are the same in whichever process it drives, and go on the same when a run
is stopped and resumed.
"""

import contextlib
import math
from collections import deque
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import numpy as np

from racing_env.car.dynamics import STATE_SIZE
from racing_env.car.vehicle import RACECAR, Vehicle
from racing_env.data.recording import place_at_random
from racing_env.simulation import observation
from racing_env.simulation.gradients import VARIANTS, StepGradient
from racing_env.simulation.simulator import (
    ON_TRACK,
    REWARD_TERMS,
    REWARD_WEIGHTS,
    CarTable,
    RewardWeights,
    Simulator,
)
from racing_env.tracks.bank import CircuitBank, with_mapped_table

EPISODE_S = 40.0
RETRY_SHARE = (
    0.4  # of the episodes that left the track, or worse, are followed by a start before it
)
RETRY_BACK_M = (60.0, 220.0)
BORDER = REWARD_TERMS.index("border")
# what goes through a worker's pipe
STEP, RESET, PULL_BACK, SAVE, LOAD, CLOSE, READY = b"s", b"r", b"b", b"v", b"l", b"c", b"."
# numbers in a car's snapshot: see TrainingCars.save
SNAPSHOT_SIZE = STATE_SIZE + len(CarTable._fields) - 1 + 2 * len(REWARD_TERMS) + 3
# A car about to spin has gradients of thousands of times the usual: nothing else would be heard.
ACTION_GRADIENT_LIMIT = 1.0


class TrainingSettings(NamedTuple):
    """How training differs from driving."""

    seed: int = 0
    episode_s: float = EPISODE_S
    # A run-off area of two metres, where being outside is paid for by the second. With an end at
    # the border instead, a few dozen rare, large losses a rollout drown what there is to learn.
    border_margin_m: float = -2.0
    weights: RewardWeights = REWARD_WEIGHTS
    tape_steps: int = 0  # how many steps back gradients can be pulled
    lookahead_steps: int = 0  # an action whose next so many steps are not known is not judged
    discount: float = 0.99  # of gradients, a step


class Moment(NamedTuple):
    """What has to be known of a step to pull gradients back through it; arrays of all cars."""

    state: np.ndarray
    circuit: np.ndarray
    station: np.ndarray
    actions: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray


class Block(NamedTuple):
    """What passes between the cars and the learner in one step, in shared memory or not."""

    observations: np.ndarray  # (cars, SIZE) float32
    last_observations: np.ndarray  # (cars, SIZE) float32, of the episodes that have just ended
    actions: np.ndarray  # (cars, 2) float32
    rewards: np.ndarray  # (cars,) float32
    terminations: np.ndarray  # (cars,) bool
    truncations: np.ndarray  # (cars,) bool
    returns: np.ndarray  # (cars, terms) float32, of the episodes that have just ended
    lengths: np.ndarray  # (cars,) int32
    snapshots: np.ndarray  # (cars, SNAPSHOT_SIZE) float64
    # of all steps of the tape, to pull gradients back through
    jacobians: np.ndarray  # (steps, cars, 2, SIZE) float32: of the driver's actions, by what he saw
    gradients: np.ndarray  # (steps, cars, 2) float32: of the pay that followed, by the actions
    judged: np.ndarray  # (steps, cars) bool: enough of what followed is known


def _fields(cars: int, tape_steps: int) -> list[tuple[type, tuple[int, ...]]]:
    seen, terms, tape = (cars, observation.SIZE), (cars, len(REWARD_TERMS)), (tape_steps, cars)
    return [
        (np.float32, seen), (np.float32, seen), (np.float32, (cars, 2)), (np.float32, (cars,)),
        (np.bool_, (cars,)), (np.bool_, (cars,)), (np.float32, terms), (np.int32, (cars,)),
        (np.float64, (cars, SNAPSHOT_SIZE)),
        (np.float32, (*tape, 2, observation.SIZE)), (np.float32, (*tape, 2)), (np.bool_, tape),
    ]  # fmt: skip


def block_bytes(cars: int, tape_steps: int = 0) -> int:
    """Size of the memory that `open_block` needs."""
    sizes = [np.dtype(dtype).itemsize * math.prod(s) for dtype, s in _fields(cars, tape_steps)]
    return sum(-(-size // 64) * 64 for size in sizes)


def open_block(memory: Any, cars: int, tape_steps: int = 0) -> Block:
    """A block over the start of a buffer, each array at a cache line of its own."""
    arrays, offset = [], 0
    for dtype, shape in _fields(cars, tape_steps):
        arrays.append(np.ndarray(shape, dtype, buffer=memory, offset=offset))
        offset += -(-arrays[-1].nbytes // 64) * 64
    return Block(*arrays)


class TrainingCars:
    """Cars number first_car, first_car + 1, … of a training run, as many as the block has rows."""

    def __init__(
        self,
        circuits: CircuitBank,
        block: Block,
        first_car: int,
        settings: TrainingSettings,
        vehicle: Vehicle = RACECAR,
    ):
        self.block = block
        self.settings = settings
        n = len(block.rewards)
        self.simulator = Simulator(circuits, n, vehicle, settings.weights, settings.border_margin_m)
        self.first_car = first_car
        self.episode = np.zeros(n, dtype=np.int64)  # number of the present one, from 1
        self.limit_steps = round(settings.episode_s / self.simulator.control_step_s)
        self.steps = np.zeros(n, dtype=np.int32)
        self.sums = np.zeros((n, len(REWARD_TERMS)))
        self.trouble_m = np.full(n, np.nan)  # where the episode last went wrong
        self.tape: deque[Moment] = deque(maxlen=settings.tape_steps)
        if settings.tape_steps:
            self.step_gradient = StepGradient(
                Simulator(
                    circuits, n * VARIANTS, vehicle, settings.weights, settings.border_margin_m
                )
            )

    def do(self, command: bytes) -> None:
        """What a learner asks for through a pipe, or without one."""
        {
            STEP: self.step, RESET: self.reset, SAVE: self.save, LOAD: self.load,
            PULL_BACK: self.pull_back,
        }[command]()  # fmt: skip

    def reset(self) -> None:
        """Start all cars; their clocks are staggered, so that episodes do not end together."""
        self.episode[:] = 0
        self.trouble_m[:] = np.nan
        self.tape.clear()
        for car in range(len(self.steps)):
            steps = self._stream(car).integers(self.limit_steps)
            self._start(car)
            self.steps[car] = steps
        self.simulator.observe(out=self.block.observations)

    def save(self) -> None:
        """Fill block.snapshots with all that decides how the cars go on; the tape is left out."""
        parts = [array.reshape(len(self.steps), -1) for array in self._kept()]
        np.concatenate(parts, axis=1, out=self.block.snapshots)

    def load(self) -> None:
        """Go on from block.snapshots, with an empty tape."""
        column = 0
        for array in self._kept():
            width = array[0].size
            values = self.block.snapshots[:, column : column + width]
            array[...] = values.reshape(array.shape)
            column += width
        self.tape.clear()
        self.simulator.observe(out=self.block.observations)

    def _kept(self) -> list[np.ndarray]:
        """What a snapshot is made of, arrays of shape (cars,) or (cars, numbers)."""
        simulator = self.simulator
        return [simulator.state.T, *simulator.cars, self.steps, self.sums, self.trouble_m,
                self.episode]  # fmt: skip

    def step(self) -> None:
        """Do block.actions, fill the rest of the block, and start ended cars anew."""
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
            self.tape.append(Moment(*before, *(array.copy() for array in now)))
        outside = (
            cars.rewards[:, BORDER] < -simulator.weights.border_per_s * simulator.control_step_s
        )
        trouble = outside | block.terminations
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
        """Fill block.gradients and block.judged from block.jacobians, by going back on the tape.

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
            shrink = np.minimum(ACTION_GRADIENT_LIMIT / largest, 1.0)
            by_state *= shrink
            block.gradients[step] = by_action * shrink[:, None]
            block.judged[step] = steps_ahead >= settings.lookahead_steps
            steering, pedals = block.gradients[step, :, :, None].swapaxes(0, 1)
            by_observation = steering * block.jacobians[step, :, 0]  # no einsum: its rounding
            by_observation += pedals * block.jacobians[step, :, 1]  # depends on the number of cars
        self.tape.clear()

    def _start(self, car: int) -> None:
        self.episode[car] += 1
        rng, simulator = self._stream(car), self.simulator
        if np.isfinite(self.trouble_m[car]) and rng.random() < RETRY_SHARE:
            circuit = int(simulator.cars.circuit[car])
            place_m = self.trouble_m[car] - rng.uniform(*RETRY_BACK_M)
        else:
            circuit = int(rng.integers(len(simulator.circuits.count)))
            place_m = None
        place_at_random(simulator, car, circuit, rng, place_m)
        self.steps[car] = 0
        self.sums[car] = 0.0
        self.trouble_m[car] = np.nan

    def _stream(self, car: int) -> np.random.Generator:
        """The present episode's random numbers; number 0 staggers the clocks."""
        return np.random.default_rng(
            [self.settings.seed, self.first_car + car, int(self.episode[car])]
        )


def serve(
    pipe: Connection,
    memory_name: str,
    cars: int,
    first_car: int,
    table_file: str,
    circuits: CircuitBank,
    settings: TrainingSettings,
) -> None:
    """What a worker process does: obey the pipe until it says close, or breaks.

    Here rather than with the vector environment, so that workers need not load torch.
    """
    try:
        command = pipe.recv_bytes()
    except (EOFError, OSError):
        return  # the learner was stopped at this start; the memory may be gone, too
    memory = SharedMemory(memory_name)
    block = open_block(memory.buf, cars, settings.tape_steps)
    training_cars = TrainingCars(
        with_mapped_table(circuits, table_file), block, first_car, settings
    )
    with contextlib.suppress(EOFError, OSError):  # the learner is gone: so are we
        while command != CLOSE:
            training_cars.do(command)
            pipe.send_bytes(READY)
            command = pipe.recv_bytes()
    del training_cars, block  # their arrays lie in the memory
    memory.close()
