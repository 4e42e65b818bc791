"""How a driver adapts, as nodes of an ONNX graph: those of `racing_env.drivers.guessing`, in their
order and of the same names, where they have one.
"""

import numpy as np

from racing_env.drivers.guessing import AGES, COUNT
from racing_env.drivers.onnx_graph import Graph
from racing_env.drivers.policy import Policy
from racing_env.simulation.adaptation import (
    ASKED,
    BRAKE,
    CAUTION,
    CHANGE_GAIN,
    DELAY,
    DRIVE,
    EVIDENCE,
    FRICTION,
    GUESSED,
    GUESSES,
    LAST_ASKED,
    LOG_WEIGHT,
    LOG_WEIGHT_REACH,
    MEMORY,
    PRIOR_WEIGHT,
    REACH,
    SAW,
    SEEN_ANY,
    STEER,
    SUMS,
    WEIGHTS,
    Adaptation,
)

PARTS = np.diff([SAW, SUMS, WEIGHTS, SEEN_ANY, LAST_ASKED, MEMORY])
MEMORY_NAMES = (
    *(f"last {name}" for name in EVIDENCE),
    *(f"evidence of {name}" for name in GUESSED),
    *(f"weight of {name}" for name in GUESSED),
    "seen_any",
    *(f"{name}, {age} steps ago" for age in range(1, ASKED // 2 + 1)
      for name in ("steering", "pedals")),
)  # fmt: skip


def add_adapted(graph: Graph, policy: Policy, seen: str) -> str:
    """Nodes from `seen` and the input `memory`. Returns the name of the driver's inputs."""
    _add_gather(graph, policy, seen)
    graph.node("Add", ["new_weights", PRIOR_WEIGHT], "weight")
    graph.node("Div", ["new_sums", "weight"], "guess")
    _add_profile(graph, policy.adaptation, seen, policy.layout.size)
    _add_pending(graph, policy.adaptation)
    graph.node("Div", [PRIOR_WEIGHT, "weight"], "variance")
    graph.node("Sqrt", ["variance"], "spread")
    parts = ["adapted", "asked", "pending", "guess", "spread"]
    return graph.node("Concat", parts, "inputs", axis=1)


def add_memory_out(graph: Graph) -> None:
    """The memory after this step, as the output `memory_out`, from `action` and what is there."""
    graph.node("Max", ["known", 1.0], "now_known")
    graph.node("Gather", ["asked", np.arange(ASKED - 2)], "asked_before", axis=1)
    parts = ["own", "new_sums", "new_weights", "now_known", "action", "asked_before"]
    graph.node("Concat", parts, "memory_out", axis=1)


def _add_gather(graph: Graph, policy: Policy, seen: str) -> None:
    node = graph.node
    node("Split", ["memory", PARTS], "saw", "sums", "weights", "known", "asked", axis=1)
    node("Gather", [seen, policy.adaptation.evidence], "own", axis=1)
    node("Sub", ["own", "saw"], "changed")
    node("MatMul", ["own", _actuators()], "places")
    node("Sub", ["asked", "places"], "missing")
    node("Mul", ["changed", CHANGE_GAIN], "change")
    node("Mul", ["missing", CHANGE_GAIN], "unmet")
    node("Concat", ["own", "change", "unmet"], "to_weigh", axis=1)
    graph.perceptron("evidence", policy.evidence, "to_weigh", "weighed")
    node("Split", ["weighed", np.array([GUESSES, GUESSES])], "spoken_for", "importance", axis=1)
    node("Mul", ["spoken_for", REACH], "value")
    node("Mul", ["importance", LOG_WEIGHT_REACH], "reach")
    node("Add", ["reach", LOG_WEIGHT], "logarithm")
    node("Exp", ["logarithm"], "any_weight")
    node("Mul", ["any_weight", "known"], "new_weight")
    node("Mul", ["new_weight", "value"], "new_sum")
    node("Mul", ["sums", policy.adaptation.keep], "kept_sums")
    node("Mul", ["weights", policy.adaptation.keep], "kept_weights")
    node("Add", ["kept_sums", "new_sum"], "new_sums")
    node("Add", ["kept_weights", "new_weight"], "new_weights")


def _actuators() -> np.ndarray:
    """(COUNT, ASKED): `racing_env.drivers.guessing.actuators`, once for each of the actions."""
    places = np.zeros((COUNT, ASKED))
    places[STEER, ::2] = places[DRIVE, 1::2] = 1.0
    places[BRAKE, 1::2] = -1.0
    return places


def _add_profile(graph: Graph, adaptation: Adaptation, seen: str, size: int) -> None:
    """What is seen, with the profile's speeds of the guessed grip. Every column is worked on: ONNX
    has no short way to write into some.
    """
    node = graph.node
    is_profile, speeds = np.zeros(size), np.zeros(size)
    is_profile[adaptation.profile] = 1.0
    speeds[adaptation.profile] = adaptation.speeds
    node("Gather", ["guess", np.array([FRICTION])], "guessed_grip", axis=1)
    node("Gather", ["weight", np.array([FRICTION])], "grip_weight", axis=1)
    node("Sqrt", ["grip_weight"], "certainty")
    node("Div", [CAUTION, "certainty"], "caution")
    node("Sub", ["guessed_grip", "caution"], "careful")
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
    node("Sub", ["delay", np.repeat(AGES, 2)], "older")
    node("Max", ["older", 0.0], "not_felt")
    node("Min", ["not_felt", 1.0], "on_their_way")
    node("Mul", ["on_their_way", "asked"], "felt_later")
    node("MatMul", ["felt_later", np.tile(np.eye(2), (ASKED // 2, 1))], "pending")
