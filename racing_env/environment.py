"""The single-car Gymnasium environment: one car of the simulator."""

import math
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from racing_env.car import dynamics as dyn
from racing_env.car.vehicle import RACECAR, Vehicle
from racing_env.common.errors import InputError
from racing_env.simulation import observation as obs
from racing_env.simulation.simulator import END_NAMES, ON_TRACK, REWARD_TERMS, Simulator
from racing_env.tracks import bank as bank
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit, prepare_circuit
from racing_env.tracks.geometry import Track
from racing_env.tracks.sources import load_tracks

CAMERAS = ("follow", "track")
START_SPEED_SHARE = (0.4, 0.9)  # of the profile's speed, where a random episode begins
TIME_LIMIT = "time_limit"

TrackSource = str | Path | Track | Circuit | Sequence[str | Path | Track | Circuit]


class RaceEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """
    ## Description

    An electric race car is alone on a closed circuit and has to get round it as fast as it can. It
    sees its own state, the racing line with the speed profile that goes with it, and the borders a
    few seconds ahead. It is `racing_env.simulation.simulator.Simulator` with one car.

    ## Action Space

    `Box(-1, 1, (2,), float32)`. Actions outside are clipped; one that is not finite raises
    `racing_env.common.errors.InputError`.

    | Num | Action | Min | Max |
    | --- | --- | --- | --- |
    | 0 | Steering target, share of full lock (0.35 rad) | -1 (right) | 1 (left) |
    | 1 | Pedals, share of the largest force | -1 (brake, 20 kN) | 1 (drive, 7 kN) |

    ## Observation Space

    `Box(-5, 5, (76,), float32)`. Every number is a quantity divided by its scale, then clipped.
    Lateral quantities are positive to the left.

    | Num | Observation | Scale | Min | Max |
    | --- | --- | --- | --- | --- |
    | 0 | Speed forward | 50 m/s | -5 | 5 |
    | 1 | Speed to the left | 5 m/s | -5 | 5 |
    | 2 | Yaw rate | 1 rad/s | -5 | 5 |
    | 3 | Steering angle of the front wheels | 0.35 rad (full lock) | -1 | 1 |
    | 4 | Drive force | 7000 N (the largest) | 0 | 1 |
    | 5 | Brake force | 20000 N (the largest) | 0 | 1 |
    | 6 | Acceleration forward, as the suspension feels it | 10 m/s2 | -5 | 5 |
    | 7 | Acceleration to the left, likewise | 15 m/s2 | -5 | 5 |
    | 8 | Offset from the racing line | 2 m | -5 | 5 |
    | 9 | Sine of the heading relative to the line | 1/3 | -3 | 3 |
    | 10 | Profile speed minus speed | 10 m/s | -5 | 5 |
    | 11 | Curvature of the line | 0.04 1/m | -5 | 5 |
    | 12 | Room to the left, at most 4 m | 2 m | -5 | 2 |
    | 13 | Room to the right, at most 4 m | 2 m | -5 | 2 |
    | 14 | Slip angle of the front axle | 0.1 rad | -5 | 5 |
    | 15 | Slip angle of the rear axle | 0.1 rad | -5 | 5 |
    | 16 + 5k | Sine of the bearing of preview point k | 0.5 | -2 | 2 |
    | 17 + 5k | Curvature of the line there | 0.04 1/m | -5 | 5 |
    | 18 + 5k | Profile speed there minus speed | 20 m/s | -5 | 5 |
    | 19 + 5k | Room to the left of the line there, at most 8 m | 4 m | -5 | 2 |
    | 20 + 5k | Room to the right of the line there, at most 8 m | 4 m | -5 | 2 |

    Preview point k = 0 … 11 lies on the racing line where the car would be after 0.1, 0.2, 0.35,
    0.5, 0.7, 0.95, 1.25, 1.6, 2.1, 2.7, 3.5 and 4.5 s at its present speed, at least 10 m/s. Room
    is how far the car's centre may go before it is off the track.

    ## Dynamics

    A planar double-track model with four wheel loads, Pacejka's tyres, combined slip, drag,
    down-force and rate-limited actuators (`racing_env.car.dynamics`); rear-wheel drive, 1200 kg,
    230 kW. A step is 0.05 s: two Runge-Kutta steps of fourth order.

    ## Rewards

    The sum of the terms below; `info` holds each as `reward_<term>`. Weights are those of
    `racing_env.simulation.simulator.RewardWeights`.

    | Term | Meaning |
    | --- | --- |
    | progress | time that the speed profile takes for what was covered in this step |
    | border | penalty near the border and outside it, quadratic in depth |
    | slip | penalty for slip angles past the tyres' peak |
    | end | penalty, once, when the episode is terminated |

    ## Starting State

    On the racing line at a place drawn uniformly, in its direction, at 40 to 90 % of the profile's
    speed there (drawn uniformly). With several circuits, each is equally likely.

    ## Episode End

    Terminated when the car's centre is less than half a car's width (plus `border_margin_m`) inside
    a border (`off_track`), when it faces backwards (`backwards`), or when it has been slower than
    1 m/s for 3 s (`standing`). Truncated after `time_limit_s` (`time_limit`). A step after the end
    raises `gymnasium.error.ResetNeeded`.

    ## Information

    | Key | Meaning |
    | --- | --- |
    | `track` | name of the circuit |
    | `s_m`, `offset_m` | place along the centre line, offset from it (left positive) |
    | `speed_mps` | speed forward |
    | `time_s`, `distance_m` | since the start; distance along the centre line |
    | `progress` | that distance in laps |
    | `laps` | full laps, from the start's own place round to it |
    | `lap_time_s` | time of the last full lap, 0 before there is one |
    | `end` | empty, or why the episode has ended |
    | `reward_progress`, `reward_border`, `reward_slip`, `reward_end` | terms of the reward |

    ## Arguments

    ```python
    gymnasium.make("racing_env/Race-v0", track="random:0", time_limit_s=200.0)
    ```

    - `track`: what the flag `--track` of the scripts takes (`"random:7"`, a built-in name, a CSV
      file, a folder), a `Track`, a `Circuit`, or a list of those.
    - `vehicle`: another car, a `Vehicle`. Circuits given ready-made must have been prepared for it.
    - `time_limit_s`: simulated seconds after which the episode is truncated.
    - `border_margin_m`: a stricter border, to train with.
    - `render_mode`: `"human"`, `"rgb_array"` or None; rendering needs
      `pip install -r requirements-render.txt`.
    - `camera`: `"follow"` the car, or show the whole `"track"`.

    `reset` takes `options` with

    - `"track"`: as above, for this episode only (one of them at random where it names several);
    - `"start_s"`: place along the centre line, in metres, for a standing start on the racing line.

    ## Version History

    - v0: first version.
    """

    metadata = {  # noqa: RUF012 - as Gymnasium declares it
        "render_modes": ["human", "rgb_array"],
        "render_fps": round(1 / dyn.CONTROL_STEP_S),
    }

    def __init__(
        self,
        track: TrackSource = "random:0",
        vehicle: Vehicle = RACECAR,
        time_limit_s: float = 200.0,
        border_margin_m: float = 0.0,
        render_mode: str | None = None,
        camera: str = "follow",
    ):
        if not isinstance(vehicle, Vehicle):
            raise InputError(f"vehicle {vehicle!r}: a racing_env.car.vehicle.Vehicle is needed")
        if not (_is_number(time_limit_s) and time_limit_s > 0.0):
            raise InputError(f"time_limit_s {time_limit_s!r}: a number of seconds > 0 is needed")
        if not (_is_number(border_margin_m) and border_margin_m >= 0.0):
            raise InputError(f"border_margin_m {border_margin_m!r}: metres >= 0 are needed")
        for name, value, choices in (
            ("render_mode", render_mode, (None, *self.metadata["render_modes"])),
            ("camera", camera, CAMERAS),
        ):
            if value not in choices:
                raise InputError(f"{name} {value!r}: must be one of {choices}")
        self.vehicle = vehicle
        self.time_limit_s = float(time_limit_s)
        self.border_margin_m = float(border_margin_m)
        self.render_mode = render_mode
        self.camera = camera
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = spaces.Box(-obs.LIMIT, obs.LIMIT, (obs.SIZE,), np.float32)
        self._home = self._simulation(track)
        self._guest_sources: list[Any] | None = None  # of the last options["track"]
        self._guest = self._home
        circuits, self.simulator = self._home
        self.circuit = circuits[0]  # of the present episode
        self._placed = self._running = False
        self._view: Any = None
        if render_mode is not None:
            from racing_env.drawing import rendering  # only here: pygame-ce is an extra

            self._moment_of = rendering.moment_of
            self._view = rendering.View(render_mode, camera, self.metadata["render_fps"])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; raises InputError for options that cannot be used."""
        super().reset(seed=seed)
        options = options or {}
        if unknown := sorted(map(str, set(options) - {"track", "start_s"})):
            raise InputError(f"reset option {unknown[0]!r}: is unknown; use 'track' or 'start_s'")
        circuits, simulator = self._simulation_for(options.get("track"))
        index = int(self.np_random.integers(len(circuits)))
        length_m = circuits[index].track.length_m
        start_s = options.get("start_s")
        if start_s is None:
            start_m = self.np_random.uniform(0.0, length_m)
            row = simulator.circuits.first[index] + int(start_m / simulator.circuits.step_m[index])
            profile_mps = simulator.circuits.table[row, bank.LINE_SPEED]
            speed_mps = profile_mps * self.np_random.uniform(*START_SPEED_SHARE)
        elif _is_number(start_s) and 0.0 <= start_s < length_m:
            start_m, speed_mps = float(start_s), 0.0
        else:
            raise InputError(
                f"start_s {start_s!r}: must be a number of metres along the circuit "
                f"{circuits[index].track.name}, from 0 to below {length_m:.1f}"
            )
        self.circuit, self.simulator = circuits[index], simulator
        simulator.place(0, index, start_m, speed_mps=float(speed_mps))
        self._placed = self._running = True
        if self._view is not None:
            self._view.forget_marks()
        if self.render_mode == "human":
            self.render()
        return simulator.observe()[0], self._info("")

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Drive for a control step. Raises ResetNeeded when no episode is under way."""
        if not self._running:
            raise ResetNeeded("no episode is under way; call reset() before step()")
        action = np.asarray(action)
        if action.shape != (2,):
            raise InputError(f"action of shape {action.shape}: two numbers are needed")
        simulator = self.simulator
        observation = np.empty((1, obs.SIZE), dtype=np.float32)
        simulator.step(action[None], observation)
        ended = int(simulator.cars.ended[0])
        terminated = ended != ON_TRACK
        # half a step of tolerance: the clock is a sum of steps
        late = self.time_limit_s - 0.5 * simulator.control_step_s
        truncated = not terminated and bool(simulator.cars.time_s[0] >= late)
        self._running = not (terminated or truncated)
        info = self._info(TIME_LIMIT if truncated else END_NAMES[ended])
        terms = simulator.cars.rewards[0].tolist()
        for name, term in zip(_REWARD_KEYS, terms, strict=True):
            info[name] = term
        if self.render_mode == "human":
            self.render()
        return observation[0], sum(terms), terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """A picture (540, 960, 3) uint8 in mode "rgb_array"; a window in mode "human"."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() was called without a render mode; name one when making the environment, "
                'such as render_mode="rgb_array"'
            )
            return None
        if not self._placed:
            raise ResetNeeded("there is nothing to draw yet; call reset() before render()")
        return self._view.draw(self.circuit, self._moment_of(self.simulator, 0), self.vehicle)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._view is not None:
            self._view.close()

    def _simulation(self, source: TrackSource) -> tuple[list[Circuit], Simulator]:
        circuits = _circuits(source, self.vehicle)
        packed = pack_circuits(circuits, self.vehicle)
        margin = self.border_margin_m
        return circuits, Simulator(packed, 1, self.vehicle, border_margin_m=margin)

    def _simulation_for(self, source: TrackSource | None) -> tuple[list[Circuit], Simulator]:
        """The environment's own circuits, or those of options["track"], of which the last stay."""
        if source is None:
            return self._home
        if (sources := _listed(source)) != self._guest_sources:
            self._guest = self._simulation(source)
            self._guest_sources = sources
        return self._guest

    def _info(self, end: str) -> dict[str, Any]:
        cars, state = self.simulator.cars, self.simulator.state
        track = self.circuit.track
        distance = float(cars.distance_m[0])
        return {
            "track": track.name,
            "s_m": float(cars.station[0] + cars.fraction[0]) * track.step_m,
            "offset_m": float(cars.offset_m[0]),
            "speed_mps": float(state[dyn.VX, 0]),
            "time_s": float(cars.time_s[0]),
            "distance_m": distance,
            "progress": distance / track.length_m,
            "laps": int(cars.laps[0]),
            "lap_time_s": float(cars.lap_time_s[0]),
            "end": end,
        }


_REWARD_KEYS = tuple(f"reward_{name}" for name in REWARD_TERMS)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _listed(source: TrackSource) -> list[Any]:
    return list(source) if isinstance(source, list | tuple) else [source]


def _circuits(source: TrackSource, vehicle: Vehicle) -> list[Circuit]:
    """Circuits ready to drive on, from all that `track` may be."""
    circuits: list[Circuit] = []
    for item in _listed(source):
        if isinstance(item, Circuit):
            circuits.append(item)
        elif isinstance(item, Track):
            circuits.append(prepare_circuit(item, vehicle))
        elif isinstance(item, str | Path):
            tracks = load_tracks([str(item)], vehicle)
            circuits.extend(prepare_circuit(track, vehicle) for track in tracks)
        else:
            raise InputError(
                f"track {item!r}: must be a name, a path, a Track, a Circuit or a list of those"
            )
    if not circuits:
        raise InputError("track []: at least one is needed")
    return circuits
