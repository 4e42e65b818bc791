"""The one simulator core: N cars, each on a circuit of its own, a control step in one call.

The Gymnasium environment is the case N = 1, the vector environment and the expert's trial laps the
case of many. Whoever steps the cars places them again when an episode has ended.
"""

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.conditions import FRICTION, NOMINAL, Conditions, row_of
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.simulation import motion
from racing_env.simulation.adaptation import MEMORY, SEEN_ANY, SUMS
from racing_env.simulation.motion import new_car_table
from racing_env.simulation.sensors import CHANNELS, new_sensors
from racing_env.simulation.starts import Start
from racing_env.simulation.task import Task
from racing_env.tracks.bank import CircuitBank


class Simulator:
    """N cars, those of the bank's vehicle, on the circuits of a bank, at a task.

    state: (STATE_SIZE, n) float64, see `racing_env.car.dynamics`; cars: the rest, see `CarTable`.
    Raises InputError if the task's layout is unknown, ValueError if it was made for another car
    than the bank.
    """

    def __init__(self, circuits: CircuitBank, n: int, task: Task):
        if task.vehicle != circuits.vehicle:
            raise ValueError("the task and the circuits are for different cars")
        self.circuits, self.task, self.n = circuits, task, n
        self.layout = task.observation_layout()
        self.state = np.zeros((dyn.STATE_SIZE, n))
        self.cars = new_car_table(n)
        self._scaling = self.layout.scaling(circuits.vehicle)
        # errors of the sensors for what is seen next, in standard deviations at noise 1: who steps
        # the cars draws them
        self.noise = np.zeros((n, CHANNELS))
        self.memory = np.zeros((n, MEMORY), dtype=np.float32)  # of drivers who adapt
        self.sensors = new_sensors(circuits.vehicle)
        self._scratch = dyn.new_scratch()
        self._actions = np.zeros((n, 2))
        self._everyone = np.arange(n)
        self._no_observations = np.empty((0, self.layout.size), dtype=np.float32)

    @property
    def vehicle(self) -> Vehicle:
        return self.circuits.vehicle

    def place(
        self,
        car: int,
        circuit: int,
        start_s_m: float = 0.0,
        line_offset_m: float = 0.0,
        heading_rad: float = 0.0,
        speed_mps: float = 0.0,
        conditions: Conditions = NOMINAL,
    ) -> None:
        """Start an episode of one car at a place on the racing line, or beside it.

        line_offset_m (left positive) is cut at the border; heading_rad is relative to the line.
        The car is under these conditions, and its driver remembers nothing.
        """
        self.cars.conditions[car] = row_of(conditions, self.task.control_step_s)
        self.memory[car] = 0.0
        motion.place(
            self.state, self.cars, self.circuits, self.task.run_off_m,
            car, circuit, start_s_m, line_offset_m, heading_rad, speed_mps,
        )  # fmt: skip

    def place_again(self, car: int, circuit: int, start: Start) -> None:
        """Begin another episode of a car under the conditions it has, remembered by its driver.

        A start at speed is slower by as much as the grip allows less.
        """
        conditions, memory = self.cars.conditions[car].copy(), self.memory[car].copy()
        share = np.sqrt(1.0 + conditions[FRICTION])
        self.place(car, circuit, *start._replace(speed_mps=share * start.speed_mps))
        self.cars.conditions[car] = conditions
        self.memory[car, SUMS:SEEN_ANY] = memory[SUMS:SEEN_ANY]

    def step(self, actions: np.ndarray, out: np.ndarray | None = None) -> None:
        """Move every car by one control step; actions: (n, 2), clipped to [-1, 1].

        Afterwards `cars` holds rewards, laps and ends, and out, where given, the observations of
        all cars: (n, size) float32. Raises InputError, and moves no car, if an action is not
        finite.
        """
        self._actions[:] = actions
        task = self.task
        finite = self.layout.step(
            self.state, self._actions, self.cars, self.circuits, task.weights, task.control_step_s,
            task.run_off_m, self._scratch, self._scaling, self.sensors, self.noise,
            self._no_observations if out is None else out,
        )  # fmt: skip
        if not finite:
            car = int(np.argmin(np.isfinite(self._actions).all(axis=1)))
            raise InputError(
                f"action {self._actions[car].tolist()} of car {car}: two finite numbers are needed"
            )

    def observe(
        self, indices: np.ndarray | None = None, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Observations (len(indices), size) float32 of these cars, of all by default."""
        indices = self._everyone if indices is None else indices
        if out is None:
            out = np.empty((len(indices), self.layout.size), dtype=np.float32)
        self.layout.observe(
            self.state, self.cars, self.circuits, self._scaling, self.sensors, self.noise, indices,
            out,
        )  # fmt: skip
        return out

    def locate(self) -> None:
        """Find the cars' places on their tracks again, after a small change of their state."""
        motion.locate_all(self.state, self.cars, self.circuits)

    def subset(self, keep: np.ndarray) -> "Simulator":
        """The same simulator without the cars that keep (n,) bool leaves out."""
        fewer = Simulator(self.circuits, int(keep.sum()), self.task)
        fewer.state[:] = self.state[:, keep]
        for values, before in zip(fewer.cars, self.cars, strict=True):
            values[:] = before[keep]
        fewer.noise[:], fewer.memory[:] = self.noise[keep], self.memory[keep]
        return fewer

    def place_s_m(self) -> np.ndarray:
        """Position (n,) of the cars along their centre lines."""
        return (self.cars.station + self.cars.fraction) * self.circuits.step_m[self.cars.circuit]
