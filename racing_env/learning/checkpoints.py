"""What --resume needs of reinforcement learning: copied between two rollouts, saved whole.

A run that goes on from a checkpoint does what it would have done without the stop, to the last bit
on the same machine's CPU: the cars, the random numbers and the learner are as they were.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from racing_env.common.errors import InputError
from racing_env.learning.checkpoint_file import save_checkpoint
from racing_env.learning.judging import JudgeDrivers
from racing_env.learning.sac_parts import PersistentNoise

# of a replay buffer of stable-baselines3
REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class Checkpoints(BaseCallback):
    """All that --resume needs in one file, every `every` transitions and when the run stops.

    A run may be stopped within a rollout or an update, so what is saved is always a copy made
    before the rollout. It has tensors, numbers and strings only, and is read by torch's loader that
    executes nothing. In a list of callbacks it comes behind the judge, who refuses spoilt weights:
    so a copy is never spoilt.
    """

    def __init__(self, path: Path, every: int, judge: JudgeDrivers, settings: dict[str, Any]):
        super().__init__()
        self.path, self.every, self.judge, self.settings = path, every, judge, settings
        self.state: dict[str, Any] | None = None
        self.last = 0  # transitions at the last save

    def _on_training_start(self) -> None:
        self.last = self.num_timesteps

    def _on_rollout_start(self) -> None:
        self.state = self._present_state()
        if self.num_timesteps - self.last >= self.every:
            self.save()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.state = self._present_state()

    def _present_state(self) -> dict[str, Any]:
        model, judge = self.model, self.judge
        env: Any = model.env
        assert isinstance(model._last_obs, np.ndarray)
        state = {
            "settings": self.settings,
            "timesteps": model.num_timesteps,
            "parameters": copied(model.get_parameters()),
            "average": [torch.from_numpy(array.copy()) for array in judge.average.arrays],
            "averaged": judge.averaged,
            "curve": list(judge.curve),
            "racer": racer_state(judge),
            "wall_s": judge.wall_s,
            "cars": torch.from_numpy(env.snapshots()),
            "observations": torch.from_numpy(model._last_obs.copy()),
            "episode_starts": torch.from_numpy(np.array(model._last_episode_starts)),
            "random": random_state(model.device),
        }
        if isinstance(model, OffPolicyAlgorithm) and model.replay_buffer is not None:
            state["replay"] = buffer_state(model.replay_buffer)
            if isinstance(model.action_noise, PersistentNoise):
                state["noise"] = torch.from_numpy(model.action_noise.state)
        return state

    def save(self) -> None:
        """Save the last copy; nothing before the first rollout."""
        if self.state is not None:
            save_checkpoint(self.path, self.state)
            self.last = self.state["timesteps"]


def restore(model: BaseAlgorithm, judge: JudgeDrivers, state: Mapping[str, Any]) -> None:
    """Give a fresh model, its cars and its judge what `Checkpoints` kept of earlier ones.

    With another number of cars these start anew, unless there is a replay buffer, whose shape
    depends on it. Raises InputError then, or if something is missing.
    """
    cars = len(state.get("cars", ()))
    if "replay" in state and cars != model.n_envs:
        raise InputError(
            f"{judge.out}: was trained with {cars} cars, asked for are {model.n_envs}; its replay "
            "buffer needs the same number; use it or another --out"
        )
    try:
        model.set_parameters(state["parameters"], device=model.device)
        model.num_timesteps = state["timesteps"]
        for mean, value in zip(judge.average.arrays, state["average"], strict=True):
            mean[...] = value.cpu().numpy()
        judge.averaged, judge.curve = state["averaged"], state["curve"]
        judge.earlier_s = state["wall_s"]
        for timesteps, arrays in state["racer"]:
            judge.begin(timesteps, [value.cpu().numpy() for value in arrays])
        if isinstance(model, OffPolicyAlgorithm) and model.replay_buffer is not None:
            restore_buffer(model.replay_buffer, state["replay"])
            if isinstance(model.action_noise, PersistentNoise):
                model.action_noise.state = state["noise"].cpu().numpy()
        if len(state["cars"]) == model.n_envs:
            env: Any = model.env
            env.restore(state["cars"].cpu().numpy())
            model._last_obs = state["observations"].cpu().numpy()  # so that SB3 resets no car
            model._last_episode_starts = state["episode_starts"].cpu().numpy()
        set_random_state(state["random"], model.device)
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"{judge.out}: its checkpoint does not fit this program ({error!r:.200}); "
            "use another --out"
        ) from None


def racer_state(judge: JudgeDrivers) -> list[Any]:
    """What a judge begins anew: the driver who is being judged, if there is one."""
    if judge.racer is None:
        return []
    return [(judge.racer.timesteps, [torch.from_numpy(array) for array in judge.racer.arrays])]


def buffer_state(buffer: ReplayBuffer) -> dict[str, Any]:
    """What a buffer holds, and where it goes on: tensors, numbers and strings only.

    The tensors are views: what is added later shows in those rows that are overwritten next.
    """
    size = buffer.size()
    state: dict[str, Any] = {
        name: torch.from_numpy(getattr(buffer, name)[:size]) for name in REPLAY_ARRAYS
    }
    state["pos"] = buffer.pos
    return state


def restore_buffer(buffer: ReplayBuffer, state: Mapping[str, Any]) -> None:
    """Fill a fresh buffer with what `buffer_state` had; one of another size with the newest.

    Raises ValueError if it was of another number of cars.
    """
    rows = len(state["rewards"])
    size = min(rows, buffer.buffer_size)
    for name in REPLAY_ARRAYS:
        values = state[name].cpu().numpy()
        if rows != buffer.buffer_size:
            values = np.roll(values, -state["pos"], axis=0)[rows - size :]  # the oldest first
        getattr(buffer, name)[:size] = values
    buffer.full = size == buffer.buffer_size
    buffer.pos = state["pos"] if rows == buffer.buffer_size else size % buffer.buffer_size


def copied(value: Any) -> Any:
    """A nest of dictionaries and lists with copies of the tensors in it.

    copy.deepcopy takes eight times as long for the seventy small ones of SAC, before each rollout.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {name: copied(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copied(part) for part in value)
    return value


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of the generators that SB3 draws from: torch's and numpy's global ones."""
    mersenne: Any = np.random.get_state()  # noqa: NPY002
    _, keys, position, has_normal, normal = mersenne
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [torch.from_numpy(keys.astype(np.int64)), position, has_normal, normal],
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Let the generators go on from `random_state`."""
    torch.set_rng_state(state["torch"].cpu())
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
