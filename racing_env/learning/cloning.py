"""Behaviour cloning: epochs of training on what the expert did, until it no longer helps; and which
of several clones is the best.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import nn

from racing_env.learning.batches import BatchLoader
from racing_env.learning.error_gradient import Batch, ErrorGradient
from racing_env.learning.network import flat_parameter, linear_layers

# docs/recipe.md says where each number comes from
LEARNING_RATE = 1e-3  # falls to zero by a cosine over all epochs
ACTION_SCALE = (0.1, 0.5)  # an error of this much steering counts as this much pedal
PATIENCE = 3  # epochs without a better validation loss before training stops
KEPT = "the latest of most laps"  # names the rule of `kept_round` in a checkpoint


class Losses(NamedTuple):
    """Mean squared errors of the actions, in units of ACTION_SCALE."""

    train: float  # of the last batch
    validation: float  # of all episodes held out; without one, as `train`


class Fit(NamedTuple):
    """What `fit` did."""

    losses: Losses
    examples: int
    learning_s: float  # without the validation


def adam(network: nn.Module) -> torch.optim.Adam:
    """The optimiser; the network's parameters become views of its one. `fit` sets its rate."""
    return torch.optim.Adam([flat_parameter(network)], lr=LEARNING_RATE, fused=True)


@torch.no_grad()
def fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: BatchLoader,
    held_out: BatchLoader,
    epochs: range,
    of_epochs: int,
    on_epoch: Callable[[Losses], None],
) -> Fit:
    """Train for these epochs of so many, or until the validation loss no longer falls.

    optimizer: as `adam` makes it. Raises FloatingPointError in the first epoch whose losses are
    not finite numbers.
    """
    gradient = ErrorGradient(
        linear_layers(network), torch.tensor(ACTION_SCALE, device=batches.device)
    )
    examples, learning_s = 0, 0.0
    lowest, patience = math.inf, PATIENCE
    for epoch in epochs:
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * LEARNING_RATE * (1.0 + math.cos(math.pi * epoch / of_epochs))
        started = time.perf_counter()
        for batch in batches:
            errors = update(gradient, optimizer, batch)
            examples += len(errors)
        train_loss = errors.square().mean().item()
        learning_s += time.perf_counter() - started
        losses = Losses(train_loss, _mean_loss(gradient, held_out, train_loss))
        if not math.isfinite(sum(losses)):
            raise FloatingPointError(f"the loss is not finite from epoch {epoch + 1} on")
        on_epoch(losses)
        patience = PATIENCE if losses.validation < lowest else patience - 1
        lowest = min(lowest, losses.validation)
        if patience == 0:
            break
    return Fit(losses, examples, learning_s)


def update(gradient: ErrorGradient, optimizer: torch.optim.Optimizer, batch: Batch) -> torch.Tensor:
    """Learn from one batch; returns its errors (examples, 2) in units of ACTION_SCALE."""
    errors = gradient.step_back(batch)
    optimizer.step()
    return errors


def _mean_loss(gradient: ErrorGradient, batches: BatchLoader, otherwise: float) -> float:
    """Of all examples, each counting the same; `otherwise` if there is none."""
    losses = [gradient.errors(batch).square().mean(dim=1) for batch in batches]
    return float(torch.cat(losses).mean()) if losses else otherwise


def kept_round(curve: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The row of the round whose clone is the best: of most laps finished, the last of several.

    Not the fastest of them: a clone's pace is that of its teacher, and what reinforcement learning
    makes of a clone of the first round is slower (docs/recipe.md).
    """
    return max(reversed(curve), key=itemgetter("finished"))
