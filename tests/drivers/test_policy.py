"""The policy file: what is written is what is read, and nothing else gets through."""

import json
import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adapting import adapting_policy, random_drive
from cars import RACECAR, LaterVehicle, scaled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import ROOT
from safetensors.numpy import load, save

from racing_env.common.errors import InputError
from racing_env.drivers.policy import (
    FILE_SIZE_MAX_BYTES,
    LAYERS_MAX,
    Policy,
    load_policy,
    save_policy,
)
from racing_env.simulation.adaptation import (
    EVIDENCE_INPUTS,
    EVIDENCE_SIZES,
    EXTRA_INPUTS,
    GUESSES,
    HIDDEN,
)
from racing_env.simulation.layout import LIMIT
from racing_env.simulation.layouts import centre_preview
from racing_env.simulation.layouts.line_preview import LAYOUT

OUTPUTS = EVIDENCE_SIZES[-1]

hostile = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def small_policy(*hidden: int, seed: int = 0) -> Policy:
    rng = np.random.default_rng(seed)
    sizes = [LAYOUT.size, *hidden, 2]
    weights = tuple(
        rng.normal(0.0, 0.3, (outputs, inputs)).astype(np.float32)
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
    )
    return Policy(
        weights,
        tuple(rng.normal(0.0, 0.3, len(w)).astype(np.float32) for w in weights),
        RACECAR,
        LAYOUT,
        {"name": "a small one", "seed": str(seed)},
    )


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "policy.safetensors"
    save_policy(small_policy(8), path)
    return path


def header_size(content: bytes) -> int:
    return 8 + struct.unpack("<Q", content[:8])[0]


def refused(path: Path) -> str:
    """The message with which a file is refused: one line that begins with its name."""
    with pytest.raises(InputError) as caught:
        load_policy(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    assert len(message) < len(str(path)) + 700  # the longest names all parameters of a car
    return message


def rewrite(path: Path, arrays=None, metadata=None) -> None:
    """Change arrays or metadata of a policy file; a value of None takes one out."""
    content = path.read_bytes()
    header = json.loads(content[8 : header_size(content)])
    kept = header["__metadata__"] | (metadata or {})
    changed = load(content) | (arrays or {})
    path.write_bytes(
        save(
            {name: array for name, array in changed.items() if array is not None},
            metadata={name: value for name, value in kept.items() if value is not None},
        )
    )


def with_header(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


# --- what is written is what is read ------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (8,), (64, 64), (32, 16, 8)])
def test_round_trip_is_identical(tmp_path, hidden):
    policy = small_policy(*hidden)
    path, again = tmp_path / "new" / "policy.safetensors", tmp_path / "again.safetensors"
    save_policy(policy, path)
    read = load_policy(path)
    for ours, theirs in ((policy.weights, read.weights), (policy.biases, read.biases)):
        for a, b in zip(ours, theirs, strict=True):
            assert b.dtype == np.float32
            np.testing.assert_array_equal(a, b)
    assert policy.record.items() <= read.record.items()
    assert read.vehicle == RACECAR and read.layout is LAYOUT
    save_policy(read, again)
    assert load_policy(again).record == read.record
    seen = np.random.default_rng(1).normal(size=(5, LAYOUT.size)).astype(np.float32)
    np.testing.assert_array_equal(policy.act(seen), load_policy(again).act(seen))


def test_who_adapts_does_the_same_when_read_back(tmp_path):
    """Along a drive, and remembers the same."""
    policy, path = adapting_policy(), tmp_path / "policy.safetensors"
    save_policy(policy, path)
    sent = pickle.loads(pickle.dumps(policy))
    others = [load_policy(path), sent]
    memory = policy.new_memory(3)
    memories = [other.new_memory(3) for other in others]
    for seen in random_drive(60, 3):
        actions = policy.act(seen, memory)
        for other, remembered in zip(others, memories, strict=True):
            np.testing.assert_array_equal(other.act(seen, remembered), actions)
    for other, remembered in zip(others, memories, strict=True):
        assert other.adapts
        np.testing.assert_array_equal(remembered, memory)
    save_policy(others[0], tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_who_adapts_needs_a_memory():
    with pytest.raises(ValueError, match="needs a memory: see new_memory"):
        adapting_policy().act(random_drive(1, 1)[0])


@pytest.mark.parametrize("shipped", sorted((ROOT / "policies").glob("*.safetensors")),
                         ids=lambda path: path.stem)  # fmt: skip
def test_shipped_policies_are_read_and_written_alike(tmp_path, shipped):
    policy, again = load_policy(shipped), tmp_path / "again.safetensors"
    save_policy(policy, again)
    assert load(again.read_bytes()).keys() == load(shipped.read_bytes()).keys()
    for name, array in load(shipped.read_bytes()).items():
        np.testing.assert_array_equal(load(again.read_bytes())[name], array)
    versions = {"program_version"}  # of who wrote it
    ours, theirs = policy.record, load_policy(again).record
    assert {k: v for k, v in ours.items() if k not in versions} == {
        k: v for k, v in theirs.items() if k not in versions
    }


def test_the_record_cannot_change_what_the_file_says_of_itself(tmp_path):
    policy = small_policy(4)
    path = tmp_path / "policy.safetensors"
    save_policy(replace(policy, record={"format_version": "99"}), path)
    assert load_policy(path).record["format_version"] == "1"


def test_sent_to_another_process_it_has_that_process_s_kernels():
    """One that came with the policy would be compiled there, in each process, for half a minute."""
    policy = small_policy(8)
    sent = pickle.loads(pickle.dumps(policy))
    assert sent.layout is policy.layout and sent.record == policy.record
    assert sent.vehicle == policy.vehicle
    seen = np.ones((2, LAYOUT.size), np.float32)
    np.testing.assert_array_equal(sent.act(seen), policy.act(seen))


@pytest.mark.parametrize("hidden", [(), (64, 64), (256, 256)])
def test_act_is_what_the_torch_network_does(hidden):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    sizes = [LAYOUT.size, *hidden, 2]
    layers = [torch.nn.Linear(*pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    network = torch.nn.Sequential(*(m for layer in layers for m in (layer, torch.nn.Tanh())))
    arrays = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers]
    policy = Policy(*zip(*arrays, strict=True), RACECAR, LAYOUT, {})
    rng = np.random.default_rng(0)
    seen = rng.uniform(-LIMIT, LIMIT, (200, LAYOUT.size))
    seen = seen.astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(seen)).numpy()
    actions = policy.act(seen)
    assert actions.dtype == np.float32 and actions.shape == (200, 2)
    np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-6)
    assert np.abs(actions).max() <= 1.0


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_policy(small_policy(4, seed=9), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# --- and nothing else gets through --------------------------------------------------------------


@hostile
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_a_truncated_file_is_refused(path, share):
    save_policy(small_policy(8), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


@hostile
@given(share=st.floats(0.0, 1.0, exclude_max=True), bit=st.integers(0, 7), in_header=st.booleans())
def test_a_flipped_bit_is_refused_or_still_a_policy(path, share, bit, in_header):
    save_policy(small_policy(8), path)
    content = bytearray(path.read_bytes())
    place = int(share * (header_size(bytes(content)) if in_header else len(content)))
    content[place] ^= 1 << bit
    path.write_bytes(content)
    try:
        policy = load_policy(path)  # a flipped bit of a weight is another weight
    except InputError:
        refused(path)
    else:
        assert np.isfinite(policy.act(np.ones((1, LAYOUT.size), np.float32))).all()


@hostile
@given(content=st.binary(max_size=300))
def test_any_bytes_are_refused(path, content):
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**62, 2**64 - 1])
def test_a_lie_about_the_headers_size_is_refused(path, size):
    path.write_bytes(struct.pack("<Q", size) + path.read_bytes()[8:])
    refused(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**60, 2**10], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]},
        {"dtype": "object", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32"},
        [],
    ],
    ids=str,
)
def test_arrays_that_cannot_be_are_refused(path, entry):
    path.write_bytes(with_header({"layer.0.weight": entry}, b"0000"))
    refused(path)


