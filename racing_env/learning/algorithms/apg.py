"""Policy gradients straight through the simulator.

PPO finds out by noise what a change of an action would have gained; here the simulator says so. The
gradient of what a stretch of driving has paid is pulled back through time, from its end to its
beginning, by turns through the car and through the driver's network, as in back-propagation through
time: in the environment's processes, by `racing_env.simulation.closed_loop`. Such gradients have
next to none of the noise of PPO's, so the driver learns from a tenth of the transitions and,
driving without accidents of the noise's making, learns to use the track up to its border.

Known as analytic policy gradients: Freeman et al., "Brax, a differentiable physics engine for large
scale rigid body simulation", NeurIPS 2021 (datasets and benchmarks); Xu et al., "Accelerated policy
learning with parallel differentiable simulation", ICLR 2022, add a critic for what follows the
stretch. A critic's gradients were wrong where it mattered here (docs/recipe.md), so instead an
action is learnt from only if what followed it for `lookahead_steps` is known.
"""

import time
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import LinearSchedule, safe_mean
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from racing_env.drivers.policy import Policy
from racing_env.learning.actor_critic import TanhMeanPolicy, actor_layers
from racing_env.learning.adapting import new_guesser
from racing_env.learning.car_vec_env import CarVecEnv
from racing_env.learning.network import (
    HIDDEN_SIZES,
    copy_layers_into,
    copy_policy_into,
    layers_of,
    linear_layers,
    policy_from_layers,
    rollout_parameter,
)
from racing_env.learning.training_cars import RolloutSettings, TrainingSettings
from racing_env.simulation.adaptation import GUESSES
from racing_env.simulation.task import Task


class Numbers(NamedTuple):
    """docs/recipe.md says where each comes from."""

    timesteps: int = 36_000_000
    cars: int = 128
    rollout_steps: int = 200  # ten seconds
    # five seconds, of which all must be known of what followed an action: what leaving a corner
    # faster is worth shows at the end of the straight
    lookahead_steps: int = 100
    discount: float = 0.995  # a step
    # A car about to spin has gradients of thousands of times the usual: nothing else would be heard
    action_gradient_limit: float = 1.0
    gradient_norm_limit: float = 1.0  # by all weights
    learning_rate_first: float = 4e-4
    learning_rate_last: float = 2e-5
    adam_beta1: float = 0.9
    adam_beta2: float = 0.95  # a gradient that is large for once is soon forgotten
    steering_noise: float = 0.02  # standard deviations
    pedal_noise: float = 0.08
    average_decay: float = 0.98
    quiet_share: float = 0.0  # of the cars' rollouts, which are without noise
    guesser_speed: float = 3.0  # of a driver who adapts: its learning rate, in that of `NUMBERS`
    judge_every: int = 1_000_000


NUMBERS = Numbers()
# Under conditions that the driver is not told. Noise on the actions tells what the car answers, and
# is missing later.
ROAD = Numbers(timesteps=80_000_000, quiet_share=0.5)
# On one circuit, by a driver who is good already: he may come nearer to what it allows.
PRACTICE = Numbers(
    timesteps=20_000_000,
    rollout_steps=240,
    lookahead_steps=120,
    learning_rate_last=1e-5,
    steering_noise=0.005,
    pedal_noise=0.02,
    judge_every=500_000,
)
# Largest noise on the steering, of what it moves in a control step: with more, slow steering is
# always at its largest rate, where an action has no gradient
STEERING_NOISE_SHARE = 0.2
USES_DEMONSTRATIONS = False


