"""A driver before he has learnt to adapt: he drives as he did, and believes nothing yet."""

import numpy as np
import torch
from adapting import random_drive
from models import new_clone

from racing_env.drivers.guessing import guesses
from racing_env.learning.adapting import adapting
from racing_env.simulation.adaptation import EXTRA_INPUTS, PRIOR_WEIGHT


def test_more_inputs_count_nothing_at_first():
    clone = new_clone()
    driver = adapting(clone, 0)
    assert driver.adapts and (driver.vehicle, driver.layout) == (clone.vehicle, clone.layout)
    seen = random_drive(1, 20)[0]
    more = np.random.default_rng(0).normal(size=(20, EXTRA_INPUTS)).astype(np.float32)
    np.testing.assert_allclose(
        driver.actions(np.concatenate([seen, more], axis=1)), clone.actions(seen), atol=1e-6
    )


def test_little_is_believed_of_the_first_guesses():
    driver = adapting(new_clone(), 0)
    memory = driver.new_memory(8)
    for seen in random_drive(40, 8):
        driver.act(seen, memory)
    guess, deviation = guesses(memory)
    assert np.abs(guess).max() < 0.5
    assert (deviation > 0.6 / np.sqrt(PRIOR_WEIGHT)).all()
    assert guess.any()  # with no opinion at all nothing would be learnt


def test_the_seed_decides_and_other_random_numbers_are_left_alone():
    state = torch.random.get_rng_state()
    first, again, other = (adapting(new_clone(), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for (a, _), (b, _), (c, _) in zip(first.evidence, again.evidence, other.evidence, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