@pytest.mark.parametrize("header", [[], 7, "x", None, {"__metadata__": 3}, {"a\nb\r": {}}], ids=str)
def test_a_header_of_another_kind_is_refused(path, header):
    path.write_bytes(with_header(header))
    refused(path)


@pytest.mark.parametrize(
    "name, value",
    [
        ("format_version", "2"),
        ("format_version", None),
        ("squashing", "relu"),
        ("observation_layout", "camera\nforged: line\u2028"),
        ("control_step_s", "0.1"),
        ("vehicle", "{}"),
        ("vehicle", "[" * 10_000),
    ],
)
def test_a_policy_for_something_else_is_refused(path, name, value):
    rewrite(path, metadata={name: value})
    assert name.replace("_", " ") in refused(path).replace("_", " ")


@pytest.mark.parametrize(
    ("vehicle", "word"),
    [
        ({"friction_rear": -1.0}, "friction_rear is -1"),
        ({"friction_front": None}, "friction_front is None"),
        ({"colour": 1.0}, "'colour' is no parameter"),
        ({"mass_kg": "heavy"}, "mass_kg is 'heavy'"),
        ({"mass_kg": 10**400}, "mass_kg is 1000"),
    ],
    ids=str,
)
def test_what_is_no_car_is_refused_and_the_parameter_named(path, vehicle, word):
    rewrite(path, metadata={"vehicle": json.dumps(RACECAR._asdict() | vehicle)})
    assert word in refused(path)


def test_a_parameter_that_is_missing_is_named(path):
    record = RACECAR._asdict()
    del record["cog_height_m"]
    rewrite(path, metadata={"vehicle": json.dumps(record)})
    assert "cog_height_m is missing" in refused(path)


