"""Compile what most tests call, once for all the processes that run them.

    python tests/kernels.py LAYOUT

Each process of tests has a kernel cache of its own, so that they cannot spoil each other's; it
begins as a copy of what this leaves in $NUMBA_CACHE_DIR.
"""

import sys

import numpy as np

from racing_env import DEFAULT_LAYOUT
from racing_env.car.vehicle_files import read_vehicle
from racing_env.drivers.expert import expert_actions
from racing_env.learning.ahead import training_cars
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits


def compile_kernels(layout: str) -> None:
    vehicle = read_vehicle("racecar")
    bank = pack_circuits(load_circuits(["oval"], vehicle))
    task = training_task(vehicle, layout)
    simulator = Simulator(bank, 1, task)
    simulator.place(0, 0)
    simulator.step(expert_actions(simulator, np.ones(1)), simulator.observe())
    if layout == DEFAULT_LAYOUT:  # of another a single test pulls a gradient back
        training_cars(bank, task).rollout()


if __name__ == "__main__":
    compile_kernels(sys.argv[1])
