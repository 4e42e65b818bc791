"""The policy as a torch network, to and from the file format of `racing_env.drivers.policy`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from racing_env.common.errors import InputError
from racing_env.drivers.policy import ACTION_SIZE, Layers, Policy

HIDDEN_SIZES = (64, 64)


def policy_network(
    observation_size: int, hidden_sizes: Sequence[int] = HIDDEN_SIZES
) -> nn.Sequential:
    """A network with tanh between its layers and on its outputs, as `Policy.act` computes it."""
    return tanh_network([observation_size, *hidden_sizes, ACTION_SIZE])


def tanh_network(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these sizes, inputs first, with tanh after each."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers)


class _TanhBySigmoid(torch.autograd.Function):
    """tanh(x) = 2 sigmoid(2x) - 1, within two roundings of 1."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> torch.Tensor:
        outputs = (2.0 * inputs).sigmoid_().mul_(2.0).sub_(1.0)
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradients: torch.Tensor) -> torch.Tensor:
        (outputs,) = ctx.saved_tensors
        return torch.addcmul(gradients, gradients * outputs, outputs, value=-1.0)


class FastTanh(nn.Module):
    """As nn.Tanh, in half its time for large batches on a CPU: PyTorch's sigmoid is quicker."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return _TanhBySigmoid.apply(inputs)


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    """The linear layers of a module, in the order in which they were added."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def flat_parameter(network: nn.Module) -> nn.Parameter:
    """One parameter of which the network's own become views, as do their gradients, all zero.

    An optimiser then has one array to go through.
    """
    return _one_array(list(network.parameters()), lambda array: array)


def rollout_parameter(layers: Sequence[nn.Linear]) -> nn.Parameter:
    """As `flat_parameter`, of layers, in the order in which cars that drive rollouts are handed
    them (`racing_env.simulation.perceptron`): a layer's weights (in, out), its biases, the next
    layer's.
    """
    return _one_array([each for layer in layers for each in (layer.weight, layer.bias)], torch.t)


def _one_array(
    own: Sequence[torch.Tensor], turned: Callable[[torch.Tensor], torch.Tensor]
) -> nn.Parameter:
    """turned: how each lies in it, and back."""
    flat = nn.Parameter(torch.cat([turned(parameter.detach()).flatten() for parameter in own]))
    flat.grad = torch.zeros_like(flat)
    sizes = [parameter.numel() for parameter in own]
    for parameter, values, gradient in zip(
        own, flat.detach().split(sizes), flat.grad.split(sizes), strict=True
    ):
        shape = turned(parameter).shape
        parameter.data = turned(values.view(shape))
        parameter.grad = turned(gradient.view(shape))
    return flat


def policy_from_layers(layers: Sequence[nn.Linear], like: Policy) -> Policy:
    """Another policy, its car, layout and record, with copies of these layers' weights."""
    return replace(
        like,
        weights=tuple(layer.weight.detach().cpu().numpy().copy() for layer in layers),
        biases=tuple(layer.bias.detach().cpu().numpy().copy() for layer in layers),
    )


def copy_policy_into(policy: Policy, layers: Sequence[nn.Linear]) -> None:
    """Set the layers' weights to the policy's; raises ValueError if the sizes differ."""
    copy_layers_into(tuple(zip(policy.weights, policy.biases, strict=True)), layers)


def copy_layers_into(values: Layers, layers: Sequence[nn.Linear]) -> None:
    """Set the layers' weights and biases; raises ValueError if the sizes differ."""
    if [tuple(layer.weight.shape) for layer in layers] != [weight.shape for weight, _ in values]:
        raise ValueError("the layers do not have the policy's sizes")
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, values, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))


def layers_of(layers: Sequence[nn.Linear]) -> Layers:
    """Copies of their weights and biases, as `racing_env.drivers.policy` has them."""
    return tuple(
        (layer.weight.detach().cpu().numpy().copy(), layer.bias.detach().cpu().numpy().copy())
        for layer in layers
    )


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; raises InputError for `cuda` where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no CUDA device is available; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
