"""Behaviour cloning: epochs of training on what the expert did, until it no longer helps."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from racing_env.learning.batches import Batch, BatchLoader

# docs/recipe.md says where each number comes from
LEARNING_RATE = 1e-3  # falls to zero by a cosine over all epochs
ACTION_SCALE = (0.1, 0.5)  # an error of this much steering counts as this much pedal
PATIENCE = 3  # epochs without a better validation loss before training stops


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
    """The optimiser; `fit` sets its learning rate."""
    return torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)


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

    Raises FloatingPointError in the first epoch whose losses are not finite numbers.
    """
    scale = torch.tensor(ACTION_SCALE, device=batches.device)
    examples, learning_s = 0, 0.0
    lowest, patience = math.inf, PATIENCE
    for epoch in epochs:
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * LEARNING_RATE * (1.0 + math.cos(math.pi * epoch / of_epochs))
        started = time.perf_counter()
        network.train()
        for batch in batches:
            loss = update(network, optimizer, scale, batch)
            examples += len(batch[0])
        learning_s += time.perf_counter() - started
        losses = Losses(loss.item(), _mean_loss(network, scale, held_out, loss.item()))
        if not math.isfinite(sum(losses)):
            raise FloatingPointError(f"the loss is not finite from epoch {epoch + 1} on")
        on_epoch(losses)
        patience = PATIENCE if losses.validation < lowest else patience - 1
        lowest = min(lowest, losses.validation)
        if patience == 0:
            break
    return Fit(losses, examples, learning_s)


def update(
    network: nn.Module, optimizer: torch.optim.Optimizer, scale: torch.Tensor, batch: Batch
) -> torch.Tensor:
    """Learn from one batch, with ACTION_SCALE as a tensor; returns its loss."""
    loss = _squared_errors(network, scale, batch).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def _squared_errors(network: nn.Module, scale: torch.Tensor, batch: Batch) -> torch.Tensor:
    """(examples, 2), in units of the scale."""
    observations, actions = batch
    return ((network(observations) - actions) / scale) ** 2


def _mean_loss(
    network: nn.Module, scale: torch.Tensor, batches: BatchLoader, otherwise: float
) -> float:
    """Of all examples, each counting the same; `otherwise` if there is none."""
    network.eval()
    with torch.no_grad():
        errors = [_squared_errors(network, scale, batch).mean(dim=1) for batch in batches]
    return float(torch.cat(errors).mean()) if errors else otherwise
