"""Cars of a model that others wrote, moved as they are told. Started by foreign_cars.py.

    python -m benchmarks.foreign_peer

Needs nothing but the model's package, so that it runs in a virtual environment of its own. Lines of
JSON in and out: first the model, changes of its parameters, its step (s), and by the car's number
x, y, yaw angle, velocity along and across, yaw rate and steering angle to start from; then, as long
as there are lines, the inputs of each car that goes on, steering velocity (rad/s) and acceleration
(m/s2) for each step. Each is answered with the cars' states after it, the same seven numbers.
"""

import json
import math
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LOST = [math.nan] * 7


class Model(NamedTuple):
    """A car of theirs: (x, y, steering, speed, yaw, yaw rate, slip) is how they all start."""

    start: Callable[[list[float]], Any]
    rates: Callable[[Any, list[float]], Any]  # time derivatives of the state
    seen: Callable[[Any], list[float]]  # the seven numbers


def gymkhana(name: str, changes: dict[str, float]) -> Model:
    from gymkhana.envs.dynamic_models import DynamicModel  # type: ignore[import-not-found]
    from gymkhana.envs.gymkhana_env import GKEnv  # type: ignore[import-not-found]

    model = DynamicModel.from_string(name)
    params = GKEnv.f1tenth_vehicle_params()
    if name == "std":
        params = GKEnv.f1tenth_std_vehicle_params()
    params |= changes
    standard = model.get_standardized_state_fn()
    keys = ("x", "y", "yaw", "v_x", "v_y", "yaw_rate", "delta")

    def start(core: list[float]) -> Any:
        # only its drift model takes a state; of the plain one these seven are the state
        return model.get_initial_state(state=core, params=params) if name == "std" else core

    def seen(state: Any) -> list[float]:
        found = standard(state)
        return [found[key] for key in keys]

    return Model(start, lambda x, u: model.f_dynamics(x, np.array(u), params), seen)


def commonroad(name: str, changes: dict[str, float]) -> Model:
    from vehiclemodels.init_mb import init_mb  # type: ignore[import-not-found]
    from vehiclemodels.parameters_vehicle2 import (  # type: ignore[import-not-found]
        parameters_vehicle2,
    )
    from vehiclemodels.vehicle_dynamics_mb import (  # type: ignore[import-not-found]
        vehicle_dynamics_mb,
    )

    parameters = parameters_vehicle2()
    for key, value in changes.items():
        setattr(parameters, key, value)
    order = (0, 1, 4, 3, 10, 5, 2)
    return Model(
        lambda core: init_mb(core, parameters),
        lambda x, u: vehicle_dynamics_mb(x.tolist(), u, parameters),
        lambda state: [state[i] for i in order],
    )


MODELS = {"st": gymkhana, "std": gymkhana, "mb": commonroad}


def started(motion: list[float], model: Model) -> np.ndarray:
    x, y, yaw, along, across, yaw_rate, steering = motion
    slip = math.atan2(across, along)
    core = [x, y, steering, math.hypot(along, across), yaw, yaw_rate, slip]
    return np.array(model.start(core), dtype=float)


def stepped(state: np.ndarray, inputs: list[float], model: Model, step_s: float) -> np.ndarray:
    """A step of Runge-Kutta of fourth order, as both packages drive their own models."""

    def rates(at: np.ndarray) -> np.ndarray:
        return np.asarray(model.rates(at, inputs))

    k1 = rates(state)
    k2 = rates(state + 0.5 * step_s * k1)
    k3 = rates(state + 0.5 * step_s * k2)
    k4 = rates(state + step_s * k3)
    return state + step_s / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)


def main() -> None:
    warnings.simplefilter("ignore")  # a car that spins divides by zero before it is given up
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a package prints is no answer
    job = json.loads(sys.stdin.readline())
    model = MODELS[job["model"]](job["model"], job["changes"])
    cars = {name: started(motion, model) for name, motion in job["cars"].items()}
    answer: dict[str, list[float]] = {}
    for line in sys.stdin:
        answer.clear()
        for name, steps in json.loads(line).items():
            try:
                for inputs in steps:
                    cars[name] = stepped(cars[name], inputs, model, job["step_s"])
                answer[name] = [float(value) for value in model.seen(cars[name])]
            except (ArithmeticError, ValueError):  # beyond what its functions are defined for
                answer[name] = LOST
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
