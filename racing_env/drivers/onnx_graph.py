"""An ONNX graph in the making: its nodes and its constants."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from racing_env.common.errors import InputError

try:
    from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
except ImportError as error:
    raise InputError(
        f"exports need {error.name}; install it with: pip install -r requirements-export.txt"
    ) from error

FLOAT, DOUBLE = int(TensorProto.FLOAT), int(TensorProto.DOUBLE)  # for Cast

Operand = str | float | np.floating[Any] | np.ndarray  # the name of a value, or a constant


class Graph:
    """Nodes in the order in which they are computed, and constants by name."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Any] = {}
        self.doubles: set[str] = set()  # the names of constants in double precision

    def node(
        self,
        operator: str,
        operands: Sequence[Operand],
        *outputs: str,
        double: bool = False,
        **attributes: Any,
    ) -> str:
        """Add a node. Returns the name of its first output, after which constants are named.

        double: those that are no places are in double precision.
        """
        names = []
        for i, operand in enumerate(operands):
            name = operand if isinstance(operand, str) else f"{outputs[0]}.{i}"
            if not isinstance(operand, str):
                self.constants[name] = operand
                if double:
                    self.doubles.add(name)
            names.append(name)
        self.nodes.append(helper.make_node(operator, names, list(outputs), **attributes))
        return outputs[0]

    def perceptron(
        self, name: str, layers: Iterable[tuple[np.ndarray, np.ndarray]], value: str, output: str
    ) -> None:
        """Add a network, tanh after each layer; layers: (weight (out, in), bias (out,)) each."""
        layers = list(layers)
        for i, (weight, bias) in enumerate(layers):
            self.constants |= {f"{name}.{i}.weight": weight, f"{name}.{i}.bias": bias}
            operands = [value, f"{name}.{i}.weight", f"{name}.{i}.bias"]
            self.node("Gemm", operands, f"{name}.{i}", transB=1)
            last = i == len(layers) - 1
            value = self.node("Tanh", [f"{name}.{i}"], output if last else f"{name}.{i}.squashed")

    def finished(self, inputs: dict[str, int], outputs: dict[str, int]) -> GraphProto:
        """The graph; inputs and outputs: the columns of each, one row a car."""
        tensors = [
            numpy_helper.from_array(_typed(constant, name in self.doubles), name)
            for name, constant in self.constants.items()
        ]
        return helper.make_graph(self.nodes, "driver", _rows(inputs), _rows(outputs), tensors)


def _rows(columns: dict[str, int]) -> list[Any]:
    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in columns.items()
    ]


def _typed(constant: Any, double: bool) -> np.ndarray:
    """Places are int64, everything else is float32 or, in double precision, float64."""
    if np.asarray(constant).dtype.kind == "i":
        return np.ascontiguousarray(constant, np.int64)
    return np.ascontiguousarray(constant, np.float64 if double else np.float32)
