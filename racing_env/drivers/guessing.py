"""How a driver adapts, with numpy and for many cars at once.

The same as `racing_env.simulation.adaptation` has for training, to which a test holds it.
"""

from collections.abc import Sequence

import numpy as np

from racing_env.car.vehicle import GRAVITY_MPS2
from racing_env.simulation.adaptation import (
    ASKED,
    AX,
    AY,
    BRAKE,
    CAUTION,
    CHANGE_GAIN,
    COUNT,
    DELAY,
    DRIVE,
    EVIDENCE_INPUTS,
    EXTRA_INPUTS,
    FRICTION,
    FRONT_SLIP,
    GUESSES,
    INFORMATION,
    LAST_ASKED,
    MEASUREMENTS,
    PRIOR_WEIGHT,
    REACH,
    REAR_SLIP,
    SAW,
    SEEN_ANY,
    STEER,
    SUMS,
    VX,
    Adaptation,
    Known,
)

Layers = Sequence[tuple[np.ndarray, np.ndarray]]

ACTUATORS = np.array([STEER, DRIVE])
AGES = np.arange(ASKED // 2, dtype=np.float32)  # of the last actions, in control steps
ROWS, COLUMNS = np.tril_indices(GUESSES)
# where in a memory's lower triangle a matrix's elements are
PLACES = np.zeros((GUESSES, GUESSES), dtype=np.int64)
PLACES[ROWS, COLUMNS] = PLACES[COLUMNS, ROWS] = np.arange(INFORMATION)
PRIOR = PRIOR_WEIGHT * np.eye(GUESSES)


def adapted(
    adaptation: Adaptation, layers: Layers, observations: np.ndarray, memory: np.ndarray
) -> np.ndarray:
    """Inputs (n, size + EXTRA_INPUTS) of the drivers' network; memory is brought up to date.

    layers: of the network that measures, (weight (out, in), bias (out,)) each.
    """
    gather(adaptation, layers, observations, memory)
    guess, deviation = guesses(memory)
    return driver_inputs(adaptation, observations, memory[:, LAST_ASKED:], guess, deviation)


def gather(
    adaptation: Adaptation, layers: Layers, observations: np.ndarray, memory: np.ndarray
) -> None:
    """Add what is seen now to what the memory has gathered."""
    own = observations.take(adaptation.evidence, axis=1)
    saw, sums = memory[:, SAW:COUNT], memory[:, SUMS:SEEN_ANY]
    known = memory[:, SEEN_ANY : SEEN_ANY + 1]
    inputs = evidence_inputs(adaptation.known, own, saw, memory[:, LAST_ASKED:])
    sums *= adaptation.keep
    sums += known * measured(layers, inputs)  # what is seen first is no change
    saw[:] = own
    known[:] = 1.0


def evidence_inputs(
    known: Known, own: np.ndarray, before: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Inputs (n, EVIDENCE_INPUTS) of the network that measures.

    own, before: (n, COUNT), what is seen of the car now and a step before; asked: (n, ASKED), the
    last actions, the latest first.
    """
    # Parts are written where they belong: for one car it is the number of calls that costs.
    inputs = np.empty((len(own), EVIDENCE_INPUTS), dtype=np.float32)
    inputs[:, :COUNT] = own
    differences = inputs[:, COUNT : 2 * COUNT + ASKED]
    np.subtract(own, before, out=differences[:, :COUNT])
    unmet = _pairs(differences[:, COUNT:])
    np.subtract(_pairs(asked), actuators(own)[:, None], out=unmet)
    differences *= CHANGE_GAIN
    _expect(known, own, inputs[:, 2 * COUNT + ASKED :])
    return inputs


def _expect(known: Known, own: np.ndarray, out: np.ndarray) -> None:
    """See `racing_env.simulation.adaptation._expect`."""
    quantities = own * known.scales
    vx = np.maximum(quantities[:, VX], known.slow_mps)
    square = vx * vx
    grip = GRAVITY_MPS2 + known.lift_per_mass * square
    out[:, 2] = _shape(quantities[:, FRONT_SLIP], known.front)
    out[:, 3] = _shape(quantities[:, REAR_SLIP], known.rear)
    out[:, :2] = 5.0 * ((quantities[:, AY] / grip)[:, None] - out[:, 2:4])
    force = np.minimum(quantities[:, DRIVE], known.power_w / vx) - quantities[:, BRAKE]
    along = (force - known.drag_kgpm * square) / known.mass_kg - known.rolling_resistance * grip
    out[:, 4] = (quantities[:, AX] - along) / known.acceleration_mps2
    out[:, 5] = along / (3.0 * known.acceleration_mps2)


def _shape(slip: np.ndarray, tyre: tuple[np.float32, np.float32, np.float32]) -> np.ndarray:
    b, c, e = tyre
    stiff = b * slip
    return np.sin(c * np.arctan(stiff - e * (stiff - np.arctan(stiff))))


def _pairs(asked: np.ndarray) -> np.ndarray:
    """(n, ASKED // 2, 2): a view with an action a row."""
    return asked.reshape(len(asked), -1, 2)


def actuators(own: np.ndarray) -> np.ndarray:
    """(n, 2): where steering and pedals are, in units of the actions; own: (n, COUNT)."""
    places = own.take(ACTUATORS, axis=1)
    places[:, 1] -= own[:, BRAKE]
    return places


def measured(layers: Layers, inputs: np.ndarray) -> np.ndarray:
    """What evidence (n, EVIDENCE_INPUTS) adds to the sums (n, GATHERED) of h z and of h h'."""
    values = inputs
    for weight, bias in layers:
        values = np.tanh(values @ weight.T + bias)
    both = REACH * values.reshape(len(values), MEASUREMENTS, GUESSES + 1)
    h = both[:, :, :GUESSES]
    products = h.transpose(0, 2, 1) @ both
    square = products[:, ROWS, COLUMNS]
    return np.concatenate([products[:, :, GUESSES], square], axis=1)


def guesses(memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Guesses (n, GUESSES), in halves of the ranges, and their standard deviations."""
    return guesses_of(memory[:, SUMS:SEEN_ANY])


def guesses_of(gathered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same from the sums (n, GATHERED)."""
    information = gathered[:, GUESSES:].take(PLACES, axis=1) + PRIOR
    covariance = np.linalg.inv(information)
    guess = (covariance @ gathered[:, :GUESSES, None])[:, :, 0]
    deviation = np.sqrt(covariance.reshape(len(gathered), -1)[:, :: GUESSES + 1])
    return guess.astype(np.float32), deviation.astype(np.float32)


def driver_inputs(
    adaptation: Adaptation,
    observations: np.ndarray,
    asked: np.ndarray,
    guess: np.ndarray,
    deviation: np.ndarray,
) -> np.ndarray:
    """Inputs (n, size + EXTRA_INPUTS) of the drivers' network.

    asked: (n, ASKED), the last actions, the latest first; guess, deviation: (n, GUESSES).
    """
    n, size = observations.shape
    inputs = np.empty((n, size + EXTRA_INPUTS), dtype=np.float32)
    inputs[:, :size] = observations
    inputs[:, adaptation.profile] += profile_change(adaptation, observations, guess, deviation)
    actions, pending = size + ASKED, size + ASKED + 2
    inputs[:, size:actions] = asked
    delay = adaptation.middle[DELAY] + adaptation.half[DELAY] * guess[:, DELAY, None]
    on_their_way = (delay - AGES).clip(0.0, 1.0)
    inputs[:, actions:pending] = (on_their_way[:, None] @ _pairs(asked))[:, 0]
    inputs[:, pending : pending + GUESSES] = guess
    inputs[:, pending + GUESSES :] = np.sqrt(PRIOR_WEIGHT) * deviation
    return inputs


def profile_change(
    adaptation: Adaptation, observations: np.ndarray, guess: np.ndarray, deviation: np.ndarray
) -> np.ndarray:
    """(n, p): what the guessed grip adds to the profile's speeds, as they are seen."""
    careful = guess[:, FRICTION, None] - CAUTION * deviation[:, FRICTION, None]
    grip = adaptation.middle[FRICTION] + adaptation.half[FRICTION] * careful.clip(-1.5, 1.5)
    speed = observations[:, adaptation.evidence[0], None]
    profile = observations.take(adaptation.profile, axis=1) + adaptation.speeds * speed
    return (np.sqrt(grip) - 1.0) * profile


def note_actions(memory: np.ndarray, actions: np.ndarray) -> None:
    """Remember actions (n, 2) as the last ones."""
    memory[:, LAST_ASKED + 2 :] = memory[:, LAST_ASKED:-2].copy()
    memory[:, LAST_ASKED : LAST_ASKED + 2] = actions
