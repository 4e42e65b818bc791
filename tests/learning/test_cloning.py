import math

import numpy as np
import pytest
import torch

from racing_env.learning.cloning import (
    ACTION_SCALE,
    LEARNING_RATE,
    PATIENCE,
    adam,
    fit,
    kept_round,
)
from racing_env.learning.network import policy_network
from racing_env.simulation.layouts.line_preview import LAYOUT

CPU = torch.device("cpu")


class Batches:
    """The same batches in each epoch; counts the epochs."""

    device = CPU

    def __init__(self, *batches):
        self.batches, self.epochs = batches, 0

    def __iter__(self):
        self.epochs += 1
        return iter(self.batches)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return policy_network(LAYOUT.size)


def examples(count: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """What a driver does who steers and brakes by two of the numbers that he sees."""
    seen = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, LAYOUT.size))).float()
    return seen, torch.tanh(seen[:, [8, 10]])


def test_the_clone_learns_what_the_driver_did(network):
    seen = []
    held_out = examples(seed=1)
    done = fit(network, adam(network), Batches(*(examples(seed=i) for i in range(2, 34))),
               Batches(held_out), range(30), 30, seen.append)  # fmt: skip
    assert done.losses == seen[-1]
    assert seen[-1].validation < 0.2 * seen[0].validation
    errors = (network(held_out[0]) - held_out[1]) / torch.tensor(ACTION_SCALE)
    assert done.losses.validation == pytest.approx(errors.square().mean().item(), rel=1e-5)
    assert done.examples == len(seen) * 32 * 64 and done.learning_s > 0.0


def test_the_rate_falls_by_a_cosine_over_all_epochs(network):
    optimizer = adam(network)
    rates = []
    fit(network, optimizer, Batches(examples()), Batches(examples()), range(3, 6), 8,
        lambda _: rates.append(optimizer.param_groups[0]["lr"]))  # fmt: skip
    wanted = [LEARNING_RATE * math.cos(math.pi * epoch / 16) ** 2 for epoch in (3, 4, 5)]
    assert rates == pytest.approx(wanted)


def test_training_ends_when_validation_no_longer_improves(network):
    """What is held out contradicts what is learnt, so that it only becomes worse."""
    seen, actions = examples()
    batches = Batches((seen, actions))
    fit(network, adam(network), batches, Batches((seen, -actions)), range(50), 50, lambda _: None)
    assert batches.epochs == 1 + PATIENCE


def test_without_episodes_held_out_the_last_batch_counts(network):
    done = fit(network, adam(network), Batches(examples()), Batches(), range(2), 2, lambda _: None)
    assert done.losses.validation == done.losses.train


def test_a_loss_that_is_not_finite_ends_it(network):
    seen, actions = examples()
    with pytest.raises(FloatingPointError, match="not finite from epoch 3 on"):
        fit(network, adam(network), Batches((seen, actions * math.nan)), Batches(), range(2, 4), 4,
            lambda _: None)  # fmt: skip


@pytest.mark.parametrize(
    ("finished", "kept"),
    [((19, 17, 19, 19), 3), ((19, 20, 19), 1), ((0, 0, 0), 2), ((5,), 0)],
)
def test_the_last_clone_of_those_with_most_laps_is_kept_however_fast(finished, kept):
    """A raw clone of the first round once was, which had the same laps and was 0.3 % faster."""
    curve = [{"round": i, "finished": laps, "lap_ratio": 1.1 + 0.01 * i}
             for i, laps in enumerate(finished)]  # fmt: skip
    assert kept_round(curve) is curve[kept]
