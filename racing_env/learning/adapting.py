"""A driver who learns to adapt, as he is before he has learnt to: one who knows a car by heart, and
a network that is to measure what is different about it (`racing_env.simulation.adaptation`).
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from racing_env.drivers.policy import Policy
from racing_env.learning.network import layers_of, linear_layers, tanh_network
from racing_env.simulation.adaptation import EVIDENCE_SIZES, EXTRA_INPUTS

# Of the measurements at first, in what they would be: with none there would be no gradient, with
# more they would be believed.
FIRST_SHARE = 0.1


def new_guesser() -> nn.Sequential:
    """The network that weighs evidence, fresh, by torch's random numbers."""
    inputs, hidden, outputs = EVIDENCE_SIZES
    return tanh_network([inputs, hidden, hidden, outputs])


def adapting(policy: Policy, seed: int) -> Policy:
    """A driver who does as this one does, guesses conditions as good as not at all, and is as
    careful as who knows nothing of the grip but its range.
    """
    weights = policy.weights[0]
    nothing = np.zeros((len(weights), EXTRA_INPUTS), dtype=np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        *first, (weight, bias) = layers_of(linear_layers(new_guesser()))
    share = np.float32(FIRST_SHARE)
    return replace(
        policy,
        weights=(np.concatenate([weights, nothing], axis=1), *policy.weights[1:]),
        evidence=(*first, (share * weight, share * bias)),
    )
