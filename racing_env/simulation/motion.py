"""Cars under way: their places on their circuits, laps, ends and rewards, control step by step.

Whatever a driver may see, cars move in the same way: an observation layout's own kernels
(`racing_env.simulation.layouts`) call `move` and then observe.
"""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car import conditions
from racing_env.car import dynamics as dyn
from racing_env.car.arithmetic import cosine, sine, wrapped_angle
from racing_env.car.kernels import inlined, kernel
from racing_env.car.similarity import speed_scale, time_scale, width_scale
from racing_env.simulation.rewards import REWARD_TERMS, pay, steering_demand
from racing_env.tracks import bank

ON_TRACK, OFF_TRACK, BACKWARDS, STANDING = range(4)
END_NAMES = ("", "off_track", "backwards", "standing")

# For the reference car; another's are scaled with its speed and its time.
STANDING_SPEED_MPS = 1.0
STANDING_LIMIT_S = 3.0
START_CLEARANCE_M = 0.05  # a car starts at least so far inside a border, scaled with its width


class CarTable(NamedTuple):
    """Where the cars are and how their laps go: arrays of shape (n,) but for the last three."""

    circuit: np.ndarray
    station: np.ndarray
    fraction: np.ndarray
    offset_m: np.ndarray
    room_m: np.ndarray  # to the nearer border; below zero outside the track
    distance_m: np.ndarray  # along the centre line since the start
    time_s: np.ndarray  # since the start
    standing_s: np.ndarray
    laps: np.ndarray  # full rounds from the start's own position
    lap_start_s: np.ndarray
    lap_time_s: np.ndarray  # the last lap's
    ended: np.ndarray  # ON_TRACK or why the episode ended
    rewards: np.ndarray
    conditions: np.ndarray  # (n, conditions.SIZE), see `racing_env.car.conditions.row_of`
    asked: np.ndarray  # (n, MOST_DELAY_STEPS, 2) the last actions, the latest first


def new_car_table(n: int) -> CarTable:
    """A table of n cars that are nowhere yet."""
    whole = {"circuit", "station", "laps", "ended"}
    columns = {
        name: np.zeros(n, dtype=np.int64 if name in whole else np.float64)
        for name in CarTable._fields[:-3]
    }
    return CarTable(
        **columns,
        rewards=np.zeros((n, len(REWARD_TERMS))),
        conditions=np.zeros((n, conditions.SIZE)),
        asked=np.zeros((n, conditions.MOST_DELAY_STEPS, 2)),
    )


@inlined
def locate(state, cars, circuits, car):
    """Bring a car's curvilinear position up to date."""
    c = cars.circuit[car]
    cars.station[car], cars.fraction[car], cars.offset_m[car] = bank.project(
        circuits.table, circuits.first[c], circuits.count[c], circuits.step_m[c],
        cars.station[car],
        state[dyn.X, car] - circuits.origin_m[c, 0], state[dyn.Y, car] - circuits.origin_m[c, 1],
    )  # fmt: skip


@inlined
def line_time(circuits, c, station, fraction):
    """Time (s) at which the speed profile reaches this place."""
    start = circuits.table[circuits.first[c] + station, bank.LINE_TIME]
    return start + fraction * (bank.next_line_time(circuits, c, station) - start)


@inlined
def wrapped(difference, whole):
    """A difference of two places on a loop, taken the short way."""
    if difference > 0.5 * whole:
        return difference - whole
    if difference < -0.5 * whole:
        return difference + whole
    return difference


@inlined
def room_inside(cars, circuits, car):
    """How far a car's centre is inside the nearer end of what it may use (m)."""
    c = cars.circuit[car]
    first, station = circuits.first[c], cars.station[car]
    row = first + station
    next_row = first + (station + 1 if station + 1 < circuits.count[c] else 0)
    return min(
        bank.blend(circuits.table, row, next_row, cars.fraction[car], bank.ROOM_LEFT)
        - cars.offset_m[car],
        bank.blend(circuits.table, row, next_row, cars.fraction[car], bank.ROOM_RIGHT)
        + cars.offset_m[car],
    )


