"""How a driver adapts, with numpy and for many cars at once.

The same as `racing_env.simulation.adaptation` has for training, to which a test holds it.
"""

from collections.abc import Sequence

import numpy as np

from racing_env.simulation.adaptation import (
    ASKED,
    BRAKE,
    CAUTION,
    CHANGE_GAIN,
    DELAY,
    DRIVE,
    EVIDENCE,
    EVIDENCE_INPUTS,
    EXTRA_INPUTS,
    FRICTION,
    GUESSES,
    LAST_ASKED,
    LOG_WEIGHT,
    LOG_WEIGHT_REACH,
    PRIOR_WEIGHT,
    REACH,
    SAW,
    SEEN_ANY,
    STEER,
    SUMS,
    WEIGHTS,
    Adaptation,
)

COUNT = len(EVIDENCE)
ACTUATORS = np.array([STEER, DRIVE])
AGES = np.arange(ASKED // 2, dtype=np.float32)  # of the last actions, in control steps


def adapted(
    adaptation: Adaptation,
    layers: Sequence[tuple[np.ndarray, np.ndarray]],
    observations: np.ndarray,
    memory: np.ndarray,
) -> np.ndarray:
    """Inputs (n, size + EXTRA_INPUTS) of the drivers' network; memory is brought up to date.

    layers: of the network that weighs evidence, (weight (out, in), bias (out,)) each.
    """
    gather(adaptation, layers, observations, memory)
    guess, weight = guesses(memory)
    return driver_inputs(adaptation, observations, memory[:, LAST_ASKED:], guess, weight)


def gather(
    adaptation: Adaptation,
    layers: Sequence[tuple[np.ndarray, np.ndarray]],
    observations: np.ndarray,
    memory: np.ndarray,
) -> None:
    """Add what is seen now to what the memory has gathered."""
    # Parts are written where they belong: for one car it is the number of calls that costs.
    inputs = np.empty((len(observations), EVIDENCE_INPUTS), dtype=np.float32)
    own, differences = inputs[:, :COUNT], inputs[:, COUNT:]
    change, unmet = differences[:, :COUNT], differences[:, COUNT:]
    saw, sums, weights = memory[:, SAW:COUNT], memory[:, SUMS:WEIGHTS], memory[:, WEIGHTS:SEEN_ANY]
    known = memory[:, SEEN_ANY : SEEN_ANY + 1]
    own[:] = observations.take(adaptation.evidence, axis=1)
    np.subtract(own, saw, out=change)
    np.subtract(_pairs(memory[:, LAST_ASKED:]), actuators(own)[:, None], out=_pairs(unmet))
    differences *= CHANGE_GAIN
    value, weight = weighed(layers, inputs)
    weight *= known  # what is seen first is no change
    sums *= adaptation.keep
    sums += weight * value
    weights *= adaptation.keep
    weights += weight
    saw[:] = own
    known[:] = 1.0


def _pairs(asked: np.ndarray) -> np.ndarray:
    """(n, ASKED // 2, 2): a view with an action a row."""
    return asked.reshape(len(asked), -1, 2)


def actuators(own: np.ndarray) -> np.ndarray:
    """(n, 2): where steering and pedals are, in units of the actions; own: (n, len(EVIDENCE))."""
    places = own.take(ACTUATORS, axis=1)
    places[:, 1] -= own[:, BRAKE]
    return places


def weighed(
    layers: Sequence[tuple[np.ndarray, np.ndarray]], inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, GUESSES) for which evidence (n, EVIDENCE_INPUTS) speaks, and their weights."""
    values = inputs
    for weight, bias in layers:
        values = np.tanh(values @ weight.T + bias)
    return REACH * values[:, :GUESSES], np.exp(LOG_WEIGHT + LOG_WEIGHT_REACH * values[:, GUESSES:])


def guesses(memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Guesses (n, GUESSES), in halves of the ranges, and their weights."""
    weight = PRIOR_WEIGHT + memory[:, WEIGHTS:SEEN_ANY]
    return memory[:, SUMS:WEIGHTS] / weight, weight


def driver_inputs(
    adaptation: Adaptation,
    observations: np.ndarray,
    asked: np.ndarray,
    guess: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """Inputs (n, size + EXTRA_INPUTS) of the drivers' network.

    asked: (n, ASKED), the last actions, the latest first; guess, weight: (n, GUESSES).
    """
    n, size = observations.shape
    inputs = np.empty((n, size + EXTRA_INPUTS), dtype=np.float32)
    inputs[:, :size] = observations
    inputs[:, adaptation.profile] += profile_change(adaptation, observations, guess, weight)
    actions, pending = size + ASKED, size + ASKED + 2
    inputs[:, size:actions] = asked
    delay = adaptation.middle[DELAY] + adaptation.half[DELAY] * guess[:, DELAY, None]
    on_their_way = (delay - AGES).clip(0.0, 1.0)
    inputs[:, actions:pending] = (on_their_way[:, None] @ _pairs(asked))[:, 0]
    inputs[:, pending : pending + GUESSES] = guess
    inputs[:, pending + GUESSES :] = np.sqrt(PRIOR_WEIGHT / weight)
    return inputs


def profile_change(
    adaptation: Adaptation, observations: np.ndarray, guess: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """(n, p): what the guessed grip adds to the profile's speeds, as they are seen."""
    careful = guess[:, FRICTION, None] - CAUTION / np.sqrt(weight[:, FRICTION, None])
    grip = adaptation.middle[FRICTION] + adaptation.half[FRICTION] * careful
    speed = observations[:, adaptation.evidence[0], None]
    profile = observations.take(adaptation.profile, axis=1) + adaptation.speeds * speed
    return (np.sqrt(grip) - 1.0) * profile


def note_actions(memory: np.ndarray, actions: np.ndarray) -> None:
    """Remember actions (n, 2) as the last ones."""
    memory[:, LAST_ASKED + 2 :] = memory[:, LAST_ASKED:-2].copy()
    memory[:, LAST_ASKED : LAST_ASKED + 2] = actions
