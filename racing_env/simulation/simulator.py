"""The one simulator core: N cars, each on a circuit of its own, a control step in one call.

The Gymnasium environment is the case N = 1, the vector environment and the expert's trial laps the
case of many. Whoever steps the cars places them again when an episode has ended.
"""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.kernels import inlined, kernel
from racing_env.car.vehicle import RACECAR, Vehicle
from racing_env.common.errors import InputError
from racing_env.simulation import observation as obs
from racing_env.tracks import bank as bank
from racing_env.tracks.bank import CircuitBank

ON_TRACK, OFF_TRACK, BACKWARDS, STANDING = range(4)
END_NAMES = ("", "off_track", "backwards", "standing")
REWARD_TERMS = ("progress", "border", "slip", "end")

STANDING_SPEED_MPS = 1.0
STANDING_LIMIT_S = 3.0
BORDER_DEPTH_MAX = 4.0  # zones; beyond, the price of being off the track grows no more
PEAK_SLIP_RAD = 0.09  # of this car's tyres; past it side force falls off


class RewardWeights(NamedTuple):
    """What a driver is paid for. The terms are in `REWARD_TERMS`."""

    progress_per_s: float = 0.1  # a second of the speed profile's time covered
    border_per_s: float = 0.5  # at the border; grows with the square of the depth in the zone,
    border_zone_m: float = 0.4  # which begins this far inside and goes on outside the track
    slip_per_s: float = 0.1  # an axle's slip angle at twice the tyre's peak
    end: float = 1.0  # an episode ended by leaving the track, turning round or standing still


REWARD_WEIGHTS = RewardWeights()


class CarTable(NamedTuple):
    """Where the cars are and how their laps go: arrays of shape (n,), rewards (n, terms)."""

    circuit: np.ndarray
    station: np.ndarray
    fraction: np.ndarray
    offset_m: np.ndarray
    distance_m: np.ndarray  # along the centre line since the start
    time_s: np.ndarray  # since the start
    standing_s: np.ndarray
    laps: np.ndarray  # full rounds from the start's own position
    lap_start_s: np.ndarray
    lap_time_s: np.ndarray  # the last lap's
    ended: np.ndarray  # ON_TRACK or why the episode ended
    room_m: np.ndarray  # from the nearer border after the last step; negative outside the track
    rewards: np.ndarray


@inlined
def _locate(state, cars, circuits, car):
    """Bring a car's curvilinear position up to date."""
    c = cars.circuit[car]
    cars.station[car], cars.fraction[car], cars.offset_m[car] = bank.project(
        circuits.table, circuits.first[c], circuits.count[c], circuits.step_m[c],
        cars.station[car], state[dyn.X, car], state[dyn.Y, car],
    )  # fmt: skip


@inlined
def _line_time(circuits, c, station, fraction):
    """Time (s) at which the speed profile reaches this place."""
    start = circuits.table[circuits.first[c] + station, bank.LINE_TIME]
    return start + fraction * (bank.next_line_time(circuits, c, station) - start)


@inlined
def _wrapped(difference, whole):
    """A difference of two places on a loop, taken the short way."""
    if difference > 0.5 * whole:
        return difference - whole
    if difference < -0.5 * whole:
        return difference + whole
    return difference


