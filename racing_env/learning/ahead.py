"""What reinforcement learning will need, made while the stages before it are at work.

    python -m racing_env.learning.ahead --vehicle racecar --track random:1:300 random:500:160

A driver's clone keeps one core busy at a time, and so does the compiler. Circuits and compiled
kernels go to the caches, where who needs them finds them; who comes too early makes his own. What
is compiled by then is printed, a line each: `nominal`, `road`.
"""

import argparse

from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.allocator import return_freed_memory
from racing_env.common.command_line import run
from racing_env.learning.rollouts import RolloutCars
from racing_env.learning.shared_block import new_block
from racing_env.learning.training_cars import RolloutSettings, TrainingSettings
from racing_env.simulation.task import Task, on_any_road, training_task
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.circuit import prepare_circuit
from racing_env.tracks.sources import track_makers

# The kernels are the same for any numbers.
ONE_STEP = RolloutSettings(
    steps=1, lookahead_steps=1, discount=1.0, action_gradient_limit=1.0, noise=(0.0, 0.0), hidden=1
)


def compile_rollouts(circuits: CircuitBank, task: Task, adapts: bool) -> None:
    """Have the kernels compiled that drive whole rollouts and pull their gradient back."""
    settings = TrainingSettings(task, 0, ONE_STEP._replace(adapts=adapts))
    size = task.observation_layout().size
    cars = RolloutCars(circuits, new_block(1, size, 1, settings.parameters), 0, settings)
    cars.reset()
    cars.rollout()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--vehicle", required=True, help="the car: a shipped one by its name, or a file")
    flag("--track", nargs="+", required=True, help="circuits, as train_rl.py has them")
    flag("--conditions", choices=("nominal", "road"), default="nominal",
         help="road: for drivers who adapt, too (nominal)")  # fmt: skip
    args = parser.parse_args()
    vehicle = read_vehicle(args.vehicle)
    makers = track_makers(args.track, vehicle)
    circuits = pack_circuits([prepare_circuit(makers[-1].make(), vehicle)])
    task = training_task(vehicle)
    compile_rollouts(circuits, task, adapts=False)
    print("nominal", flush=True)
    return_freed_memory()  # the compiler's
    for maker in reversed(makers):  # the other stages begin with the first
        prepare_circuit(maker.make(), vehicle)
    if args.conditions == "road":
        compile_rollouts(circuits, on_any_road(task), adapts=True)
        print("road", flush=True)


if __name__ == "__main__":
    run(main)
