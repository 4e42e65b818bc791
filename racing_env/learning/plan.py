"""What a reinforcement learning is asked for: who learns, by which algorithm, and for what.

Made before any circuit is loaded, so that what cannot work is said at once.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from racing_env.car.vehicle import Vehicle
from racing_env.common.content import file_digest, refuse_difference
from racing_env.common.errors import InputError
from racing_env.data.dataset import read_dataset
from racing_env.drivers.policy import Policy, load_policy
from racing_env.learning import algorithms
from racing_env.learning.adapting import adapting
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import most_processes
from racing_env.simulation.task import Task, on_any_road, specialist_task, training_task

# of a training beside the usual one: the name of an algorithm's numbers for it, and what it is
PURPOSES = {"PRACTICE": "practice on one circuit", "ROAD": "drivers who adapt to conditions"}
CHECKPOINT_VERSION = 10


class Plan(NamedTuple):
    """A training as its flags have it, with the defaults of its algorithm."""

    algorithm: algorithms.Algorithm
    numbers: Any  # of the algorithm for the purpose, with those that the flags give
    clone: Policy  # who learns
    task: Task
    settings: TrainingSettings
    decides: Mapping[str, Any]  # flags; how the cars are shared out to processes is not among them
    same: Mapping[str, Any]  # what a checkpoint must have been made with, but for the circuits


def plan_training(args: argparse.Namespace) -> Plan:
    """Read the policy, and check the demonstrations, that the flags of train_rl.py name.

    Raises InputError for flags that do not go together, and for a file that cannot be used.
    """
    algorithm = algorithms.load(args.algo)
    if args.data and not algorithm.USES_DEMONSTRATIONS:
        raise InputError(f"--data {args.data}: --algo {args.algo} does not use demonstrations")
    clone = load_policy(args.policy)
    purpose = purpose_of(args, clone.adapts)
    numbers = _numbers_for(algorithm, purpose, args)
    decides = {"algo": args.algo, "seed": args.seed, "track": args.track,
               "judge_on": args.judge_on, "cars": numbers.cars, "timesteps": numbers.timesteps,
               "learning_rate": numbers.learning_rate_first,
               "policy": args.policy, "data": args.data,
               "practice": args.practice, "conditions": args.conditions}  # fmt: skip
    record = {"made_by": "train_rl.py", "seed": str(args.seed), "flags": json.dumps(decides)}
    clone = replace(clone, record=record)
    task = (specialist_task if args.practice else training_task)(clone.vehicle, clone.layout.name)
    if purpose == "ROAD":
        clone = clone if clone.adapts else adapting(clone, args.seed)
        task = on_any_road(task)
    settings = algorithm.training_settings(task, args.seed, clone, numbers)
    most = most_processes(numbers.cars, settings)
    if args.vec_env == "batch" and args.envs >= most:
        raise InputError(
            f"--envs {args.envs}: {numbers.cars} cars give work to {most} processes, the learner "
            "among them"
        )
    same = {
        "vehicle": clone.vehicle._asdict(),
        "task": task.record(),
        "checkpoint_version": CHECKPOINT_VERSION,
        "algo": args.algo,
        "learning_rate": numbers.learning_rate_first,
        "seed": args.seed,
        "policy": file_digest(args.policy),
        "data": _digest_of_demonstrations(args.data, clone.vehicle, task) if args.data else None,
    }
    return Plan(algorithm, numbers, clone, task, settings, decides, same)


def purpose_of(args: argparse.Namespace, adapts: bool) -> str:
    """Which of an algorithm's numbers a training needs; adapts: whether the driver does already.

    Raises InputError for a contradiction.
    """
    if args.practice:
        return "PRACTICE"
    if adapts and args.conditions == "nominal":
        raise InputError(
            f"--conditions nominal: the driver {args.policy} adapts, and would forget how"
        )
    return "ROAD" if adapts or args.conditions == "road" else "NUMBERS"


def _numbers_for(algorithm: algorithms.Algorithm, purpose: str, args: argparse.Namespace) -> Any:
    numbers = getattr(algorithm, purpose)
    if numbers is None:
        raise InputError(f"--algo {args.algo}: does not serve for {PURPOSES[purpose]}; use apg")
    cars = (args.cars or numbers.cars) if args.vec_env == "batch" else args.envs
    numbers = numbers._replace(timesteps=args.timesteps or numbers.timesteps, cars=cars)
    return algorithms.with_learning_rate(numbers, args.learning_rate)


def _digest_of_demonstrations(folder: str, vehicle: Vehicle, task: Task) -> str:
    """Raises InputError for demonstrations that a training of this task could not learn from."""
    data = read_dataset(folder)
    data.verify_checksums()
    found = _paid_and_seen(data.vehicle, data.task_record)
    wanted = _paid_and_seen(vehicle, task.record())
    refuse_difference(folder, found, wanted, "collect it again")
    return data.digest()


def _paid_and_seen(vehicle: Vehicle, task: Mapping[str, Any]) -> dict[str, Any]:
    """What demonstrations must have in common with a training that learns from them."""
    return {
        "vehicle": vehicle._asdict(),
        "layout": task["layout"],
        "weights": task.get("weights"),
    }
