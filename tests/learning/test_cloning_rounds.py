"""How epochs and drives are shared out to rounds; whole cloning: test_train_bc.py."""

import itertools

import pytest

from racing_env.learning.cloning_rounds import Budget


@pytest.mark.parametrize(
    ("epochs", "drives"), [*itertools.product([1, 2, 3, 7, 50], [0, 1, 6, 60])]
)
def test_rounds_share_all_epochs(epochs, drives):
    budget = Budget(seed=0, epochs=epochs, batch_size=1, dagger_rounds=drives)
    shares = [budget.epochs_of(number) for number in range(budget.rounds)]
    assert list(itertools.chain(*shares)) == list(range(epochs))
    lengths = [len(share) for share in shares]
    assert min(lengths) >= 1 and max(lengths) - min(lengths) <= 1


def test_a_clone_that_never_drives_learns_in_one_round():
    assert Budget(seed=0, epochs=50, batch_size=1, dagger_rounds=0).rounds == 1


def test_one_round_comes_before_the_drives_and_one_after():
    assert Budget(seed=0, epochs=50, batch_size=1, dagger_rounds=6).rounds == 8


def test_there_is_no_round_after_the_last():
    budget = Budget(seed=0, epochs=50, batch_size=1, dagger_rounds=6)
    with pytest.raises(IndexError):
        budget.epochs_of(budget.rounds)
