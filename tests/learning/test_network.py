"""The torch network and the policy file's arrays are the same thing twice."""

import numpy as np
import pytest
import torch
from models import NOBODY
from torch import nn

from racing_env.common.errors import InputError
from racing_env.drivers.policy import ACTION_SIZE, Policy, load_policy, save_policy
from racing_env.learning import network as net
from racing_env.simulation.layouts.line_preview import LAYOUT


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def new_policy(*hidden: int) -> Policy:
    network = net.policy_network(LAYOUT.size, hidden)
    return net.policy_from_layers(net.linear_layers(network), NOBODY)


@pytest.mark.parametrize("hidden", [(), (7,), (64, 64)])
def test_sizes_and_squashing(hidden):
    network = net.policy_network(LAYOUT.size, hidden)
    layers = net.linear_layers(network)
    shapes = [tuple(layer.weight.shape) for layer in layers]
    sizes = [LAYOUT.size, *hidden, ACTION_SIZE]
    assert shapes == list(zip(sizes[1:], sizes[:-1], strict=True))
    assert isinstance(network[-1], nn.Tanh)
    with torch.no_grad():
        wild = network(1e6 * torch.randn(50, LAYOUT.size))
    assert wild.abs().max() <= 1.0


def test_there_and_back_is_identical(tmp_path):
    network = net.policy_network(LAYOUT.size)
    path = tmp_path / "policy.safetensors"
    save_policy(net.policy_from_layers(net.linear_layers(network), NOBODY), path)
    other = net.policy_network(LAYOUT.size)
    seen = torch.randn(20, LAYOUT.size)
    assert not torch.equal(network(seen), other(seen))
    net.copy_policy_into(load_policy(path), net.linear_layers(other))
    assert torch.equal(network(seen), other(seen))
    assert all(parameter.requires_grad for parameter in other.parameters())


def test_the_policy_is_a_copy():
    network = net.policy_network(LAYOUT.size, (4,))
    policy = net.policy_from_layers(net.linear_layers(network), NOBODY)
    before = [weight.copy() for weight in policy.weights]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    for weight, kept in zip(policy.weights, before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_copying_into_a_network_leaves_the_policy_alone():
    policy = new_policy(4)
    other = net.policy_network(LAYOUT.size, (4,))
    net.copy_policy_into(policy, net.linear_layers(other))
    before = policy.weights[0].copy()
    with torch.no_grad():
        net.linear_layers(other)[0].weight.zero_()
    np.testing.assert_array_equal(policy.weights[0], before)


@pytest.mark.parametrize("hidden", [(), (5,), (4, 4)])
def test_other_sizes_are_refused_and_nothing_is_copied(hidden):
    policy = new_policy(4)
    other = net.policy_network(LAYOUT.size, hidden)
    before = [parameter.clone() for parameter in other.parameters()]
    with pytest.raises(ValueError, match="sizes"):
        net.copy_policy_into(policy, net.linear_layers(other))
    assert all(map(torch.equal, before, other.parameters()))


def test_parameters_and_gradients_are_views_of_one():
    network = net.policy_network(LAYOUT.size, (4,))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    flat = net.flat_parameter(network)
    assert flat.numel() == sum(parameter.numel() for parameter in before)
    assert all(map(torch.equal, network.parameters(), before))
    with torch.no_grad():
        flat.add_(1.0)
    for parameter, was in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, was + 1.0)
        assert parameter.grad is not None
        parameter.grad += 2.0
    assert flat.grad is not None and (flat.grad == 2.0).all()


def test_fast_tanh_is_tanh():
    inputs = torch.cat([torch.linspace(-20, 20, 2001), torch.tensor([-1e30, 1e30, 0.0])])
    given = inputs.clone()
    found, wanted = net.FastTanh()(inputs), torch.tanh(inputs.double())
    assert (found.double() - wanted).abs().max() < 2.5e-7 and found.abs().max() <= 1.0
    assert torch.equal(inputs, given)
    doubles = torch.randn(30, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net.FastTanh(), doubles)


def test_linear_layers_are_found_inside_modules_in_order():
    inner = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    found = net.linear_layers(nn.Sequential(inner, nn.Tanh(), nn.Linear(2, 1)))
    assert [tuple(layer.weight.shape) for layer in found] == [(2, 3), (1, 2)]


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert net.choose_device("auto") == net.choose_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="no CUDA device"):
        net.choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert net.choose_device("auto") == net.choose_device("cuda") == torch.device("cuda")
    assert net.choose_device("cpu") == torch.device("cpu")
