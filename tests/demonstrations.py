"""A small data set to learn from."""

from pathlib import Path

import numpy as np

from racing_env.circuit_bank import pack_circuits
from racing_env.circuit_sources import load_circuits
from racing_env.dataset import DatasetWriter
from racing_env.recording import EpisodeTask, record_episode
from racing_env.simulator import Simulator
from racing_env.vehicle import RACECAR


def write_demonstrations(folder: Path, episodes: int = 4) -> Path:
    """Short episodes of the expert on the oval."""
    simulator = Simulator(pack_circuits(load_circuits(["oval"]), RACECAR), 1)
    writer = DatasetWriter(folder, {"tracks": ["oval"]})
    for seed in np.random.SeedSequence(0).spawn(episodes):
        writer.add(record_episode(simulator, ["oval"], EpisodeTask(seed, 20.0), None))
    writer.flush()
    return folder
