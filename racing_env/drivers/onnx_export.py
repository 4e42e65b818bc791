"""A driver as an ONNX file: scaling, clipping, network and squashing in one graph.

Input `observation` (n, size) float32, output `action` (n, 2) float32 in [-1, 1]. The observation is
what the environment gives or, with `si_units`, the quantities behind it in SI units and radians.
A driver who adapts has his memory as another input and output, `memory` and `memory_out`
(n, MEMORY) float32: all zero at the start of a drive, then what came out at the step before.
The file's metadata says which, and names every input.
"""

import json
from pathlib import Path

import numpy as np

from racing_env.car.conditions import ROAD, draw_conditions, ranges_for
from racing_env.common.errors import InputError
from racing_env.common.files import replaced_atomically
from racing_env.drivers.guessing import COLUMNS, PLACES, ROWS
from racing_env.drivers.onnx_graph import Graph
from racing_env.drivers.onnx_guessing import MEMORY_NAMES, add_adapted, add_memory_out
from racing_env.drivers.policy import ACTION_SIZE, Policy
from racing_env.simulation.adaptation import MEMORY, PRIOR_WEIGHT, SEEN_ANY, SUMS, WEIGHTS
from racing_env.simulation.layout import HIGH, LOW, SCALE
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import racing_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

try:
    import onnx
    import onnxruntime
    from onnx import helper
except ImportError as error:
    raise InputError(
        f"exports need {error.name}; install it with: pip install -r requirements-export.txt"
    ) from error

OPSET, IR_VERSION = 17, 9  # old enough for most runtimes
TOLERANCE = 1e-5  # of an action and of the memory, between the exported driver and the policy
COMPARED = 10_000  # observations
# Who adapts is compared along drives: a memory says nothing before it has gathered something.
DRIVE_STEPS, DRIVES = 200, 50
CIRCUIT, DRIVEN = "club", 8


def write_onnx(policy: Policy, path: str | Path, si_units: bool = False) -> float:
    """Write a policy as ONNX and return by how much it differs from the policy.

    Compared are COMPARED random observations; who adapts is compared along DRIVES random drives and
    DRIVEN of his own, DRIVE_STEPS long. Atomic. Raises InputError if an action or the memory
    differs by more than TOLERANCE, FileError if the file cannot be written: the path is then as it
    was.
    """
    model = _model(policy, si_units)
    onnx.checker.check_model(model, full_check=True)
    compared = [_random_drives(policy), _driven(policy)] if policy.adapts else [_random(policy)]
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        difference = float(np.max([largest_difference(temporary, policy, c) for c in compared]))
        if not difference <= TOLERANCE:
            what = "actions or memory" if policy.adapts else "actions"
            raise InputError(f"{path}: its {what} would differ by {difference:.1e} from the "
                             f"driver's; it is not written")  # fmt: skip
    return difference


def largest_difference(path: str | Path, policy: Policy, observations: np.ndarray) -> float:
    """Between the file in onnxruntime and `Policy.act`, of an action or of a number of the memory,
    along drives with these observations (steps, n, size).

    What is remembered is what the file remembers, all along. Each step starts from the same memory
    for both: the actions come back to the driver, who can make much of a rounding in some steps.
    """
    content = Path(path).read_bytes()  # it opens no file whose name is not UTF-8
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    scale = np.ones(policy.layout.size, dtype=np.float32)
    if session.get_modelmeta().custom_metadata_map["inputs_are"] == "SI units":
        scale = policy.layout.limits(policy.vehicle)[:, SCALE].astype(np.float32)
    least, most = policy.layout.bounds()
    memory = policy.new_memory(observations.shape[1])
    differences = []
    for seen in observations:
        feed, expected_memory = {"observation": seen * scale}, memory.copy()
        expected = policy.act(np.clip(feed["observation"] / scale, least, most), expected_memory)
        if policy.adapts:
            action, memory = session.run(["action", "memory_out"], feed | {"memory": memory})
            differences.append(memory_difference(memory, expected_memory))
        else:
            (action,) = session.run(["action"], feed)
        differences.append(np.abs(action - expected).max())
    return float(np.max(differences))


