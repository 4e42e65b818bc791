"""A neural driver: a small multi-layer perceptron in one safetensors file, driven with numpy.

Arrays `layer.I.weight` (out, in) and `layer.I.bias` (out,), float32; tanh between the layers and
on the two outputs, which are the action. A driver who adapts has another such network, arrays
`evidence.I.weight` and `evidence.I.bias`: see `racing_env.simulation.adaptation`. The metadata says
what is needed to drive, and where the policy came from; nothing in the file is ever executed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import racing_env
from racing_env.car.vehicle import Vehicle, vehicle_from_record
from racing_env.common.errors import InputError
from racing_env.common.files import refuse_special_file, replaced_atomically
from racing_env.drivers.guessing import adapted, note_actions
from racing_env.simulation.adaptation import (
    EVIDENCE_INPUTS,
    EVIDENCE_SIZES,
    HIDDEN,
    MEMORY,
    Adaptation,
    inputs,
    new_adaptation,
    no_adaptation,
)
from racing_env.simulation.layout import Layout
from racing_env.simulation.layouts import layout_named
from racing_env.simulation.perceptron import flat_parameters
from racing_env.simulation.task import racing_task

FORMAT_VERSION = 1
ACTION_SIZE = 2
FILE_SIZE_MAX_BYTES = 100_000_000
LAYERS_MAX = 16

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True, eq=False)
class Policy:
    """Weights and biases of the layers; the car that they drive, and what they see of it."""

    weights: tuple[np.ndarray, ...]  # (out, in) each, float32
    biases: tuple[np.ndarray, ...]  # (out,) each
    vehicle: Vehicle
    layout: Layout
    record: dict[str, str]  # where they come from
    evidence: Layers = ()  # of the network that weighs evidence: (weight, bias) of each

    @property
    def adapts(self) -> bool:
        """Whether it guesses its conditions, for which it needs a memory."""
        return bool(self.evidence)

    @cached_property
    def adaptation(self) -> Adaptation:
        """The numbers of how it adapts."""
        if not self.adapts:
            return no_adaptation()
        weights, biases = zip(*self.evidence, strict=True)
        return new_adaptation(self.layout, self.vehicle, flat_parameters(weights, biases))

    def __reduce__(self) -> Any:
        """For other processes, which have the layout's kernels themselves: a kernel that is sent
        would be compiled anew where it arrives.
        """
        layout = self.layout.name
        return _arrived, (
            self.weights, self.biases, self.vehicle, layout, self.record, self.evidence
        )  # fmt: skip

    def act(self, observations: np.ndarray, memory: np.ndarray | None = None) -> np.ndarray:
        """Actions (n, 2) float32 for observations (n, layout.size).

        memory: (n, MEMORY) float32, what a driver who adapts remembers of each car, which is
        brought up to date; all zero at the start of a drive. Raises ValueError where it is missing.
        """
        if not self.adapts:
            return self.actions(observations)
        if memory is None:
            raise ValueError("a driver who adapts needs a memory: see new_memory")
        values = adapted(self.adaptation, self.evidence, observations, memory)
        actions = self.actions(values)
        note_actions(memory, actions)
        return actions

    def actions(self, inputs: np.ndarray) -> np.ndarray:
        """Actions (n, 2) float32 for the network's inputs (n, inputs)."""
        values = inputs
        for weight, bias in zip(self.weights, self.biases, strict=True):
            values = np.tanh(np.dot(values, weight.T) + bias)  # for one car quicker than @
        return values

    def new_memory(self, n: int) -> np.ndarray:
        """The memory (n, MEMORY) float32 of drivers at the start of a drive."""
        return np.zeros((n, MEMORY), dtype=np.float32)


def _arrived(
    weights: Any, biases: Any, vehicle: Vehicle, layout: str, record: Any, evidence: Any
) -> Policy:
    return Policy(weights, biases, vehicle, layout_named(layout, "the policy"), record, evidence)


