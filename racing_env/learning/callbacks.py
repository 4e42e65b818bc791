"""What happens around stable-baselines3's learning loop: judging, schedules, logs."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from racing_env.common.errors import InputError
from racing_env.common.files import write_csv
from racing_env.drivers.policy import save_policy
from racing_env.laps.evaluation import drive_laps, policy_driver, summary
from racing_env.learning.agents import (
    MovingAverage,
    driver_of,
    freeze_actor,
    is_finite,
    set_noise,
)
from racing_env.tracks.circuit import Circuit


def rank(row: Mapping[str, Any]) -> tuple[int, float]:
    """Orders the rows of a learning curve: by laps finished, then by lap time."""
    ratio = row["lap_ratio"]
    return row["finished"], -math.inf if ratio is None else -ratio


class JudgeDrivers(BaseCallback):
    """Let the averaged driver race on circuits that nobody trains on; keep the best one.

    Before the first update, then every `every` transitions and at the end. Writes OUT/curve.csv,
    OUT/policy.safetensors (the best by `rank`) and TensorBoard scalars. Raises InputError if the
    network has weights that are not finite.
    """

    def __init__(
        self,
        circuits: Sequence[Circuit],
        out: Path,
        every: int,
        average: MovingAverage,
        bar: Any,
        teacher_s: Mapping[str, float],
    ):
        super().__init__()
        self.teacher_s = teacher_s  # laps by track, which the bar compares with
        self.circuits, self.out, self.every = circuits, out, every
        self.average, self.bar = average, bar
        self.curve: list[dict[str, Any]] = []
        self.earlier_s = 0.0  # wall time of the runs that this one resumes
        self.started = time.perf_counter()
        self.averaged = True  # the model as it is has entered the average

    @property
    def wall_s(self) -> float:
        return self.earlier_s + time.perf_counter() - self.started

    def _on_rollout_start(self) -> None:
        self._update_average()
        if self.num_timesteps >= len(self.curve) * self.every:
            self.judge()

    def _on_rollout_end(self) -> None:
        self.averaged = False  # an update of the model comes next

    def _on_step(self) -> bool:
        # the last rollout goes beyond the end, of which a bar would make "0 % of ?"
        done = min(self.num_timesteps, self.bar.total or self.num_timesteps)
        self.bar.update(done - self.bar.n)
        return True

    def _on_training_end(self) -> None:
        self._update_average()
        if not self.curve or self.curve[-1]["timesteps"] < self.num_timesteps:
            self.judge()

    def check_finite(self) -> None:
        if not is_finite(self.model):
            raise InputError(
                f"{self.out}: weights are not finite after {self.num_timesteps} transitions; the "
                "best driver until then is kept; try another --seed and --out"
            )

    def _update_average(self) -> None:
        self.check_finite()
        if not self.averaged:
            self.average.update(driver_of(self.model, {}))
            self.averaged = True

    def judge(self) -> None:
        driver = self.average.policy
        laps = drive_laps(self.circuits, policy_driver(driver), laps=1)
        result = summary(laps)
        row = {
            "wall_s": round(self.wall_s, 1),
            "timesteps": self.num_timesteps,
            "finished": result.finished,
            "circuits": result.circuits,
            "lap_ratio": result.lap_ratio if result.finished else None,
        }
        if not self.curve or rank(row) > max(map(rank, self.curve)):
            save_policy(driver, self.out / "policy.safetensors")
        self.curve.append(row)
        write_csv(self.out / "curve.csv", self.curve)
        self.logger.record("judge/finished", result.finished)
        said = f"{result.finished}/{result.circuits} laps"
        if result.finished:
            self.logger.record("judge/lap_ratio", result.lap_ratio)
            to_teacher = summary(laps, self.teacher_s).lap_ratio
            if not math.isnan(to_teacher):  # there is a circuit that both have finished
                self.logger.record("judge/lap_ratio_to_teacher", to_teacher)
                said += f", {to_teacher:.3f} x teacher"
        if len(self.curve) == 1:
            self.bar.unpause()  # the time that starting took says nothing about the time left
        self.bar.set_postfix_str(said)


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
        freeze_actor(self.model, self.num_timesteps < self.until)

    def _on_step(self) -> bool:
        return True


class GivenNoise(BaseCallback):
    """Noise on an on-policy driver's actions: given, not learnt, linear over the run."""

    def __init__(self, first: tuple[float, float], last: tuple[float, float]):
        super().__init__()
        self.first, self.last = np.array(first), np.array(last)

    def _on_rollout_start(self) -> None:
        self.model.policy.log_std.requires_grad_(False)
        left = 1.0 - self.num_timesteps / self.model._total_timesteps  # in a resumed run too
        set_noise(self.model, np.log(left * self.first + (1.0 - left) * self.last).tolist())

    def _on_step(self) -> bool:
        return True
