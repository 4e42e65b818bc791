"""An algorithm of stable-baselines3 on many cars at once, from nothing, and its driver as a file.

    python -m examples.many_cars
    python evaluate.py --driver expert many_cars.safetensors --track random:1000:4

A minute or two; the number of transitions may be given.
"""

import sys
from contextlib import closing
from tempfile import TemporaryDirectory

from stable_baselines3 import PPO

from racing_env.car.vehicle_files import read_vehicle
from racing_env.drivers.policy import Policy, save_policy
from racing_env.learning.actor_critic import TanhMeanPolicy, actor_layers
from racing_env.learning.network import policy_from_layers
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import make_vec_env
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

CARS, STEPS = 512, 128  # of a rollout


def main(timesteps: int) -> None:
    vehicle = read_vehicle("racecar")
    circuits = pack_circuits(load_circuits(["random:1:20"], vehicle))
    task = training_task(vehicle)  # what is seen and paid, starts and ends
    settings = TrainingSettings(task, seed=0)
    with (
        TemporaryDirectory() as scratch,
        # 1: processes beside this one, which share the cars
        closing(make_vec_env("batch", circuits, 1, CARS, settings, scratch)) as env,
    ):
        # The policies of files have tanh on their actions; the noise is given, not learnt.
        model = PPO(
            TanhMeanPolicy, env, 5e-4, n_steps=STEPS, batch_size=4096, n_epochs=4, seed=0,
            policy_kwargs={"net_arch": [64, 64], "log_std_init": -1.5}, device="cpu",
        )  # fmt: skip
        model.learn(timesteps, progress_bar=False)
    layout, made_by = task.observation_layout(), {"made_by": "examples/many_cars.py", "seed": "0"}
    driver = policy_from_layers(actor_layers(model), Policy((), (), vehicle, layout, made_by))
    save_policy(driver, "many_cars.safetensors")


if __name__ == "__main__":  # the other processes import this file
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6_000_000)
