"""Laps against the clock: one driver on many circuits at once, every car alone on a circuit.

A car stands at the start line, drives a standing lap and then flying laps; it ends where it leaves
the track, turns round, stands still or takes too long. A failure is a result, not an error.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from racing_env.car.conditions import NOMINAL, Conditions
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.errors import InputError
from racing_env.drivers.expert import DEMONSTRATION_PACE, PACES, expert_actions, fastest_paces
from racing_env.drivers.guessing import guesses
from racing_env.drivers.policy import Policy
from racing_env.laps.circuit_conditions import (
    CircuitConditions,
    SensorErrors,
    conditions_on,
    nominal_on,
)
from racing_env.laps.telemetry import NOTHING_SHOWN, Telemetry, laps_to_show, snapshot
from racing_env.simulation import layouts
from racing_env.simulation.adaptation import DELAY
from racing_env.simulation.motion import END_NAMES, ON_TRACK
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import Task, racing_task
from racing_env.tracks.bank import CircuitBank, pack_circuits, part_of
from racing_env.tracks.circuit import Circuit

FINISHED, OFF_TRACK, TIME_LIMIT = "finished", "off_track", "time_limit"
TIME_LIMIT_FACTOR = 3.0  # on the speed profile's time for the same laps


class Driver(NamedTuple):
    """Who drives."""

    # Actions (n, 2) for the simulator's cars; can be pickled where other processes are to drive.
    act: Callable[[Simulator], np.ndarray]
    layout: str = layouts.DEFAULT  # by which he sees
    vehicle: Vehicle | None = None  # the only car that he can drive; None: any
    # What he guesses of his conditions, (n, GUESSES) in their units, by the simulator's memory;
    # None: he does not guess. Can be pickled, too.
    guesses: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True, eq=False)
class LapResult:
    """What one driver did on one circuit."""

    driver: str
    track: str
    length_m: float
    profile_lap_s: float  # of the speed profile under the conditions, without a safety factor
    end: str  # finished, off_track, backwards, standing or time_limit
    lap_times_s: tuple[float, ...]  # full laps in order, the standing one first
    distance_m: float  # along the centre line, until the end
    laps_wanted: int  # full laps that were to be driven, the standing one included
    telemetry: Telemetry | None = None  # of the best flying lap; without one, of the last lap
    conditions: Conditions = NOMINAL
    # (k, GUESSES) beside the telemetry, of a driver who guesses his conditions
    guesses: np.ndarray | None = None

    @property
    def finished(self) -> bool:
        return self.end == FINISHED

    @property
    def laps(self) -> int:
        """Full laps, the standing one included."""
        return len(self.lap_times_s)

    @property
    def standing_lap_s(self) -> float | None:
        return self.lap_times_s[0] if self.lap_times_s else None

    @property
    def flying_lap_s(self) -> float | None:
        """The best of the laps that began at racing speed, None if there was none."""
        return min(self.lap_times_s[1:], default=None)

    @property
    def mean_flying_lap_s(self) -> float | None:
        return float(np.mean(self.lap_times_s[1:])) if self.laps > 1 else None

    @property
    def off_track(self) -> int:
        """How often the car left the track; at most once, because that ends the drive."""
        return int(self.end == OFF_TRACK)

    def required_telemetry(self) -> Telemetry:
        """The telemetry; raises ValueError if none was recorded."""
        if self.telemetry is None:
            raise ValueError(f"the result of {self.driver} on {self.track} has no telemetry")
        return self.telemetry

    def record(self) -> dict[str, Any]:
        """All but the telemetry, ready for JSON."""
        return {
            "driver": self.driver,
            "track": self.track,
            "finished": self.finished,
            "flying_lap_s": self.flying_lap_s,
            "mean_flying_lap_s": self.mean_flying_lap_s,
            "standing_lap_s": self.standing_lap_s,
            "off_track": self.off_track,
            "distance_m": self.distance_m,
            "laps": self.laps,
            "laps_wanted": self.laps_wanted,
            "lap_times_s": list(self.lap_times_s),
            "end": self.end,
            "length_m": self.length_m,
            "profile_lap_s": self.profile_lap_s,
        }


class Summary(NamedTuple):
    """Results of one driver in a few numbers."""

    circuits: int
    finished: int
    lap_ratio: float  # mean of flying lap / reference over the finished circuits, NaN if none


def policy_driver(policy: Policy) -> Driver:
    """A driver that does what the policy says."""
    guessed = partial(_guessed_by_policy, policy) if policy.adapts else None
    return Driver(partial(_act_by_policy, policy), policy.layout.name, policy.vehicle, guessed)


def expert_driver(paces: np.ndarray) -> Driver:
    """The expert with a factor on the speed profile for each circuit of the bank, (circuits,)."""
    return Driver(partial(_act_as_expert, paces))


def _act_by_policy(policy: Policy, simulator: Simulator) -> np.ndarray:
    return policy.act(simulator.observe(), simulator.memory)


def _guessed_by_policy(policy: Policy, memory: np.ndarray) -> np.ndarray:
    adaptation = policy.adaptation
    values = adaptation.middle + adaptation.half * guesses(memory)[0]
    values[:, DELAY] *= racing_task(policy.vehicle).control_step_s
    return values


def _act_as_expert(paces: np.ndarray, simulator: Simulator) -> np.ndarray:
    return expert_actions(simulator, paces[simulator.cars.circuit])


def expert_paces(
    circuits: CircuitBank, laps: int = 3, conditions: Sequence[Conditions] | None = None
) -> np.ndarray:
    """The expert's pace on each circuit (circuits,): the fastest that finishes.

    conditions: of each circuit, nominal by default. Where no pace finishes it is the slowest of
    all, so that there is something to show.
    """
    count = len(circuits.count)
    conditions = conditions or [NOMINAL] * count
    size = count if len(set(conditions)) == 1 else 1  # circuits that are tried at once
    paces = [
        fastest_paces(part_of(circuits, range(i, i + size)), laps + 1, conditions[i])[0]
        for i in range(0, count, size)
    ]
    found = np.concatenate(paces)
    return np.where(np.isfinite(found), found, min(PACES))


def vehicle_of(named: str | None, policies: Mapping[str, Policy], default: str) -> Vehicle:
    """The car that is driven: the drivers' own. Raises InputError if there are several.

    named: by the flag `--vehicle`; policies: by their paths; default: where there is neither.
    """
    if named is None and policies:
        vehicle = next(iter(policies.values())).vehicle
    else:
        vehicle = read_vehicle(named or default)
    for path, policy in policies.items():
        numbers = zip(vehicle._fields, policy.vehicle, vehicle, strict=True)
        differ = [number for number in numbers if number[1] != number[2]]
        if differ:
            (name, theirs, ours), *others = differ
            raise InputError(
                f"{path}: its car has {name} {theirs!r}, the one that is driven has {ours!r}"
                + (f", and {len(others)} more numbers differ; " if others else "; ")
                + ("a car that is nearly his is a condition in place of --vehicle, such as "
                   "evaluate.py --condition mass=1.1,friction=0.9"
                   if named else "drivers of one car race each other")
            )  # fmt: skip
    return vehicle


def refuse_same_names(circuits: Sequence[Circuit]) -> None:
    """Raise InputError for circuits of the same name: laps are told apart, and compared, by it."""
    for name, times in Counter(circuit.track.name for circuit in circuits).items():
        if times > 1:
            raise InputError(
                f"circuit {name!r:.80}: is there {times} times; each needs a name of its own, "
                "which of a file is the file's"
            )


def demonstrated_laps(circuits: Sequence[Circuit]) -> dict[str, float]:
    """The expert's flying lap (s) at the pace of the demonstrations, by track, where it has one.

    Raises InputError for tracks of the same name.
    """
    refuse_same_names(circuits)
    driver = expert_driver(np.full(len(circuits), DEMONSTRATION_PACE))
    laps = {lap.track: lap.flying_lap_s for lap in drive_laps(circuits, driver, laps=1)}
    return {track: lap_s for track, lap_s in laps.items() if lap_s is not None}


def drive_laps(
    circuits: Sequence[Circuit],
    driver: Driver,
    laps: int = 3,
    task: Task | None = None,
    name: str = "driver",
    telemetry: bool = False,
    conditions: Conditions = NOMINAL,
) -> list[LapResult]:
    """`drive_bank` on each of the circuits, on all of them under the same conditions."""
    if not circuits:
        return []
    names = [circuit.track.name for circuit in circuits]
    everywhere = conditions_on(circuits, [conditions] * len(circuits))
    return drive_bank(
        pack_circuits(circuits), names, driver, laps, task, name, telemetry, conditions=everywhere
    )


def drive_bank(
    circuits: CircuitBank,
    tracks: Sequence[str],
    driver: Driver,
    laps: int = 3,
    task: Task | None = None,
    name: str = "driver",
    telemetry: bool = False,
    which: range | None = None,
    conditions: CircuitConditions | None = None,
) -> list[LapResult]:
    """Drive a standing lap and `laps` flying ones on the circuits of a bank, all in one batch.

    The driver sees a simulator whose car i is on circuit `simulator.cars.circuit[i]`; a car that
    has ended is no longer in it. task: laps by the rule (`racing_task`) where none is given.
    tracks: the circuits' names; which: the circuits that are driven, all by default; conditions:
    of every circuit of the bank, nominal by default.
    Results are in the order of the circuits. Raises InputError if the driver's actions are not
    finite numbers, ValueError if he drives another car or sees by another layout.
    """
    which = range(len(tracks)) if which is None else which
    task = task or racing_task(circuits.vehicle, driver.layout)
    if driver.vehicle not in (None, circuits.vehicle) or driver.layout != task.layout:
        raise ValueError("the driver is not for this car, or not for what this task shows")
    under, profile_lap_s = conditions or nominal_on(circuits)
    simulator = Simulator(circuits, len(which), task)
    for car, circuit in enumerate(which):
        simulator.place(car, circuit, conditions=under[circuit])
    errors = SensorErrors(tracks, under, which)
    limit_s = TIME_LIMIT_FACTOR * (laps + 1) * profile_lap_s
    if task.time_limit_s is not None:
        limit_s = np.full_like(limit_s, task.time_limit_s)
    lap_times: dict[int, list[float]] = {circuit: [] for circuit in which}
    ends: dict[int, str] = {}
    distance_m: dict[int, float] = {}
    records = [snapshot(simulator, driver.guesses)] if telemetry else []
    while simulator.n:
        laps_before = simulator.cars.laps.copy()
        errors.draw(simulator)
        simulator.step(driver.act(simulator))
        cars = simulator.cars
        for i in np.flatnonzero(cars.laps > laps_before):
            lap_times[cars.circuit[i]].append(float(cars.lap_time_s[i]))
        if telemetry:
            records.append(snapshot(simulator, driver.guesses))
        late = cars.time_s > limit_s[cars.circuit]
        over = (cars.ended != ON_TRACK) | (cars.laps > laps) | late
        if over.any():
            for i in np.flatnonzero(over):
                ends[cars.circuit[i]] = _end(cars.ended[i], cars.laps[i] > laps)
                distance_m[cars.circuit[i]] = float(cars.distance_m[i])
            simulator = simulator.subset(~over)
    length_m = circuits.count * circuits.step_m
    shown = laps_to_show(records, lap_times, length_m, circuits.vehicle) if telemetry else {}
    return [
        LapResult(
            driver=name,
            track=tracks[i],
            length_m=float(length_m[i]),
            profile_lap_s=float(profile_lap_s[i]),
            end=ends[i],
            lap_times_s=tuple(lap_times[i]),
            distance_m=distance_m[i],
            laps_wanted=laps + 1,
            conditions=under[i],
            **shown.get(i, NOTHING_SHOWN)._asdict(),
        )
        for i in which
    ]


def summary(
    results: Sequence[LapResult], references_s: Mapping[str, float] | None = None
) -> Summary:
    """Sum up one driver's results.

    references_s: lap times by the name of the track, the speed profile's by default; a track that
    is not in it counts for everything but the ratio.
    """
    every_ratio = [lap_ratio(result, references_s) for result in results if result.finished]
    ratios = [ratio for ratio in every_ratio if ratio is not None]
    return Summary(
        circuits=len(results),
        finished=sum(result.finished for result in results),
        lap_ratio=float(np.mean(ratios)) if ratios else math.nan,
    )


def lap_ratio(result: LapResult, references_s: Mapping[str, float] | None = None) -> float | None:
    """Flying lap / reference (the speed profile's lap by default), None where one is missing."""
    reference = reference_lap_s(result, references_s)
    return result.flying_lap_s / reference if result.flying_lap_s and reference else None


def reference_lap_s(
    result: LapResult, references_s: Mapping[str, float] | None = None
) -> float | None:
    """The lap (s) that the result is compared with, None where there is none."""
    return result.profile_lap_s if references_s is None else references_s.get(result.track)


def _end(ended: int, all_laps: bool) -> str:
    if ended != ON_TRACK:
        return END_NAMES[ended]
    return FINISHED if all_laps else TIME_LIMIT