@kernel
def _after_motion(state, cars, circuits, vehicle, weights, dt_s, border_margin_m):
    """Progress, laps, rewards and ends of all cars, after the dynamics have moved them."""
    for car in range(state.shape[1]):
        c = cars.circuit[car]
        first, count, step_m = circuits.first[c], circuits.count[c], circuits.step_m[c]
        place = (cars.station[car] + cars.fraction[car]) * step_m
        line_time = _line_time(circuits, c, cars.station[car], cars.fraction[car])
        _locate(state, cars, circuits, car)
        station, fraction = cars.station[car], cars.fraction[car]
        length = count * step_m
        moved = _wrapped((station + fraction) * step_m - place, length)
        gained = _wrapped(
            _line_time(circuits, c, station, fraction) - line_time, circuits.line_lap_s[c]
        )
        before_m = cars.distance_m[car]
        cars.distance_m[car] = before_m + moved
        cars.time_s[car] += dt_s
        goal_m = (cars.laps[car] + 1) * length
        if cars.distance_m[car] >= goal_m:
            crossed_s = cars.time_s[car] - dt_s * (cars.distance_m[car] - goal_m) / moved
            cars.lap_time_s[car] = crossed_s - cars.lap_start_s[car]
            cars.lap_start_s[car] = crossed_s
            cars.laps[car] += 1

        row = first + station
        next_row = first + (station + 1 if station + 1 < count else 0)
        room = min(
            bank.blend(circuits.table, row, next_row, fraction, bank.ROOM_LEFT)
            - cars.offset_m[car],
            bank.blend(circuits.table, row, next_row, fraction, bank.ROOM_RIGHT)
            + cars.offset_m[car],
        )
        cars.room_m[car] = room
        psi = state[dyn.PSI, car]
        along = dyn.cosine(psi) * circuits.table[row, bank.COS]
        along += dyn.sine(psi) * circuits.table[row, bank.SIN]
        standing = state[dyn.VX, car] < STANDING_SPEED_MPS
        cars.standing_s[car] = cars.standing_s[car] + dt_s if standing else 0.0
        if not room >= border_margin_m:
            cars.ended[car] = OFF_TRACK
        elif along < 0.0:
            cars.ended[car] = BACKWARDS
        elif cars.standing_s[car] > STANDING_LIMIT_S:
            cars.ended[car] = STANDING
        else:
            cars.ended[car] = ON_TRACK

        depth = min(max(1.0 - room / weights.border_zone_m, 0.0), BORDER_DEPTH_MAX)
        front, rear = obs.axle_slips(state, car, vehicle)
        excess = max(abs(front) / PEAK_SLIP_RAD - 1.0, 0.0)
        excess += max(abs(rear) / PEAK_SLIP_RAD - 1.0, 0.0)
        cars.rewards[car, 0] = weights.progress_per_s * gained
        cars.rewards[car, 1] = -weights.border_per_s * depth * depth * dt_s
        cars.rewards[car, 2] = -weights.slip_per_s * min(excess, 3.0) * dt_s
        cars.rewards[car, 3] = -weights.end if cars.ended[car] != ON_TRACK else 0.0


@kernel
def _locate_all(state, cars, circuits):
    for car in range(state.shape[1]):
        _locate(state, cars, circuits, car)


@kernel
def _place(
    state, cars, circuits, border_margin_m, car, c, start_s_m, line_offset_m, heading_rad, speed_mps
):
    """See `Simulator.place`."""
    station = int(start_s_m / circuits.step_m[c]) % circuits.count[c]
    row = circuits.table[circuits.first[c] + station]
    margin = max(border_margin_m, 0.0) + 0.05
    offset = row[bank.ROOM_LEFT] - row[bank.LINE_ROOM_LEFT] + line_offset_m
    offset = min(max(offset, margin - row[bank.ROOM_RIGHT]), row[bank.ROOM_LEFT] - margin)
    psi = math.atan2(row[bank.LINE_SIN], row[bank.LINE_COS]) + heading_rad
    state[:, car] = 0.0
    state[dyn.X, car] = row[bank.X] - row[bank.SIN] * offset
    state[dyn.Y, car] = row[bank.Y] + row[bank.COS] * offset
    state[dyn.PSI, car] = dyn.wrapped_angle(psi)
    state[dyn.VX, car] = speed_mps
    state[dyn.YAW_RATE, car] = speed_mps * row[bank.LINE_KAPPA]
    state[dyn.AY, car] = speed_mps * speed_mps * row[bank.LINE_KAPPA]
    cars.distance_m[car] = cars.time_s[car] = cars.standing_s[car] = 0.0
    cars.laps[car] = cars.ended[car] = 0
    cars.lap_start_s[car] = cars.lap_time_s[car] = 0.0
    cars.rewards[car] = 0.0
    cars.circuit[car] = c
    cars.station[car] = station
    _locate(state, cars, circuits, car)


@kernel
def _observe(state, cars, circuits, vehicle, indices, out):
    for k in range(len(indices)):
        car = indices[k]
        c = cars.circuit[car]
        obs.observe(
            state, car, circuits.table, circuits.first[c], circuits.count[c], circuits.step_m[c],
            cars.station[car], cars.fraction[car], cars.offset_m[car], vehicle, out[k],
        )  # fmt: skip


@kernel
def _clipped_to_action_space(actions):
    """Clip actions (n, 2) to [-1, 1] in place; False, and none changed, if one is not finite."""
    for car in range(actions.shape[0]):
        if not (math.isfinite(actions[car, 0]) and math.isfinite(actions[car, 1])):
            return False
    for car in range(actions.shape[0]):
        actions[car, 0] = min(max(actions[car, 0], -1.0), 1.0)
        actions[car, 1] = min(max(actions[car, 1], -1.0), 1.0)
    return True


