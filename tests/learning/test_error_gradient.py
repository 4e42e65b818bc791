import copy

import pytest
import torch

from racing_env.learning.error_gradient import ErrorGradient
from racing_env.learning.network import flat_parameter, linear_layers, policy_network

SCALE = torch.tensor([0.1, 0.5])


def made(hidden):
    """A network, its gradient, and a copy for autograd."""
    torch.manual_seed(0)
    network = policy_network(9, hidden)
    by_autograd = copy.deepcopy(network)
    flat_parameter(network)
    return network, ErrorGradient(linear_layers(network), SCALE), by_autograd


def examples(count):
    seen = torch.randn(count, 9)
    return seen, torch.tanh(torch.randn(count, 2))


@pytest.mark.parametrize("hidden", [(), (5,), (7, 6, 5)])
def test_it_is_the_gradient_that_autograd_finds(hidden):
    network, gradient, by_autograd = made(hidden)
    for count in (64, 64, 3, 1, 64):  # another size than before, and the same
        seen, actions = examples(count)
        by_autograd.zero_grad()
        wanted = (by_autograd(seen) - actions) / SCALE
        wanted.square().mean().backward()
        with torch.no_grad():
            errors = gradient.step_back((seen, actions))
        torch.testing.assert_close(errors, wanted, rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(network.parameters(), by_autograd.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_errors_alone_leave_the_gradients():
    network, gradient, by_autograd = made((5,))
    seen, actions = examples(20)
    with torch.no_grad():
        errors = gradient.errors((seen, actions))
        wanted = (by_autograd(seen) - actions) / SCALE
    torch.testing.assert_close(errors, wanted, rtol=1e-5, atol=1e-5)
    assert all((parameter.grad == 0.0).all() for parameter in network.parameters())


def test_errors_that_are_not_numbers_come_out():
    _, gradient, _ = made((5,))
    seen, actions = examples(4)
    seen[1, 2] = torch.nan
    with torch.no_grad():
        errors = gradient.step_back((seen, actions))
    assert errors[1].isnan().all() and errors[[0, 2, 3]].isfinite().all()
