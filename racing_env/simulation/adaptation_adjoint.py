"""The adjoint of `racing_env.simulation.adaptation`.

Gradients of what is paid, pulled back to what is seen and to the last actions; and that of the
guesses' likelihood, by what the evidence network says.
"""

import numpy as np

from racing_env.car import conditions
from racing_env.car.kernels import inlined, kernel
from racing_env.simulation.adaptation import ASKED, DELAY, on_its_way
from racing_env.simulation.information import (
    GATHERED,
    GUESSES,
    MEASUREMENTS,
    REACH,
    add_likelihood,
    add_measurements,
)
from racing_env.simulation.perceptron import add_parameter_gradient, backward

# Of the likelihood under each step's evidence alone, beside that under all gathered. The errors of
# steps that follow each other are alike: who weighs each as it deserves alone is too sure of many.
ALONE_WEIGHT = 0.1


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
def weigh_back(network, car, hidden_1, hidden_2, out, by_out, scratch, by_evidence):
    """`perceptron.backward`, called and not inlined, as it is for the driver's network."""
    backward(network, car, hidden_1, hidden_2, out, by_out, scratch, by_evidence)


@kernel
def add_evidence_gradient(evidence, hidden_1, hidden_2, learnt, scratch, gradient):
    """`perceptron.add_parameter_gradient`, likewise."""
    add_parameter_gradient(evidence, hidden_1, hidden_2, learnt, scratch, gradient)


@kernel
def likelihood_gradient(
    adaptation, out, gathered, known, over, own_conditions, work, by_gathered, by_out
):
    """Fill by_out, the gradient by the evidence network's outputs at one step of minus the log
    likelihood of the conditions under the guesses of this step and of all later ones, and under a
    guess from this step's evidence alone, without which it would forget to look.

    See `racing_env.simulation.information.add_likelihood`. by_gathered (GATHERED,) is brought up to
    date: by the sums after this step; over: what follows is another episode; known: there is
    evidence. Returns minus the log likelihood at this step, but for a constant.
    """
    truths = work[1, 0]
    for k in range(GUESSES):
        truths[k] = truth(adaptation, own_conditions, k)
    for k in range(GATHERED):
        by_gathered[k] = 0.0 if over else adaptation.keep * by_gathered[k]
    loss = add_likelihood(gathered, truths, work[0], by_gathered)
    alone, by_sums = np.zeros(GATHERED), np.zeros(GATHERED)
    add_measurements(out, alone)
    add_likelihood(alone, truths, work[0], by_sums)
    for k in range(GATHERED):
        by_sums[k] = ALONE_WEIGHT * by_sums[k] + by_gathered[k]
    square = known * REACH * REACH
    for m in range(MEASUREMENTS):
        first = m * (GUESSES + 1)
        z, by_z = out[first + GUESSES], 0.0
        for k in range(GUESSES):
            by_z += by_sums[k] * out[first + k]
            by_h = by_sums[k] * z
            for other in range(GUESSES):
                row, column = max(k, other), min(k, other)
                by_h += 2.0 * by_sums[GUESSES + row * (row + 1) // 2 + column] * out[first + other]
            by_out[first + k] = square * by_h
        by_out[first + GUESSES] = square * by_z
    return loss
