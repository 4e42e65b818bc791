"""Flying laps of a policy, for those who train one: by the rule, and nothing but their times.

The same laps as `racing_env.laps.evaluation` has, driven for seconds in one call: on sixteen
circuits in a tenth of the time. The network's tanh is another one, so that times may
differ in their last digits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from racing_env.car.conditions import Conditions
from racing_env.car.dynamics import new_scratch
from racing_env.common.workers import Workers
from racing_env.drivers.policy import ACTION_SIZE, Policy
from racing_env.laps.chunks import Imap, chunks_of
from racing_env.laps.evaluation import TIME_LIMIT_FACTOR
from racing_env.simulation import closed_loop
from racing_env.simulation.adaptation import inputs
from racing_env.simulation.perceptron import flat_parameters, network_of
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.sensors import CHANNELS
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task
from racing_env.tracks.bank import CircuitBank

CALL_STEPS = 64  # in one call: no lap is as short
CHUNK = 16  # circuits a job
SENSORS = 7  # names the streams of their errors
LAPS = 2  # a standing one, then the flying one

# A policy's `flying_laps_s`, of some circuits after the others; None where the next are not driven
# yet. It begins when the first are asked for.
Race = Callable[[Policy], Iterator[np.ndarray | None]]


class _WorkerState:
    """The circuits that a process drives on."""

    circuits: CircuitBank
    conditions: Sequence[Conditions]


_worker = _WorkerState()


def set_circuits(circuits: CircuitBank, conditions: Sequence[Conditions]) -> None:
    """Have this process drive on these circuits, each under its conditions."""
    _worker.circuits, _worker.conditions = circuits, conditions


@contextmanager
def racing(
    circuits: CircuitBank, conditions: Sequence[Conditions], like: Policy, workers: Workers
) -> Iterator[Race]:
    """A race of policies like this one, within the block: by `workers`, beside what this process
    does meanwhile, or by this process where one chunk holds all the circuits.
    """
    count = len(circuits.count)
    jobs = len(chunks_of(count, CHUNK))
    if min(workers.number, jobs) > 1:
        flying_laps_s(circuits, conditions, like, range(1))  # compiled once, for all of them
        with workers.pool(set_circuits, (circuits, conditions), at_most=jobs) as pool:
            yield partial(_race_by_chunks, pool.imap, count)
    else:
        yield lambda policy: iter([flying_laps_s(circuits, conditions, policy, range(count))])


def _race_by_chunks(imap: Imap, circuits: int, policy: Policy) -> Iterator[np.ndarray | None]:
    return imap(partial(_race, policy), chunks_of(circuits, CHUNK), wait=False)


def _race(policy: Policy, which: range) -> np.ndarray:
    return flying_laps_s(_worker.circuits, _worker.conditions, policy, which)


def flying_laps_s(
    circuits: CircuitBank, conditions: Sequence[Conditions], policy: Policy, which: range
) -> np.ndarray:
    """A policy's flying lap (len(which),) on these circuits of a bank, NaN where it finishes none.

    conditions: of each circuit of the bank. The policy has two hidden layers of one size, and is
    for the bank's car.
    """
    assert policy.vehicle == circuits.vehicle
    task = racing_task(circuits.vehicle, policy.layout.name)
    numbers = closed_loop.LoopNumbers(
        task.weights, task.control_step_s, task.run_off_m, limit_steps=2**31 - 1, discount=1.0,
        lookahead_steps=0, action_gradient_limit=np.inf,
    )  # fmt: skip
    size, hidden = policy.layout.size, len(policy.biases[0])
    wide = inputs(policy.layout, policy.adapts)
    network = network_of(flat_parameters(policy.weights, policy.biases), wide, hidden, ACTION_SIZE)
    scaling = policy.layout.scaling(circuits.vehicle)
    simulator = Simulator(circuits, len(which), task)
    for car, circuit in enumerate(which):
        simulator.place(car, circuit, conditions=conditions[circuit])
    limit_s = TIME_LIMIT_FACTOR * LAPS * circuits.line_lap_s
    laps_s = np.full(len(which), np.nan)
    errors = {circuit: np.random.default_rng([SENSORS, circuit]) for circuit in which}
    tape = None
    while n := simulator.n:
        if tape is None:
            tape = closed_loop.new_tape(CALL_STEPS, n, size, wide, hidden)
        for car, circuit in enumerate(simulator.cars.circuit.tolist()):
            if conditions[circuit].noise:
                tape.sensor_noise[:, car] = errors[circuit].standard_normal((CALL_STEPS, CHANNELS))
        simulator.observe(out=tape.seen[0])
        episodes = closed_loop.Episodes(
            np.zeros(n, dtype=np.int32), np.zeros((n, len(REWARD_TERMS))), np.zeros(n),
            simulator.memory,
        )  # fmt: skip
        last = policy.layout.drive(
            simulator.state, simulator.cars, circuits, numbers, scaling, simulator.sensors,
            new_scratch(), network, policy.adaptation, episodes, tape, 0,
        )  # fmt: skip
        simulator.noise[:] = tape.sensor_noise[-1]
        cars = simulator.cars
        finished = cars.laps >= LAPS
        in_time = cars.lap_start_s - task.control_step_s < limit_s[cars.circuit]
        home = finished & in_time
        laps_s[cars.circuit[home] - which.start] = cars.lap_time_s[home]
        late = cars.time_s > limit_s[cars.circuit]
        over = finished | late | (last < 0) | tape.terminated[last - 1]
        if over.any():
            simulator, tape = simulator.subset(~over), None
    return laps_s
