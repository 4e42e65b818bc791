"""What a driver guesses of the conditions that he is not told, and how it changes what he sees.

From one control step to the next the car answers to what it was asked, and each answer is evidence:
a small network says, for each condition, which value it speaks for and with how much weight. The
guess is the mean of all evidence since the start, each with its weight, and of the prior; evidence
fades slowly. So nothing is forgotten on a straight, where the weights are small, and the sum of the
weights says how sure the guess is.

The driver's network is given what he sees, but for the profile's speeds, which become those that
the guessed grip allows; and the actions that are still on their way, for a delay.
"""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car import conditions
from racing_env.car.kernels import inlined, kernel
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.simulation.layout import Layout
from racing_env.simulation.perceptron import Network, forward, network_of, parameter_count
from racing_env.simulation.task import CONTROL_STEP_S

GUESSED = conditions.Conditions._fields[:6]  # all but the sensors' noise
GUESSES = len(GUESSED)
FRICTION, DELAY = GUESSED.index("friction"), GUESSED.index("delay_s")
EVIDENCE = (
    "vx_mps", "vy_mps", "yaw_rate_radps", "steer_rad", "drive_n", "brake_n", "ax_mps2", "ay_mps2",
    "front_slip_rad", "rear_slip_rad",
)  # fmt: skip
STEER, DRIVE, BRAKE = (EVIDENCE.index(name) for name in ("steer_rad", "drive_n", "brake_n"))
ASKED = 2 * conditions.MOST_DELAY_STEPS
HIDDEN = 48  # units of each hidden layer of the network that weighs evidence
EVIDENCE_INPUTS = 2 * len(EVIDENCE) + ASKED
EVIDENCE_SIZES = (EVIDENCE_INPUTS, HIDDEN, 2 * GUESSES)  # inputs, units of both layers, outputs
EXTRA_INPUTS = ASKED + 2 + 2 * GUESSES  # of the driver's network, after what he sees

# Guesses are in halves of the range, from its middle. Evidence may lie a little beyond.
REACH = 1.5
CHANGE_GAIN = 10.0  # what changes in a control step is a small part of what is seen
PRIOR_WEIGHT = 3.0  # one over the variance of what is drawn evenly from -1 to 1
LOG_WEIGHT, LOG_WEIGHT_REACH = -3.0, 7.0  # of a step's evidence, and how far it goes up and down
FADE_S = 60.0  # of the reference car: after which evidence counts a third
# The driver takes the grip to be so many standard deviations less than he guesses: what he does not
# know yet is paid for in pace, not in laps.
CAUTION = 1.0

# What a driver remembers: what he saw of his car, the sums of the evidence and of its weights,
# whether he has seen anything, and his last actions, the latest first.
SAW, SUMS, WEIGHTS = 0, len(EVIDENCE), len(EVIDENCE) + GUESSES
SEEN_ANY = WEIGHTS + GUESSES
LAST_ASKED = SEEN_ANY + 1
MEMORY = LAST_ASKED + ASKED


class Adaptation(NamedTuple):
    """The numbers of it for a car and a layout. Without adaptation the arrays are empty."""

    evidence: np.ndarray  # (len(EVIDENCE),) int64: where in what is seen it is
    profile: np.ndarray  # (p,) int64: where the profile's speeds are, less the car's own
    speeds: np.ndarray  # (p,) float32: the scale of the car's own speed over theirs
    middle: np.ndarray  # (GUESSES,) float32 of the ranges; a delay's in control steps
    half: np.ndarray  # (GUESSES,) float32
    keep: float  # of the sums, from one control step to the next
    network: Network  # from evidence, its change and what was asked to values and weights


def parameters() -> int:
    """Of the network that weighs evidence."""
    return parameter_count(*EVIDENCE_SIZES)


def inputs(layout: Layout, adapts: bool) -> int:
    """Of the driver's network."""
    return layout.size + (EXTRA_INPUTS if adapts else 0)


