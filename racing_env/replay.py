"""A replay buffer half of whose every batch are demonstrations.

As in Ball, Smith, Kostrikov, Levine, "Efficient online reinforcement learning with offline data"
(RLPD), ICML 2023.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples

from racing_env.dataset import episode_rows, open_shard, read_manifest
from racing_env.errors import InputError

STORED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class DemonstrationReplayBuffer(ReplayBuffer):
    """SB3's replay buffer; `sample` fills the second half of a batch from a data set's folder.

    Raises InputError if the folder holds no data set, or one without a transition.
    """

    def __init__(self, *args: Any, folder: str | Path, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.rng = np.random.default_rng(0)
        self.demonstrations = _transitions(folder)

    def sample(self, batch_size: int, env: Any = None) -> ReplayBufferSamples:
        own = super().sample(batch_size - batch_size // 2, env)
        rows = self.rng.integers(len(self.demonstrations[0]), size=batch_size // 2)
        shown = [
            torch.as_tensor(values[rows], device=self.device) for values in self.demonstrations
        ]
        return ReplayBufferSamples(
            *(torch.cat(pair) for pair in zip(own[:5], shown, strict=True)),
        )


def _transitions(folder: str | Path) -> list[np.ndarray]:
    """Observations, actions, next observations, dones (m, 1), rewards (m, 1) of all episodes.

    The last step of an episode that was cut off has no next observation and is left out.
    """
    manifest = read_manifest(folder)
    shards = [open_shard(folder, shard) for shard in manifest["shards"]]
    parts: list[list[np.ndarray]] = [[], [], [], [], []]
    for index, start, steps in episode_rows(manifest):
        shard = shards[index]
        terminated = bool(shard["terminations"][start + steps - 1])
        rows = np.arange(start, start + steps - (not terminated))
        following = np.minimum(rows + 1, start + steps - 1)
        parts[0].append(shard["observations"][rows])
        parts[1].append(shard["actions"][rows])
        parts[2].append(shard["observations"][following])
        parts[3].append(shard["terminations"][rows, None].astype(np.float32))
        parts[4].append(shard["rewards"][rows, None])
    if not any(len(part) for part in parts[0]):
        raise InputError(f"{folder}: holds no transition; collect more episodes")
    return [np.concatenate(part) for part in parts]


def buffer_state(buffer: ReplayBuffer) -> dict[str, Any]:
    """What a buffer holds, and where it goes on: tensors, numbers and strings only.

    The tensors are views: what is added later shows in those rows that are overwritten next.
    """
    size = buffer.size()
    state: dict[str, Any] = {
        name: torch.from_numpy(getattr(buffer, name)[:size]) for name in STORED
    }
    state["pos"] = buffer.pos
    if isinstance(buffer, DemonstrationReplayBuffer):
        state["rng"] = buffer.rng.bit_generator.state
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
    if isinstance(buffer, DemonstrationReplayBuffer):
        buffer.rng.bit_generator.state = state["rng"]
