"""A person's drive on one circuit: the car in real time, the lap clock, what was driven.

The car stands on the start line, and everything waits, until the person drives off. What ends an
episode (off the track, turned round, standing still) puts the car back on the racing line, standing
at the place where it was; the lap then does not count.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.laps.rival import Rival
from racing_env.simulation.motion import ON_TRACK
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import demonstration_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit

# What was seen, done, taught (the same) and paid in a control step: see `recording.episode_of`.
Row = tuple[np.ndarray, ...]


class DrivenLap(NamedTuple):
    """A lap that counts."""

    time_s: float
    standing: bool  # from the start line, not at speed
    rival_s: float | None  # the rival's lap of the same kind; None: he finished none
    rows: list[Row]

    @property
    def gap_s(self) -> float | None:
        """How much later than the rival; below zero: earlier."""
        return None if self.rival_s is None else self.time_s - self.rival_s


class Instant(NamedTuple):
    """The car at one time of its lap."""

    state: np.ndarray  # (STATE_SIZE,)
    lap_m: float  # along the centre line, from the start line
    lap_s: float  # since the lap began


class Session:
    """The person's car, alone on a circuit, at the task of the demonstrations.

    layout: by which the laps' observations are kept; on_lap: called with each lap that counts, when
    it is done.
    """

    def __init__(
        self, circuit: Circuit, layout: str, rival: Rival, on_lap: Callable[[DrivenLap], None]
    ):
        self.circuit, self.rival, self._on_lap = circuit, rival, on_lap
        task = demonstration_task(circuit.vehicle, layout)
        self.control_step_s = task.control_step_s
        self._simulator = Simulator(pack_circuits([circuit]), 1, task)
        self._rows: list[Row] = []  # of the lap under way
        self.laps: list[DrivenLap] = []  # those that count, without their rows
        self._due_s, self.waiting = 0.0, True
        self.restart()
        self._simulator.observe()  # compiled before anyone waits for it

    @property
    def best_lap_s(self) -> float | None:
        return min((lap.time_s for lap in self.laps), default=None)

    def restart(self) -> None:
        """Stand on the start line; a lap under way is dropped."""
        self.standing = self.counts = True
        self._place(0.0, lap_s=0.0)

    def advance(self, elapsed_s: float, act: Callable[[np.ndarray], np.ndarray]) -> None:
        """Let time pass: control steps that are due, each with the action (2,) that `act` has for
        the car (STATE_SIZE,).
        """
        self._due_s += elapsed_s
        while self._due_s >= self.control_step_s:
            self._due_s -= self.control_step_s
            action = np.clip(act(self._now.state), -1.0, 1.0)
            if not self.waiting or action[1] > 0.0:
                self.waiting = False
                self._step(action)

    def shown(self) -> Instant:
        """The car between its last two control steps, as far as the next one is due."""
        share = self._due_s / self.control_step_s
        before, now = self._before, self._now
        moved = now.state - before.state
        moved[dyn.PSI] = (moved[dyn.PSI] + np.pi) % (2.0 * np.pi) - np.pi
        return Instant(
            before.state + share * moved,
            before.lap_m + share * (now.lap_m - before.lap_m),
            before.lap_s + share * (now.lap_s - before.lap_s),
        )

    def gap_s(self) -> float | None:
        """How much later than the rival the car is now where it is; None: that is not known."""
        shown = self.shown()
        theirs_s = self.rival.time_at(self.standing, shown.lap_m) if self.counts else None
        return None if theirs_s is None or self.waiting else shown.lap_s - theirs_s

    def _place(self, lap_m: float, lap_s: float) -> None:
        """Stand on the racing line, so far into the lap, until the person drives off."""
        simulator, step_m = self._simulator, self.circuit.track.step_m
        simulator.place(0, 0, lap_m)
        # so that the next lap begins on the start line, not where the car stands
        simulator.cars.distance_m[0] = int(lap_m / step_m) * step_m
        self._rows.clear()
        self._before = self._now = self._instant(lap_s)
        self._due_s, self.waiting = 0.0, True

    def _instant(self, lap_s: float) -> Instant:
        cars = self._simulator.cars
        lap_m = cars.distance_m[0] - cars.laps[0] * self.circuit.track.length_m
        return Instant(self._simulator.state[:, 0].copy(), float(lap_m), lap_s)

    def _step(self, action: np.ndarray) -> None:
        simulator, cars = self._simulator, self._simulator.cars
        seen, laps = simulator.observe()[0], int(cars.laps[0])
        simulator.step(action[None])
        self._rows.append((seen, action, action, cars.rewards[0].sum()))
        lap_s = self._now.lap_s + self.control_step_s
        if cars.ended[0] != ON_TRACK:
            self.counts = False
            self._place(float(simulator.place_s_m()[0]), lap_s)
            return
        self._before = self._now
        if cars.laps[0] > laps:
            lap_s = float(cars.time_s[0] - cars.lap_start_s[0])
            self._before = self._before._replace(
                lap_m=self._before.lap_m - self.circuit.track.length_m,
                lap_s=lap_s - self.control_step_s,
            )
            self._finish_lap()
        self._now = self._instant(lap_s)

    def _finish_lap(self) -> None:
        if self.counts:
            theirs_s = self.rival.lap(self.standing).lap_s
            time_s = float(self._simulator.cars.lap_time_s[0])
            lap = DrivenLap(time_s, self.standing, theirs_s, self._rows.copy())
            self.laps.append(lap._replace(rows=[]))
            self._on_lap(lap)
        self._rows.clear()
        self.standing, self.counts = False, True
