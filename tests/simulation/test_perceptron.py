"""The network in kernels: against the policy that a file holds, and torch's own derivatives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from models import NOBODY, new_clone

from racing_env.drivers.policy import Policy
from racing_env.learning.network import (
    copy_policy_into,
    linear_layers,
    policy_network,
    rollout_parameter,
)
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.perceptron import (
    Network,
    Scratch,
    add_parameter_gradient,
    backward,
    forward,
    network_of,
    new_scratch,
    parameter_count,
    parameters_of,
    tanh,
)

POLICY = new_clone()
HIDDEN = len(POLICY.biases[0])
SIZES = (LAYOUT.size, HIDDEN, 2)


def flat_of(policy: Policy) -> np.ndarray:
    parts = zip(policy.weights, policy.biases, strict=True)
    return np.concatenate([part.ravel() for w, b in parts for part in (w.T, b)])


class Pass:
    """What a network makes of what n cars' drivers see, car by car."""

    def __init__(self, network: Network, seen: np.ndarray):
        n, hidden = len(seen), len(network.bias_1)
        self.network, self.seen = network, seen
        self.hidden_1, self.hidden_2 = np.zeros((2, n, hidden), np.float32)
        self.out = np.zeros((n, 2), np.float32)
        for car in range(n):
            forward(network, seen[car], self.hidden_1[car], self.hidden_2[car], self.out[car])

    def back(self, by_out: np.ndarray) -> tuple[np.ndarray, Scratch]:
        """Gradient (n, inputs) by what is seen, and what is kept for that by the parameters."""
        scratch = new_scratch(len(self.out), self.hidden_1.shape[1], 2)
        by_seen = np.zeros_like(self.seen)
        for car in range(len(self.out)):
            backward(
                self.network, car, self.hidden_1[car], self.hidden_2[car], self.out[car],
                by_out[car], scratch, by_seen[car],
            )  # fmt: skip
        return by_seen, scratch

    def by_parameters(self, by_out: np.ndarray, learnt: np.ndarray) -> np.ndarray:
        """Gradient (parameters,), summed over the cars that are learnt from."""
        sizes = (self.seen.shape[1], self.hidden_1.shape[1], 2)
        flat = np.zeros(parameter_count(*sizes), np.float32)
        _, scratch = self.back(by_out)
        parts = tuple(parameters_of(flat, *sizes))
        add_parameter_gradient(
            self.seen, self.hidden_1, self.hidden_2, learnt, scratch, parts
        )  # fmt: skip
        return flat


def seen_by(n: int, seed: int = 0, size: int = LAYOUT.size) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.7, (n, size)).astype(np.float32)


def test_tanh_is_within_a_millionth_everywhere():
    """And as odd, as bounded, and as honest with what is no number."""
    values = np.concatenate([
        np.linspace(-12.0, 12.0, 48_001), np.geomspace(1e-30, 1e30, 601), [0.0, np.inf]
    ]).astype(np.float32)  # fmt: skip
    for sign in (np.float32(1.0), np.float32(-1.0)):
        ours = np.array([tanh(value) for value in sign * values])
        np.testing.assert_allclose(ours, np.tanh(sign * values.astype(np.float64)), atol=1e-6)
        assert np.abs(ours).max() <= 1.0
    assert np.isnan(tanh(np.float32(np.nan)))
    small = np.float32(1e-4)
    assert tanh(small) == pytest.approx(small, rel=1e-6)


def test_actions_are_the_policys():
    seen = seen_by(200)
    ours = Pass(network_of(flat_of(POLICY), *SIZES), seen)
    np.testing.assert_allclose(ours.out, POLICY.act(seen), atol=5e-6)
    assert np.abs(ours.out).max() > 0.9 and np.abs(ours.out).min() < 0.1


def test_parameters_lie_as_the_learners_do():
    network = policy_network(LAYOUT.size)
    copy_policy_into(POLICY, linear_layers(network))
    flat = rollout_parameter(linear_layers(network))
    np.testing.assert_array_equal(flat.detach(), flat_of(POLICY))
    assert len(flat_of(POLICY)) == parameter_count(*SIZES)


@pytest.mark.parametrize(("inputs", "hidden"), [(LAYOUT.size, HIDDEN), (5, 3)])
@pytest.mark.parametrize("cars", [1, 4, 7])
def test_gradients_are_torchs_own(inputs: int, hidden: int, cars: int):
    """By what is seen and by the parameters, of layers that are no multiple of anything, too."""
    torch.manual_seed(0)
    network = policy_network(inputs, (hidden, hidden))
    layers = linear_layers(network)
    seen = torch.from_numpy(seen_by(cars, size=inputs)).requires_grad_()
    by_out = np.random.default_rng(1).normal(size=(cars, 2)).astype(np.float32)
    (network(seen) * torch.from_numpy(by_out)).sum().backward()
    expected = [parameter.grad.clone() for layer in layers for parameter in layer.parameters()]

    flat = rollout_parameter(layers)
    ours = Pass(network_of(flat.detach().numpy(), inputs, hidden, 2), seen.detach().numpy())
    by_seen, _ = ours.back(by_out)
    np.testing.assert_allclose(by_seen, seen.grad, atol=1e-5)
    flat.grad.copy_(torch.from_numpy(ours.by_parameters(by_out, np.ones(cars, bool))))
    found = [parameter.grad for layer in layers for parameter in layer.parameters()]
    for theirs, gradient in zip(expected, found, strict=True):
        assert torch.abs(theirs).max() > 1e-3
        np.testing.assert_allclose(gradient, theirs, atol=2e-5)


def test_a_car_is_worked_on_the_same_whatever_else_there_is():
    """To the last bit; what is not learnt from adds nothing."""
    network = network_of(flat_of(POLICY), *SIZES)
    seen, by_out = seen_by(9), np.random.default_rng(1).normal(size=(9, 2)).astype(np.float32)
    together = Pass(network, seen)
    by_seen, _ = together.back(by_out)
    for car in (0, 5, 8):
        alone = Pass(network, seen[car : car + 1])
        for field in ("hidden_1", "hidden_2", "out"):
            np.testing.assert_array_equal(getattr(alone, field)[0], getattr(together, field)[car])
        np.testing.assert_array_equal(alone.back(by_out[car : car + 1])[0][0], by_seen[car])

    learnt = np.arange(9) < 4
    first_four = Pass(network, seen[:4]).by_parameters(by_out[:4], np.ones(4, bool))
    np.testing.assert_array_equal(together.by_parameters(by_out, learnt), first_four)
    assert not together.by_parameters(by_out, np.zeros(9, bool)).any()


def test_gradients_are_added_to_what_there_is():
    ours = Pass(network_of(flat_of(POLICY), *SIZES), seen_by(8))
    by_out = np.ones((8, 2), np.float32)
    once = ours.by_parameters(by_out, np.ones(8, bool))
    flat = np.zeros_like(once)
    for _ in range(2):
        _, scratch = ours.back(by_out)
        add_parameter_gradient(
            ours.seen, ours.hidden_1, ours.hidden_2, np.ones(8, bool), scratch,
            tuple(parameters_of(flat, *SIZES)),
        )  # fmt: skip
    np.testing.assert_allclose(flat, 2.0 * once, rtol=1e-5, atol=1e-6)


def test_weights_that_are_no_numbers_give_no_numbers():
    broken = replace(NOBODY, weights=POLICY.weights, biases=(np.full(HIDDEN, np.nan, np.float32),
                     *POLICY.biases[1:]))  # fmt: skip
    assert np.isnan(Pass(network_of(flat_of(broken), *SIZES), seen_by(1)).out).all()