class AnalyticPolicyGradient(BaseAlgorithm):
    """Learns from one gradient for each rollout of n_steps steps in all environments.

    env: of cars whose settings have rollouts of n_steps steps; these say how far ahead what
    followed must be known, discount it, and have the noise. policy: an actor-critic's class;
    critic and noise of its own are not used. inputs: of its network, where a driver who adapts is
    given more than the observations; `predict` then takes those.
    """

    env: CarVecEnv
    policy: ActorCriticPolicy
    _last_obs: Any

    def __init__(
        self,
        policy: Any,
        env: VecEnv | None,
        learning_rate: Any = NUMBERS.learning_rate_first,
        n_steps: int = NUMBERS.rollout_steps,
        max_grad_norm: float = NUMBERS.gradient_norm_limit,
        inputs: int | None = None,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ):
        super().__init__(policy, env, learning_rate, support_multi_env=True, **kwargs)
        self.n_steps, self.max_grad_norm, self.inputs = n_steps, max_grad_norm, inputs
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        space: Any = self.observation_space
        if self.inputs is not None:
            space = spaces.Box(-np.inf, np.inf, (self.inputs,), np.float32)
        policy: Any = self.policy_class(
            space, self.action_space, self.lr_schedule, **self.policy_kwargs
        )
        if self.adapts:
            policy.guesser = new_guesser()
        self.policy = policy.to(self.device)
        rate = self.lr_schedule(1.0)
        # a network's weights are one array for the cars, for Adam, and for clipping
        groups = [{"params": [rollout_parameter(actor_layers(self))], "speed": 1.0}]
        if self.adapts:
            guessing = rollout_parameter(self.guesser_layers)
            # what there is to guess does not change with the rate at which the driver learns
            speed = NUMBERS.guesser_speed * (NUMBERS.learning_rate_first / rate)
            groups.append({"params": [guessing], "speed": speed})
        policy.optimizer = torch.optim.Adam(groups, lr=rate, **policy.optimizer_kwargs)

    @property
    def adapts(self) -> bool:
        """Whether it also learns to guess conditions."""
        return self.inputs not in (None, self.observation_space.shape[0])  # type: ignore[index]

    @property
    def guesser_layers(self) -> list[nn.Linear]:
        """Those of the network that weighs evidence."""
        policy: Any = self.policy
        return linear_layers(policy.guesser) if self.adapts else []

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int | None = 10,
        tb_log_name: str = "APG",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> "AnalyticPolicyGradient":
        """Drive a rollout, pull its gradient back, take one step of the optimiser; and so on.

        As stable-baselines3's own: ends after total_timesteps transitions or where a callback's
        on_step returns False, and returns the model.
        """
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        callback.on_training_start(locals(), globals())
        env, policy, optimizer = self.env, self.policy, self.policy.optimizer
        # of the network that drives and, of a driver who adapts, of the one that guesses
        networks = [group["params"][0] for group in optimizer.param_groups]
        iteration = 0
        while self.num_timesteps < total_timesteps:
            # drive, and pull the gradient of what was paid back through the car and the driver
            callback.on_rollout_start()
            weights = np.concatenate([network.detach().cpu().numpy() for network in networks])
            rollout = env.rollout(weights, self.num_timesteps)
            self._last_obs = env.observations
            self._last_episode_starts = np.zeros(env.num_envs, dtype=bool)
            self.num_timesteps += self.n_steps * env.num_envs
            infos = rollout.infos
            callback.update_locals(locals())
            if not callback.on_step():
                break
            self._update_info_buffer(infos)
            callback.on_rollout_end()

            # one step of the optimiser, up the mean gradient, and down that of the guesses' loss
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            self._update_learning_rate(optimizer)
            for group in optimizer.param_groups:
                group["lr"] *= group["speed"]
            driven = self.n_steps * env.num_envs
            by_driving, by_guessing = np.split(rollout.gradient, [networks[0].numel()])
            losses = (-by_driving / max(rollout.usable, 1), by_guessing / (driven * GUESSES))
            for network, gradient in zip(networks, losses, strict=False):
                network.grad.copy_(torch.from_numpy(clipped(gradient, self.max_grad_norm)))
            optimizer.step()
            self._n_updates += 1

            # log
            iteration += 1
            self.logger.record("train/gradient_norm", float(np.linalg.norm(losses[0])))
            steering, pedals = rollout.sizes / driven
            self.logger.record("train/steering_gradient", steering)
            self.logger.record("train/pedal_gradient", pedals)
            self.logger.record("train/usable", rollout.usable / driven)
            self.logger.record("train/guess_loss", rollout.loss / (driven * GUESSES))
            last = self.num_timesteps >= total_timesteps
            if log_interval is not None and (last or iteration % log_interval == 0):
                self._dump_logs()
        callback.on_training_end()
        return self

    def _dump_logs(self) -> None:
        """Write what was recorded, and what stable-baselines3's algorithms say of episodes."""
        if self.ep_info_buffer:
            for scalar, key in (("rollout/ep_rew_mean", "r"), ("rollout/ep_len_mean", "l")):
                mean = safe_mean([episode[key] for episode in self.ep_info_buffer])
                self.logger.record(scalar, mean)
        took_s = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        steps = self.num_timesteps - self._num_timesteps_at_start
        self.logger.record("time/fps", int(steps / took_s))
        self.logger.dump(self.num_timesteps)


