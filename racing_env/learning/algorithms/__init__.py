"""The algorithms of `train_rl.py`, one file each: `NAME.py` here is `--algo NAME`.

An algorithm's file has all that is its own: its numbers in one record, a model of
stable-baselines3, and the functions of `Algorithm`, by which the script uses any of them. Nothing
else needs to know its name.
"""

import ast
import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:  # they take seconds to load, which --help need not wait for
    import torch
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecEnv

    from racing_env.drivers.policy import Policy
    from racing_env.learning.training_cars import TrainingSettings
    from racing_env.simulation.task import Task


class Algorithm(Protocol):
    """What a module here must have.

    NUMBERS: a named tuple of hyper-parameters, plain numbers, which are logged by their names. Of
    every algorithm there are `timesteps` (transitions) and `cars`, the defaults of the flags;
    `judge_every` (transitions); `learning_rate_first` and `learning_rate_last`; and
    `average_decay`, a rollout, of the moving average of the driver's weights that is judged and
    kept.
    ROAD: the same for drivers who learn to adapt, PRACTICE for practice on one circuit;
    `training_settings` and `make_model` are given them. None where the algorithm does not serve.
    USES_DEMONSTRATIONS: whether --data means something to it.
    """

    NUMBERS: Any
    ROAD: Any
    PRACTICE: Any
    USES_DEMONSTRATIONS: bool

    def training_settings(
        self, task: "Task", seed: int, driver: "Policy | None" = None, numbers: Any = None
    ) -> "TrainingSettings":
        """What the training cars are told; driver: who is to learn, where he adapts.

        numbers: in place of NUMBERS, here and in the next.
        """

    def make_model(
        self,
        env: "VecEnv",
        timesteps: int,
        seed: int,
        device: "torch.device",
        demonstrations: str | None = None,
        numbers: Any = None,
    ) -> "BaseAlgorithm":
        """A fresh model, to learn from so many transitions; demonstrations: a data set's folder."""

    def start_from(self, model: "BaseAlgorithm", policy: "Policy") -> None:
        """Make a fresh model's deterministic actions those of a policy.

        Raises ValueError if the policy's layers have other sizes than the model's.
        """

    def driver_of(self, model: "BaseAlgorithm", like: "Policy") -> "Policy":
        """A copy of what the model would let drive, without its noise.

        Car, layout and record are those of another policy.
        """

    def callbacks(self, model: "BaseAlgorithm") -> "list[BaseCallback]":
        """What is to happen around the model's learning, beside judging and logs."""


def with_learning_rate(numbers: Any, first: float | None) -> Any:
    """An algorithm's numbers with another learning rate at first, which falls in proportion."""
    if first is None:
        return numbers
    last = numbers.learning_rate_last * (first / numbers.learning_rate_first)
    return numbers._replace(learning_rate_first=first, learning_rate_last=last)


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Algorithm:
    return cast(Algorithm, importlib.import_module(f"{__name__}.{name}"))


def summary(name: str) -> str:
    """The first line of an algorithm's file, which is not loaded for it."""
    return (ast.get_docstring(_source(name)) or name).partition(".\n")[0]


def written_number(name: str, field: str, purpose: str = "NUMBERS") -> Any:
    """A field of an algorithm's numbers for a purpose, from its file, which is not loaded."""
    source = _source(name)
    for node in ast.walk(source):
        match node:
            case ast.Assign([ast.Name(id)], ast.Call(keywords=given)) if id == purpose:
                for keyword in given:
                    if keyword.arg == field:
                        return ast.literal_eval(keyword.value)
    for node in ast.walk(source):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == field and node.value:
            return ast.literal_eval(node.value)
    raise LookupError(f"{name}.py: no number {field}")


def _source(name: str) -> ast.Module:
    return ast.parse(Path(__path__[0], f"{name}.py").read_text(encoding="utf-8"))
