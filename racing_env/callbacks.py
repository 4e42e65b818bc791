"""What happens around stable-baselines3's learning loop: judging, schedules, checkpoints, logs."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from racing_env.agents import MovingAverage, actor_layers, driver_of, freeze, set_noise
from racing_env.circuit import Circuit
from racing_env.evaluation import drive_laps, policy_driver, summary
from racing_env.files import replaced_atomically, write_csv, write_json
from racing_env.policy import Policy, load_policy, save_policy

BAR_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
LAST_POLICY = "last.safetensors"


class JudgeDrivers(BaseCallback):
    """Let the averaged driver race on circuits that nobody trains on; keep the best one.

    Before the first update, then every `every` transitions and at the end. Writes OUT/curve.csv,
    OUT/policy.safetensors (the best by laps finished, then by lap time) and TensorBoard scalars.
    """

    def __init__(
        self,
        circuits: Sequence[Circuit],
        out: Path,
        every: int,
        decay: float,
        record: dict[str, str],
        bar: Any,
    ):
        super().__init__()
        self.circuits, self.out, self.every, self.record, self.bar = (
            circuits, out, every, record, bar,
        )  # fmt: skip
        self.decay = decay
        self.curve: list[dict[str, float]] = []
        self.best = (-1, -math.inf)
        self.average: MovingAverage | None = None
        self.earlier_s = 0.0  # wall time of the runs that this one resumes

    def _on_training_start(self) -> None:
        self.started = time.perf_counter()
        if self.average is None:
            self.average = MovingAverage(driver_of(self.model, self.record), self.decay)

    def _on_rollout_start(self) -> None:
        assert self.average is not None
        self.average.update(driver_of(self.model, self.record))
        if self.num_timesteps >= len(self.curve) * self.every:
            self.judge()

    def _on_step(self) -> bool:
        self.bar.update(self.num_timesteps - self.bar.n)
        return True

    def _on_training_end(self) -> None:
        if self.curve[-1]["timesteps"] < self.num_timesteps:
            self.judge()

    def judge(self) -> None:
        assert self.average is not None
        driver = self.average.policy
        result = summary(drive_laps(self.circuits, policy_driver(driver), laps=1))
        ratio = result.lap_ratio if result.finished else math.inf
        if (result.finished, -ratio) > self.best:
            self.best = (result.finished, -ratio)
            save_policy(driver, self.out / "policy.safetensors")
        wall_s = self.earlier_s + time.perf_counter() - self.started
        self.curve.append(
            {
                "wall_s": round(wall_s, 1),
                "timesteps": self.num_timesteps,
                "finished": result.finished,
                "circuits": result.circuits,
                "lap_ratio": ratio,
            }
        )
        self.logger.record("judge/finished", result.finished)
        self.logger.record("judge/lap_ratio", ratio)
        write_csv(self.out / "curve.csv", self.curve)
        start = self.curve[0]["lap_ratio"]
        self.bar.set_postfix_str(
            f"laps {result.finished}/{result.circuits}, lap time {ratio / start:.4f} of the start's"
        )


class LogEpisodes(BaseCallback):
    """Means of the named reward terms of the last episodes, as TensorBoard scalars."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer or ()
        for term in episodes[0] if episodes else ():
            if term not in ("r", "l", "t"):
                values = [episode[term] for episode in episodes]
                self.logger.record(f"reward/{term}", float(np.mean(values)))


class WarmUp(BaseCallback):
    """Keep the actor as it is for the first transitions, while the critic learns its worth."""

    def __init__(self, until: int):
        super().__init__()
        self.until = until

    def _on_rollout_start(self) -> None:
        freeze(actor_layers(self.model), self.num_timesteps < self.until)

    def _on_step(self) -> bool:
        return True


class PPONoise(BaseCallback):
    """PPO's exploration noise: given, not learnt, and falling linearly over the run."""

    def __init__(self, first: tuple[float, float], last: tuple[float, float]):
        super().__init__()
        self.first, self.last = np.array(first), np.array(last)

    def _on_rollout_start(self) -> None:
        self.model.policy.log_std.requires_grad_(False)
        left = self.model._current_progress_remaining
        set_noise(self.model, np.log(left * self.first + (1.0 - left) * self.last).tolist())

    def _on_step(self) -> bool:
        return True


class Threads(BaseCallback):
    """One torch thread while the environments work, more for PPO's updates, when they wait."""

    def __init__(self, for_updates: int):
        super().__init__()
        self.for_updates = for_updates

    def _on_rollout_start(self) -> None:
        torch.set_num_threads(1)

    def _on_rollout_end(self) -> None:
        torch.set_num_threads(self.for_updates)

    def _on_step(self) -> bool:
        return True


class Checkpoints(BaseCallback):
    """Everything that --resume needs, every `every` transitions and when the run stops.

    SB3's own zip holds pickles: it is for the machine that wrote it, never for passing on.
    """

    def __init__(self, folder: Path, every: int, judge: JudgeDrivers):
        super().__init__()
        self.folder, self.every, self.judge = folder, every, judge
        self.last = 0

    def _on_training_start(self) -> None:
        self.last = self.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.num_timesteps - self.last >= self.every:
            self.save()

    def _on_step(self) -> bool:
        return True

    def save(self) -> None:
        assert self.judge.average is not None
        with replaced_atomically(self.folder / "model.zip") as path:
            self.model.save(path)
        if isinstance(self.model, OffPolicyAlgorithm):
            with replaced_atomically(self.folder / "replay_buffer.pkl") as path:
                self.model.save_replay_buffer(path)
        save_policy(self.judge.average.policy, self.folder / LAST_POLICY)
        state = {
            "timesteps": self.num_timesteps,
            "curve": self.judge.curve,
            "best": list(self.judge.best),
            "wall_s": self.judge.earlier_s + time.perf_counter() - self.judge.started,
        }
        write_json(self.folder / "state.json", state)
        self.last = self.num_timesteps


def restore(judge: JudgeDrivers, folder: Path, state: dict[str, Any]) -> None:
    """Give a fresh judge what `Checkpoints.save` kept of an earlier one."""
    judge.curve = state["curve"]
    judge.best = (state["best"][0], state["best"][1])
    judge.earlier_s = state["wall_s"]
    average: Policy = load_policy(folder / LAST_POLICY)
    judge.average = MovingAverage(average, judge.decay)
