"""Where the time of learning goes: apg, ppo, sac and cloning, beside SB3's own defaults.

    python -m benchmarks.learning --json benchmarks/results/learning.json

Each algorithm learns for some seconds as `train_rl.py` lets it, from the shipped driver, then the
next, all in turn and that several times; medians are shown. A stopwatch tells apart

- cars: stepping the learner's own share of them, which is the CPU time of a worker process; with
  apg, driving a rollout of them and pulling its gradient back, network and all,
- traffic: what that takes beyond (pipes, copies, waiting for the slowest, other programs),
- inference: the driver's network, to act,
- update: from a rollout to new weights; with apg, from the gradient,
- rest: what stable-baselines3 does in between.

Judging the driver on held-back circuits is left out. "SB3's defaults" are `PPO("MlpPolicy", env)`
and `SAC("MlpPolicy", env)` on the same environment, one car in the learner's own process, with
networks of the same sizes.
"""

import argparse
import functools
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from benchmarks.markdown import table
from benchmarks.measuring import DRIVER, in_turn, run_command, script, spread, write_results
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.common.allocator import keep_freed_memory
from racing_env.common.workers import LocalWorkers, descendants_cpu_s
from racing_env.data.dataset import read_dataset
from racing_env.drivers.policy import load_policy
from racing_env.learning import algorithms, cloning
from racing_env.learning.algorithms import sac
from racing_env.learning.batches import BatchLoader, Demonstrations
from racing_env.learning.callbacks import WarmUp
from racing_env.learning.error_gradient import ErrorGradient
from racing_env.learning.network import HIDDEN_SIZES, linear_layers, policy_network
from racing_env.learning.training_cars import TrainingSettings
from racing_env.learning.vector_env import make_vec_env
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.sources import load_circuits

CPU = torch.device("cpu")
PARTS = ("cars", "traffic", "inference", "update", "rest")
NEVER = 10**9  # transitions
WARM_UP_ROLLOUTS = 1


class Stopwatch:
    """Wall time by name; what is timed inside something else counts there alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inside: list[float] = []

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = time.perf_counter() - started
            self.seconds[name] += took - self._inside.pop()
            if self._inside:
                self._inside[-1] += took

    def watch(self, owner: Any, method: str, name: str) -> None:
        """From now on, time an object's method."""
        plain = getattr(owner, method)

        @functools.wraps(plain)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.time(name):
                return plain(*args, **kwargs)

        setattr(owner, method, timed)


class TimeIsUp(Exception):  # noqa: N818 - not an error
    """Ends a training between two rollouts, where SB3 has no other way to."""


class Clock(BaseCallback):
    """Starts everything anew after the first rollout, and ends the training when time is up."""

    def __init__(self, stopwatch: Stopwatch, seconds: float):
        super().__init__()
        self.stopwatch, self.limit_s = stopwatch, seconds
        self.rollouts = self.updates = self.first_timesteps = 0
        self.wall_s = self.cpu_s = self.workers_s = 0.0
        self.update = ExitStack()

    def _on_rollout_end(self) -> None:
        self.update.enter_context(self.stopwatch.time("update"))

    def _on_rollout_start(self) -> None:
        self.update.close()
        now = time.perf_counter()
        if self.rollouts == WARM_UP_ROLLOUTS:
            self.stopwatch.seconds.clear()
            self.updates, self.first_timesteps = 0, self.num_timesteps
            self.wall_s, self.cpu_s = now, time.process_time()
            self.workers_s = descendants_cpu_s()
        self.rollouts += 1
        if self.rollouts > WARM_UP_ROLLOUTS + 1 and now - self.wall_s >= self.limit_s:
            self.wall_s = now - self.wall_s
            self.workers_s = descendants_cpu_s() - self.workers_s
            self.cpu_s = time.process_time() - self.cpu_s
            raise TimeIsUp

    def _on_step(self) -> bool:
        return True


