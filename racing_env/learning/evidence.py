"""Learning to guess the conditions: the network that measures, from drives whose are known.

The guess at each moment follows from the sums of all measurements before, so that the network
learns through sums over time: by the likelihood of the true conditions under the joint normal
distribution of the guesses.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.signal import lfilter
from torch import nn

from racing_env.car.conditions import NOMINAL
from racing_env.data.dataset import read_dataset
from racing_env.drivers.guessing import evidence_inputs, guesses_of, measured
from racing_env.drivers.policy import Layers
from racing_env.learning.network import tanh_network
from racing_env.simulation.adaptation import (
    ALONE_WEIGHT,
    ASKED,
    DELAY,
    EVIDENCE_INPUTS,
    EVIDENCE_SIZES,
    GUESSED,
    GUESSES,
    MEASUREMENTS,
    PRIOR_WEIGHT,
    REACH,
    Adaptation,
)
from racing_env.simulation.layout import Layout

UPDATES = (60, 20)  # an epoch's, on steps and on drives
USED_FIELDS = ("observations", "actions")
STEPS = 2048  # an update
WINDOW_STEPS = 400  # of a drive, from anywhere in it: twenty seconds
WINDOWS = 64  # an update
EVERY = 4  # step of a window, its guess is looked at
STEPS_RATE, DRIVES_RATE = 2e-3, 1e-3  # learning rates, which fall to zero by a cosine


class Drive(NamedTuple):
    """One car's: of a data set's episode."""

    inputs: np.ndarray  # (steps, EVIDENCE_INPUTS) float32
    truth: np.ndarray  # (GUESSES,) float32, in halves of the ranges


def new_network() -> nn.Sequential:
    inputs, hidden, outputs = EVIDENCE_SIZES
    return tanh_network([inputs, hidden, hidden, outputs])


def evidence_of(adaptation: Adaptation, seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Inputs (steps, EVIDENCE_INPUTS) of a drive's steps; seen: (steps, size); asked: (steps, 2).

    Those of the first step are no evidence: nothing was seen before.
    """
    own = seen[:, adaptation.evidence]
    before = np.concatenate([own[:1], own[:-1]])
    return evidence_inputs(adaptation.known, own, before, last_actions(asked))


def truth_of(
    conditions: Mapping[str, float], adaptation: Adaptation, control_step_s: float
) -> np.ndarray:
    """(GUESSES,) float32 in halves of the ranges, of conditions that differ from nominal."""
    values = np.array([conditions.get(name, getattr(NOMINAL, name)) for name in GUESSED])
    values[DELAY] /= control_step_s
    return ((values - adaptation.middle) / adaptation.half).astype(np.float32)


