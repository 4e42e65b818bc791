"""What reinforcement learning will need, made while the stages before it are at work.

    python -m racing_env.learning.ahead --vehicle racecar --track random:1:300 random:500:160

A driver's clone keeps one core busy at a time, and so does the compiler. Circuits and compiled
kernels go to the caches, where who needs them finds them; who comes too early makes his own. What
is compiled by then is printed, a line each: `driving`, which clones are judged by, and `learning`.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from racing_env.car.dynamics import new_scratch
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.command_line import run
from racing_env.drivers.policy import ACTION_SIZE
from racing_env.learning.rollouts import RolloutCars
from racing_env.learning.shared_block import new_block
from racing_env.learning.training_cars import RolloutSettings, TrainingSettings
from racing_env.simulation.motion import move
from racing_env.simulation.task import Task, training_task
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.circuit import prepare_circuit
from racing_env.tracks.sources import TrackMaker, track_makers

# The kernels are the same for any numbers.
ONE_STEP = RolloutSettings(
    steps=1, lookahead_steps=1, discount=1.0, action_gradient_limit=1.0, noise=(0.0, 0.0), hidden=1
)


def training_cars(circuits: CircuitBank, task: Task) -> RolloutCars:
    """A car that is to drive whole rollouts. What it compiles serves drivers who adapt, too."""
    settings = TrainingSettings(task, 0, ONE_STEP)
    block = new_block(1, task.observation_layout().size, 1, settings.parameters)
    cars = RolloutCars(circuits, block, 0, settings)
    cars.reset()
    return cars


def compile_motion(cars: RolloutCars) -> None:
    """Have the kernel compiled that moves cars, which is a part of others."""
    simulator, numbers = cars.simulator, cars.numbers
    move(
        simulator.state, np.zeros((1, ACTION_SIZE)), simulator.cars, simulator.circuits,
        numbers.weights, numbers.dt_s, numbers.run_off_m, new_scratch(),
    )  # fmt: skip


# In this order each has what those before have compiled from the disk.
PARTS: dict[str, Callable[[RolloutCars], None]] = {
    "observing": lambda cars: None,  # compiled by now
    "motion": compile_motion,
    "driving": RolloutCars.drive,
    "learning": RolloutCars.rollout,
}


def compile_part(name: str, maker: TrackMaker, vehicle: Vehicle) -> None:
    circuits = pack_circuits([prepare_circuit(maker.make(), vehicle)])
    PARTS[name](training_cars(circuits, training_task(vehicle)))
    print(name, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--vehicle", required=True, help="the car: a shipped one by its name, or a file")
    flag("--track", nargs="+", required=True, help="circuits, as train_rl.py has them")
    args = parser.parse_args()
    vehicle = read_vehicle(args.vehicle)
    makers = track_makers(args.track, vehicle)
    fork = multiprocessing.get_context("fork")
    for name in PARTS:
        # The compiler gives back what it has taken when its process ends.
        part = fork.Process(target=run, args=(partial(compile_part, name, makers[-1], vehicle),))
        part.start()
        part.join()
        if part.exitcode:  # it has said why
            sys.exit(part.exitcode)
    for maker in reversed(makers):  # the other stages begin with the first
        prepare_circuit(maker.make(), vehicle)


if __name__ == "__main__":
    run(main)