def learnt(
    model: Any, env: VecEnv, processes: int, seconds: float, *callbacks: BaseCallback
) -> dict[str, float]:
    """Let a model learn for so long; steps and updates per second, and shares of the time.

    processes: how many of them step the cars, none if the learner itself does.
    """
    stopwatch = Stopwatch()
    clock = Clock(stopwatch, seconds)
    for method in ("step_async", "step_wait", "rollout"):
        if hasattr(env, method):
            stopwatch.watch(env, method, "environment")
    for method in ("forward", "predict", "predict_values"):
        if hasattr(model.policy, method):
            stopwatch.watch(model.policy, method, "inference")
    optimizer = getattr(model.policy, "critic", model.policy).optimizer

    def count(*_: Any) -> None:
        clock.updates += 1

    optimizer.register_step_post_hook(count)
    with suppress(TimeIsUp):
        model.learn(NEVER, [clock, *callbacks])
    steps = model.num_timesteps - clock.first_timesteps
    shares = shares_of(stopwatch.seconds, clock.wall_s, clock.workers_s, processes)
    return {
        "steps_per_s": steps / clock.wall_s,
        "steps_per_cpu_s": steps / (clock.cpu_s + clock.workers_s),
        "updates_per_s": clock.updates / clock.wall_s,
        **shares,
    }


def shares_of(
    seconds: dict[str, float], wall_s: float, workers_s: float, processes: int
) -> dict[str, float]:
    """Shares of the wall time. Each worker has as many cars as the learner; without workers there
    is no traffic."""
    waited = seconds["environment"]
    cars = min(workers_s / processes, waited) if processes else waited
    parts = {"cars": cars, "traffic": waited - cars}
    parts |= {name: seconds[name] for name in ("inference", "update")}
    parts["rest"] = wall_s - sum(parts.values())
    return {name: value / wall_s for name, value in parts.items()}


def ours(algo: str, bank: CircuitBank, data: str, envs: int, seconds: float) -> dict[str, float]:
    """An algorithm with the settings of train_rl.py, from the shipped driver; sac has the data."""
    algorithm = algorithms.load(algo)
    with tempfile.TemporaryDirectory() as folder, closing(
        make_vec_env("batch", bank, envs, algorithm.NUMBERS.cars,
                     algorithm.training_settings(training_task(bank.vehicle), 0), folder)
    ) as env:  # fmt: skip
        model = algorithm.make_model(env, NEVER, 0, CPU, data)
        algorithm.start_from(model, load_policy(DRIVER))
        if isinstance(model, PPO):
            model.target_kl = None  # a critic that knows nothing yet would end each update early
        callbacks = algorithm.callbacks(model)
        noise = [callback for callback in callbacks if not isinstance(callback, WarmUp)]
        return learnt(model, env, envs, seconds, *noise)


def defaults(algo: str, bank: CircuitBank, seconds: float) -> dict[str, float]:
    """SB3's own defaults: one car, in this process."""
    hidden = list(HIDDEN_SIZES)
    with tempfile.TemporaryDirectory() as folder, closing(
        make_vec_env("dummy", bank, 1, 1, TrainingSettings(training_task(bank.vehicle)), folder)
    ) as env:  # fmt: skip
        model: Any
        if algo == "ppo":
            sizes: dict[str, Any] = {"net_arch": {"pi": hidden, "vf": hidden}}
            model = PPO("MlpPolicy", env, policy_kwargs=sizes, seed=0, device="cpu")
        else:
            sizes = {"net_arch": {"pi": hidden, "qf": [sac.NUMBERS.critic_width] * 2}}
            model = SAC("MlpPolicy", env, policy_kwargs=sizes, seed=0, device="cpu")
        return learnt(model, env, 0, seconds)