def save_policy(policy: Policy, path: str | Path) -> None:
    """Write a policy atomically. Raises FileError if the file cannot be written."""
    metadata = policy.record | {
        "format_version": str(FORMAT_VERSION),
        "program_version": racing_env.__version__,
        "layer_sizes": json.dumps(_sizes(policy)),
        "squashing": "tanh",
        "observation_layout": policy.layout.name,
        "control_step_s": str(racing_task(policy.vehicle).control_step_s),
        "vehicle": json.dumps(policy.vehicle._asdict()),
    }
    arrays = {}
    for i, (weight, bias) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        arrays[f"layer.{i}.weight"] = np.ascontiguousarray(weight, dtype=np.float32)
        arrays[f"layer.{i}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
    for i, (weight, bias) in enumerate(policy.evidence):
        arrays[f"evidence.{i}.weight"] = np.ascontiguousarray(weight, dtype=np.float32)
        arrays[f"evidence.{i}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(_with_sorted_header(save(arrays, metadata=metadata)))


def _with_sorted_header(content: bytes) -> bytes:
    """The same safetensors file with a sorted header, whose order is otherwise random: equal
    policies are then equal files.
    """
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def load_policy(path: str | Path) -> Policy:
    """Read a policy and check that it can drive its car by what its layout shows.

    Raises InputError that names the file and what is wrong with it.
    """
    path = Path(path)
    refuse_special_file(path)
    if not path.is_file():
        raise InputError(f"{path}: no such policy file; expected a .safetensors file")
    if path.stat().st_size > FILE_SIZE_MAX_BYTES:
        raise InputError(f"{path}: larger than {FILE_SIZE_MAX_BYTES} bytes, not a policy")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from None
    vehicle, layout = _checked_metadata(path, metadata)
    return _from_arrays(path, arrays, vehicle, layout, metadata)


def _checked_metadata(path: Path, metadata: dict[str, str]) -> tuple[Vehicle, Layout]:
    names = ("format_version", "squashing", "observation_layout", "vehicle", "control_step_s")
    for name in names:
        if name not in metadata:
            raise InputError(f"{path}: has no {name}; a policy's metadata has {', '.join(names)}")
    try:
        record = json.loads(metadata["vehicle"])
        if not isinstance(record, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise InputError(
            f"{path}: its vehicle is {metadata['vehicle']!r:.60}; a JSON object is needed"
        ) from None
    vehicle = vehicle_from_record(record, f"{path}: its vehicle")
    layout = layout_named(metadata["observation_layout"], path)
    wanted = {
        "format_version": str(FORMAT_VERSION),
        "squashing": "tanh",
        "control_step_s": str(racing_task(vehicle).control_step_s),
    }
    for name, value in wanted.items():
        if metadata[name] != value:
            raise InputError(
                f"{path}: {name} is {metadata[name]!r:.60}, this program drives {value!r}"
            )
    return vehicle, layout


def _from_arrays(
    path: Path,
    arrays: dict[str, np.ndarray],
    vehicle: Vehicle,
    layout: Layout,
    metadata: dict[str, str],
) -> Policy:
    known = sum(name.startswith("layer.") for name in arrays) // 2
    evidence = sum(name.startswith("evidence.") for name in arrays) // 2
    names = {f"layer.{i}.{part}" for i in range(known) for part in ("weight", "bias")}
    names |= {f"evidence.{i}.{part}" for i in range(evidence) for part in ("weight", "bias")}
    if set(arrays) != names or not 1 <= known <= LAYERS_MAX or evidence not in (0, 3):
        raise InputError(
            f"{path}: has arrays {sorted(arrays)!s:.100}, expected layer.I.weight/bias, and "
            "evidence.0 to evidence.2 or none"
        )
    size = inputs(layout, adapts=evidence > 0)
    layers = _checked_layers(path, arrays, "layer", size, [None] * (known - 1) + [ACTION_SIZE])
    sizes = [HIDDEN, HIDDEN, EVIDENCE_SIZES[-1]][: evidence or 0]
    weighing = _checked_layers(path, arrays, "evidence", EVIDENCE_INPUTS, sizes)
    weights, biases = zip(*layers, strict=True)
    return Policy(weights, biases, vehicle, layout, metadata, weighing)


def _checked_layers(
    path: Path, arrays: dict[str, np.ndarray], name: str, size: int, outputs: Sequence[int | None]
) -> Layers:
    """Weights and biases of the layers of one network that has so many inputs; None: any number."""
    layers = []
    for i, wanted in enumerate(outputs):
        weight, bias = arrays[f"{name}.{i}.weight"], arrays[f"{name}.{i}.bias"]
        if weight.dtype != np.float32 or bias.dtype != np.float32:
            kinds = f"{weight.dtype} and {bias.dtype}"
            raise InputError(f"{path}: {name} {i} is {kinds}, expected float32")
        if weight.ndim != 2 or weight.shape[1] != size or bias.shape != weight.shape[:1]:
            raise InputError(
                f"{path}: {name} {i} has shapes {weight.shape} and {bias.shape}, "
                f"expected (outputs, {size}) and (outputs,)"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise InputError(f"{path}: {name} {i} has weights that are not finite numbers")
        size = len(bias)
        if wanted is not None and size != wanted:
            raise InputError(f"{path}: {name} {i} has {size} outputs, expected {wanted}")
        layers.append((weight, bias))
    return tuple(layers)


def _sizes(policy: Policy) -> list[int]:
    return [policy.weights[0].shape[1], *(len(bias) for bias in policy.biases)]
