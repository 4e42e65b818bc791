"""A driver as an ONNX file: scaling, clipping, network and squashing in one graph.

Input `observation` (n, size) float32, output `action` (n, 2) float32 in [-1, 1]. The observation is
what the environment gives or, with `si_units`, the quantities behind it in SI units and radians.
The file's metadata says which, and names every input.
"""

import json
from pathlib import Path

import numpy as np

from racing_env.common.errors import InputError
from racing_env.common.files import replaced_atomically
from racing_env.drivers.policy import Policy
from racing_env.simulation.layout import HIGH, LOW, SCALE
from racing_env.simulation.task import racing_task

try:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise InputError(
        f"exports need {error.name}; install it with: pip install -r requirements-export.txt"
    ) from error

OPSET, IR_VERSION = 17, 9  # old enough for most runtimes
TOLERANCE = 1e-5  # of an action, between the exported driver and the policy
COMPARED = 10_000  # observations


def write_onnx(policy: Policy, path: str | Path, si_units: bool = False) -> float:
    """Write a policy as ONNX and return by how much its actions differ from the policy's.

    Compared are COMPARED random observations. Atomic. Raises InputError if an action differs by
    more than TOLERANCE, FileError if the file cannot be written: the path is then as it was.
    """
    model = _model(policy, si_units)
    onnx.checker.check_model(model, full_check=True)
    least, most = policy.layout.bounds()
    shape = COMPARED, policy.layout.size
    observations = np.random.default_rng(0).uniform(least, most, shape).astype(np.float32)
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        difference = largest_difference(temporary, policy, observations)
        if not difference <= TOLERANCE:
            raise InputError(f"{path}: its actions would differ by {difference:.1e} from the "
                             f"driver's; it is not written")  # fmt: skip
    return difference


def largest_difference(path: str | Path, policy: Policy, observations: np.ndarray) -> float:
    """Between the file's actions in onnxruntime and `Policy.act`, for observations (n, size)."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = observations
    if session.get_modelmeta().custom_metadata_map["inputs_are"] == "SI units":
        inputs = observations * policy.layout.limits(policy.vehicle)[:, SCALE].astype(np.float32)
    actions = session.run(["action"], {"observation": inputs})[0]
    return float(np.abs(actions - policy.act(observations)).max())


def _model(policy: Policy, si_units: bool) -> onnx.ModelProto:
    seen = policy.layout.quantities
    limits = policy.layout.limits(policy.vehicle)
    constants = {"lowest": limits[:, LOW], "largest": limits[:, HIGH]}
    nodes = []
    value = "observation"
    if si_units:
        constants["scale"] = limits[:, SCALE]
        nodes.append(helper.make_node("Div", [value, "scale"], ["scaled"]))
        value = "scaled"
    nodes.append(helper.make_node("Max", [value, "lowest"], ["from_below"]))
    nodes.append(helper.make_node("Min", ["from_below", "largest"], ["clipped"]))
    value = "clipped"
    last = len(policy.weights) - 1
    for i, (weight, bias) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        constants |= {f"layer.{i}.weight": weight, f"layer.{i}.bias": bias}
        names = [value, f"layer.{i}.weight", f"layer.{i}.bias"]
        nodes.append(helper.make_node("Gemm", names, [f"layer.{i}"], transB=1))
        value = "action" if i == last else f"layer.{i}.squashed"
        nodes.append(helper.make_node("Tanh", [f"layer.{i}"], [value]))
    graph = helper.make_graph(
        nodes,
        "driver",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", len(seen)])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["n", 2])],
        [
            numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
            for name, array in constants.items()
        ],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, producer_name="racing_env", ir_version=IR_VERSION, opset_imports=opset
    )
    metadata = policy.record | {
        "inputs_are": "SI units" if si_units else "observations",
        "inputs": json.dumps([quantity.name for quantity in seen]),
        "observation_layout": policy.layout.name,
        "control_step_s": str(racing_task(policy.vehicle).control_step_s),
        "vehicle": json.dumps(policy.vehicle._asdict()),
    }
    helper.set_model_props(model, metadata)
    return model