def cloned(data: str, workers: int, seconds: float) -> dict[str, float]:
    """Behaviour cloning as train_bc.py does it; "cars" is reading the batches."""
    network = policy_network(read_dataset(data).layout.size)
    optimizer = cloning.adam(network)
    gradient = ErrorGradient(linear_layers(network), torch.tensor(cloning.ACTION_SCALE))
    stopwatch = Stopwatch()
    loader = BatchLoader(Demonstrations([data], validation=False, seed=0), 256, 0, workers, CPU)
    next(iter(loader))  # starts the workers
    examples = updates = 0
    wall, cpu = time.perf_counter(), time.process_time() + descendants_cpu_s()
    while time.perf_counter() - wall < seconds:
        batches = iter(loader)
        while True:
            with stopwatch.time("environment"):
                batch = next(batches, None)
            if batch is None:
                break
            with stopwatch.time("update"), torch.no_grad():
                cloning.update(gradient, optimizer, batch)
            examples += len(batch[0])
            updates += 1
    wall = time.perf_counter() - wall
    return {
        "steps_per_s": examples / wall,
        "steps_per_cpu_s": examples / (time.process_time() + descendants_cpu_s() - cpu),
        "updates_per_s": updates / wall,
        **shares_of(stopwatch.seconds, wall, 0.0, processes=0),
    }


def learning_table(results: dict[str, dict[str, Any]]) -> str:
    rows = [
        [name, f"{case['steps_per_s']:,.0f}", f"{case['steps_per_cpu_s']:,.0f}",
         f"{case['updates_per_s']:,.1f}", spread(case, "steps_per_s"),
         *(f"{case[part]:.0%}" for part in PARTS)]
        for name, case in results.items()
    ]  # fmt: skip
    return table(["learning", "steps/s", "per CPU-second", "updates/s", "spread", *PARTS], rows)


def cases(
    bank: CircuitBank, data: str, args: argparse.Namespace
) -> dict[str, Callable[[], dict[str, float]]]:
    measures: dict[str, Callable[[], dict[str, float]]] = {}
    for algo in ("apg", "ppo", "sac"):
        if algo in args.only:
            measures[algo] = functools.partial(ours, algo, bank, data, args.envs, args.seconds)
            if algo != "apg":
                measures[f"{algo}, SB3's defaults"] = functools.partial(
                    defaults, algo, bank, args.seconds
                )
    if "bc" in args.only:
        for workers in args.bc_workers:
            measures[f"bc, loader workers: {workers}"] = functools.partial(
                cloned, data, workers, args.seconds
            )
    return measures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    algorithms = ("apg", "ppo", "sac", "bc")
    flag = parser.add_argument
    flag("--only", nargs="+", choices=algorithms, default=algorithms, help="what to measure (all)")
    flag("--envs", type=cli.positive_int, default=min(max(cli.available_cores() - 1, 1), 8),
         help="environment processes beside the learner (cores - 1, at most 8)")  # fmt: skip
    flag("--bc-workers", type=cli.count_int, nargs="+", default=[0, 1, 2, 4],
         help="processes that load batches (0 1 2 4)")  # fmt: skip
    flag("--seconds", type=cli.positive_float, default=10.0, help="a case and turn (10)")
    flag("--repeats", type=cli.positive_int, default=3, help="turns (3)")
    flag("--episodes", type=cli.positive_int, default=40, help="of demonstrations (40)")
    flag("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    vehicle = read_vehicle(DEFAULT_VEHICLE)
    bank = pack_circuits(
        load_circuits(["random:1:20"], vehicle, LocalWorkers(cli.available_cores()))
    )
    with tempfile.TemporaryDirectory() as data:
        run_command(script("collect_demonstrations.py", episodes=args.episodes,
                           track="random:1:20", out=data))  # fmt: skip
        results = in_turn(cases(bank, data, args), args.repeats)
    print(learning_table(results))
    print("steps: transitions; with bc, examples, and cars: reading batches")
    write_results(args.json, {"envs": args.envs, "cases": results})


if __name__ == "__main__":
    cli.run(main)
