"""The single-car Gymnasium environment: one car of the simulator."""

import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from racing_env.car import dynamics as dyn
from racing_env.car.conditions import NOMINAL, draw_conditions
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.errors import InputError
from racing_env.environment_input import (
    TrackSource,
    checked_conditions,
    circuits_from,
    is_number,
    listed,
)
from racing_env.simulation.layouts import DEFAULT, layout_named
from racing_env.simulation.motion import END_NAMES, ON_TRACK
from racing_env.simulation.rewards import REWARD_TERMS, TERMS, RewardWeights
from racing_env.simulation.sensors import CHANNELS
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.starts import Start, draw_start
from racing_env.simulation.task import CONTROL_STEP_S, Task, practice_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit

CAMERAS = ("follow", "track")
TIME_LIMIT = "time_limit"


class RaceEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """
    ## Description

    A race car is alone on a closed circuit and has to get round it as fast as it can. It
    sees its own state, the racing line with the speed profile that goes with it, and the borders a
    few seconds ahead. It is `racing_env.simulation.simulator.Simulator` with one car.

    ## Action Space

    `Box(-1, 1, (2,), float32)`. Actions outside are clipped; one that is not finite raises
    `racing_env.common.errors.InputError`.

    | Num | Action | Min | Max |
    | --- | --- | --- | --- |
    | 0 | Steering target, share of full lock | -1 (right) | 1 (left) |
    | 1 | Pedals, share of the car's largest force | -1 (brake) | 1 (drive) |

    ## Observation Space

    `Box(low, high, (76,), float32)`, by default of the layout `line-preview-1`. Every number is a
    quantity, named with its unit, over its scale, then clipped to Min and Max. The scale is that of
    the reference car; another car's is the scale times the named field of
    `racing_env.car.scales.Scales` or of `Vehicle`. Lateral quantities are positive to the left.

    {observations}

    Points ahead lie on the racing line where the car would be after the time in their name at its
    present speed, at least 10 m/s (of the reference car, as the times; another's are scaled). Room
    is how far the car's centre may go before it is off the track.

    ## Dynamics

    A planar double-track model with four wheel loads, Pacejka's tyres, combined slip, drag,
    down-force and rate-limited actuators (`racing_env.car.dynamics`), with the numbers of the car.
    A step is 0.05 s with the reference car, in two Runge-Kutta steps of fourth order.

    ## Rewards

    The sum of the terms below; `info` holds each as `reward_<term>`. Weights are those of the task:
    a second of the profile's time pays {second}.

    {rewards}

    ## Starting State

    On the racing line at a place drawn uniformly, in its direction, at 40 to 90 % of the profile's
    speed there (drawn uniformly). With several circuits, each is equally likely.

    ## Episode End

    Terminated when the car's centre is less than half a car's width inside a border (`off_track`),
    when it faces backwards (`backwards`), or when it has stood for 3 s (`standing`; slower than
    1 m/s, both of the reference car). Truncated after the task's time limit (`time_limit`). A step
    after the end raises `gymnasium.error.ResetNeeded`.

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
    | `reward_<term>` | the terms of the reward |
    | `conditions` | the episode's, by name; only where they are not nominal |

    ## Arguments

    ```python
    gymnasium.make("racing_env/Race-v0", track="random:0", time_limit_s=200.0)
    ```

    - `track`: what the flag `--track` of the scripts takes (`"random:7"`, a built-in name, a
      file, a folder), a `Track`, a `Circuit`, or a list of those.
    - `vehicle`: what the flag `--vehicle` takes (a name such as `"racecar"`, a file), or a
      `Vehicle`. Circuits given ready-made must have been prepared for it.
    - `task`: a `racing_env.simulation.task.Task`: starts, observation layout, weights of the
      reward, border, time limit, and the ranges of the conditions of which each episode draws its
      own (`on_any_road` of that module has all of a road). By default `practice_task(vehicle)`,
      which is nominal.
    - `time_limit_s`: simulated seconds after which the episode is truncated, not the task's.
    - `render_mode`: `"human"`, `"rgb_array"` or None; rendering needs
      `pip install -r requirements-render.txt`.
    - `camera`: `"follow"` the car, or show the whole `"track"`.

    `reset` takes `options` with

    - `"track"`: as above, for this episode only (one of them at random where it names several);
    - `"start_s"`: place along the centre line, in metres, for a standing start on the racing line;
    - `"conditions"`: how car, road, delay and sensors differ from nominal in this episode, which no
      observation tells: a `racing_env.car.conditions.Conditions` or a dictionary of some of its
      fields.

    ## Version History

    - v0: first version.
    """

    metadata = {  # noqa: RUF012 - as Gymnasium declares it
        "render_modes": ["human", "rgb_array"],
        "render_fps": round(1 / CONTROL_STEP_S),  # of the reference car
    }

    def __init__(
        self,
        track: TrackSource = "random:0",
        *,
        vehicle: str | Path | Vehicle,
        task: Task | None = None,
        time_limit_s: float | None = None,
        render_mode: str | None = None,
        camera: str = "follow",
    ):
        if not isinstance(vehicle, str | Path | Vehicle):
            raise InputError(f"vehicle {vehicle!r}: must be a name, a path, or a Vehicle")
        if not (time_limit_s is None or (is_number(time_limit_s) and time_limit_s > 0.0)):
            raise InputError(f"time_limit_s {time_limit_s!r}: a number of seconds > 0 is needed")
        for name, value, choices in (
            ("render_mode", render_mode, (None, *self.metadata["render_modes"])),
            ("camera", camera, CAMERAS),
        ):
            if value not in choices:
                raise InputError(f"{name} {value!r}: must be one of {choices}")
        self.vehicle = vehicle if isinstance(vehicle, Vehicle) else read_vehicle(vehicle)
        self.task = task or practice_task(self.vehicle)
        if self.task.vehicle != self.vehicle:
            raise InputError(
                "task: was made for another car; make it for the environment's vehicle"
            )
        if time_limit_s is not None:
            self.task = self.task._replace(time_limit_s=float(time_limit_s))
        limit_s = self.task.time_limit_s
        self._limit_s = math.inf if limit_s is None else limit_s
        self.metadata = self.metadata | {"render_fps": round(1 / self.task.control_step_s)}
        self.render_mode = render_mode
        self.camera = camera
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._home = self._simulation(track)
        low, high = self._home[1].layout.bounds()
        self.observation_space = spaces.Box(low, high, dtype=np.float32)
        self._guest_sources: list[Any] | None = None  # of the last options["track"]
        self._guest = self._home
        circuits, self.simulator = self._home
        self.circuit, self.conditions = circuits[0], NOMINAL  # of the present episode
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
        if unknown := sorted(map(str, set(options) - {"track", "start_s", "conditions"})):
            raise InputError(
                f"reset option {unknown[0]!r}: is unknown; use 'track', 'start_s' or 'conditions'"
            )
        conditions = None
        if (given := options.get("conditions")) is not None:
            conditions = checked_conditions(given, self.vehicle)
        circuits, simulator = self._simulation_for(options.get("track"))
        index = int(self.np_random.integers(len(circuits)))
        length_m = circuits[index].track.length_m
        start_s = options.get("start_s")
        if start_s is None:
            start = draw_start(self.task.starts, simulator.circuits, index, self.np_random)
        elif is_number(start_s) and 0.0 <= start_s < length_m:
            start = Start(float(start_s))
        else:
            raise InputError(
                f"start_s {start_s!r}: must be a number of metres along the circuit "
                f"{circuits[index].track.name}, from 0 to below {length_m:.1f}"
            )
        self.circuit, self.simulator = circuits[index], simulator
        if conditions is None:
            conditions = draw_conditions(self.task.conditions, self.np_random)
        self.conditions = conditions
        simulator.place(0, index, *start, conditions=conditions)
        self._draw_noise()
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
        observation = np.empty((1, simulator.layout.size), dtype=np.float32)
        self._draw_noise()
        simulator.step(action[None], observation)
        ended = int(simulator.cars.ended[0])
        terminated = ended != ON_TRACK
        # half a step of tolerance: the clock is a sum of steps
        late = self._limit_s - 0.5 * self.task.control_step_s
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
        return self._view.draw(self.circuit, self._moment_of(self.simulator, 0))

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._view is not None:
            self._view.close()

    def _simulation(self, source: TrackSource) -> tuple[list[Circuit], Simulator]:
        circuits = circuits_from(source, self.vehicle)
        return circuits, Simulator(pack_circuits(circuits), 1, self.task)

    def _simulation_for(self, source: TrackSource | None) -> tuple[list[Circuit], Simulator]:
        """The environment's own circuits, or those of options["track"], of which the last stay."""
        if source is None:
            return self._home
        if (sources := listed(source)) != self._guest_sources:
            self._guest = self._simulation(source)
            self._guest_sources = sources
        return self._guest

    def _draw_noise(self) -> None:
        """Draw the sensors' errors for what is seen next."""
        if self.conditions.noise:
            self.simulator.noise[0] = self.np_random.standard_normal(CHANNELS)

    def _info(self, end: str) -> dict[str, Any]:
        cars, state = self.simulator.cars, self.simulator.state
        track = self.circuit.track
        distance = float(cars.distance_m[0])
        info = {
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
        if self.conditions != NOMINAL:
            info["conditions"] = self.conditions._asdict()
        return info


def _indented(table: str) -> str:
    return table.replace("\n", "\n    ")


_REWARDS = "\n".join(
    [
        "| Term | Meaning |",
        "| --- | --- |",
        *(f"| {name} | {text} |" for name, text in TERMS.items()),
    ]
)
if RaceEnv.__doc__:  # none with python -OO
    RaceEnv.__doc__ = RaceEnv.__doc__.format(
        observations=_indented(layout_named(DEFAULT, "RaceEnv").documentation()),
        rewards=_indented(_REWARDS),
        second=RewardWeights().progress_per_s,
    )
_REWARD_KEYS = tuple(f"reward_{name}" for name in REWARD_TERMS)