@kernel
def _step(
    state, actions, cars, circuits, vehicle, weights, dt_s, border_margin_m, indices, scratch, out
):
    """A control step and then the observations of `indices`; False if an action is not finite.

    One kernel, because with one car the unpacking of arguments costs more than the work.
    """
    if not _clipped_to_action_space(actions):
        return False
    dyn.step_dynamics(state, actions, vehicle, dt_s, dyn.SUBSTEPS, scratch)
    _after_motion(state, cars, circuits, vehicle, weights, dt_s, border_margin_m)
    _observe(state, cars, circuits, vehicle, indices, out)
    return True


class Simulator:
    """N cars on the circuits of a bank.

    state: (STATE_SIZE, n) float64, see `racing_env.car.dynamics`; cars: the rest, see `CarTable`.
    A car has left the track when its centre is less than border_margin_m inside the admissible
    strip (half a car's width inside the borders); 0 is the rule, less is a run-off area.
    """

    def __init__(
        self,
        circuits: CircuitBank,
        n: int,
        vehicle: Vehicle = RACECAR,
        weights: RewardWeights = REWARD_WEIGHTS,
        border_margin_m: float = 0.0,
        control_step_s: float = dyn.CONTROL_STEP_S,
    ):
        self.circuits = circuits
        self.vehicle = vehicle
        self.weights = weights
        self.border_margin_m = border_margin_m
        self.control_step_s = control_step_s
        self.n = n
        self.state = np.zeros((dyn.STATE_SIZE, n))
        whole = {"circuit", "station", "laps", "ended"}
        self.cars = CarTable(
            **{
                name: np.zeros(n, dtype=np.int64 if name in whole else np.float64)
                for name in CarTable._fields[:-1]
            },
            rewards=np.zeros((n, len(REWARD_TERMS))),
        )
        self._scratch = np.zeros((5, n))
        self._actions = np.zeros((n, 2))
        self._everyone = np.arange(n)
        self._no_one = np.arange(0)
        self._no_observations = np.empty((0, obs.SIZE), dtype=np.float32)

    def place(
        self,
        car: int,
        circuit: int,
        start_s_m: float = 0.0,
        line_offset_m: float = 0.0,
        heading_rad: float = 0.0,
        speed_mps: float = 0.0,
    ) -> None:
        """Start an episode of one car at a place on the racing line, or beside it.

        line_offset_m (left positive) is cut at the border; heading_rad is relative to the line.
        """
        _place(
            self.state, self.cars, self.circuits, self.border_margin_m,
            car, circuit, start_s_m, line_offset_m, heading_rad, speed_mps,
        )  # fmt: skip

    def step(self, actions: np.ndarray, out: np.ndarray | None = None) -> None:
        """Move every car by one control step; actions: (n, 2), clipped to [-1, 1].

        Afterwards `cars` holds rewards, laps and ends, and out, where given, the observations of
        all cars: (n, SIZE) float32. Raises InputError, and moves no car, if an action is not
        finite.
        """
        self._actions[:] = actions
        finite = _step(
            self.state, self._actions, self.cars, self.circuits, self.vehicle, self.weights,
            self.control_step_s, self.border_margin_m,
            self._no_one if out is None else self._everyone,
            self._scratch, self._no_observations if out is None else out,
        )  # fmt: skip
        if not finite:
            car = int(np.argmin(np.isfinite(self._actions).all(axis=1)))
            raise InputError(
                f"action {self._actions[car].tolist()} of car {car}: two finite numbers are needed"
            )

    def observe(
        self, indices: np.ndarray | None = None, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Observations (len(indices), SIZE) float32 of these cars, of all by default."""
        indices = self._everyone if indices is None else indices
        if out is None:
            out = np.empty((len(indices), obs.SIZE), dtype=np.float32)
        _observe(self.state, self.cars, self.circuits, self.vehicle, indices, out)
        return out

    def locate(self) -> None:
        """Find the cars' places on their tracks again, after a small change of their state."""
        _locate_all(self.state, self.cars, self.circuits)

    def only(self, keep: np.ndarray) -> "Simulator":
        """The same simulator without the cars that keep (n,) bool leaves out."""
        fewer = Simulator(
            self.circuits, int(keep.sum()), self.vehicle, self.weights,
            self.border_margin_m, self.control_step_s,
        )  # fmt: skip
        fewer.state[:] = self.state[:, keep]
        for values, before in zip(fewer.cars, self.cars, strict=True):
            values[:] = before[keep]
        return fewer

    def place_s_m(self) -> np.ndarray:
        """Position (n,) of the cars along their centre lines."""
        return (self.cars.station + self.cars.fraction) * self.circuits.step_m[self.cars.circuit]
