"""A driver's network in kernels: actions from what is seen, and gradients pulled back.

The network of `racing_env.drivers.policy` with two hidden layers, in single precision. Cars are
worked on one by one, so that nothing depends on how many there are; the sums over the inputs of a
layer are in a fixed order, and each works on all of its outputs at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from racing_env.car.kernels import inlined

TANH_INPUT_MAX = np.float32(7.95)  # from which on its value is 1 in single precision
TANH_NUMERATOR = tuple(
    np.array([1.0, 0.134475753, 3.57531314e-3, 2.19591766e-5, 1.53292739e-8], np.float32)
)
TANH_DENOMINATOR = tuple(
    np.array([1.0, 0.467809021, 2.61784140e-2, 3.41749808e-4, 8.5607007e-7], np.float32)
)
ONE = np.float32(1.0)


class Network(NamedTuple):
    """Weights (in, out) and biases (out,) float32 of three layers, and transposed weights."""

    weight_1: np.ndarray
    bias_1: np.ndarray
    weight_2: np.ndarray
    bias_2: np.ndarray
    weight_3: np.ndarray
    bias_3: np.ndarray
    transposed_1: np.ndarray
    transposed_2: np.ndarray
    transposed_3: np.ndarray


def parameter_shapes(inputs: int, hidden: int, outputs: int) -> list[tuple[int, ...]]:
    """Of the weights and biases, in the order of `Network`."""
    return [(inputs, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden, outputs), (outputs,)]


def parameter_count(inputs: int, hidden: int, outputs: int) -> int:
    return sum(int(np.prod(shape)) for shape in parameter_shapes(inputs, hidden, outputs))


def parameters_of(flat: np.ndarray, inputs: int, hidden: int, outputs: int) -> list[np.ndarray]:
    """The six arrays of `Network` as views of one (parameters,) array."""
    parts, start = [], 0
    for shape in parameter_shapes(inputs, hidden, outputs):
        size = int(np.prod(shape))
        parts.append(flat[start : start + size].reshape(shape))
        start += size
    return parts


def flat_parameters(weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> np.ndarray:
    """All as one (parameters,) float32, from weights (out, in) as a policy has them."""
    layers = zip(weights, biases, strict=True)
    parts = [part for weight, bias in layers for part in (weight.T.ravel(), bias)]
    return np.concatenate(parts).astype(np.float32)


def network_of(flat: np.ndarray, inputs: int, hidden: int, outputs: int) -> Network:
    """A network with these parameters (parameters,) float32."""
    parts = parameters_of(flat, inputs, hidden, outputs)
    return Network(*parts, *(np.ascontiguousarray(weight.T) for weight in parts[::2]))


@inlined
def tanh(x):
    """tanh(x) of a float32, absolute error below 1e-6: a quotient of polynomials."""
    x = min(max(x, -TANH_INPUT_MAX), TANH_INPUT_MAX)
    q = x * x
    p0, p1, p2, p3, p4 = TANH_NUMERATOR
    d0, d1, d2, d3, d4 = TANH_DENOMINATOR
    numerator = ((((p4 * q + p3) * q + p2) * q + p1) * q + p0) * x
    denominator = (((d4 * q + d3) * q + d2) * q + d1) * q + d0
    return min(max(numerator / denominator, -ONE), ONE)


@inlined
def _set(values, out):
    for j in range(len(out)):
        out[j] = values[j]


@inlined
def _clear(out):
    for j in range(len(out)):
        out[j] = 0


@inlined
def _add_product(x, weight, out):
    """Add x (in,) times weight (in, out) to out (out,)."""
    inputs = weight.shape[0]
    whole = inputs - inputs % 4
    for k in range(0, whole, 4):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        row0, row1, row2, row3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        for j in range(len(out)):
            out[j] += (x0 * row0[j] + x1 * row1[j]) + (x2 * row2[j] + x3 * row3[j])
    for k in range(whole, inputs):
        x0, row0 = x[k], weight[k]
        for j in range(len(out)):
            out[j] += x0 * row0[j]


@inlined
def forward(network, seen, hidden_1, hidden_2, out):
    """Fill the outputs of the layers, (hidden,), (hidden,), (outputs,), for seen (inputs,)."""
    _set(network.bias_1, hidden_1)
    _add_product(seen, network.weight_1, hidden_1)
    for j in range(len(hidden_1)):
        hidden_1[j] = tanh(hidden_1[j])
    _set(network.bias_2, hidden_2)
    _add_product(hidden_1, network.weight_2, hidden_2)
    for j in range(len(hidden_2)):
        hidden_2[j] = tanh(hidden_2[j])
    _set(network.bias_3, out)
    _add_product(hidden_2, network.weight_3, out)
    for j in range(len(out)):
        out[j] = tanh(out[j])


@inlined
def _before_tanh(by_value, value, out):
    """Fill out with the gradient before a tanh, from that by its value."""
    for j in range(len(out)):
        out[j] = by_value[j] * (ONE - value[j] * value[j])


@inlined
def _add_outer_products(x, y, weight, bias):
    """Add x (cars, n) times y (cars, m), summed over the cars, to weight (n, m), and y to bias."""
    cars, outputs = y.shape
    whole = cars - cars % 4
    for first in range(0, whole, 4):
        y0, y1, y2, y3 = y[first], y[first + 1], y[first + 2], y[first + 3]
        for k in range(x.shape[1]):
            x0, x1, x2, x3 = x[first, k], x[first + 1, k], x[first + 2, k], x[first + 3, k]
            row = weight[k]
            for j in range(outputs):
                row[j] += (x0 * y0[j] + x1 * y1[j]) + (x2 * y2[j] + x3 * y3[j])
        for j in range(outputs):
            bias[j] += (y0[j] + y1[j]) + (y2[j] + y3[j])
    for car in range(whole, cars):
        y0 = y[car]
        for k in range(x.shape[1]):
            x0, row = x[car, k], weight[k]
            for j in range(outputs):
                row[j] += x0 * y0[j]
        for j in range(outputs):
            bias[j] += y0[j]


class Scratch(NamedTuple):
    """What `backward` works in: gradients before the tanh of each layer, float32."""

    layer_1: np.ndarray  # (cars, hidden)
    layer_2: np.ndarray
    layer_3: np.ndarray  # (cars, outputs)
    by_hidden: np.ndarray  # (hidden,)


@inlined
def new_scratch(cars, hidden, outputs):
    return Scratch(
        np.zeros((cars, hidden), np.float32), np.zeros((cars, hidden), np.float32),
        np.zeros((cars, outputs), np.float32), np.zeros(hidden, np.float32),
    )  # fmt: skip


@inlined
def backward(network, car, hidden_1, hidden_2, out, by_out, scratch, by_seen):
    """Fill by_seen (inputs,) with the gradient by what a car's driver saw.

    From by_out, that by the outputs; hidden_1, hidden_2, out: of `forward`. Keeps in scratch what
    `add_parameter_gradient` needs of the car.
    """
    by_hidden = scratch.by_hidden
    _before_tanh(by_out, out, scratch.layer_3[car])
    _clear(by_hidden)
    _add_product(scratch.layer_3[car], network.transposed_3, by_hidden)
    _before_tanh(by_hidden, hidden_2, scratch.layer_2[car])
    _clear(by_hidden)
    _add_product(scratch.layer_2[car], network.transposed_2, by_hidden)
    _before_tanh(by_hidden, hidden_1, scratch.layer_1[car])
    _clear(by_seen)
    _add_product(scratch.layer_1[car], network.transposed_1, by_seen)


@inlined
def _forget(car, scratch):
    """Let nothing be learnt from a car."""
    _clear(scratch.layer_1[car])
    _clear(scratch.layer_2[car])
    _clear(scratch.layer_3[car])


@inlined
def add_parameter_gradient(seen, hidden_1, hidden_2, learnt, scratch, gradient):
    """Add to gradient, the first six arrays of a `Network`, what `backward` has kept of all cars.

    seen (cars, inputs), hidden_1, hidden_2 (cars, hidden); learnt (cars,) bool: from which.
    """
    for car in range(len(learnt)):
        if not learnt[car]:
            _forget(car, scratch)
    weight_1, bias_1, weight_2, bias_2, weight_3, bias_3 = gradient
    _add_outer_products(hidden_2, scratch.layer_3, weight_3, bias_3)
    _add_outer_products(hidden_1, scratch.layer_2, weight_2, bias_2)
    _add_outer_products(seen, scratch.layer_1, weight_1, bias_1)
