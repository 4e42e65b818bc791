"""Cars at whose wheels a network sits: a whole rollout in one call, and its gradient in another.

`drive` steps cars and network by turns and keeps on a tape what has to be known to go back.
`pull_back` goes from the end of the tape to its beginning, by turns through the car (its adjoint),
what it is paid, what the driver saw, and the network, as in back-propagation through time.
"""

from typing import Any, NamedTuple

import numpy as np

from racing_env.car import conditions
from racing_env.car import dynamics as dyn
from racing_env.car.dynamics_adjoint import step_dynamics_adjoint
from racing_env.car.kernels import inlined
from racing_env.simulation import sensors
from racing_env.simulation.adaptation import (
    EVIDENCE_INPUTS,
    EVIDENCE_SIZES,
    GATHERED,
    GUESSES,
    HIDDEN,
    SEEN_ANY,
    Weighing,
    adapt,
)
from racing_env.simulation.adaptation_adjoint import (
    adapt_gradient,
    add_evidence_gradient,
    likelihood_gradient,
    weigh_back,
)
from racing_env.simulation.layout import unscale_gradient
from racing_env.simulation.motion import ON_TRACK, delay_weight, line_time, move, wrapped
from racing_env.simulation.motion_adjoint import (
    add_pay_gradient,
    add_place_gradient,
    line_time_slope,
)
from racing_env.simulation.perceptron import (
    add_parameter_gradient,
    backward,
    forward,
    new_scratch,
)
from racing_env.simulation.rewards import REWARD_TERMS, RewardWeights, steering_demand

GRADIENT_MAX = 1e9  # by any number, in its unit: far from where single precision ends


class LoopNumbers(NamedTuple):
    """What `drive` and `pull_back` are told."""

    weights: RewardWeights
    dt_s: float
    run_off_m: float
    limit_steps: int  # after which an episode is truncated
    discount: float  # a step
    lookahead_steps: int  # an action is learnt from if so many steps after it are known
    action_gradient_limit: float  # a step's gradient by the action is scaled down to it


class Episodes(NamedTuple):
    """The present episodes of n cars."""

    steps: np.ndarray  # (n,) int32
    sums: np.ndarray  # (n, terms) of the rewards
    trouble_m: np.ndarray  # (n,) where, along the centre line, they last went wrong
    memory: np.ndarray  # (n, adaptation.MEMORY) float32, of the drivers


class Tape(NamedTuple):
    """A rollout of n cars, step by step: arrays whose first axis is the step."""

    state: np.ndarray  # (steps, STATE_SIZE, n) before it
    after: np.ndarray  # after it, before an episode that is over starts anew
    circuit: np.ndarray  # (steps, n) int64
    station: np.ndarray  # (steps, n) int64 before it
    fraction: np.ndarray
    after_station: np.ndarray
    after_fraction: np.ndarray
    after_offset: np.ndarray
    terminated: np.ndarray  # (steps, n) bool
    truncated: np.ndarray
    noise: np.ndarray  # (steps, n, 2) float32, added to the actions
    sensor_noise: np.ndarray  # (steps, n, channels) of what is seen after it, see `sensors`
    conditions: np.ndarray  # (steps, n, conditions.SIZE)
    actions: np.ndarray  # (steps, n, 2) that reach the cars
    seen: np.ndarray  # (steps + 1, n, size) float32
    inputs: np.ndarray  # (steps, n, inputs) float32, of the network
    speed_factor: np.ndarray  # (steps, n) float32, see `adaptation.adapt`
    delay_guess: np.ndarray
    known: np.ndarray  # (steps, n) float32, 1 where there is evidence
    hidden_1: np.ndarray  # (steps, n, hidden) float32, of the network
    hidden_2: np.ndarray
    out: np.ndarray  # (steps, n, 2) float32, actions without noise
    weighing: Weighing  # (steps, n, ...) each, where drivers adapt


class Gradient(NamedTuple):
    """What `pull_back` finds: sums over all steps and cars, to which it adds."""

    parameters: tuple[np.ndarray, ...]  # as the first six of `perceptron.Network`
    # likewise of the network that weighs evidence, of the conditions' likelihood
    evidence: tuple[np.ndarray, ...]
    loss: np.ndarray  # (1,) minus the logarithm of that, but for a constant
    usable: np.ndarray  # (1,) int64: steps that were learnt from
    sizes: np.ndarray  # (2,) sums of the absolute gradients by steering and by pedals


