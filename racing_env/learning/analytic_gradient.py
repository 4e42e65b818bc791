"""Policy gradients straight through the simulator, as an algorithm of stable-baselines3.

PPO finds out by noise what a change of an action would have gained; here the simulator says so. The
gradient of what a stretch of driving has paid is pulled back through time, from its end to its
beginning, by turns through the car (`racing_env.simulation.gradients`, in the environment's
processes) and through the driver's network, as in back-propagation through time. Such gradients
have next to none of the noise of PPO's, so the driver learns from a tenth of the transitions and,
driving without accidents of the noise's making, learns to use the track up to its border.

Known as analytic policy gradients: Freeman et al., "Brax, a differentiable physics engine for large
scale rigid body simulation", NeurIPS 2021 (datasets and benchmarks); Xu et al., "Accelerated policy
learning with parallel differentiable simulation", ICLR 2022, add a critic for what follows the
stretch. A critic's gradients were wrong where it mattered here (docs/recipe.md), so instead an
action is learnt from only if what followed it for `lookahead_steps` is known.
"""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from racing_env.learning.vector_env import pull_back


class AnalyticPolicyGradient(OnPolicyAlgorithm):
    """Learns from one gradient for each rollout of n_steps steps in all environments.

    The environments, made by `make_vec_env`, must have a tape of n_steps steps; their settings say
    how far ahead an action is judged and at what discount. The policy's critic is not used.
    """

    def __init__(
        self,
        policy: Any,
        env: VecEnv,
        learning_rate: Any = 2e-4,
        n_steps: int = 160,
        max_grad_norm: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(
            policy, env, learning_rate, n_steps, gamma=1.0, gae_lambda=1.0, ent_coef=0.0,
            vf_coef=0.0, max_grad_norm=max_grad_norm, use_sde=False, sde_sample_freq=-1, **kwargs,
        )  # fmt: skip

    def train(self) -> None:
        """One step of the optimiser, up the rollout's gradient."""
        assert self.env is not None
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        seen = torch.as_tensor(self.rollout_buffer.observations, device=self.device)
        steps, n, size = seen.shape
        seen = seen.reshape(-1, size).requires_grad_()
        actions = self.policy.get_distribution(seen).mode()
        jacobians = [
            torch.autograd.grad(actions[:, i].sum(), seen, retain_graph=True)[0] for i in range(2)
        ]
        gradients, judged = pull_back(
            self.env, torch.stack(jacobians, dim=1).reshape(steps, n, 2, size).cpu().numpy()
        )
        weights = torch.as_tensor(gradients * judged[..., None], device=self.device)
        loss = -(actions * weights.reshape(-1, 2)).sum() / max(int(judged.sum()), 1)
        self.policy.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates += 1
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/gradient_norm", norm.item())
        self.logger.record("train/steering_gradient", float(np.abs(gradients[..., 0]).mean()))
        self.logger.record("train/pedal_gradient", float(np.abs(gradients[..., 1]).mean()))
        self.logger.record("train/judged", float(judged.mean()))