def last_actions(asked: np.ndarray) -> np.ndarray:
    """(steps, ASKED): before each step of a drive the last actions, the latest first."""
    rows = [np.roll(asked, age + 1, axis=0) for age in range(ASKED // 2)]
    for age, row in enumerate(rows):
        row[: age + 1] = 0.0
    return np.concatenate(rows, axis=1)


def guesses_along(layers: Layers, drive: np.ndarray, keep: float) -> tuple[np.ndarray, np.ndarray]:
    """Guesses and their standard deviations (steps, GUESSES) float32 at each step of a drive.

    drive: (steps, EVIDENCE_INPUTS), as `evidence_of` has it.
    """
    added = measured(layers, drive)
    added[0] = 0.0
    return guesses_of(lfilter([1.0], [1.0, -keep], added, axis=0))


def measurements(network: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """h (..., MEASUREMENTS, GUESSES) and z (..., MEASUREMENTS, 1) of evidence."""
    out = REACH * network(inputs).unflatten(-1, (MEASUREMENTS, GUESSES + 1))
    return out[..., :GUESSES], out[..., GUESSES:]


def minus_log_likelihood(
    sums: torch.Tensor, information: torch.Tensor, truth: torch.Tensor
) -> torch.Tensor:
    """Of the truth (..., GUESSES) under guesses from sums of h z and h h', but for a constant.

    0.5 (guess - truth)' W (guess - truth) - 0.5 log det W, where the guess is W^-1 times the sums
    of h z, and W the sums of h h' with the prior; by Cholesky's factor of W.
    """
    factor = torch.linalg.cholesky(information + PRIOR_WEIGHT * torch.eye(GUESSES))
    whitened = torch.linalg.solve_triangular(factor, sums[..., None], upper=False)
    error = whitened - factor.mT @ truth[..., None]
    logarithms = torch.log(torch.diagonal(factor, dim1=-2, dim2=-1)).sum(-1)
    return 0.5 * error.square().sum((-2, -1)) - logarithms


def loss_of_steps(network: nn.Module, inputs: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Of guesses from one step's evidence alone, a guess; inputs: (..., EVIDENCE_INPUTS)."""
    h, z = measurements(network, inputs)
    loss = minus_log_likelihood((h.mT @ z)[..., 0], h.mT @ h, truth)
    return loss.mean() / GUESSES


def loss_of_drives(
    network: nn.Module, inputs: torch.Tensor, truth: torch.Tensor, keep: float
) -> torch.Tensor:
    """Of the guesses at each moment of drives, and of those from each step's evidence alone.

    inputs: (drives, steps, EVIDENCE_INPUTS), whose first step is no evidence; truth:
    (drives, GUESSES). Every EVERY-th moment is looked at.
    """
    h, z = measurements(network, inputs[:, 1:])
    sums, information = (h.mT @ z)[..., 0], h.mT @ h
    truth = truth[:, None].expand(-1, sums.shape[1], -1)
    driven = inputs[:, 1::EVERY].any(-1)  # the rest of a window is behind the end of its drive
    alone = minus_log_likelihood(sums[:, ::EVERY], information[:, ::EVERY], truth[:, ::EVERY])
    steps = torch.arange(sums.shape[1])
    grown = torch.pow(keep, -steps)[:, None]  # so that sums that fade are plain sums
    sums = ((sums * grown).cumsum(1) / grown)[:, ::EVERY]
    information = (information * grown[..., None]).cumsum(1) / grown[..., None]
    gathered = minus_log_likelihood(sums, information[:, ::EVERY], truth[:, ::EVERY])
    return ((ALONE_WEIGHT * alone + gathered) * driven).sum() / driven.sum() / GUESSES


def fit(
    network: nn.Module,
    drives: Sequence[Drive],
    layout: Layout,
    adaptation: Adaptation,
    updates: tuple[int, int],
    rng: np.random.Generator,
    on_update: Callable[[], None] = lambda: None,
) -> float:
    """Train, first on steps each by itself, then on drives; returns the last loss, a mean of ten.

    From drives alone it does not come: at first each step's evidence is worth next to nothing.
    updates: of either kind. Half of what is learnt from is the mirror image of what was driven.
    """
    signs = torch.from_numpy(_mirror_signs(layout, adaptation))
    drives = [drive for drive in drives if len(drive.inputs) > 2]
    losses: list[float] = []
    for draw, loss_of, rate, count in (
        (_draw_steps, loss_of_steps, STEPS_RATE, updates[0]),
        (_draw_drives, partial(loss_of_drives, keep=adaptation.keep), DRIVES_RATE, updates[1]),
    ):
        optimizer = torch.optim.Adam(network.parameters(), lr=rate, fused=True)
        for update in range(count):
            for group in optimizer.param_groups:
                group["lr"] = 0.5 * rate * (1.0 + math.cos(math.pi * update / count))
            inputs, truth = draw(drives, rng)
            inputs[::2] *= signs
            loss = loss_of(network, inputs, truth)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            on_update()
    return float(np.mean(losses[-10:])) if losses else math.nan


def fit_data(
    network: nn.Module,
    folders: Sequence[str | Path],
    adaptation: Adaptation,
    seed: Sequence[int],
    step_epochs: int,
    drive_epochs: int,
) -> float:
    """`fit` to all episodes of data sets, UPDATES of either kind for each of so many epochs."""
    drives = []
    for folder in folders:
        data = read_dataset(folder)
        shards = data.shards()
        control_step_s = float(data.task_record["control_step_s"])
        for episode, (shard, first, rows) in zip(
            data.manifest["episodes"], data.episode_rows(), strict=True
        ):
            part = slice(first, first + rows)
            seen, asked = (np.asarray(shards[shard][name][part]) for name in USED_FIELDS)
            truth = truth_of(data.conditions(episode), adaptation, control_step_s)
            drives.append(Drive(evidence_of(adaptation, seen, asked), truth))
    updates = (UPDATES[0] * step_epochs, UPDATES[1] * drive_epochs)
    return fit(network, drives, data.layout, adaptation, updates, np.random.default_rng(seed))


def _mirror_signs(layout: Layout, adaptation: Adaptation) -> np.ndarray:
    """(EVIDENCE_INPUTS,): what evidence is multiplied by to be that of the mirror image."""
    signs, _ = layout.mirror()
    own = signs[adaptation.evidence]
    asked = np.tile(np.array([-1.0, 1.0], dtype=np.float32), ASKED // 2)
    expected = np.array([-1.0, -1.0, -1.0, -1.0, 1.0, 1.0], dtype=np.float32)
    return np.concatenate([own, own, asked, expected])


def _draw_steps(drives: Sequence[Drive], rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    chosen = rng.integers(len(drives), size=STEPS)
    places = rng.random(STEPS)
    inputs, truth = np.empty((STEPS, EVIDENCE_INPUTS), np.float32), np.empty((STEPS, GUESSES))
    for i, (number, place) in enumerate(zip(chosen.tolist(), places.tolist(), strict=True)):
        drive = drives[number]
        inputs[i] = drive.inputs[1 + int(place * (len(drive.inputs) - 1))]
        truth[i] = drive.truth
    return torch.from_numpy(inputs), torch.from_numpy(truth.astype(np.float32))


def _draw_drives(drives: Sequence[Drive], rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    inputs = torch.zeros(WINDOWS, WINDOW_STEPS, EVIDENCE_INPUTS)
    truth = torch.zeros(WINDOWS, GUESSES)
    for window in range(WINDOWS):
        drive = drives[int(rng.integers(len(drives)))]
        first = int(rng.integers(max(len(drive.inputs) - WINDOW_STEPS, 0) + 1))
        part = drive.inputs[first : first + WINDOW_STEPS]
        inputs[window, : len(part)] = torch.from_numpy(part)
        truth[window] = torch.from_numpy(drive.truth)
    return inputs, truth
