"""Drivers who guess their conditions, of random weights."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from cars import RACECAR

from racing_env.drivers.policy import ACTION_SIZE, Layers, Policy
from racing_env.simulation.adaptation import EVIDENCE_SIZES, inputs
from racing_env.simulation.layouts.line_preview import LAYOUT


def random_layers(rng: np.random.Generator, sizes: Sequence[int], spread: float) -> Layers:
    return tuple(
        (
            rng.normal(0.0, spread, (outputs, inputs)).astype(np.float32),
            rng.normal(0.0, spread, outputs).astype(np.float32),
        )
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
    )


def adapting_policy(seed: int = 0) -> Policy:
    rng = np.random.default_rng(seed)
    given, hidden, measured = EVIDENCE_SIZES
    evidence = random_layers(rng, [given, hidden, hidden, measured], 0.2)
    layers = random_layers(rng, [inputs(LAYOUT, adapts=True), 16, ACTION_SIZE], 0.1)
    weights, biases = zip(*layers, strict=True)
    return Policy(weights, biases, RACECAR, LAYOUT, {"name": "one who adapts"}, evidence)


def adapting_straight_on(seed: int = 5) -> Policy:
    """One who goes straight on, moved a little by all that he sees and guesses."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0.0, 1e-3, (ACTION_SIZE, inputs(LAYOUT, adapts=True))).astype(np.float32)
    bias = np.array([0.0, 0.5], np.float32)
    return replace(adapting_policy(seed), weights=(weight,), biases=(bias,), record={})


def random_drive(steps: int, n: int, seed: int = 0) -> np.ndarray:
    """Observations (steps, n, size) float32 that change little from one step to the next."""
    rng = np.random.default_rng(seed)
    changes = 0.05 * rng.normal(size=(steps, n, LAYOUT.size))
    changes[0] = rng.normal(size=(n, LAYOUT.size))
    return np.clip(changes.cumsum(axis=0), *LAYOUT.bounds()).astype(np.float32)
