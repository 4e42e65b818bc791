"""Errors of a small tanh network on batches of examples, and their gradient, written out.

In a batch of 256 most of autograd's time is its own book-keeping, of some forty operations. These
are the same ones, in a third of the time: each into memory that is there already, and without a
graph. tanh is taken by way of the sigmoid, as in `racing_env.learning.network.FastTanh`.
"""

from collections.abc import Sequence

import torch
from torch import nn

Batch = tuple[torch.Tensor, torch.Tensor]


class ErrorGradient:
    """For linear layers with tanh after each, and a scale for each output's errors.

    The layers' parameters have gradients, which `step_back` overwrites. To be used without
    autograd: under `torch.no_grad()`.
    """

    def __init__(self, layers: Sequence[nn.Linear], scale: torch.Tensor):
        self.scale = scale
        self.weights = [layer.weight for layer in layers]
        self.transposed = [layer.weight.t() for layer in layers]
        self.biases = [layer.bias for layer in layers]
        self.minus_one = scale.new_tensor(-1.0)
        self._make_room(0)

    def _make_room(self, examples: int) -> None:
        self.examples = examples
        like = self.weights[0]
        self.outputs = [like.new_empty(examples, len(bias)) for bias in self.biases]
        self.slopes = [like.new_empty(examples, len(bias)) for bias in self.biases]
        self.slopes_transposed = [slopes.t() for slopes in self.slopes]
        self.products = [like.new_empty(examples, len(bias)) for bias in self.biases]
        self.differences = like.new_empty(examples, len(self.biases[-1]))
        # the mean of so many squares falls by 2 error / (scale * examples * outputs)
        self.divisor = 0.5 * self.differences.numel() * self.scale
        self.ones = like.new_ones(examples)

    def errors(self, batch: Batch) -> torch.Tensor:
        """(examples, outputs), in units of the scale; they are overwritten by the next call."""
        observations, actions = batch
        if len(actions) != self.examples:
            self._make_room(len(actions))
        values = observations
        for bias, transposed, output in zip(
            self.biases, self.transposed, self.outputs, strict=True
        ):
            # tanh(x) = 2 sigmoid(2 x) - 1
            torch.addmm(bias, values, transposed, beta=2.0, alpha=2.0, out=output)
            values = torch.add(self.minus_one, output.sigmoid_(), alpha=2.0, out=output)
        return torch.sub(values, actions, out=self.differences).div_(self.scale)

    def step_back(self, batch: Batch) -> torch.Tensor:
        """Set the gradients of the mean squared error; returns the errors as `errors` does."""
        errors = self.errors(batch)
        torch.div(errors, self.divisor, out=self.slopes[-1])
        inputs = [batch[0], *self.outputs[:-1]]
        for i in reversed(range(len(self.weights))):
            slopes, transposed = self.slopes[i], self.slopes_transposed[i]
            output = self.outputs[i]
            # by tanh' = 1 - tanh^2
            torch.mul(slopes, output, out=self.products[i])
            slopes.addcmul_(self.products[i], output, value=-1.0)
            weight, bias = self.weights[i], self.biases[i]
            torch.mm(transposed, inputs[i], out=weight.grad)
            torch.mv(transposed, self.ones, out=bias.grad)
            if i > 0:
                torch.mm(slopes, weight, out=self.slopes[i - 1])
        return errors