def clipped(gradient: np.ndarray, limit: float) -> np.ndarray:
    """A gradient (parameters,), scaled down to a norm, as torch's `clip_grad_norm_` does it.

    In a tenth of its time: between two rollouts, which fill the caches, each of its calls is dear.
    """
    return gradient * min(limit / (float(np.linalg.norm(gradient)) + 1e-6), 1.0)


# ---------------------------------------------------------------- as `Algorithm` has it


def training_settings(
    task: Task, seed: int, driver: Policy | None = None, numbers: Numbers | None = None
) -> TrainingSettings:
    numbers = numbers or NUMBERS
    adapts = driver is not None and driver.adapts
    reach = task.control_step_s / task.vehicle.steering_full_s
    rollouts = RolloutSettings(
        steps=numbers.rollout_steps,
        lookahead_steps=numbers.lookahead_steps,
        discount=numbers.discount,
        action_gradient_limit=numbers.action_gradient_limit,
        noise=(min(numbers.steering_noise, STEERING_NOISE_SHARE * reach), numbers.pedal_noise),
        hidden=HIDDEN_SIZES[0],
        adapts=adapts,
        quiet_share=numbers.quiet_share,
    )
    return TrainingSettings(task, seed, rollouts)


def make_model(
    env: VecEnv,
    timesteps: int,
    seed: int,
    device: torch.device,
    demonstrations: str | None = None,
    numbers: Numbers | None = None,
) -> AnalyticPolicyGradient:
    numbers = numbers or NUMBERS
    return AnalyticPolicyGradient(
        TanhMeanPolicy,
        env,
        LinearSchedule(numbers.learning_rate_first, numbers.learning_rate_last, end_fraction=1.0),
        n_steps=numbers.rollout_steps,
        max_grad_norm=numbers.gradient_norm_limit,
        inputs=cast(CarVecEnv, env).settings.inputs,
        seed=seed,
        device=device,
        policy_kwargs={
            "net_arch": {"pi": list(HIDDEN_SIZES), "vf": []},
            "activation_fn": nn.Tanh,
            "optimizer_kwargs": {
                "betas": (numbers.adam_beta1, numbers.adam_beta2),
                "fused": True,
            },
        },
    )


def start_from(model: BaseAlgorithm, policy: Policy) -> None:
    copy_policy_into(policy, actor_layers(model))
    copy_layers_into(policy.evidence, model.guesser_layers)  # type: ignore[attr-defined]


def driver_of(model: BaseAlgorithm, like: Policy) -> Policy:
    driver = policy_from_layers(actor_layers(model), like)
    return replace(driver, evidence=layers_of(model.guesser_layers))  # type: ignore[attr-defined]


def callbacks(model: BaseAlgorithm) -> list[BaseCallback]:
    return []
