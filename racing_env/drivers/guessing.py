"""How a driver adapts, with numpy and for many cars at once.

The same as `racing_env.simulation.adaptation` has for training, to which a test holds it.
"""

from collections.abc import Sequence

import numpy as np

from racing_env.simulation.adaptation import (
    BRAKE,
    CAUTION,
    CHANGE_GAIN,
    DELAY,
    DRIVE,
    EVIDENCE,
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
    own = observations[:, adaptation.evidence]
    asked = memory[:, LAST_ASKED:]
    change = np.float32(CHANGE_GAIN) * (own - memory[:, SAW:COUNT])
    unmet = np.float32(CHANGE_GAIN) * (asked - np.tile(actuators(own), asked.shape[1] // 2))
    value, weight = weighed(layers, np.concatenate([own, change, unmet], axis=1))
    known = memory[:, SEEN_ANY : SEEN_ANY + 1]
    sums, weights = memory[:, SUMS:WEIGHTS], memory[:, WEIGHTS:SEEN_ANY]
    keep = np.float32(adaptation.keep)
    sums[:] = keep * sums + known * weight * value
    weights[:] = keep * weights + known * weight
    memory[:, SAW:COUNT] = own
    known[:] = 1.0


def actuators(own: np.ndarray) -> np.ndarray:
    """(n, 2): where steering and pedals are, in units of the actions; own: (n, len(EVIDENCE))."""
    return np.stack([own[:, STEER], own[:, DRIVE] - own[:, BRAKE]], axis=1)


def weighed(
    layers: Sequence[tuple[np.ndarray, np.ndarray]], inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, GUESSES) for which evidence (n, EVIDENCE_INPUTS) speaks, and their weights."""
    values = inputs
    for weight, bias in layers:
        values = np.tanh(values @ weight.T + bias)
    logarithm = LOG_WEIGHT + np.float32(LOG_WEIGHT_REACH) * values[:, GUESSES:]
    return np.float32(REACH) * values[:, :GUESSES], np.exp(logarithm)


def guesses(memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Guesses (n, GUESSES), in halves of the ranges, and their weights."""
    weight = np.float32(PRIOR_WEIGHT) + memory[:, WEIGHTS:SEEN_ANY]
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
    middle, half = adaptation.middle, adaptation.half
    careful = guess[:, FRICTION] - np.float32(CAUTION) / np.sqrt(weight[:, FRICTION])
    factor = np.sqrt(middle[FRICTION] + half[FRICTION] * careful)[:, None]
    delay = (middle[DELAY] + half[DELAY] * guess[:, DELAY])[:, None]
    seen = observations.copy()
    speed = observations[:, adaptation.evidence[0], None]
    seen[:, adaptation.profile] *= factor
    seen[:, adaptation.profile] += (factor - 1) * adaptation.speeds * speed
    ages = np.arange(asked.shape[1] // 2, dtype=np.float32)
    on_their_way = np.clip(delay - ages, 0, 1)[:, :, None]
    pending = (on_their_way * asked.reshape(len(asked), -1, 2)).sum(axis=1)
    return np.concatenate([seen, asked, pending, guess], axis=1)


def note_actions(memory: np.ndarray, actions: np.ndarray) -> None:
    """Remember actions (n, 2) as the last ones."""
    memory[:, LAST_ASKED + 2 :] = memory[:, LAST_ASKED:-2].copy()
    memory[:, LAST_ASKED : LAST_ASKED + 2] = actions
