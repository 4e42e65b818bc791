"""Our drivers in cars of a model that others wrote, on our circuits and by our rules.

What a driver sees is made by our own simulator from their car's motion; what he asks for goes
through the actuators of our car into their inputs, steering velocity and acceleration. Laps and
borders are told as the simulator tells them.
"""

import json
import math
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.measuring import ROOT
from benchmarks.peer_venvs import python_of
from racing_env.car import dynamics as dyn
from racing_env.laps.evaluation import FINISHED, TIME_LIMIT, TIME_LIMIT_FACTOR, Driver, LapResult
from racing_env.simulation.motion import END_NAMES, OFF_TRACK, ON_TRACK, room_inside
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task
from racing_env.tracks.bank import LINE_SPEED, CircuitBank, pack_circuits
from racing_env.tracks.circuit import Circuit

MOTION = (dyn.X, dyn.Y, dyn.PSI, dyn.VX, dyn.VY, dyn.YAW_RATE, dyn.STEER)
LOST = "lost"  # the end of a car whose model has no finite state any more
# Their cars start rolling, at this share of the profile's speed: below some tenths of a m/s each of
# the models is another, and wheels that stand spin up before they feel the road.
START_SHARE = 0.5


class ForeignModel(NamedTuple):
    """A model of others, as benchmarks/foreign_peer.py knows it."""

    venv: str
    name: str
    step_s: float  # at most; half of it changes nothing
    changes: dict[str, float]  # of the published parameters
    steering_delay_s: float = 0.0


