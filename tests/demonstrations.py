"""Small data sets: driven, and made up."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from cars import RACECAR, circuit_named, simulator_on

from racing_env.data.dataset import FIELDS, read_dataset
from racing_env.data.dataset_writer import DatasetWriter, Episode, Origin
from racing_env.data.recording import Stint, record_together
from racing_env.drivers.policy import Policy
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import demonstration_task
from racing_env.tracks.circuit import circuits_content

TASK = demonstration_task(RACECAR)


def record_episode(
    simulator: Simulator, names: Sequence[str], seed: np.random.SeedSequence, policy: Policy | None
) -> Episode:
    """One drive, on the circuits and at the task of a simulator."""
    return record_together(Stint(simulator.circuits, names, simulator.task, policy), [seed])[0]


def write_demonstrations(folder: Path, episodes: int = 4) -> Path:
    """Short episodes of the expert on the oval."""
    circuits = [circuit_named("oval")]
    task = TASK._replace(time_limit_s=20.0)
    origin = Origin(
        {"seed": 0, "episodes": episodes}, ["oval"], circuits_content(circuits), RACECAR, task
    )
    simulator = simulator_on(circuits, 1, task)
    writer = DatasetWriter(folder, origin)
    for seed in np.random.SeedSequence(0).spawn(episodes):
        writer.add(record_episode(simulator, ["oval"], seed, None))
    writer.flush()
    return folder


def made_up_origin(**settings: object) -> Origin:
    """Of episodes that nobody has driven."""
    circuits = [{"name": "club", "length_m": 2000.0, "weighted_sum": 1.25}]
    return Origin({"seed": 3} | settings, ["club"], circuits, RACECAR, TASK)


def episode(number: int, steps: int = 5) -> Episode:
    """Made-up numbers that tell episode, row and column apart."""
    observations = number + np.arange(steps * LAYOUT.size, dtype=np.float32) / 1024
    ended = np.arange(steps) == steps - 1
    return Episode(
        {
            "observations": observations.reshape(steps, -1),
            "actions": np.full((steps, 2), 0.5, np.float32),
            "expert_actions": np.full((steps, 2), -0.25, np.float32),
            "rewards": np.arange(steps, dtype=np.float32),
            "terminations": ended & False,
            "truncations": ended,
        },
        {"circuit": "club", "laps": number, "lap_time_s": None, "end": "lap"},
    )


def write_made_up(
    folder: Path, numbers: Iterable[int], resume: bool = False, flush_last: bool = True
) -> None:
    """Episodes of these numbers, 4 + number steps long; a shard ends with each odd one."""
    writer = DatasetWriter(folder, made_up_origin(), resume)
    for number in numbers:
        writer.add(episode(number, steps=4 + number))
        if number % 2:
            writer.flush()
    if flush_last:
        writer.flush()


def read_episodes(folder: Path) -> list[dict[str, np.ndarray]]:
    """The fields of each episode of a data set."""
    data = read_dataset(folder)
    shards = data.shards()
    return [
        {field: shards[shard][field][start : start + steps] for field in FIELDS}
        for shard, start, steps in data.episode_rows()
    ]