def new_tape(steps: int, n: int, size: int, inputs: int, hidden: int) -> Tape:
    """A tape for so many steps of n cars that see `size` numbers; inputs: of their network, more
    than those where they adapt.
    """
    whole, flags, numbers = np.int64, np.bool_, np.float64
    state, by_car, pair = (steps, dyn.STATE_SIZE, n), (steps, n), (steps, n, 2)
    evidence = steps if inputs > size else 0
    widths = (EVIDENCE_INPUTS, HIDDEN, HIDDEN, EVIDENCE_SIZES[-1], GATHERED)
    weighed: list[Any] = [np.zeros((evidence, n, width), np.float32) for width in widths]
    weighing = Weighing(*weighed, *[np.zeros(GATHERED), np.zeros((2, GUESSES, GUESSES))])
    fields = [
        (state, numbers), (state, numbers), (by_car, whole), (by_car, whole), (by_car, numbers),
        (by_car, whole), (by_car, numbers), (by_car, numbers), (by_car, flags), (by_car, flags),
        (pair, np.float32), ((*by_car, sensors.CHANNELS), numbers),
        ((*by_car, conditions.SIZE), numbers), (pair, numbers), ((steps + 1, n, size), np.float32),
        ((steps, n, inputs), np.float32), (by_car, np.float32), (by_car, np.float32),
        (by_car, np.float32), ((steps, n, hidden), np.float32), ((steps, n, hidden), np.float32),
        (pair, np.float32),
    ]  # fmt: skip
    arrays: list[Any] = [np.zeros(shape, dtype) for shape, dtype in fields]
    return Tape(*arrays, *[weighing])


@inlined
def drive(
    sense, state, cars, circuits, numbers, scaling, sensors_, scratch, network, adaptation,
    episodes, tape, first,
):  # fmt: skip
    """Drive from step `first` to the end of the tape, or until an episode is over.

    sense(state, car, cars, circuits, scaling, sensors, noise, out) fills what a car's driver sees;
    tape.seen[first] is what they see now. Returns the step behind the last one; -1 where an action
    is not finite.
    """
    n = state.shape[1]
    for step in range(first, len(tape.actions)):
        actions = tape.actions[step]
        for car in range(n):
            out = tape.out[step, car]
            tape.known[step, car] = episodes.memory[car, SEEN_ANY]
            tape.speed_factor[step, car], tape.delay_guess[step, car] = adapt(
                adaptation, tape.seen[step, car], cars.asked[car], episodes.memory[car],
                tape.weighing, step, car, tape.inputs[step, car],
            )  # fmt: skip
            forward(
                network, tape.inputs[step, car], tape.hidden_1[step, car],
                tape.hidden_2[step, car], out,
            )  # fmt: skip
            for i in range(2):
                actions[car, i] = out[i] + tape.noise[step, car, i]
        for car in range(n):
            tape.circuit[step, car] = cars.circuit[car]
            tape.station[step, car] = cars.station[car]
            tape.fraction[step, car] = cars.fraction[car]
            for i in range(dyn.STATE_SIZE):
                tape.state[step, i, car] = state[i, car]
            for i in range(conditions.SIZE):
                tape.conditions[step, car, i] = cars.conditions[car, i]
        if not move(
            state, actions, cars, circuits, numbers.weights, numbers.dt_s, numbers.run_off_m,
            scratch,
        ):  # fmt: skip
            return -1
        over = False
        for car in range(n):
            tape.after_station[step, car] = cars.station[car]
            tape.after_fraction[step, car] = cars.fraction[car]
            tape.after_offset[step, car] = cars.offset_m[car]
            for i in range(dyn.STATE_SIZE):
                tape.after[step, i, car] = state[i, car]
            episodes.steps[car] += 1
            for term in range(len(REWARD_TERMS)):
                episodes.sums[car, term] += cars.rewards[car, term]
            terminated = cars.ended[car] != ON_TRACK
            truncated = not terminated and episodes.steps[car] >= numbers.limit_steps
            if terminated or cars.room_m[car] < 0.0:
                place = cars.station[car] + cars.fraction[car]
                episodes.trouble_m[car] = place * circuits.step_m[cars.circuit[car]]
            tape.terminated[step, car] = terminated
            tape.truncated[step, car] = truncated
            over = over or terminated or truncated
            sense(
                state, car, cars, circuits, scaling, sensors_, tape.sensor_noise[step, car],
                tape.seen[step + 1, car],
            )  # fmt: skip
        if over:
            return step + 1
    return len(tape.actions)