def new_adaptation(layout: Layout, vehicle: Vehicle, flat: np.ndarray) -> Adaptation:
    """For a car and a layout, from the parameters (parameters(),) float32 of the network.

    Raises ValueError if the layout does not show what is needed.
    """
    names = [quantity.name for quantity in layout.quantities]
    profile = [i for i, name in enumerate(names) if name.startswith("profile_minus_speed_mps")]
    scales = [quantity.scale_for(vehicle) for quantity in layout.quantities]
    speed_scale = scales[names.index("vx_mps")]
    time = scales_of(vehicle).time
    ranges = conditions.ROAD[:GUESSES]  # in control steps a delay's is that of any car
    middle = np.array([0.5 * (r.least + r.most) for r in ranges])
    half = np.array([0.5 * (r.most - r.least) for r in ranges])
    middle[DELAY] /= CONTROL_STEP_S
    half[DELAY] /= CONTROL_STEP_S
    return Adaptation(
        evidence=np.array([names.index(name) for name in EVIDENCE]),
        profile=np.array(profile),
        speeds=np.array([speed_scale / scales[i] for i in profile], dtype=np.float32),
        middle=middle.astype(np.float32),
        half=half.astype(np.float32),
        keep=math.exp(-CONTROL_STEP_S * time / (FADE_S * time)),
        network=network_of(flat, *EVIDENCE_SIZES),
    )


def no_adaptation() -> Adaptation:
    """Of a driver who takes what he sees as it is."""
    none, nowhere = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
    network = network_of(np.zeros(parameter_count(0, 1, 1), dtype=np.float32), 0, 1, 1)
    return Adaptation(nowhere, nowhere, none, none, none, 1.0, network)


class Weighing(NamedTuple):
    """How evidence was weighed, (steps, n, ...) float32 each: the network's inputs, layers and
    outputs, and the sums of values and of weights that the memory then had.
    """

    inputs: np.ndarray  # EVIDENCE_INPUTS
    hidden_1: np.ndarray  # HIDDEN
    hidden_2: np.ndarray
    out: np.ndarray  # 2 * GUESSES
    gathered: np.ndarray  # 2 * GUESSES


@inlined
def speed_factor(guess, weight, adaptation):
    """Of the profile's speeds, by the guess and its weight: the root of the grip, with caution."""
    grip = adaptation.middle[FRICTION]
    grip += adaptation.half[FRICTION] * (guess - np.float32(CAUTION) / np.sqrt(weight))
    return np.sqrt(grip)


@inlined
def on_its_way(delay_steps, age):
    """Share of the action that is age + 1 steps old that the car has yet to feel."""
    return min(max(delay_steps - np.float32(age), np.float32(0.0)), np.float32(1.0))


@inlined
def _evidence(out, k):
    """A value for which the network's outputs speak, and its weight."""
    exponent = np.float32(LOG_WEIGHT) + np.float32(LOG_WEIGHT_REACH) * out[GUESSES + k]
    return np.float32(REACH) * out[k], np.exp(exponent)


@kernel
def _gather(adaptation, seen, asked, memory, weighing, step, car):
    """Bring the memory up to date with what is seen; asked: (MOST_DELAY_STEPS, 2)."""
    inputs, out = weighing.inputs[step, car], weighing.out[step, car]
    count = len(adaptation.evidence)
    for i in range(count):
        now = seen[adaptation.evidence[i]]
        inputs[i] = now
        inputs[count + i] = np.float32(CHANGE_GAIN) * (now - memory[SAW + i])
        memory[SAW + i] = now
    for age in range(len(asked)):
        for i in range(2):
            place = inputs[STEER] if i == 0 else inputs[DRIVE] - inputs[BRAKE]
            unmet = np.float32(asked[age, i]) - place
            inputs[2 * count + 2 * age + i] = np.float32(CHANGE_GAIN) * unmet
    known = memory[SEEN_ANY]  # at first there is nothing that it could have changed from
    memory[SEEN_ANY] = 1.0
    forward(
        adaptation.network, inputs, weighing.hidden_1[step, car], weighing.hidden_2[step, car], out
    )  # fmt: skip
    keep = np.float32(adaptation.keep)
    for k in range(GUESSES):
        value, weight = _evidence(out, k)
        memory[SUMS + k] = keep * memory[SUMS + k] + known * weight * value
        memory[WEIGHTS + k] = keep * memory[WEIGHTS + k] + known * weight
        weighing.gathered[step, car, k] = memory[SUMS + k]
        weighing.gathered[step, car, GUESSES + k] = memory[WEIGHTS + k]


