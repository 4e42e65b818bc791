"""Vector environments of training cars: what all kinds offer, and stable-baselines3's own kinds."""

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from racing_env.common.workers import START_METHOD, worker_context


class CarVecEnv(VecEnv):
    """A vector environment whose environment i is car i of a training run."""

    @abstractmethod
    def pull_back(self, jacobians: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How what has been paid would have changed with the actions of the last steps.

        The cars must have a tape of so many steps. jacobians: (steps, n, 2, size), of the driver's
        actions by what it saw. Returns the gradients (steps, n, 2) of what each step and those
        after it paid, by the step's action, and whether enough of what followed is known to learn
        from it, (steps, n) bool.
        """

    @abstractmethod
    def snapshots(self) -> np.ndarray:
        """All that decides how the cars go on, (n, SNAPSHOT_SIZE) float64, but for the tape.

        What one kind of vector environment gives, another can go on from.
        """

    @abstractmethod
    def restore(self, snapshots: np.ndarray) -> None:
        """Let the cars go on from `snapshots` of as many cars, instead of a reset."""


class _OneByOne(CarVecEnv):
    """What stable-baselines3's own vector environments lack, by the methods of `TrainingEnv`."""

    def pull_back(self, jacobians: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cars = [
            self.env_method("pull_back", jacobians[:, car], indices=car)[0]
            for car in range(self.num_envs)
        ]
        gradients, usable = zip(*cars, strict=True)
        return np.stack(gradients, axis=1), np.stack(usable, axis=1)

    def snapshots(self) -> np.ndarray:
        return np.stack(self.env_method("snapshot"))

    def restore(self, snapshots: np.ndarray) -> None:
        for car, snapshot in enumerate(snapshots):
            self.env_method("restore", snapshot, indices=car)


class DummyCarVecEnv(_OneByOne, DummyVecEnv):
    """SB3's own, of cars in this process."""


class SubprocCarVecEnv(_OneByOne, SubprocVecEnv):
    """SB3's own, that raises ChildProcessError naming a process that died, and always closes."""

    def __init__(self, makers: list[Callable[[], gym.Env]]):
        worker_context("racing_env.learning.training_cars")
        with self._naming_deaths():
            super().__init__(makers, start_method=START_METHOD)

    def reset(self) -> Any:
        with self._naming_deaths():
            return super().reset()

    def step_async(self, actions: np.ndarray) -> None:
        with self._naming_deaths():
            super().step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        with self._naming_deaths():
            return super().step_wait()

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        with self._naming_deaths():
            return super().env_method(method_name, *args, indices=indices, **kwargs)

    def close(self) -> None:
        """SB3's own waits for ever for a process that has answered, or died, before."""
        for process in self.processes:
            process.terminate()
            process.join()
        for remote in self.remotes:
            remote.close()
        self.closed = True

    @contextlib.contextmanager
    def _naming_deaths(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            wait([process.sentinel for process in self.processes], timeout=5.0)
            codes = [process.exitcode for process in self.processes]
            i = next((i for i, code in enumerate(codes) if code is not None), 0)
            death = death_of(i, self.processes[i])
            self.close()
            raise death from None


def death_of(i: int, process: Any) -> ChildProcessError:
    return ChildProcessError(
        f"environment process {i} ({process.name}) has died, exit code {process.exitcode}"
    )