@inlined
def _is_told(by_state, by_action, car):
    """Whether a car's gradient says anything: of a spinning car it may grow, over seconds in which
    its actuators are at their ends, beyond all numbers.
    """
    told = abs(by_action[car, 0]) < GRADIENT_MAX and abs(by_action[car, 1]) < GRADIENT_MAX
    for i in range(dyn.STATE_SIZE):
        told = told and abs(by_state[i, car]) < GRADIENT_MAX
    return told


@inlined
def _pull_back_delay(own_conditions, by_action, by_asked):
    """Turn a car's gradients by the action that reached it and, after the step, by those on their
    way into those by the action that was asked for and, before the step, by those on their way.
    """
    delay = own_conditions[conditions.DELAY_STEPS]
    for i in range(2):
        by_reaching, by_now = by_action[i], by_asked[0, i]
        by_action[i] = delay_weight(delay, 0) * by_reaching + by_now
        for age in range(conditions.MOST_DELAY_STEPS):
            older = age + 1
            later = by_asked[older, i] if older < conditions.MOST_DELAY_STEPS else 0.0
            by_asked[age, i] = delay_weight(delay, older) * by_reaching + later


@inlined
def pull_back(
    add_seen_gradient, circuits, numbers, scaling, changes, probe, network, adaptation, tape,
    gradient,
):  # fmt: skip
    """Add the gradient of what the steps of the tape paid, by the network's parameters.

    Of the rewards of a step and of all that followed on the tape, discounted, by the step's action,
    with a driver who goes on to do what he does by what he sees. add_seen_gradient: of a layout,
    see `racing_env.simulation.layout_kernels`; changes: (STATE_SIZE,), small ones of the state.
    """
    steps, n, size = tape.seen.shape[0] - 1, tape.seen.shape[1], tape.seen.shape[2]
    substeps = dyn.substeps_of(circuits.vehicle, numbers.dt_s)
    by_state = np.zeros((dyn.STATE_SIZE, n))
    by_action = np.zeros((n, 2))  # that reaches a car
    by_asked = np.zeros((n, conditions.MOST_DELAY_STEPS, 2))  # by those that are on their way
    by_seen = np.zeros((n, size), dtype=np.float32)
    by_input = np.zeros(tape.inputs.shape[2], dtype=np.float32)
    by_out = np.zeros(2, dtype=np.float32)
    learnt = np.zeros(n, dtype=np.bool_)
    layers = new_scratch(n, tape.hidden_1.shape[2], 2)
    pays = np.zeros(len(REWARD_TERMS))
    by_earlier = np.zeros(n)  # by the profile's time at which the steps began
    by_demand = np.zeros(n)  # on the steering in the steps
    known = np.zeros(n, dtype=np.int64)  # steps ahead
    weigher = new_scratch(n, HIDDEN, EVIDENCE_SIZES[2])
    by_gathered = np.zeros((n, GATHERED))
    by_weighed = np.zeros(EVIDENCE_SIZES[2], dtype=np.float32)
    by_evidence = np.zeros(EVIDENCE_INPUTS, dtype=np.float32)
    adapts = len(adaptation.evidence) > 0
    everyone = np.ones(n, dtype=np.bool_)
    for step in range(steps - 1, -1, -1):
        state, after = tape.state[step], tape.after[step]
        for car in range(n):
            c = tape.circuit[step, car]
            station, fraction = tape.after_station[step, car], tape.after_fraction[step, car]
            offset = tape.after_offset[step, car]
            terminated, truncated = tape.terminated[step, car], tape.truncated[step, car]
            by_fraction = by_offset = 0.0
            over = terminated or truncated  # what followed was another episode
            for i in range(dyn.STATE_SIZE):
                by_state[i, car] = 0.0 if over else by_state[i, car] * numbers.discount
            for age in range(conditions.MOST_DELAY_STEPS):
                for i in range(2):
                    later = by_asked[car, age, i]
                    by_asked[car, age, i] = 0.0 if over else later * numbers.discount
            if not over:
                unscale_gradient(tape.seen[step + 1, car], by_seen[car], scaling)
                by_fraction, by_offset = add_seen_gradient(
                    after, car, c, station, fraction, offset, tape.conditions[step, car], circuits,
                    scaling, changes, probe, by_seen[car], by_state,
                )  # fmt: skip
            known[car] = 0 if truncated else known[car] + 1
            if terminated:  # nothing follows
                known[car] = numbers.lookahead_steps
            before_s = line_time(circuits, c, tape.station[step, car], tape.fraction[step, car])
            gained_s = line_time(circuits, c, station, fraction) - before_s
            demand = steering_demand(state, car, tape.actions[step, car, 0], circuits.vehicle)
            by_gained, by_room_fraction, by_room_offset, by_demand[car] = add_pay_gradient(
                after, car, circuits, c, station, fraction, offset,
                wrapped(gained_s, circuits.line_lap_s[c]), demand, numbers.weights, numbers.dt_s,
                changes, pays, by_state,
            )  # fmt: skip
            by_earlier[car] = -by_gained
            by_fraction += by_room_fraction + by_gained * line_time_slope(circuits, c, station)
            by_offset += by_room_offset
            add_place_gradient(
                after, car, circuits, c, station, fraction, by_fraction, by_offset, by_state
            )
        step_dynamics_adjoint(
            state, after, tape.actions[step], tape.conditions[step], circuits.vehicle, numbers.dt_s,
            substeps, by_state, by_action,
        )  # fmt: skip
        for car in range(n):
            c, station = tape.circuit[step, car], tape.station[step, car]
            by_fraction = by_earlier[car] * line_time_slope(circuits, c, station)
            add_place_gradient(
                state, car, circuits, c, station, tape.fraction[step, car], by_fraction, 0.0,
                by_state,
            )  # fmt: skip
            by_action[car, 0] += by_demand[car]
            by_state[dyn.STEER, car] -= by_demand[car] / circuits.vehicle.steering_max_rad
            _pull_back_delay(tape.conditions[step, car], by_action[car], by_asked[car])
            if not _is_told(by_state, by_action, car):
                for i in range(dyn.STATE_SIZE):
                    by_state[i, car] = 0.0
                by_action[car, 0] = by_action[car, 1] = 0.0
                for age in range(conditions.MOST_DELAY_STEPS):
                    by_asked[car, age, 0] = by_asked[car, age, 1] = 0.0
            largest = max(abs(by_action[car, 0]), abs(by_action[car, 1]), 1e-9)
            shrink = min(numbers.action_gradient_limit / largest, 1.0)
            for i in range(dyn.STATE_SIZE):
                by_state[i, car] *= shrink
            for age in range(conditions.MOST_DELAY_STEPS):
                for i in range(2):
                    by_asked[car, age, i] *= shrink
            for i in range(2):
                by_out[i] = by_action[car, i] * shrink
                gradient.sizes[i] += abs(by_out[i])
            learnt[car] = known[car] >= numbers.lookahead_steps
            gradient.usable[0] += learnt[car]
            backward(
                network, car, tape.hidden_1[step, car], tape.hidden_2[step, car],
                tape.out[step, car], by_out, layers, by_input,
            )  # fmt: skip
            adapt_gradient(
                adaptation, tape.speed_factor[step, car], tape.delay_guess[step, car], by_input,
                size, by_seen[car], by_asked[car],
            )  # fmt: skip
            for i in range(size):
                by_seen[car, i] *= numbers.discount
        add_parameter_gradient(
            tape.inputs[step], tape.hidden_1[step], tape.hidden_2[step], learnt, layers,
            gradient.parameters,
        )  # fmt: skip
        if not adapts:
            continue
        weighing = tape.weighing
        for car in range(n):
            over = tape.terminated[step, car] or tape.truncated[step, car]
            gradient.loss[0] += likelihood_gradient(
                adaptation, weighing.out[step, car], weighing.gathered[step, car],
                tape.known[step, car], over, tape.conditions[step, car], weighing.work,
                by_gathered[car], by_weighed,
            )  # fmt: skip
            weigh_back(
                adaptation.network, car, weighing.hidden_1[step, car], weighing.hidden_2[step, car],
                weighing.out[step, car], by_weighed, weigher, by_evidence,
            )  # fmt: skip
        add_evidence_gradient(
            weighing.inputs[step], weighing.hidden_1[step], weighing.hidden_2[step], everyone,
            weigher, gradient.evidence,
        )  # fmt: skip
