"""Conditions on the circuits of a bank: each circuit's own, and what they make of its profile.

The line stays the nominal car's, and so does the profile that a driver sees.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from racing_env.car.conditions import NOMINAL, Conditions, under
from racing_env.car.speed_profile import profile_time, speed_profile
from racing_env.simulation.sensors import CHANNELS
from racing_env.simulation.simulator import Simulator
from racing_env.tracks.bank import CircuitBank
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.line_geometry import line_geometry


class CircuitConditions(NamedTuple):
    """Under what the circuits of a bank are driven."""

    conditions: tuple[Conditions, ...]  # of each circuit
    profile_lap_s: np.ndarray  # (circuits,) of the car under them


def nominal_on(circuits: CircuitBank) -> CircuitConditions:
    """The car as it is in its file on every circuit."""
    return CircuitConditions((NOMINAL,) * len(circuits.count), circuits.line_lap_s)


def conditions_on(
    circuits: Sequence[Circuit], conditions: Sequence[Conditions]
) -> CircuitConditions:
    """Conditions of each circuit, with the laps of the profile on its line."""
    laps_s = [profile_lap_s(*pair) for pair in zip(circuits, conditions, strict=True)]
    return CircuitConditions(tuple(conditions), np.array(laps_s))


def profile_lap_s(circuit: Circuit, conditions: Conditions) -> float:
    """The profile's lap (s) of the circuit's car under conditions, on the same line."""
    if conditions == NOMINAL:
        return circuit.lap_time_s
    line = line_geometry(circuit.track, circuit.line_offset_m)
    speed = speed_profile(line.kappa_radpm, line.step_m, under(circuit.vehicle, conditions))
    return float(profile_time(speed, line.step_m)[-1])


class SensorErrors:
    """The sensors' errors along drives on circuits of a bank, where there are any.

    Each circuit has a random stream of its own, named by its name and conditions: it is the same
    whichever circuits are driven with it, and in which process.
    """

    def __init__(
        self, tracks: Sequence[str], conditions: Sequence[Conditions], which: Sequence[int]
    ):
        self._streams = {
            circuit: _stream(tracks[circuit], conditions[circuit])
            for circuit in which
            if conditions[circuit].noise
        }

    def draw(self, simulator: Simulator) -> None:
        """Draw those of what is seen next, for each car of the simulator."""
        if self._streams:
            for car, circuit in enumerate(simulator.cars.circuit.tolist()):
                if circuit in self._streams:
                    simulator.noise[car] = self._streams[circuit].standard_normal(CHANNELS)


def _stream(track: str, conditions: Conditions) -> np.random.Generator:
    name = repr((track, *map(float, conditions))).encode()
    return np.random.default_rng(list(hashlib.sha256(name).digest()))