@kernel
def _after_motion(state, demands, cars, circuits, weights, dt_s, run_off_m):
    """Progress, laps, rewards and ends of all cars, after the dynamics have moved them.

    demands: (n,), see `racing_env.simulation.rewards.steering_demand`.
    """
    standing_speed = STANDING_SPEED_MPS * speed_scale(circuits.vehicle)
    standing_limit = STANDING_LIMIT_S * time_scale(circuits.vehicle)
    for car in range(state.shape[1]):
        c = cars.circuit[car]
        step_m = circuits.step_m[c]
        place_m = (cars.station[car] + cars.fraction[car]) * step_m
        before_s = line_time(circuits, c, cars.station[car], cars.fraction[car])
        locate(state, cars, circuits, car)
        station, fraction = cars.station[car], cars.fraction[car]
        length = circuits.count[c] * step_m
        moved = wrapped((station + fraction) * step_m - place_m, length)
        gained = wrapped(
            line_time(circuits, c, station, fraction) - before_s, circuits.line_lap_s[c]
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

        row = circuits.first[c] + station
        psi = state[dyn.PSI, car]
        along = cosine(psi) * circuits.table[row, bank.COS]
        along += sine(psi) * circuits.table[row, bank.SIN]
        room = room_inside(cars, circuits, car)
        cars.room_m[car] = room
        standing = state[dyn.VX, car] < standing_speed
        cars.standing_s[car] = cars.standing_s[car] + dt_s if standing else 0.0
        if not room >= -run_off_m:
            cars.ended[car] = OFF_TRACK
        elif along < 0.0:
            cars.ended[car] = BACKWARDS
        elif cars.standing_s[car] > standing_limit:
            cars.ended[car] = STANDING
        else:
            cars.ended[car] = ON_TRACK
        ended = cars.ended[car] != ON_TRACK
        pay(
            cars.rewards[car], state, car, gained, room, demands[car], ended, weights,
            circuits.vehicle, dt_s,
        )  # fmt: skip


@kernel
def locate_all(state, cars, circuits):
    """Bring the curvilinear positions of all cars up to date."""
    for car in range(state.shape[1]):
        locate(state, cars, circuits, car)


@kernel
def place(
    state, cars, circuits, run_off_m, car, c, start_s_m, line_offset_m, heading_rad, speed_mps
):
    """See `racing_env.simulation.simulator.Simulator.place`."""
    station = int(start_s_m / circuits.step_m[c]) % circuits.count[c]
    row = circuits.table[circuits.first[c] + station].astype(np.float64)
    margin = max(-run_off_m, 0.0) + START_CLEARANCE_M * width_scale(circuits.vehicle)
    offset = row[bank.ROOM_LEFT] - row[bank.LINE_ROOM_LEFT] + line_offset_m
    offset = min(max(offset, margin - row[bank.ROOM_RIGHT]), row[bank.ROOM_LEFT] - margin)
    psi = math.atan2(row[bank.LINE_SIN], row[bank.LINE_COS]) + heading_rad
    state[:, car] = 0.0
    state[dyn.X, car] = circuits.origin_m[c, 0] + row[bank.X] - row[bank.SIN] * offset
    state[dyn.Y, car] = circuits.origin_m[c, 1] + row[bank.Y] + row[bank.COS] * offset
    state[dyn.PSI, car] = wrapped_angle(psi)
    state[dyn.VX, car] = speed_mps
    state[dyn.YAW_RATE, car] = speed_mps * row[bank.LINE_KAPPA]
    state[dyn.AY, car] = speed_mps * speed_mps * row[bank.LINE_KAPPA]
    cars.distance_m[car] = cars.time_s[car] = cars.standing_s[car] = 0.0
    cars.laps[car] = cars.ended[car] = 0
    cars.lap_start_s[car] = cars.lap_time_s[car] = 0.0
    cars.rewards[car] = 0.0
    cars.asked[car] = 0.0
    cars.circuit[car] = c
    cars.station[car] = station
    locate(state, cars, circuits, car)
    cars.room_m[car] = room_inside(cars, circuits, car)


@inlined
def _clipped_to_action_space(actions):
    """Clip actions (n, 2) to [-1, 1] in place; False, and none changed, if one is not finite."""
    for car in range(actions.shape[0]):
        if not (math.isfinite(actions[car, 0]) and math.isfinite(actions[car, 1])):
            return False
    for car in range(actions.shape[0]):
        actions[car, 0] = min(max(actions[car, 0], -1.0), 1.0)
        actions[car, 1] = min(max(actions[car, 1], -1.0), 1.0)
    return True


@inlined
def delay_weight(delay_steps, age):
    """Share of a control step in which the action that is so many steps old reaches the car.

    A dead time that is no whole number of steps has two actions share a step: their mean in it is
    that of the delayed action.
    """
    return max(1.0 - abs(delay_steps - age), 0.0)


@inlined
def _delayed(actions, cars):
    """Exchange actions (n, 2) that are asked for, in place, for those that reach the cars."""
    for car in range(actions.shape[0]):
        delay = cars.conditions[car, conditions.DELAY_STEPS]
        for i in range(2):
            asked = actions[car, i]
            if delay > 0.0:
                reaching = delay_weight(delay, 0) * asked
                for age in range(conditions.MOST_DELAY_STEPS):
                    reaching += delay_weight(delay, age + 1) * cars.asked[car, age, i]
                actions[car, i] = reaching
            for age in range(conditions.MOST_DELAY_STEPS - 1, 0, -1):
                cars.asked[car, age, i] = cars.asked[car, age - 1, i]
            cars.asked[car, 0, i] = asked


@inlined
def move(state, actions, cars, circuits, weights, dt_s, run_off_m, scratch):
    """Move all cars by a control step; False, and none moved, if an action is not finite.

    state: (STATE_SIZE, n); actions: (n, 2), overwritten with those that reach the cars; scratch: of
    `dynamics.new_scratch`.
    """
    if not _clipped_to_action_space(actions):
        return False
    substeps = dyn.substeps_of(circuits.vehicle, dt_s)
    _delayed(actions, cars)
    demands = np.empty(len(actions))
    for car in range(len(actions)):
        demands[car] = steering_demand(state, car, actions[car, 0], circuits.vehicle)
    dyn.step_dynamics(state, actions, cars.conditions, circuits.vehicle, dt_s, substeps, scratch)
    _after_motion(state, demands, cars, circuits, weights, dt_s, run_off_m)
    return True