class ForeignCars(Protocol):
    """Cars of others, by the number of their circuit."""

    def advance(self, which: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """States (n, MOTION) of the cars that `which` (n,) names, after inputs (n, steps, 2)."""


class PeerCars:
    """Cars in the process that benchmarks/foreign_peer.py is."""

    def __init__(self, process: "subprocess.Popen[str]"):
        self._process = process

    def send(self, message: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def advance(self, which: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Raises RuntimeError if the process has died."""
        assert self._process.stdout
        names = [str(number) for number in which]
        try:
            self.send(dict(zip(names, inputs.tolist(), strict=True)))
        except BrokenPipeError:
            raise RuntimeError("the process of the model has died") from None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process of the model has died")
        answer = json.loads(line)
        return np.array([answer[name] for name in names])


@contextmanager
def peer_cars(model: ForeignModel, motion: np.ndarray, step_s: float) -> Iterator[PeerCars]:
    """Cars of a model, started from their motion (n, MOTION), in a process of their own.

    Raises RuntimeError with the process's last line if it dies.
    """
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [python_of(model.venv), "-m", "benchmarks.foreign_peer"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
        )  # fmt: skip
        try:
            cars = PeerCars(process)
            named = {str(number): row for number, row in enumerate(motion.tolist())}
            cars.send(
                {"model": model.name, "changes": model.changes, "step_s": step_s, "cars": named}
            )
            yield cars
        except RuntimeError:
            process.wait()
            log.seek(0)
            lines = log.read().strip().splitlines() or ["without a word"]
            raise RuntimeError(f"{model.name}: {lines[-1]}") from None
        finally:
            process.kill()
            process.communicate()


def at_start(bank: CircuitBank, layout: str) -> Simulator:
    """A simulator with a car on the start line of each circuit, rolling."""
    simulator = Simulator(bank, len(bank.count), racing_task(bank.vehicle, layout))
    for car, row in enumerate(bank.first):
        simulator.place(car, car, speed_mps=START_SHARE * float(bank.table[row, LINE_SPEED]))
    return simulator


def drive_model(
    circuits: Sequence[Circuit], driver: Driver, model: ForeignModel, laps: int, name: str
) -> list[LapResult]:
    """Laps of one driver in a model of others, in order of the circuits: see `drive`."""
    bank = pack_circuits(circuits)
    simulator = at_start(bank, driver.layout)
    steps = math.ceil(simulator.task.control_step_s / model.step_s)
    step_s = simulator.task.control_step_s / steps
    with peer_cars(model, simulator.state[list(MOTION)].T, step_s) as cars:
        return drive(circuits, simulator, driver, cars, steps, laps, name, model.steering_delay_s)


def drive(
    circuits: Sequence[Circuit],
    simulator: Simulator,
    driver: Driver,
    cars: ForeignCars,
    steps: int,
    laps: int,
    name: str,
    steering_delay_s: float = 0.0,
) -> list[LapResult]:
    """A rolling lap and `laps` flying ones on each circuit, in `cars` that make so many steps in a
    control step.

    simulator: of `at_start`, car i on circuit i.
    """
    step_s = simulator.task.control_step_s / steps
    late = np.zeros((simulator.n, round(steering_delay_s / step_s)))
    lap_times: list[list[float]] = [[] for _ in circuits]
    results: dict[int, LapResult] = {}
    while simulator.n:
        before = simulator.cars.laps.copy()
        asked = np.clip(driver.act(simulator), -1.0, 1.0)
        inputs, late = inputs_of(simulator, asked, steps, late)
        found = cars.advance(simulator.cars.circuit, inputs)
        lost = ~np.isfinite(found).all(axis=1)
        take_over(simulator, np.where(lost[:, None], simulator.state[list(MOTION)].T, found))
        note_progress(simulator)
        table = simulator.cars
        for i in np.flatnonzero(table.laps > before):
            lap_times[table.circuit[i]].append(float(table.lap_time_s[i]))
        profile_s = simulator.circuits.line_lap_s[table.circuit]
        too_late = table.time_s > TIME_LIMIT_FACTOR * (laps + 1) * profile_s
        over = lost | too_late | (table.ended != ON_TRACK) | (table.laps > laps)
        for i in np.flatnonzero(over):
            circuit = int(table.circuit[i])
            end = LOST if lost[i] else _end(simulator, int(i), laps)
            results[circuit] = LapResult(
                driver=name,
                track=circuits[circuit].track.name,
                length_m=circuits[circuit].track.length_m,
                profile_lap_s=float(profile_s[i]),
                end=end,
                lap_times_s=tuple(lap_times[circuit]),
                distance_m=float(table.distance_m[i]),
                laps_wanted=laps + 1,
            )
        if over.any():
            simulator, late = simulator.subset(~over), late[~over]
    return [results[circuit] for circuit in range(len(circuits))]


def _end(simulator: Simulator, car: int, laps: int) -> str:
    if simulator.cars.ended[car] != ON_TRACK:
        return END_NAMES[simulator.cars.ended[car]]
    return FINISHED if simulator.cars.laps[car] > laps else TIME_LIMIT


def inputs_of(
    simulator: Simulator, asked: np.ndarray, steps: int, late: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Their inputs (n, steps, 2) in a control step for what is asked, (n, 2), by our actuators.

    late: (n, delay) steering angles (rad) that were asked for and have not reached the car; returns
    those after the step, too. The simulator's drive and brake are moved.
    """
    vehicle, state = simulator.vehicle, simulator.state
    step_s = simulator.task.control_step_s / steps
    steer_most, drive_most, brake_most = (step_s * rate for rate in dyn.actuator_rates(vehicle))
    steer = state[dyn.STEER].copy()
    targets = np.repeat(asked[:, :1] * vehicle.steering_max_rad, steps, axis=1)
    targets = np.concatenate([late, targets], axis=1)
    drive_n = np.maximum(asked[:, 1], 0.0) * vehicle.drive_force_max_n
    brake_n = np.maximum(-asked[:, 1], 0.0) * vehicle.brake_force_max_n
    inputs = np.empty((simulator.n, steps, 2))
    for k in range(steps):
        before_n = state[dyn.DRIVE] - state[dyn.BRAKE]
        turned = np.clip(targets[:, k] - steer, -steer_most, steer_most)
        steer += turned
        state[dyn.DRIVE] += np.clip(drive_n - state[dyn.DRIVE], -drive_most, drive_most)
        state[dyn.BRAKE] += np.clip(brake_n - state[dyn.BRAKE], -brake_most, brake_most)
        mean_n = 0.5 * (before_n + state[dyn.DRIVE] - state[dyn.BRAKE])
        inputs[:, k, 0], inputs[:, k, 1] = turned / step_s, mean_n / vehicle.mass_kg
    return inputs, targets[:, steps:]


def take_over(simulator: Simulator, motion: np.ndarray) -> None:
    """Write the cars' motion (n, MOTION) after a control step into our state.

    Accelerations are the mean ones over the step, which their models do not all have in their
    state, after the low-pass of ours.
    """
    state, step_s = simulator.state, simulator.task.control_step_s
    before = state[[dyn.PSI, dyn.VX, dyn.VY]]
    state[list(MOTION)] = motion.T
    turn = _wrapped(state[dyn.PSI] - before[0])
    state[dyn.PSI] = _wrapped(state[dyn.PSI])
    # both velocities as seen from the heading in the middle of the step
    first = (before[1] + 1j * before[2]) * np.exp(-0.5j * turn)
    last = (state[dyn.VX] + 1j * state[dyn.VY]) * np.exp(0.5j * turn)
    felt = (last - first) / step_s
    share = 1.0 - math.exp(-step_s / simulator.vehicle.load_filter_s)
    state[dyn.AX] += share * (felt.real - state[dyn.AX])
    state[dyn.AY] += share * (felt.imag - state[dyn.AY])


def note_progress(simulator: Simulator) -> None:
    """What a step of the simulator notes when the cars have moved: places, laps, who is outside."""
    cars, circuits, step_s = simulator.cars, simulator.circuits, simulator.task.control_step_s
    length_m = (circuits.count * circuits.step_m)[cars.circuit]
    moved_m = -simulator.place_s_m()
    simulator.locate()
    moved_m += simulator.place_s_m()
    moved_m = (moved_m + 0.5 * length_m) % length_m - 0.5 * length_m
    cars.distance_m[:] += moved_m
    cars.time_s[:] += step_s
    beyond_m = cars.distance_m - (cars.laps + 1) * length_m
    for car in np.flatnonzero(beyond_m >= 0.0):
        crossed_s = cars.time_s[car] - step_s * beyond_m[car] / moved_m[car]
        cars.lap_time_s[car] = crossed_s - cars.lap_start_s[car]
        cars.lap_start_s[car] = crossed_s
        cars.laps[car] += 1
    for each in range(simulator.n):
        cars.room_m[each] = room_inside(cars, circuits, each)
    cars.ended[cars.room_m < 0.0] = OFF_TRACK


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + math.pi) % (2.0 * math.pi) - math.pi
