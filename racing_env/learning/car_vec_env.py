"""Vector environments of training cars: what all kinds offer, and stable-baselines3's own kinds."""

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from racing_env.common.workers import START_METHOD, worker_context
from racing_env.learning.shared_block import EPISODES_KEPT, Block, episode_info
from racing_env.learning.training_cars import TrainingSettings


class Rollout(NamedTuple):
    """What a rollout of all cars gives their learner."""

    gradient: np.ndarray  # (parameters,) float32: of all that was paid, summed over cars and steps
    usable: int  # steps that were learnt from
    loss: float  # of the guesses of drivers who adapt, summed over cars and steps
    sizes: np.ndarray  # (2,): sums of the absolute gradients by steering and by pedals
    infos: list[dict[str, Any]]  # an "episode" for each that has ended, as SB3's Monitor has it


class CarVecEnv(VecEnv):
    """A vector environment whose environment i is car i of a training run.

    settings: what the cars are told.
    """

    settings: TrainingSettings

    def rollout(self, parameters: np.ndarray, number: int) -> Rollout:
        """Let all cars drive a rollout by a network with these parameters, and pull it back.

        The settings of the cars must have rollouts. number: names the streams of their noise.
        """
        blocks = self._rollouts(parameters, number)
        infos = [info for block in blocks for info in _ended(block)]
        gradient = np.zeros_like(parameters)
        for block in blocks:
            for sums in block.gradients:  # of the groups, in the order of the cars
                gradient += sums
        return Rollout(
            gradient=gradient,
            usable=int(sum(block.usable.sum() for block in blocks)),
            loss=float(sum(block.losses.sum() for block in blocks)),
            sizes=np.concatenate([block.sizes for block in blocks]).sum(axis=0),
            infos=infos,
        )

    @abstractmethod
    def _rollouts(self, parameters: np.ndarray, number: int) -> Sequence[Block]:
        """The blocks of all cars, in order, after the rollout."""

    @property
    @abstractmethod
    def observations(self) -> np.ndarray:
        """What the cars see now, (n, size) float32, after a rollout."""

    @abstractmethod
    def snapshots(self) -> np.ndarray:
        """All that decides how the cars go on, (n, SNAPSHOT_SIZE) float64.

        What one kind of vector environment gives, another can go on from.
        """

    @abstractmethod
    def restore(self, snapshots: np.ndarray) -> None:
        """Let the cars go on from `snapshots` of as many cars, instead of a reset."""


def _ended(block: Block) -> Iterator[dict[str, Any]]:
    for car, ended in enumerate(block.ended.tolist()):
        for slot in range(min(ended, EPISODES_KEPT)):
            returns, length = block.ended_returns[car, slot], block.ended_lengths[car, slot]
            yield {"episode": episode_info(returns, length)}


class _OneByOne(CarVecEnv):
    """What stable-baselines3's own vector environments lack, by the methods of `TrainingEnv`."""

    def _rollouts(self, parameters: np.ndarray, number: int) -> Sequence[Block]:
        return self.env_method("rollout", parameters, number)

    @property
    def observations(self) -> np.ndarray:
        return np.stack(self.env_method("observation"))

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
        worker_context("racing_env.learning.training_env")
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
