"""How a driver adapts, as nodes of an ONNX graph: those of `racing_env.drivers.guessing`, in their
order and of the same names, where they have one.
"""

import numpy as np

from racing_env.car.vehicle import GRAVITY_MPS2
from racing_env.drivers.guessing import (
    ACTUATORS,
    AGES,
    COLUMNS,
    GATHERED_PLACES,
    PLACES,
    PRIOR,
    PRIOR_ROOT,
    ROWS,
    SUM_OF_ACTIONS,
)
from racing_env.drivers.onnx_graph import DOUBLE, FLOAT, Graph
from racing_env.drivers.policy import Policy
from racing_env.simulation.adaptation import (
    ASKED,
    AX,
    AY,
    BRAKE,
    CHANGE_GAIN,
    DELAY,
    DRIVE,
    EVIDENCE,
    FRICTION,
    FRONT_SLIP,
    GRIP_REACH,
    GUESSED,
    GUESSES,
    LAST_ASKED,
    MEASUREMENTS,
    MEMORY,
    REAR_SLIP,
    SAW,
    SEEN_ANY,
    SUMS,
    VX,
    Adaptation,
    Known,
)
from racing_env.simulation.information import REACH

PARTS = np.diff([SAW, SUMS, SEEN_ANY, LAST_ASKED, MEMORY])
MEMORY_NAMES = (
    *(f"last {name}" for name in EVIDENCE),
    *(f"evidence of {name}" for name in GUESSED),
    *(f"information on {GUESSED[row]}" + (f" and {GUESSED[column]}" if column < row else "")
      for row, column in zip(ROWS, COLUMNS, strict=True)),
    "seen_any",
    *(f"{name}, {age} steps ago" for age in range(1, ASKED // 2 + 1)
      for name in ("steering", "pedals")),
)  # fmt: skip


def add_adapted(graph: Graph, policy: Policy, seen: str) -> str:
    """Nodes from `seen` and the input `memory`. Returns the name of the driver's inputs."""
    _add_gather(graph, policy, seen)
    _add_guesses(graph)
    _add_profile(graph, policy.adaptation, seen, policy.layout.size)
    _add_pending(graph, policy.adaptation)
    graph.node("Mul", ["deviation", PRIOR_ROOT], "spread")
    parts = ["adapted", "asked", "pending", "guess", "spread"]
    return graph.node("Concat", parts, "inputs", axis=1)


def add_memory_out(graph: Graph) -> None:
    """The memory after this step, as the output `memory_out`, from `action` and what is there."""
    graph.node("Max", ["known", 1.0], "now_known")
    graph.node("Gather", ["asked", np.arange(ASKED - 2)], "asked_before", axis=1)
    parts = ["own", "new_sums", "now_known", "action", "asked_before"]
    graph.node("Concat", parts, "memory_out", axis=1)


def _add_gather(graph: Graph, policy: Policy, seen: str) -> None:
    node = graph.node
    node("Split", ["memory", PARTS], "saw", "sums", "known", "asked", axis=1)
    node("Gather", [seen, policy.adaptation.evidence], "own", axis=1)
    node("Sub", ["own", "saw"], "changed")
    node("MatMul", ["own", ACTUATORS], "places")
    node("Sub", ["asked", "places"], "missing")
    node("Mul", ["changed", CHANGE_GAIN], "change")
    node("Mul", ["missing", CHANGE_GAIN], "unmet")
    expected = _add_expected(graph, policy.adaptation.known)
    node("Concat", ["own", "change", "unmet", *expected], "evidence_inputs", axis=1)
    graph.perceptron("evidence", policy.evidence, "evidence_inputs", "measured")
    node("Cast", ["measured"], "measured_finely", to=DOUBLE)
    node("Mul", ["measured_finely", REACH], "measurements", double=True)
    shape = np.array([-1, MEASUREMENTS, GUESSES + 1])
    node("Reshape", ["measurements", shape], "both")
    node("Gather", ["both", np.arange(GUESSES)], "h", axis=2)
    node("Transpose", ["h"], "h_transposed", perm=[0, 2, 1])
    node("MatMul", ["h_transposed", "both"], "products")
    node("Reshape", ["products", np.array([-1, GUESSES * (GUESSES + 1)])], "products_in_a_row")
    node("Gather", ["products_in_a_row", GATHERED_PLACES], "added_if_known", axis=1)
    node("Cast", ["known"], "share", to=DOUBLE)
    node("Mul", ["added_if_known", "share"], "added")
    node("Cast", ["sums"], "sums_before", to=DOUBLE)
    node("Mul", ["sums_before", policy.adaptation.keep], "kept", double=True)
    node("Add", ["kept", "added"], "gathered")
    node("Cast", ["gathered"], "new_sums", to=FLOAT)


def _add_expected(graph: Graph, known: Known) -> list[str]:
    """What the car as the driver knows it would do. Returns the names of its columns, (n, 1) each,
    and of the axles' two.
    """
    node = graph.node
    node("Mul", ["own", known.scales], "quantities")
    for name, place in {"faster": VX, "drive_n": DRIVE, "brake_n": BRAKE, "ax_mps2": AX,
                        "ay_mps2": AY}.items():  # fmt: skip
        node("Gather", ["quantities", np.array([place])], name, axis=1)
    node("Max", ["faster", known.slow_mps], "vx_mps")
    node("Mul", ["vx_mps", "vx_mps"], "square")
    node("Mul", ["square", known.lift_per_mass], "lift")
    node("Add", ["lift", GRAVITY_MPS2], "load_mps2")
    b, c, e = np.array([known.front, known.rear]).T
    node("Gather", ["quantities", np.array([FRONT_SLIP, REAR_SLIP])], "slips", axis=1)
    node("Mul", ["slips", b], "stiff")
    node("Atan", ["stiff"], "stiff_angle")
    node("Sub", ["stiff", "stiff_angle"], "stiff_beyond")
    node("Mul", ["stiff_beyond", e], "curved")
    node("Sub", ["stiff", "curved"], "bent")
    node("Atan", ["bent"], "bent_angle")
    node("Mul", ["bent_angle", c], "shape_angle")
    node("Sin", ["shape_angle"], "shapes")
    node("Div", ["ay_mps2", "load_mps2"], "used")
    node("Sub", ["used", "shapes"], "used_beyond")
    node("Mul", ["used_beyond", 5.0], "used_otherwise")
    node("Div", [known.power_w, "vx_mps"], "most_drive_n")
    node("Min", ["drive_n", "most_drive_n"], "drive_left_n")
    node("Sub", ["drive_left_n", "brake_n"], "pedals_n")
    node("Mul", ["square", known.drag_kgpm], "drag_n")
    node("Sub", ["pedals_n", "drag_n"], "force_n")
    node("Div", ["force_n", known.mass_kg], "along_without_rolling")
    node("Mul", ["load_mps2", known.rolling_resistance], "rolling")
    node("Sub", ["along_without_rolling", "rolling"], "along_mps2")
    node("Sub", ["ax_mps2", "along_mps2"], "along_beyond")
    node("Div", ["along_beyond", known.acceleration_mps2], "along_otherwise")
    node("Div", ["along_mps2", 3.0 * known.acceleration_mps2], "along")
    return ["used_otherwise", "shapes", "along_otherwise", "along"]


def _add_guesses(graph: Graph) -> None:
    """ONNX has no inverse: Gauss and Jordan's elimination in place, pivot by pivot, as an outer
    product that also writes the pivot's own row and column, which are masked out before.
    """
    node, eye = graph.node, np.eye(GUESSES)
    node("Gather", ["gathered", GUESSES + PLACES.ravel()], "information_in_a_row", axis=1)
    node("Reshape", ["information_in_a_row", np.array([-1, GUESSES, GUESSES])], "information")
    matrix = node("Add", ["information", PRIOR], "eliminated", double=True)
    for k in range(GUESSES):
        name, one, others = f"pivot.{k}", eye[k], 1.0 - eye[k]
        row = node("Gather", [matrix, np.array([k])], f"{name}.row", axis=1)
        column = node("Gather", [matrix, np.array([k])], f"{name}.column", axis=2)
        node("Gather", [row, np.array([k])], name, axis=2)
        node("Mul", [row, others], f"{name}.row_rest", double=True)
        node("Add", [f"{name}.row_rest", one], f"{name}.row_and_one", double=True)
        node("Div", [f"{name}.row_and_one", name], f"{name}.right")
        node("Mul", [column, others[:, None]], f"{name}.column_rest", double=True)
        node("Sub", [f"{name}.column_rest", one[:, None]], f"{name}.left", double=True)
        node("MatMul", [f"{name}.left", f"{name}.right"], f"{name}.product")
        node("Mul", [matrix, np.outer(others, others)], f"{name}.rest", double=True)
        matrix = node("Sub", [f"{name}.rest", f"{name}.product"], f"{name}.eliminated")
    node("Gather", ["gathered", np.arange(GUESSES)], "sums_of_h_z", axis=1)
    node("Unsqueeze", ["sums_of_h_z", np.array([2])], "sums_as_column")
    node("MatMul", [matrix, "sums_as_column"], "guess_as_column")
    node("Squeeze", ["guess_as_column", np.array([2])], "fine_guess")
    node("Cast", ["fine_guess"], "guess", to=FLOAT)
    node("Reshape", [matrix, np.array([-1, GUESSES * GUESSES])], "covariance")
    node("Gather", ["covariance", (GUESSES + 1) * np.arange(GUESSES)], "variance", axis=1)
    node("Sqrt", ["variance"], "fine_deviation")
    node("Cast", ["fine_deviation"], "deviation", to=FLOAT)


def _add_profile(graph: Graph, adaptation: Adaptation, seen: str, size: int) -> None:
    """What is seen, with the profile's speeds of the guessed grip. Every column is worked on: ONNX
    has no short way to write into some.
    """
    node = graph.node
    is_profile, speeds = np.zeros(size), np.zeros(size)
    is_profile[adaptation.profile] = 1.0
    speeds[adaptation.profile] = adaptation.speeds
    node("Gather", ["guess", np.array([FRICTION])], "guessed_grip", axis=1)
    node("Gather", ["deviation", np.array([FRICTION])], "grip_deviation", axis=1)
    care = adaptation.care
    node("Mul", ["grip_deviation", care.variances], "more_care")
    node("Add", ["more_care", care.deviations], "care")
    node("Mul", ["grip_deviation", "care"], "less")
    node("Min", ["guessed_grip", care.most], "trusted_grip")
    node("Sub", ["trusted_grip", "less"], "careful_or_less")
    node("Max", ["careful_or_less", -GRIP_REACH], "careful")
    node("Mul", ["careful", adaptation.half[FRICTION]], "grip_beyond")
    node("Add", ["grip_beyond", adaptation.middle[FRICTION]], "grip")
    node("Sqrt", ["grip"], "factor")
    node("Sub", ["factor", 1.0], "factor_beyond")
    node("Gather", [seen, adaptation.evidence[:1]], "speed", axis=1)
    node("Mul", [seen, is_profile], "beyond_speed")
    node("Mul", ["speed", speeds], "as_profile")
    node("Add", ["beyond_speed", "as_profile"], "profile")
    node("Mul", ["profile", "factor_beyond"], "profile_change")
    node("Add", [seen, "profile_change"], "adapted")


def _add_pending(graph: Graph, adaptation: Adaptation) -> None:
    """The sum of the last actions that are still on their way."""
    node = graph.node
    node("Gather", ["guess", np.array([DELAY])], "guessed_delay", axis=1)
    node("Mul", ["guessed_delay", adaptation.half[DELAY]], "delay_beyond")
    node("Add", ["delay_beyond", adaptation.middle[DELAY]], "delay")
    node("Sub", ["delay", AGES], "older")
    node("Max", ["older", 0.0], "not_felt")
    node("Min", ["not_felt", 1.0], "on_their_way")
    node("Mul", ["on_their_way", "asked"], "felt_later")
    node("MatMul", ["felt_later", SUM_OF_ACTIONS], "pending")
