"""What `racing_env.learning.algorithms.sac` is built of: networks, noise, and memory."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.noise import ActionNoise, VectorizedActionNoise
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import nn

from racing_env.common.errors import InputError
from racing_env.data.dataset import read_dataset


class ParallelLinear(nn.Module):
    """n linear layers at once: (..., rows, inputs) to (n, rows, outputs), each with its weights."""

    def __init__(self, n: int, inputs: int, outputs: int):
        super().__init__()
        bound = inputs**-0.5  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(n, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n, 1, outputs).uniform_(-bound, bound))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.weight.shape[2] == 1:  # as a sum in a third of a product's time
            return (inputs * self.weight.mT).sum(-1, keepdim=True) + self.bias
        return torch.baddbmm(self.bias, inputs.expand(len(self.weight), -1, -1), self.weight)


class LayerNormCritic(ContinuousCritic):
    """SB3's critic with layer normalisation, which keeps Q from running away off the data.

    As in Ball, Smith, Kostrikov, Levine, "Efficient online reinforcement learning with offline
    data", ICML 2023. The critics are computed at once: such small ones cost little else than calls.
    At the start they make no difference between actions.
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        net_arch: list[int],
        n_critics: int = 2,
        **kwargs: Any,
    ):
        super().__init__(observation_space, action_space, net_arch, n_critics=0, **kwargs)
        self.n_critics = n_critics
        sizes = [observation_space.shape[0] + action_space.shape[0], *net_arch]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [ParallelLinear(n_critics, inputs, outputs),
                       nn.LayerNorm(outputs, elementwise_affine=False), nn.ReLU()]  # fmt: skip
        nn.init.zeros_(layers[0].weight[:, observation_space.shape[0] :])  # type: ignore[index]
        self.networks = nn.Sequential(*layers, ParallelLinear(n_critics, sizes[-1], 1))

    def q_values(self, obs: Any, actions: torch.Tensor) -> torch.Tensor:
        """(n_critics, rows, 1)"""
        features = self.extract_features(obs, self.features_extractor)
        return self.networks(torch.cat([features, actions], dim=1))

    def forward(self, obs: Any, actions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.q_values(obs, actions).unbind()

    def q1_forward(self, obs: Any, actions: torch.Tensor) -> torch.Tensor:
        return self(obs, actions)[0]


class ProximalSACPolicy(SACPolicy):
    """SB3's SAC policy with `LayerNormCritic`, and with an average actor beside the actor."""

    average_actor: Actor

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.average_actor = self.make_actor().requires_grad_(False)
        self.average_actor.load_state_dict(self.actor.state_dict())
        self.critic_target.requires_grad_(False)  # the actor's loss alone goes through it

    def make_critic(self, features_extractor: Any = None) -> ContinuousCritic:
        arguments = self._update_features_extractor(self.critic_kwargs, features_extractor)
        return LayerNormCritic(**arguments).to(self.device)


class PersistentNoise(VectorizedActionNoise):
    """Noise on the actions of n cars that decays from step to step and is renewed as it does.

    deviations: standard deviations per action; persistence: what is left of each after a step.
    SB3's Ornstein-Uhlenbeck noise is the same with an object for each car, which takes as long as
    an update. An episode's end leaves it as it is.
    """

    def __init__(self, n: int, deviations: Sequence[float], persistence: Sequence[float]):
        ActionNoise.__init__(self)
        self.persistence = np.array(persistence)
        self.renewal = np.sqrt(1.0 - self.persistence**2) * np.array(deviations)
        self.state = np.zeros((n, len(deviations)))

    def __call__(self) -> np.ndarray:
        fresh = np.random.normal(size=self.state.shape)  # noqa: NPY002 as SB3, which seeds it
        self.state = self.persistence * self.state + self.renewal * fresh
        return self.state.astype(np.float32)

    def reset(self, indices: Any = None) -> None:
        pass


class DemonstrationReplayBuffer(NStepReplayBuffer):
    """SB3's replay buffer; `sample` fills the second half of a batch from a data set's folder.

    As in Ball, Smith, Kostrikov, Levine, "Efficient online reinforcement learning with offline
    data" (RLPD), ICML 2023.
    Demonstrations' returns are of a single step: the expert's next action is not the driver's.
    Raises InputError if the folder holds no data set, or one without a transition.
    """

    def __init__(self, *args: Any, folder: str | Path, **kwargs: Any):
        super().__init__(*args, **kwargs)
        episodes = _transitions(folder)
        self.demonstrations = ReplayBuffer(
            len(episodes["rewards"]), self.observation_space, self.action_space, self.device
        )
        for name, values in episodes.items():
            getattr(self.demonstrations, name)[:, 0] = values
        self.demonstrations.full = True

    def sample(self, batch_size: int, env: Any = None) -> ReplayBufferSamples:
        own = super().sample(batch_size - batch_size // 2, env)
        shown = self.demonstrations.sample(batch_size // 2, env)
        shown = shown._replace(discounts=torch.full_like(shown.rewards, self.gamma))
        pairs: Any = zip(own, shown, strict=True)  # none is None
        return ReplayBufferSamples(*(torch.cat(pair) for pair in pairs))


def _transitions(folder: str | Path) -> dict[str, np.ndarray]:
    """All episodes, one after the other, by the names of a replay buffer's arrays.

    The last step of an episode that was cut off has no next observation and is left out.
    """
    data = read_dataset(folder)
    shards = data.shards()
    parts: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    for index, start, steps in data.episode_rows():
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
