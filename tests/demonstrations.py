"""Small data sets: driven, and made up."""

from pathlib import Path

import numpy as np
from cars import RACECAR

from racing_env.data.dataset_writer import DatasetWriter, Episode
from racing_env.data.recording import EpisodeTask, record_episode
from racing_env.simulation import observation
from racing_env.simulation.simulator import Simulator
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits


def write_demonstrations(folder: Path, episodes: int = 4) -> Path:
    """Short episodes of the expert on the oval."""
    simulator = Simulator(pack_circuits(load_circuits(["oval"], RACECAR)), 1)
    writer = DatasetWriter(folder, {"tracks": ["oval"]})
    for seed in np.random.SeedSequence(0).spawn(episodes):
        writer.add(record_episode(simulator, ["oval"], EpisodeTask(seed, 20.0), None))
    writer.flush()
    return folder


def episode(number: int, steps: int = 5) -> Episode:
    """Made-up numbers that tell episode, row and column apart."""
    observations = number + np.arange(steps * observation.SIZE, dtype=np.float32) / 1024
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
