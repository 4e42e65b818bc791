"""How a driver adapts, with numpy and for many cars at once.

The same as `racing_env.simulation.adaptation` has for training, to which a test holds it. For one
car, to be driven in real time, it is the number of calls that costs.

Sums are added up in double precision and guessed from as they are before the memory rounds them: a
rounding of a much-measured sum is no longer small beside the prior.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from racing_env.car.vehicle import GRAVITY_MPS2
from racing_env.simulation.adaptation import (
    ASKED,
    AX,
    AY,
    BRAKE,
    CHANGE_GAIN,
    COUNT,
    DELAY,
    DRIVE,
    FRICTION,
    FRONT_SLIP,
    GRIP_REACH,
    GUESSES,
    INFORMATION,
    LAST_ASKED,
    MEASUREMENTS,
    PRIOR_WEIGHT,
    REAR_SLIP,
    SAW,
    SEEN_ANY,
    STEER,
    SUMS,
    VX,
    Adaptation,
    Known,
)
from racing_env.simulation.information import REACH

Layers = Sequence[tuple[np.ndarray, np.ndarray]]

# From what is seen of the car, (COUNT, ASKED): for each of the last actions where its actuator is.
ACTUATORS = np.zeros((COUNT, ASKED), dtype=np.float32)
ACTUATORS[STEER, ::2] = ACTUATORS[DRIVE, 1::2] = 1.0
ACTUATORS[BRAKE, 1::2] = -1.0
AGES = np.arange(ASKED, dtype=np.float32) // 2  # of the last actions, in control steps
SUM_OF_ACTIONS = np.tile(np.eye(2, dtype=np.float32), (ASKED // 2, 1))
ROWS, COLUMNS = np.tril_indices(GUESSES)
# where in a memory's lower triangle a matrix's elements are
PLACES = np.zeros((GUESSES, GUESSES), dtype=np.int64)
PLACES[ROWS, COLUMNS] = PLACES[COLUMNS, ROWS] = np.arange(INFORMATION)
PRIOR = PRIOR_WEIGHT * np.eye(GUESSES)
PRIOR_ROOT = math.sqrt(PRIOR_WEIGHT)
# where h z, and then the lower triangle of h h', are among the products of h with h and z
GATHERED_PLACES = np.concatenate(
    [np.arange(GUESSES) * (GUESSES + 1) + GUESSES, ROWS * (GUESSES + 1) + COLUMNS]
)


def adapted(
    adaptation: Adaptation, layers: Layers, observations: np.ndarray, memory: np.ndarray
) -> np.ndarray:
    """Inputs (n, size + EXTRA_INPUTS) of the drivers' network; memory is brought up to date.

    layers: of the network that measures, (weight (out, in), bias (out,)) each.
    """
    gathered = gather(adaptation, layers, observations, memory)
    guess, deviation = guesses_of(gathered)
    return driver_inputs(adaptation, observations, memory[:, LAST_ASKED:], guess, deviation)


def gather(
    adaptation: Adaptation, layers: Layers, observations: np.ndarray, memory: np.ndarray
) -> np.ndarray:
    """Add what is seen now to what the memory has gathered.

    Returns the sums (n, GATHERED) float64.
    """
    own = observations.take(adaptation.evidence, axis=1)
    saw, known = memory[:, SAW:COUNT], memory[:, SEEN_ANY, None]
    inputs = evidence_inputs(adaptation.known, own, saw, memory[:, LAST_ASKED:])
    sums = adaptation.keep * memory[:, SUMS:SEEN_ANY].astype(np.float64)
    sums += known * measured(layers, inputs)  # what is seen first is no change
    memory[:, SUMS:SEEN_ANY] = sums
    memory[:, SAW:COUNT] = own
    memory[:, SEEN_ANY] = 1.0
    return sums


def evidence_inputs(
    known: Known, own: np.ndarray, before: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Inputs (n, EVIDENCE_INPUTS) of the network that measures.

    own, before: (n, COUNT), what is seen of the car now and a step before; asked: (n, ASKED), the
    last actions, the latest first.
    """
    change = CHANGE_GAIN * (own - before)
    unmet = CHANGE_GAIN * (asked - np.dot(own, ACTUATORS))
    return np.concatenate([own, change, unmet, _expectations(known, own)], axis=1)


