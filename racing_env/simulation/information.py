"""An information filter of constants: what measurements of them tell together.

A measurement of unit variance, h . constants = z, adds h h' to the information and h z to a vector;
guess and covariance follow from the sums (Anderson and Moore, "Optimal Filtering", 1979). The
constants are a driver's conditions, see `racing_env.simulation.adaptation`. Sums are (GATHERED,):
those of h z, then the lower triangle of those of h h', row by row.
"""

import math

from racing_env.car.conditions import Conditions
from racing_env.car.kernels import inlined

GUESSED = Conditions._fields[:6]  # all but the sensors' noise
GUESSES = len(GUESSED)
MEASUREMENTS = 3  # of a step
INFORMATION = GUESSES * (GUESSES + 1) // 2
GATHERED = GUESSES + INFORMATION
REACH = 3.0  # largest h: no single step says more than to a third of half a range
PRIOR_WEIGHT = 3.0  # one over the variance of what is drawn evenly from -1 to 1


@inlined
def add_measurements(out, gathered):
    """Add a step's measurements, the network's outputs, to the sums (GATHERED,)."""
    square = REACH * REACH
    for m in range(MEASUREMENTS):
        first = m * (GUESSES + 1)
        z = out[first + GUESSES]
        at = GUESSES
        for k in range(GUESSES):
            scaled = square * out[first + k]
            gathered[k] += scaled * z
            for other in range(k + 1):
                gathered[at] += scaled * out[first + other]
                at += 1


@inlined
def invert(gathered, out):
    """Fill out (GUESSES, GUESSES) with the covariance of the guesses, from the sums (GATHERED,)."""
    at = GUESSES
    for k in range(GUESSES):
        for other in range(k + 1):
            out[k, other] = out[other, k] = gathered[at]
            at += 1
        out[k, k] += PRIOR_WEIGHT
    for k in range(GUESSES):  # Gauss and Jordan's elimination, in place
        per_pivot = 1.0 / out[k, k]
        out[k, k] = 1.0
        for j in range(GUESSES):
            out[k, j] *= per_pivot
        for i in range(GUESSES):
            if i != k:
                factor = out[i, k]
                out[i, k] = 0.0
                for j in range(GUESSES):
                    out[i, j] -= factor * out[k, j]


@inlined
def guess_of(gathered, covariance, k):
    value = 0.0
    for other in range(GUESSES):
        value += covariance[k, other] * gathered[other]
    return value


@inlined
def add_likelihood(gathered, own_truth, covariance, by_gathered):
    """Minus the log likelihood of the truth (GUESSES,) under guesses from the sums (GATHERED,), but
    for a constant; adds its gradient by the sums to by_gathered, of h h' to whole rows.

    0.5 (guess - truth)' W (guess - truth) - 0.5 log det W, where the guess is W^-1 times the sums
    of h z and W the sums of h h' with the prior.
    """
    invert(gathered, covariance)
    loss = 0.0
    at = GUESSES
    for k in range(GUESSES):
        guess = guess_of(gathered, covariance, k)
        by_gathered[k] += guess - own_truth[k]
        loss += 0.5 * gathered[k] * (guess - 2.0 * own_truth[k])
        loss += 0.5 * PRIOR_WEIGHT * own_truth[k] * own_truth[k]
        for other in range(k + 1):
            product = own_truth[k] * own_truth[other]
            loss += (0.5 if other == k else 1.0) * gathered[at] * product
            another = guess_of(gathered, covariance, other)
            by_gathered[at] += 0.5 * (product - guess * another - covariance[k, other])
            at += 1
    return loss - 0.5 * _log_determinant(gathered, covariance)


@inlined
def _log_determinant(gathered, work):
    """Of the sums of h h' with the prior; work: (GUESSES, GUESSES)."""
    at = GUESSES
    for k in range(GUESSES):
        for other in range(k + 1):
            work[k, other] = gathered[at]
            at += 1
        work[k, k] += PRIOR_WEIGHT
    total = 0.0
    for k in range(GUESSES):  # Cholesky's factor, row by row
        for other in range(k + 1):
            value = work[k, other]
            for j in range(other):
                value -= work[k, j] * work[other, j]
            work[k, other] = value / work[other, other] if other < k else math.sqrt(value)
        total += 2.0 * math.log(work[k, k])
    return total
