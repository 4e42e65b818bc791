"""Drivers who guess their conditions, somehow."""

import numpy as np
from cars import RACECAR

from racing_env.drivers.policy import Policy
from racing_env.simulation.adaptation import EVIDENCE_SIZES, inputs
from racing_env.simulation.layouts.line_preview import LAYOUT


def new_adapting(seed: int = 5) -> Policy:
    """A driver who goes straight on, moved a little by all that he sees and guesses."""
    rng = np.random.default_rng(seed)
    given, hidden, measured = EVIDENCE_SIZES
    sizes = [given, hidden, hidden, measured]
    evidence = tuple(
        (
            rng.normal(0.0, 0.2, (outputs, size)).astype(np.float32),
            rng.normal(0.0, 0.1, outputs).astype(np.float32),
        )
        for size, outputs in zip(sizes[:-1], sizes[1:], strict=True)
    )
    weight = rng.normal(0.0, 1e-3, (2, inputs(LAYOUT, adapts=True))).astype(np.float32)
    bias = np.array([0.0, 0.5], np.float32)
    return Policy((weight,), (bias,), RACECAR, LAYOUT, {}, evidence)
