"""A replay buffer half of whose every batch are demonstrations.

As in Ball, Smith, Kostrikov, Levine, "Efficient online reinforcement learning with offline data"
(RLPD), ICML 2023.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples

from racing_env.common.errors import InputError
from racing_env.data.dataset import episode_rows, open_shard, read_manifest

STORED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class DemonstrationReplayBuffer(NStepReplayBuffer):
    """SB3's replay buffer; `sample` fills the second half of a batch from a data set's folder.

    Demonstrations' returns are of a single step: the expert's next action is not the driver's.
    Raises InputError if the folder holds no data set, or one without a transition.
    """

    def __init__(self, *args: Any, folder: str | Path, **kwargs: Any):
        super().__init__(*args, **kwargs)
        episodes = _transitions(folder)
        self.demonstrations = ReplayBuffer(
            len(episodes["rewards"]), self.observation_space, self.action_space, self.device
        )
        for name in STORED:
            getattr(self.demonstrations, name)[:, 0] = episodes[name]
        self.demonstrations.full = True

    def sample(self, batch_size: int, env: Any = None) -> ReplayBufferSamples:
        own = super().sample(batch_size - batch_size // 2, env)
        shown = self.demonstrations.sample(batch_size // 2, env)
        shown = shown._replace(discounts=torch.full_like(shown.rewards, self.gamma))
        pairs: Any = zip(own, shown, strict=True)  # none is None
        return ReplayBufferSamples(*(torch.cat(pair) for pair in pairs))


def _transitions(folder: str | Path) -> dict[str, np.ndarray]:
    """All episodes, one after the other, as a replay buffer has them (`STORED`).

    The last step of an episode that was cut off has no next observation and is left out.
    """
    manifest = read_manifest(folder)
    shards = [open_shard(folder, shard) for shard in manifest["shards"]]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in STORED}
    for index, start, steps in episode_rows(manifest):
        shard = shards[index]
        terminated = bool(shard["terminations"][start + steps - 1])
        rows = np.arange(start, start + steps - (not terminated))
        ends = np.arange(1, len(rows) + 1) == len(rows)
        parts["observations"].append(shard["observations"][rows])
        parts["next_observations"].append(
            shard["observations"][np.minimum(rows + 1, start + steps - 1)]
        )
        parts["actions"].append(shard["actions"][rows])
        parts["rewards"].append(shard["rewards"][rows])
        parts["dones"].append(ends)
        parts["timeouts"].append(ends & (not terminated))
    if not any(len(part) for part in parts["rewards"]):
        raise InputError(f"{folder}: holds no transition; collect more episodes")
    return {name: np.concatenate(part) for name, part in parts.items()}


def buffer_state(buffer: ReplayBuffer) -> dict[str, Any]:
    """What a buffer holds, and where it goes on: tensors, numbers and strings only.

    The tensors are views: what is added later shows in those rows that are overwritten next.
    """
    size = buffer.size()
    state: dict[str, Any] = {
        name: torch.from_numpy(getattr(buffer, name)[:size]) for name in STORED
    }
    state["pos"] = buffer.pos
    return state


def restore_buffer(buffer: ReplayBuffer, state: Mapping[str, Any]) -> None:
    """Fill a fresh buffer with what `buffer_state` kept; one of another size with the newest."""
    kept = len(state["rewards"])
    size = min(kept, buffer.buffer_size)
    for name in STORED:
        values = state[name].cpu().numpy()
        if kept != buffer.buffer_size:
            values = np.roll(values, -state["pos"], axis=0)[kept - size :]  # the oldest first
        getattr(buffer, name)[:size] = values
    buffer.full = size == buffer.buffer_size
    buffer.pos = state["pos"] if kept == buffer.buffer_size else size % buffer.buffer_size