class _Functions(NamedTuple):
    """What `_expected` is made of: for a number or for an array of them."""

    arctan: Callable[[Any], Any]
    sin: Callable[[Any], Any]
    larger: Callable[[Any, Any], Any]
    smaller: Callable[[Any, Any], Any]


OF_ARRAYS = _Functions(np.arctan, np.sin, np.maximum, np.minimum)
OF_NUMBERS = _Functions(math.atan, math.sin, max, min)


def _expectations(known: Known, own: np.ndarray) -> np.ndarray:
    """(n, EXPECTED): see `racing_env.simulation.adaptation._expect`; own: (n, COUNT)."""
    quantities = own * known.scales
    if len(own) == 1:  # a fifth of the time
        return np.array([_expected(known, quantities[0].tolist(), OF_NUMBERS)], dtype=np.float32)
    return np.stack(_expected(known, quantities.T, OF_ARRAYS), axis=1)


def _expected(known: Known, quantities: Any, of: _Functions) -> tuple[Any, ...]:
    vx = of.larger(quantities[VX], known.slow_mps)
    square = vx * vx
    grip = GRAVITY_MPS2 + known.lift_per_mass * square
    front = _shape(quantities[FRONT_SLIP], known.front, of)
    rear = _shape(quantities[REAR_SLIP], known.rear, of)
    used = quantities[AY] / grip
    force = of.smaller(quantities[DRIVE], known.power_w / vx) - quantities[BRAKE]
    along = (force - known.drag_kgpm * square) / known.mass_kg - known.rolling_resistance * grip
    return (
        5.0 * (used - front), 5.0 * (used - rear), front, rear,
        (quantities[AX] - along) / known.acceleration_mps2,
        along / (3.0 * known.acceleration_mps2),
    )  # fmt: skip


def _shape(slip: Any, tyre: tuple[np.float32, np.float32, np.float32], of: _Functions) -> Any:
    b, c, e = tyre
    stiff = b * slip
    return of.sin(c * of.arctan(stiff - e * (stiff - of.arctan(stiff))))


def measured(layers: Layers, inputs: np.ndarray) -> np.ndarray:
    """What evidence (n, EVIDENCE_INPUTS) adds to the sums (n, GATHERED) of h z and of h h'."""
    values = inputs
    for weight, bias in layers:
        values = np.tanh(np.dot(values, weight.T) + bias)  # for one car quicker than @
    both = REACH * values.astype(np.float64).reshape(-1, MEASUREMENTS, GUESSES + 1)
    products = both[:, :, :GUESSES].transpose(0, 2, 1) @ both
    return products.reshape(len(values), -1).take(GATHERED_PLACES, axis=1)


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
    delay = adaptation.middle[DELAY] + adaptation.half[DELAY] * guess[:, DELAY, None]
    on_their_way = np.minimum(np.maximum(delay - AGES, 0.0), 1.0)  # quicker than np.clip
    pending = np.dot(on_their_way * asked, SUM_OF_ACTIONS)
    parts = [observations, asked, pending, guess, PRIOR_ROOT * deviation]
    inputs = np.concatenate(parts, axis=1)
    inputs[:, adaptation.profile] = guessed_profile(adaptation, observations, guess, deviation)
    return inputs


def guessed_profile(
    adaptation: Adaptation, observations: np.ndarray, guess: np.ndarray, deviation: np.ndarray
) -> np.ndarray:
    """(n, p): the profile's speeds less the car's own, as they are seen, of the guessed grip."""
    care, unsure = adaptation.care, deviation[:, FRICTION, None]
    less = unsure * (care.deviations + care.variances * unsure)
    careful = np.maximum(np.minimum(guess[:, FRICTION, None], care.most) - less, -GRIP_REACH)
    factor = np.sqrt(adaptation.middle[FRICTION] + adaptation.half[FRICTION] * careful)
    own_speed = adaptation.speeds * observations[:, adaptation.evidence[0], None]
    profile = observations.take(adaptation.profile, axis=1) + own_speed
    return factor * profile - own_speed


def note_actions(memory: np.ndarray, actions: np.ndarray) -> None:
    """Remember actions (n, 2) as the last ones."""
    memory[:, LAST_ASKED + 2 :] = memory[:, LAST_ASKED:-2]  # numpy sees the overlap
    memory[:, LAST_ASKED : LAST_ASKED + 2] = actions