def memory_difference(memory: np.ndarray, expected: np.ndarray) -> float:
    """Of the sums as a guess takes them: as shares of all the information."""
    own = PRIOR_WEIGHT + expected[:, WEIGHTS:SEEN_ANY].take(np.diagonal(PLACES), axis=1)
    scale = np.ones_like(expected)
    scale[:, SUMS:WEIGHTS] = own
    scale[:, WEIGHTS:SEEN_ANY] = np.sqrt(own[:, ROWS] * own[:, COLUMNS])
    return np.max(np.abs(memory - expected) / scale)


def _random(policy: Policy) -> np.ndarray:
    """Random observations (1, COMPARED, size)."""
    shape = 1, COMPARED, policy.layout.size
    return np.random.default_rng(0).uniform(*policy.layout.bounds(), shape).astype(np.float32)


def _random_drives(policy: Policy) -> np.ndarray:
    """Drives (DRIVE_STEPS, DRIVES, size), each from one random observation to another: what a car
    feels changes little from one step to the next.
    """
    shape = 2, DRIVES, policy.layout.size
    first, last = np.random.default_rng(0).uniform(*policy.layout.bounds(), shape)
    return np.linspace(first, last, DRIVE_STEPS, dtype=np.float32)


def _driven(policy: Policy) -> np.ndarray:
    """What a policy sees (DRIVE_STEPS, DRIVEN, size) when it drives, under conditions of a road."""
    circuits = pack_circuits(load_circuits([CIRCUIT], policy.vehicle))
    simulator = Simulator(circuits, DRIVEN, racing_task(policy.vehicle, policy.layout.name))
    rng, ranges = np.random.default_rng(0), ranges_for(ROAD, policy.vehicle)
    for car in range(DRIVEN):
        simulator.place(car, 0, conditions=draw_conditions(ranges, rng))
    seen = []
    for _ in range(DRIVE_STEPS):
        simulator.noise[:] = rng.standard_normal(simulator.noise.shape)
        seen.append(simulator.observe())
        simulator.step(policy.act(seen[-1], simulator.memory))
    return np.array(seen)


def _model(policy: Policy, si_units: bool) -> onnx.ModelProto:
    size = policy.layout.size
    limits = policy.layout.limits(policy.vehicle)
    graph, value = Graph(), "observation"
    graph.constants |= {"lowest": limits[:, LOW], "largest": limits[:, HIGH]}
    if si_units:
        graph.constants["scale"] = limits[:, SCALE]
        value = graph.node("Div", [value, "scale"], "scaled")
    graph.node("Max", [value, "lowest"], "from_below")
    value = graph.node("Min", ["from_below", "largest"], "clipped")
    inputs, outputs = {"observation": size}, {"action": ACTION_SIZE}
    if policy.adapts:
        value = add_adapted(graph, policy, value)
        inputs, outputs = inputs | {"memory": MEMORY}, outputs | {"memory_out": MEMORY}
    layers = zip(policy.weights, policy.biases, strict=True)
    graph.perceptron("layer", layers, value, "action")
    if policy.adapts:
        add_memory_out(graph)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph.finished(inputs, outputs), producer_name="racing_env", ir_version=IR_VERSION,
        opset_imports=opset,
    )  # fmt: skip
    # In order: a policy's record has none, and equal exports are to be equal files.
    helper.set_model_props(model, dict(sorted(_metadata(policy, si_units).items())))
    return model


def _metadata(policy: Policy, si_units: bool) -> dict[str, str]:
    metadata = policy.record | {
        "inputs_are": "SI units" if si_units else "observations",
        "inputs": json.dumps([quantity.name for quantity in policy.layout.quantities]),
        "observation_layout": policy.layout.name,
        "control_step_s": str(racing_task(policy.vehicle).control_step_s),
        "vehicle": json.dumps(policy.vehicle._asdict()),
    }
    if policy.adapts:
        metadata["memory"] = json.dumps(
            {
                "input": "memory", "output": "memory_out", "shape": ["n", MEMORY],
                "at the start of a drive": 0.0, "columns": MEMORY_NAMES,
            }
        )  # fmt: skip
    return metadata
