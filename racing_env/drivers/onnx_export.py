"""A driver as an ONNX file: scaling, clipping, network and squashing in one graph.

Input `observation` (n, 76) float32, output `action` (n, 2) float32 in [-1, 1]. The observation is
what the environment gives or, with `si_units`, the quantities behind it in SI units and radians.
The file's metadata says which, and names every input.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from racing_env.car.dynamics import CONTROL_STEP_S
from racing_env.car.vehicle import RACECAR, Vehicle
from racing_env.common.errors import InputError
from racing_env.common.files import replaced_atomically
from racing_env.drivers.policy import Policy
from racing_env.simulation import observation as obs

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


def write_onnx(
    policy: Policy, path: str | Path, si_units: bool = False, vehicle: Vehicle = RACECAR
) -> float:
    """Write a policy as ONNX and return by how much its actions differ from the policy's.

    Compared are COMPARED random observations. Atomic. Raises InputError if an action differs by
    more than TOLERANCE, FileError if the file cannot be written: the path is then as it was.
    """
    model = _model(policy, si_units, vehicle)
    onnx.checker.check_model(model, full_check=True)
    highest = [quantity.largest for quantity in quantities(vehicle)]
    shape = COMPARED, obs.SIZE
    observations = np.random.default_rng(0).uniform(-obs.LIMIT, highest, shape).astype(np.float32)
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        difference = largest_difference(temporary, policy, observations, vehicle)
        if not difference <= TOLERANCE:
            raise InputError(f"{path}: its actions would differ by {difference:.1e} from the "
                             f"driver's; it is not written")  # fmt: skip
    return difference


def largest_difference(
    path: str | Path, policy: Policy, observations: np.ndarray, vehicle: Vehicle = RACECAR
) -> float:
    """Between the file's actions in onnxruntime and `Policy.act`, for observations (n, SIZE)."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = observations
    if session.get_modelmeta().custom_metadata_map["inputs_are"] == "SI units":
        inputs = observations * np.array([q.scale for q in quantities(vehicle)], dtype=np.float32)
    actions = session.run(["action"], {"observation": inputs})[0]
    return float(np.abs(actions - policy.act(observations)).max())


class Quantity(NamedTuple):
    """What one number of the observation is."""

    name: str  # with its unit
    scale: float
    largest: float = obs.LIMIT  # after scaling


def quantities(vehicle: Vehicle = RACECAR) -> list[Quantity]:
    """The numbers of the observation in order: an input of ONNX divided by its scale is one."""
    own = [
        Quantity("vx_mps", 50.0),
        Quantity("vy_mps", 5.0),
        Quantity("yaw_rate_radps", 1.0),
        Quantity("steer_rad", vehicle.steering_max_rad),
        Quantity("drive_n", vehicle.drive_force_max_n),
        Quantity("brake_n", vehicle.brake_force_max_n),
        Quantity("ax_mps2", 10.0),
        Quantity("ay_mps2", 15.0),
        Quantity("line_offset_m", 2.0),
        Quantity("line_heading_sin", 1.0 / 3.0),
        Quantity("profile_minus_speed_mps", 10.0),
        Quantity("line_kappa_radpm", 0.04),
        Quantity("room_left_m", 2.0, 4.0 / 2.0),
        Quantity("room_right_m", 2.0, 4.0 / 2.0),
        Quantity("front_slip_rad", 0.1),
        Quantity("rear_slip_rad", 0.1),
    ]
    for ahead_s in obs.PREVIEW_S:
        own += [
            Quantity(f"bearing_sin_in_{ahead_s}s", 0.5),
            Quantity(f"line_kappa_radpm_in_{ahead_s}s", 0.04),
            Quantity(f"profile_minus_speed_mps_in_{ahead_s}s", 20.0),
            Quantity(f"room_left_m_in_{ahead_s}s", 4.0, 8.0 / 4.0),
            Quantity(f"room_right_m_in_{ahead_s}s", 4.0, 8.0 / 4.0),
        ]
    return own


def _model(policy: Policy, si_units: bool, vehicle: Vehicle) -> onnx.ModelProto:
    seen = quantities(vehicle)
    constants = {
        "lowest": np.full(len(seen), -obs.LIMIT),
        "largest": np.array([quantity.largest for quantity in seen]),
    }
    nodes = []
    value = "observation"
    if si_units:
        constants["scale"] = np.array([quantity.scale for quantity in seen])
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
        "observation_layout": obs.LAYOUT,
        "control_step_s": str(CONTROL_STEP_S),
        "vehicle": json.dumps(vehicle._asdict()),
    }
    helper.set_model_props(model, metadata)
    return model
