"""Learning to guess the conditions: the network that weighs evidence, from drives whose are known.

A drive's guess at each moment is a mean of all evidence before, each with its weight, so that the
network learns through sums over time: by the likelihood of the true conditions under guesses and
their weights, as of independent normal distributions.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from racing_env.drivers.guessing import actuators
from racing_env.learning.network import linear_layers, tanh_network
from racing_env.simulation.adaptation import (
    ASKED,
    CHANGE_GAIN,
    EVIDENCE_INPUTS,
    GUESSES,
    HIDDEN,
    LOG_WEIGHT,
    LOG_WEIGHT_REACH,
    PRIOR_WEIGHT,
    REACH,
    Adaptation,
)

WINDOW_STEPS = 400  # of a drive, from anywhere in it: twenty seconds
WINDOWS = 64  # an update
LEARNING_RATE = 2e-3  # falls to zero by a cosine


class Drive(NamedTuple):
    """One car's: of a data set's episode."""

    inputs: np.ndarray  # (steps, EVIDENCE_INPUTS) float32
    truth: np.ndarray  # (GUESSES,) float32, in halves of the ranges


def new_network() -> nn.Sequential:
    return tanh_network([EVIDENCE_INPUTS, HIDDEN, HIDDEN, 2 * GUESSES])


def evidence_of(adaptation: Adaptation, seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Inputs (steps, EVIDENCE_INPUTS) of a drive's steps; seen: (steps, size); asked: (steps, 2).

    Those of the first step are no evidence: nothing was seen before.
    """
    own = seen[:, adaptation.evidence]
    change = np.diff(own, axis=0, prepend=own[:1]) * np.float32(CHANGE_GAIN)
    unmet = last_actions(asked) - np.tile(actuators(own), ASKED // 2)
    unmet *= np.float32(CHANGE_GAIN)
    return np.concatenate([own, change, unmet], axis=1).astype(np.float32)


def last_actions(asked: np.ndarray) -> np.ndarray:
    """(steps, ASKED): before each step of a drive the last actions, the latest first."""
    rows = [np.roll(asked, age + 1, axis=0) for age in range(ASKED // 2)]
    for age, row in enumerate(rows):
        row[: age + 1] = 0.0
    return np.concatenate(rows, axis=1)


def likelihood_loss(
    network: nn.Module, inputs: torch.Tensor, truth: torch.Tensor, keep: float
) -> torch.Tensor:
    """Minus the log likelihood of the truth (drives, GUESSES), but for a constant.

    inputs: (drives, steps, EVIDENCE_INPUTS), whose first step is no evidence. Returns
    (steps - 1, GUESSES), by step and guess, the mean over the drives.
    """
    out = network(inputs[:, 1:])
    weight = torch.exp(LOG_WEIGHT + LOG_WEIGHT_REACH * out[..., GUESSES:])
    steps = torch.arange(out.shape[1], device=out.device)
    grown = torch.pow(keep, -steps)[None, :, None]  # so that sums that fade are sums
    weights = (weight * grown).cumsum(1) / grown
    sums = (weight * REACH * out[..., :GUESSES] * grown).cumsum(1) / grown
    weights = PRIOR_WEIGHT + weights
    error = sums / weights - truth[:, None]
    return (0.5 * weights * error * error - 0.5 * torch.log(weights)).mean(0)


def fit(
    network: nn.Module,
    drives: Sequence[Drive],
    mirror: tuple[np.ndarray, np.ndarray],
    keep: float,
    updates: int,
    rng: np.random.Generator,
    on_update: Callable[[float], None] = lambda loss: None,
) -> float:
    """Train for so many updates; returns the mean loss of the last tenth.

    mirror: (signs, order) with which inputs[..., order] * signs is the mirror image's.
    """
    signs, order = torch.from_numpy(mirror[0]), torch.from_numpy(mirror[1])
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    long_enough = [drive for drive in drives if len(drive.inputs) > 2]
    losses = []
    for _ in range(updates):
        inputs = torch.zeros(WINDOWS, WINDOW_STEPS, EVIDENCE_INPUTS)
        truth = torch.zeros(WINDOWS, GUESSES)
        for window in range(WINDOWS):
            drive = long_enough[rng.integers(len(long_enough))]
            first = int(rng.integers(max(len(drive.inputs) - WINDOW_STEPS, 0) + 1))
            part = drive.inputs[first : first + WINDOW_STEPS]
            inputs[window, : len(part)] = torch.from_numpy(part)
            truth[window] = torch.from_numpy(drive.truth)
        inputs[: WINDOWS // 2] = inputs[: WINDOWS // 2][..., order] * signs
        loss = likelihood_loss(network, inputs, truth, keep).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        on_update(losses[-1])
    return float(np.mean(losses[-max(updates // 10, 1) :]))


def layers_of(network: nn.Module) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Weights and biases, as `racing_env.drivers.policy.Policy.evidence` has them."""
    return tuple(
        (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
        for layer in linear_layers(network)
    )
