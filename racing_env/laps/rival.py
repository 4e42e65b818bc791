"""The driver whom a person races, as a ghost: his standing lap and his best flying one."""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car.vehicle import Vehicle
from racing_env.laps.evaluation import TIME_LIMIT_FACTOR, Driver
from racing_env.laps.telemetry import Telemetry, lap_between, snapshot, states_at
from racing_env.simulation.motion import ON_TRACK
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit

FLYING_LAPS = 3


class RivalLap(NamedTuple):
    """One lap of a rival."""

    driven: Telemetry  # as far as he came
    lap_s: float | None  # None: he did not finish it


class Rival(NamedTuple):
    """A rival on one circuit."""

    name: str
    length_m: float
    vehicle: Vehicle
    standing: RivalLap
    flying: RivalLap  # his best; where he finished none, his last lap

    def lap(self, standing: bool) -> RivalLap:
        """The lap that a person's is compared with, who begins it standing or flying."""
        return self.standing if standing else self.flying

    def time_at(self, standing: bool, distance_m: float) -> float | None:
        """When (s) he was so far into the lap; None where he never came."""
        lap = self.lap(standing).driven
        if distance_m > lap.s_m[-1]:
            return None
        # a car that spins may roll back
        return float(np.interp(distance_m, np.maximum.accumulate(lap.s_m), lap.time_s))

    def place_at(self, standing: bool, time_s: float) -> tuple[np.ndarray, float]:
        """His car (STATE_SIZE,) and its place along the centre line (m) so long into the lap.

        He goes on with flying laps when it is over, and stays where he has left the track.
        """
        lap = self.lap(standing)
        if lap.lap_s is not None and time_s > lap.lap_s:
            time_s, lap = time_s - lap.lap_s, self.flying
            time_s %= lap.lap_s or math.inf
        times_s = np.array([time_s])
        s_m = float(np.interp(time_s, lap.driven.time_s, lap.driven.s_m)) % self.length_m
        return states_at(lap.driven, times_s, self.vehicle)[0], s_m


def drive_rival(circuit: Circuit, driver: Driver, name: str) -> Rival:
    """Have a driver lap a circuit, from a standing start, by the rule."""
    vehicle, length_m = circuit.vehicle, circuit.track.length_m
    simulator = Simulator(pack_circuits([circuit]), 1, racing_task(vehicle, driver.layout))
    simulator.place(0, 0)
    cars, records = simulator.cars, [snapshot(simulator)]
    starts_s, lap_times_s = [0.0], list[float]()
    limit_s = TIME_LIMIT_FACTOR * (FLYING_LAPS + 1) * circuit.lap_time_s
    while len(lap_times_s) <= FLYING_LAPS:
        simulator.step(driver.act(simulator))
        records.append(snapshot(simulator))
        if cars.laps[0] > len(lap_times_s):
            lap_times_s.append(float(cars.lap_time_s[0]))
            starts_s.append(float(cars.lap_start_s[0]))
        if cars.ended[0] != ON_TRACK or cars.time_s[0] > limit_s:
            break
    driven = np.concatenate(records, axis=1)
    laps = []
    for i, start_s in enumerate(starts_s[: FLYING_LAPS + 1]):
        lap_s = lap_times_s[i] if i < len(lap_times_s) else None
        end_s = float(cars.time_s[0]) if lap_s is None else start_s + lap_s
        telemetry = lap_between(driven.copy(), start_s, end_s, i * length_m, vehicle).telemetry
        assert telemetry is not None
        laps.append(RivalLap(telemetry, lap_s))
    flying = [lap for lap in laps[1:] if lap.lap_s is not None]
    best = min(flying, key=lambda lap: lap.lap_s or math.inf, default=laps[-1])
    return Rival(name, length_m, vehicle, laps[0], best)