@kernel
def adapt(adaptation, seen, asked, memory, weighing, step, car, out):
    """Fill out, the inputs of the driver's network, and bring the memory (MEMORY,) up to date.

    seen: (size,); asked: (MOST_DELAY_STEPS, 2), the last actions, the latest first; weighing:
    (steps, n, ...) each, of which those of the step and the car are filled. Returns the
    factor on the profile's speeds and the guessed delay in control steps.
    """
    size = len(seen)
    for i in range(size):
        out[i] = seen[i]
    if len(adaptation.evidence) == 0:
        return np.float32(1.0), np.float32(0.0)
    _gather(adaptation, seen, asked, memory, weighing, step, car)
    for k in range(GUESSES):
        weight = np.float32(PRIOR_WEIGHT) + memory[WEIGHTS + k]
        out[size + ASKED + 2 + k] = memory[SUMS + k] / weight
        out[size + ASKED + 2 + GUESSES + k] = np.sqrt(np.float32(PRIOR_WEIGHT) / weight)
    factor = speed_factor(
        out[size + ASKED + 2 + FRICTION], np.float32(PRIOR_WEIGHT) + memory[WEIGHTS + FRICTION],
        adaptation,
    )  # fmt: skip
    delay = adaptation.middle[DELAY] + adaptation.half[DELAY] * out[size + ASKED + 2 + DELAY]
    speed = seen[adaptation.evidence[0]]
    for i in range(len(adaptation.profile)):
        column = adaptation.profile[i]
        out[column] = factor * seen[column]
        out[column] += (factor - np.float32(1.0)) * adaptation.speeds[i] * speed
    for i in range(2):
        pending = np.float32(0.0)
        for age in range(len(asked)):
            action = np.float32(asked[age, i])
            out[size + 2 * age + i] = action
            pending += on_its_way(delay, age) * action
        out[size + ASKED + i] = pending
    return factor, delay


@kernel
def adapt_gradient(adaptation, factor, delay, by_input, size, by_seen, by_asked):
    """Pull a gradient back through `adapt`, the guesses taken as they are.

    by_input: by the driver's inputs; by_seen (size,) is filled with that by what is seen, to
    by_asked (MOST_DELAY_STEPS, 2) that by the last actions is added.
    """
    for i in range(size):
        by_seen[i] = by_input[i]
    if len(adaptation.evidence) == 0:
        return
    by_speed = np.float32(0.0)
    for i in range(len(adaptation.profile)):
        column = adaptation.profile[i]
        by_seen[column] *= factor
        by_speed += by_input[column] * (factor - np.float32(1.0)) * adaptation.speeds[i]
    by_seen[adaptation.evidence[0]] += by_speed
    for age in range(len(by_asked)):
        for i in range(2):
            by_asked[age, i] += by_input[size + 2 * age + i]
            by_asked[age, i] += on_its_way(delay, age) * by_input[size + ASKED + i]


@inlined
def truth(adaptation, own_conditions, k):
    """Of guess k, in halves of its range; own_conditions: (conditions.SIZE,)."""
    value = own_conditions[conditions.DELAY_STEPS] if k == DELAY else 1.0 + own_conditions[k]
    return (value - adaptation.middle[k]) / adaptation.half[k]


@kernel
def likelihood_gradient(
    adaptation, out, gathered, known, over, own_conditions, by_gathered, by_out
):
    """Fill by_out (2 * GUESSES,), the gradient by the evidence network's outputs at one step of
    minus the log likelihood of the conditions under the guesses of this step and of all later ones,
    and under a guess from this step's evidence alone.

    Guesses are taken as independent and normal, one over a weight as the variance; see
    `racing_env.learning.evidence`. by_gathered (2 * GUESSES,) is brought up to date: by the sums
    after this step; over: what follows is another episode; known: there is evidence. Returns minus
    the log likelihood at this step, but for a constant.
    """
    loss = 0.0
    for k in range(GUESSES):
        weights = PRIOR_WEIGHT + gathered[GUESSES + k]
        guess = gathered[k] / weights
        error = guess - truth(adaptation, own_conditions, k)
        loss += 0.5 * weights * error * error - 0.5 * math.log(weights)
        by_sum = 0.0 if over else adaptation.keep * by_gathered[k]
        by_weight = 0.0 if over else adaptation.keep * by_gathered[GUESSES + k]
        by_sum += error
        by_weight += 0.5 * error * error - error * guess - 0.5 / weights
        by_gathered[k], by_gathered[GUESSES + k] = by_sum, by_weight
        # and of a guess from this step's evidence alone, without which it would forget to look
        value, weight = _evidence(out, k)
        alone = PRIOR_WEIGHT + weight
        guess = weight * value / alone
        error = guess - truth(adaptation, own_conditions, k)
        by_sum += error
        by_weight += 0.5 * error * error - error * guess - 0.5 / alone
        by_out[k] = known * by_sum * weight * REACH
        by_out[GUESSES + k] = known * (by_sum * value + by_weight) * weight * LOG_WEIGHT_REACH
    return loss
