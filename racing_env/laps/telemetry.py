"""Telemetry: one lap of a car, recorded at its control steps, and the CSV that holds it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.conditions import Conditions
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.common.files import replaced_atomically
from racing_env.simulation.adaptation import GUESSED
from racing_env.simulation.simulator import Simulator

# Rows of a snapshot, behind those of the state; a driver's guesses follow.
CIRCUIT, OFFSET, DISTANCE, TIME = range(dyn.STATE_SIZE, dyn.STATE_SIZE + 4)
FIRST_GUESS = TIME + 1


class Telemetry(NamedTuple):
    """One lap at the control steps, first and last row on the start line; arrays of shape (k,)."""

    s_m: np.ndarray  # along the centre line, from the start of the lap
    x_m: np.ndarray
    y_m: np.ndarray
    psi_rad: np.ndarray  # heading, anti-clockwise from the x axis, unwrapped
    kappa_radpm: np.ndarray  # of the driven path, positive to the left
    vx_mps: np.ndarray
    ax_mps2: np.ndarray
    vy_mps: np.ndarray
    ay_mps2: np.ndarray
    yaw_rate_radps: np.ndarray
    steer_rad: np.ndarray  # of the front wheels
    throttle: np.ndarray  # share of the largest drive force, 0 to 1
    brake: np.ndarray
    offset_m: np.ndarray  # from the centre line, positive to the left
    time_s: np.ndarray  # since the start of the lap


class ShownLap(NamedTuple):
    """A lap of a drive that is written down."""

    telemetry: Telemetry | None
    guesses: np.ndarray | None  # (k, GUESSES), in the units of conditions; None: of no driver


NOTHING_SHOWN = ShownLap(None, None)


def write_telemetry(
    telemetry: Telemetry,
    path: str | Path,
    guesses: np.ndarray | None = None,
    conditions: Conditions | None = None,
) -> None:
    """Write a lap as CSV, a row per control step, the units in the header. Atomic.

    guesses: (k, GUESSES) of a driver who guesses his conditions, beside which they are written.
    """
    columns = dict(zip(Telemetry._fields, telemetry, strict=True))
    if guesses is not None and conditions is not None:
        for name, guessed in zip(GUESSED, guesses.T, strict=True):
            columns[f"guess_{name}"] = guessed
            columns[name] = np.full(len(guessed), getattr(conditions, name))
    with replaced_atomically(path) as temporary:
        np.savetxt(
            temporary,
            np.column_stack(list(columns.values())),
            fmt="%.5f",
            delimiter=",",
            header=",".join(columns),
            comments="",
        )


def snapshot(
    simulator: Simulator, guesses: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """(rows, n): the state, then circuit, offset, distance and time; and what the drivers guess, by
    the simulator's memory, where they do.
    """
    cars = simulator.cars
    rows = [simulator.state, cars.circuit, cars.offset_m, cars.distance_m, cars.time_s]
    if guesses is not None:
        rows.append(guesses(simulator.memory).T)
    return np.vstack(rows)


def laps_to_show(
    records: list[np.ndarray],
    lap_times: Mapping[int, list[float]],
    length_m: np.ndarray,
    vehicle: Vehicle,
) -> dict[int, ShownLap]:
    """Each car's best flying lap or, without one, its last lap as far as it came; by circuit.

    lap_times: by circuit, of those that were driven; length_m: of every circuit.
    """
    everything = np.concatenate(records, axis=1)
    which = everything[CIRCUIT]
    laps = {}
    for circuit, times in lap_times.items():
        flying = times[1:]
        lap = 1 + int(np.argmin(flying)) if flying else len(times)
        own = everything[:, which == circuit]
        start_s = sum(times[:lap])
        end_s = start_s + times[lap] if flying else own[TIME, -1]
        laps[circuit] = lap_between(own, start_s, end_s, lap * length_m[circuit], vehicle)
    return laps


def states_at(lap: Telemetry, times_s: np.ndarray, vehicle: Vehicle) -> np.ndarray:
    """The car (n, STATE_SIZE) at times (n,) since the start of the lap; after its end, as it was
    there.
    """
    rows = {
        dyn.X: lap.x_m,
        dyn.Y: lap.y_m,
        dyn.PSI: lap.psi_rad,
        dyn.VX: lap.vx_mps,
        dyn.VY: lap.vy_mps,
        dyn.YAW_RATE: lap.yaw_rate_radps,
        dyn.STEER: lap.steer_rad,
        dyn.DRIVE: lap.throttle * vehicle.drive_force_max_n,
        dyn.BRAKE: lap.brake * vehicle.brake_force_max_n,
        dyn.AX: lap.ax_mps2,
        dyn.AY: lap.ay_mps2,
    }
    states = np.empty((len(times_s), dyn.STATE_SIZE))
    for row, values in rows.items():
        states[:, row] = np.interp(times_s, lap.time_s, values)
    return states


def lap_between(
    records: np.ndarray, start_s: float, end_s: float, start_m: float, vehicle: Vehicle
) -> ShownLap:
    """The part of a car's records between two times, its ends interpolated.

    records: (rows, k), `snapshot` of the car at k times; start_m: what it had driven at the first.
    """
    time = records[TIME]
    within = time[(time > start_s) & (time < end_s)]
    times = np.concatenate([[start_s], within, [end_s]])
    records[dyn.PSI] = np.unwrap(records[dyn.PSI])
    state = [np.interp(times, time, row) for row in records]
    turns = np.round(state[dyn.PSI][0] / (2.0 * np.pi))
    vx, vy, ax, ay = state[dyn.VX], state[dyn.VY], state[dyn.AX], state[dyn.AY]
    # the part of the acceleration across the path, over the square of the speed
    slowest = scales_of(vehicle).speed  # about 1 m/s: below it there is no path to speak of
    kappa = (ay * vx - ax * vy) / np.maximum(np.hypot(vx, vy), slowest) ** 3
    telemetry = Telemetry(
        s_m=state[DISTANCE] - start_m,
        x_m=state[dyn.X],
        y_m=state[dyn.Y],
        psi_rad=state[dyn.PSI] - 2.0 * np.pi * turns,
        kappa_radpm=kappa,
        vx_mps=vx,
        ax_mps2=ax,
        vy_mps=vy,
        ay_mps2=ay,
        yaw_rate_radps=state[dyn.YAW_RATE],
        steer_rad=state[dyn.STEER],
        throttle=state[dyn.DRIVE] / vehicle.drive_force_max_n,
        brake=state[dyn.BRAKE] / vehicle.brake_force_max_n,
        offset_m=state[OFFSET],
        time_s=times - start_s,
    )
    guesses = state[FIRST_GUESS:]
    return ShownLap(telemetry, np.stack(guesses, axis=1) if guesses else None)
