"""What happens around stable-baselines3's learning loop: schedules and logs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn


class LogEpisodes(BaseCallback):
    """Means of the named reward terms of the last episodes, as TensorBoard scalars."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer or ()
        for term in episodes[0] if episodes else ():
            if term not in ("r", "l", "t"):
                mean = sum(episode[term] for episode in episodes) / len(episodes)
                self.logger.record(f"reward/{term}", mean)


class LogNumbers(BaseCallback):
    """An algorithm's numbers as TensorBoard scalars, once at the start of a run."""

    def __init__(self, numbers: Any):
        super().__init__()
        self.numbers = numbers

    def _on_training_start(self) -> None:
        for name, value in self.numbers._asdict().items():
            self.logger.record(f"numbers/{name}", value)
        self.logger.dump(self.num_timesteps)

    def _on_step(self) -> bool:
        return True


class WarmUp(BaseCallback):
    """Keep the actor as it is for the first transitions, while the critic learns its worth."""

    def __init__(self, until: int, actor: Sequence[nn.Module]):
        super().__init__()
        self.until, self.actor = until, actor

    def _on_rollout_start(self) -> None:
        for layer in self.actor:
            layer.requires_grad_(self.num_timesteps >= self.until)

    def _on_step(self) -> bool:
        return True


def set_noise(model: BaseAlgorithm, deviations: np.ndarray) -> None:
    """Give an on-policy model's noise its standard deviations, one an action, to keep them."""
    log_std: Any = model.policy.log_std
    log_std.requires_grad_(False)
    log_std.copy_(torch.tensor(np.log(deviations).tolist()))


class GivenNoise(BaseCallback):
    """Noise on an on-policy driver's actions: given, not learnt, linear over the run."""

    def __init__(self, first: tuple[float, float], last: tuple[float, float]):
        super().__init__()
        self.first, self.last = np.array(first), np.array(last)

    def _on_rollout_start(self) -> None:
        left = 1.0 - self.num_timesteps / self.model._total_timesteps  # in a resumed run too
        set_noise(self.model, left * self.first + (1.0 - left) * self.last)

    def _on_step(self) -> bool:
        return True
