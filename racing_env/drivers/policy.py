"""A neural driver: a small multi-layer perceptron in one safetensors file, driven with numpy.

Arrays `layer.I.weight` (out, in) and `layer.I.bias` (out,), float32; tanh between the layers and
on the two outputs, which are the action. The metadata says what is needed to drive, and where the
policy came from; nothing in the file is ever executed.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import racing_env
from racing_env.car.vehicle import Vehicle, vehicle_from_record
from racing_env.common.errors import InputError
from racing_env.common.files import refuse_special_file, replaced_atomically
from racing_env.simulation.layout import Layout
from racing_env.simulation.layouts import layout_named
from racing_env.simulation.task import racing_task

FORMAT_VERSION = 1
ACTION_SIZE = 2
FILE_SIZE_MAX_BYTES = 100_000_000
LAYERS_MAX = 16


@dataclass(frozen=True, eq=False)
class Policy:
    """Weights and biases of the layers; the car that they drive, and what they see of it."""

    weights: tuple[np.ndarray, ...]  # (out, in) each, float32
    biases: tuple[np.ndarray, ...]  # (out,) each
    vehicle: Vehicle
    layout: Layout
    record: dict[str, str]  # where they come from

    def __reduce__(self) -> Any:
        """For other processes, which have the layout's kernels themselves: a kernel that is sent
        would be compiled anew where it arrives.
        """
        return _arrived, (self.weights, self.biases, self.vehicle, self.layout.name, self.record)

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions (n, 2) float32 for observations (n, layout.size)."""
        values = observations
        for weight, bias in zip(self.weights, self.biases, strict=True):
            values = np.tanh(values @ weight.T + bias)
        return values


def _arrived(weights: Any, biases: Any, vehicle: Vehicle, layout: str, record: Any) -> Policy:
    return Policy(weights, biases, vehicle, layout_named(layout, "the policy"), record)


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
    count = len(arrays) // 2
    names = {f"layer.{i}.{part}" for i in range(count) for part in ("weight", "bias")}
    if set(arrays) != names or not 1 <= count <= LAYERS_MAX:
        raise InputError(
            f"{path}: has arrays {sorted(arrays)!s:.100}, expected layer.I.weight/bias"
        )
    policy = Policy(
        tuple(arrays[f"layer.{i}.weight"] for i in range(count)),
        tuple(arrays[f"layer.{i}.bias"] for i in range(count)),
        vehicle,
        layout,
        metadata,
    )
    size = layout.size
    for i, (weight, bias) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        if weight.dtype != np.float32 or bias.dtype != np.float32:
            raise InputError(f"{path}: layer {i} is {weight.dtype}, expected float32")
        if weight.ndim != 2 or weight.shape[1] != size or bias.shape != weight.shape[:1]:
            raise InputError(
                f"{path}: layer {i} has shapes {weight.shape} and {bias.shape}, "
                f"expected (outputs, {size}) and (outputs,)"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise InputError(f"{path}: layer {i} has weights that are not finite numbers")
        size = len(bias)
    if size != ACTION_SIZE:
        raise InputError(f"{path}: has {size} outputs, expected {ACTION_SIZE}")
    return policy


def _sizes(policy: Policy) -> list[int]:
    return [policy.weights[0].shape[1], *(len(bias) for bias in policy.biases)]