def test_a_policy_knows_its_car_and_its_layout(tmp_path):
    path, model = tmp_path / "policy.safetensors", scaled(RACECAR, 0.1)
    policy = replace(small_policy(8), vehicle=model, layout=centre_preview.LAYOUT)
    save_policy(policy, path)
    read = load_policy(path)
    assert read.vehicle == model and read.layout is centre_preview.LAYOUT
    assert float(read.record["control_step_s"]) == pytest.approx(0.05 * 0.1**0.5)


def test_an_older_policy_is_readable_with_a_younger_field_of_the_car(path, monkeypatch):
    monkeypatch.setattr("racing_env.car.vehicle.Vehicle", LaterVehicle)
    assert load_policy(path).vehicle == (*RACECAR, 1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name, shape", [("layer.0.weight", (8, LAYOUT.size)),
                                         ("layer.1.bias", (2,))])  # fmt: skip
def test_weights_that_are_not_finite_are_refused(path, value, name, shape):
    array = np.zeros(shape, np.float32)
    array.flat[-1] = value
    rewrite(path, {name: array})
    assert "not finite" in refused(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"layer.1.bias": None},
        {"layer.0.weight": None, "layer.0.bias": None},
        {"layer.7.bias": np.zeros(2, np.float32)},
        {"extra\nline": np.zeros(2, np.float32)},
        {"layer.0.weight": np.zeros((8, LAYOUT.size), np.float64)},
        {"layer.0.weight": np.zeros((8, LAYOUT.size + 1), np.float32)},
        {"layer.0.weight": np.zeros((9, LAYOUT.size), np.float32)},
        {"layer.0.weight": np.zeros(8, np.float32)},
        {"layer.0.bias": np.zeros((8, 1), np.float32)},
        {"layer.1.weight": np.zeros((3, 8), np.float32), "layer.1.bias": np.zeros(3, np.float32)},
    ],
    ids=lambda arrays: " ".join(arrays),
)
def test_layers_that_do_not_fit_are_refused(path, arrays):
    rewrite(path, arrays)
    refused(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"evidence.1.bias": None},
        {"evidence.2.weight": None, "evidence.2.bias": None},
        {"evidence.3.weight": np.zeros((2, OUTPUTS), np.float32),
         "evidence.3.bias": np.zeros(2, np.float32)},
        {"evidence.0.weight": None, "evidence.0.bias": None},
        {f"evidence.{i}.{part}": None for i in range(3) for part in ("weight", "bias")},
        {"evidence.0.weight": np.zeros((HIDDEN, EVIDENCE_INPUTS + 1), np.float32)},
        {"evidence.0.weight": np.zeros((HIDDEN, EVIDENCE_INPUTS, 1), np.float32)},
        {"evidence.1.bias": np.zeros(HIDDEN - 1, np.float32)},
        {"evidence.0.weight": np.zeros((8, EVIDENCE_INPUTS), np.float32),
         "evidence.0.bias": np.zeros(8, np.float32),
         "evidence.1.weight": np.zeros((HIDDEN, 8), np.float32)},
        {"evidence.2.weight": np.zeros((GUESSES, HIDDEN), np.float32),
         "evidence.2.bias": np.zeros(GUESSES, np.float32)},
        {"evidence.1.weight": np.zeros((HIDDEN, HIDDEN), np.float64)},
        {"evidence.1.bias": np.zeros(HIDDEN, np.float16)},
        {"evidence.1.weight": np.full((HIDDEN, HIDDEN), np.nan, np.float32)},
        {"evidence.2.bias": np.full(OUTPUTS, -np.inf, np.float32)},
        {"layer.0.weight": np.zeros((16, LAYOUT.size), np.float32)},
    ],
    ids=lambda arrays: " ".join(arrays),
)  # fmt: skip
def test_evidence_that_does_not_fit_is_refused(tmp_path, arrays):
    path = tmp_path / "policy.safetensors"
    save_policy(adapting_policy(), path)
    rewrite(path, arrays)
    refused(path)


def test_evidence_beside_a_driver_who_has_no_use_for_it_is_refused(path):
    layers = enumerate(adapting_policy().evidence)
    named = {f"evidence.{i}": pair for i, pair in layers}
    rewrite(path, {f"{name}.{part}": array for name, pair in named.items()
                   for part, array in zip(("weight", "bias"), pair, strict=True)})  # fmt: skip
    assert f"expected (outputs, {LAYOUT.size + EXTRA_INPUTS})" in refused(path)


def test_too_many_layers_are_refused(tmp_path):
    path = tmp_path / "deep.safetensors"
    save_policy(small_policy(*[2] * LAYERS_MAX), path)
    refused(path)


class Trap:
    """Its pickle makes a folder when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_renamed_pickle_is_refused_and_executes_nothing(path):
    sprung = path.parent / "sprung"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    refused(path)
    assert not sprung.exists()


def test_what_is_no_file_or_too_large_is_refused(tmp_path):
    assert "no such policy file" in refused(tmp_path / "nowhere.safetensors")
    assert "no such policy file" in refused(tmp_path)
    large = tmp_path / "large.safetensors"
    with large.open("wb") as file:
        file.truncate(FILE_SIZE_MAX_BYTES + 1)  # takes no room on disk
    assert "larger than" in refused(large)
