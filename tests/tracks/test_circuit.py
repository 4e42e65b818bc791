"""Prepared circuits and their cache."""

import json
import multiprocessing
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR, on_both_axles
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import ROOT

from racing_env.car.scales import REFERENCE
from racing_env.common.content import first_difference
from racing_env.common.files import user_cache
from racing_env.tracks import circuit as module
from racing_env.tracks.circuit import (
    Circuit,
    circuits_content,
    mirror_circuit,
    prepare_circuit,
)
from racing_env.tracks.geometry import Track, mirror_track, track_from_centre_line

ARRAYS = (
    "line_offset_m",
    "line_heading_rad",
    "line_kappa_radpm",
    "line_speed_mps",
    "line_time_s",
)


def make_track() -> Track:
    angle = np.linspace(0.0, 2.0 * np.pi, 100, endpoint=False)
    radius = 80.0 * (1.0 + 0.2 * np.cos(2 * angle))
    half = np.full(100, 5.0)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return track_from_centre_line("ring", x, y, half, half, REFERENCE)


def assert_same(one: Circuit, other: Circuit) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.lap_time_s == other.lap_time_s


def forbid_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("computed although the cache has it")

    monkeypatch.setattr(module, "_compute", fail)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Circuit, bytes]:
    """A circuit and the bytes of its cache file."""
    folder = tmp_path_factory.mktemp("cache")
    circuit = prepare_circuit(make_track(), RACECAR, cache_dir=folder)
    (file,) = folder.iterdir()
    return circuit, file.read_bytes()


def test_arrays_fit_together(prepared: tuple[Circuit, bytes]) -> None:
    circuit, _ = prepared
    assert circuit.vehicle == RACECAR
    for name in ARRAYS:
        assert getattr(circuit, name).shape == circuit.track.x_m.shape
    assert circuit.line_time_s[0] == 0.0
    assert np.all(np.diff(circuit.line_time_s) > 0)
    assert circuit.lap_time_s > circuit.line_time_s[-1]


def test_second_call_reads_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_circuit(make_track(), RACECAR, cache_dir=tmp_path)
    forbid_computing(monkeypatch)
    assert_same(prepare_circuit(make_track(), RACECAR, cache_dir=tmp_path), first)


def test_another_vehicle_or_track_is_another_entry(tmp_path: Path) -> None:
    prepare_circuit(make_track(), RACECAR, cache_dir=tmp_path)
    worn = RACECAR._replace(**on_both_axles(friction=0.7))
    weak = prepare_circuit(make_track(), worn, cache_dir=tmp_path)
    prepare_circuit(mirror_track(make_track()), RACECAR, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert weak.lap_time_s > prepare_circuit(make_track(), RACECAR, cache_dir=tmp_path).lap_time_s


@pytest.mark.parametrize(
    ("module", "constants"),
    [
        ("circuit", {"tracks/racing_line.py": "BUILD_UP_S",
                     "tracks/minimum_curvature.py": "TOLERANCE",
                     "tracks/line_geometry.py": "MIN_STRETCH", "tracks/circuit.py": "LINE_MARGIN_M",
                     "car/speed_profile.py": "LATERAL_POINTS",
                     "car/similarity.py": "REFERENCE_FRICTION"}),
        ("random_track", {"tracks/generator.py": "CANDIDATES_MAX",
                          "tracks/geometry.py": "STATION_M", "tracks/polygon.py": "CELLS_MAX",
                          "tracks/circuit_kind.py": "WIDTH_OVER_CAR"}),
    ],
)  # fmt: skip
def test_changed_constants_are_other_entries(
    tmp_path: Path, module: str, constants: dict[str, str]
) -> None:
    """Those of the line's optimiser, of the profile and of the generator, which no track and no car
    tells.
    """
    shutil.copytree(ROOT / "racing_env", tmp_path / "racing_env",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip

    def sources() -> str:
        program = f"from racing_env.tracks.{module} import SOURCES; print(SOURCES)"
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            text=True,
            capture_output=True,
            check=True,
        ).stdout

    found = [sources()]
    for source, constant in constants.items():
        path = tmp_path / "racing_env" / source
        text = path.read_text()
        assert f"\n{constant} = " in text
        path.write_text(text.replace(f"\n{constant} = ", f"\n{constant} = 2 * "))
        found.append(sources())
    assert len(set(found)) == 1 + len(constants)


def test_content_tells_circuits_apart(prepared: tuple[Circuit, bytes]) -> None:
    circuit, _ = prepared
    again = prepare_circuit(make_track(), RACECAR)
    assert circuits_content([circuit]) == circuits_content([again])
    assert json.loads(json.dumps(circuits_content([circuit]))) == circuits_content([circuit])
    moved = circuit.track.x_m.copy()
    moved[17] += 0.05
    swapped = {"width_right_m": circuit.track.width_left_m + 0.1,
               "width_left_m": circuit.track.width_right_m - 0.1}  # fmt: skip
    renamed = replace(circuit, track=replace(circuit.track, name="other"))
    assert circuits_content([renamed]) == circuits_content([circuit])
    for change in ({"x_m": moved}, swapped):
        other = replace(circuit, track=replace(circuit.track, **change))
        assert first_difference(circuits_content([other]), circuits_content([circuit]))
    slower = replace(circuit, lap_time_s=circuit.lap_time_s + 0.001)
    assert first_difference(circuits_content([slower]), circuits_content([circuit]))


@settings(max_examples=40)
@given(data=st.data())
def test_damaged_cache_file_is_replaced(
    data: st.DataObject, prepared: tuple[Circuit, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    circuit, good = prepared
    damaged = bytearray(good)
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(good) - 1)) :]
    else:
        # The directory at the end and the headers at the front are where damage is subtle.
        place = st.integers(0, 300) | st.integers(len(good) - 500, len(good) - 1)
        for position in data.draw(st.lists(place, min_size=1, max_size=5)):
            damaged[position] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / f"{module._content_key(circuit.track, RACECAR)}.npz").write_bytes(damaged)
    assert_same(prepare_circuit(circuit.track, RACECAR, cache_dir=folder), circuit)


def test_empty_file_is_replaced_by_a_good_one(tmp_path: Path, prepared: tuple) -> None:
    circuit, good = prepared
    file = tmp_path / f"{module._content_key(circuit.track, RACECAR)}.npz"
    file.write_bytes(b"")
    prepare_circuit(circuit.track, RACECAR, cache_dir=tmp_path)
    assert len(file.read_bytes()) == len(good)
    assert list(tmp_path.iterdir()) == [file]


def test_arrays_of_another_shape_are_not_used(tmp_path: Path, prepared: tuple) -> None:
    circuit, _ = prepared
    file = tmp_path / f"{module._content_key(circuit.track, RACECAR)}.npz"
    with file.open("wb") as stream:
        np.savez(stream, lap_time_s=1.0, **{name: np.ones(3) for name in ARRAYS})
    assert_same(prepare_circuit(circuit.track, RACECAR, cache_dir=tmp_path), circuit)


def test_unusable_cache_folder_is_a_warning(tmp_path: Path, prepared: tuple) -> None:
    circuit, _ = prepared
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.warns(RuntimeWarning, match="RACING_ENV_CACHE"):
        result = prepare_circuit(circuit.track, RACECAR, cache_dir=blocked / "cache")
    assert_same(result, circuit)


def prepare_and_report(folder: str) -> float:
    return prepare_circuit(make_track(), RACECAR, cache_dir=folder).lap_time_s


def test_processes_share_a_cache(tmp_path: Path, prepared: tuple[Circuit, bytes]) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        times = pool.map(prepare_and_report, [str(tmp_path)] * 4, chunksize=1)
    assert set(times) == {prepared[0].lap_time_s}
    assert len(list(tmp_path.iterdir())) == 1


def test_user_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RACING_ENV_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert user_cache() == tmp_path / ".cache" / "racing_env"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache() == tmp_path / "xdg" / "racing_env"
    monkeypatch.setenv("RACING_ENV_CACHE", str(tmp_path / "chosen"))
    assert user_cache() == tmp_path / "chosen"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare_circuit(make_track(), RACECAR)
    assert len(list((tmp_path / "chosen").iterdir())) == 1


def test_mirrored_circuit_is_the_circuit_of_the_mirrored_track(
    prepared: tuple[Circuit, bytes], tmp_path: Path
) -> None:
    mirrored = mirror_circuit(prepared[0])
    computed = prepare_circuit(mirror_track(make_track()), RACECAR, cache_dir=tmp_path)
    assert mirrored.lap_time_s == pytest.approx(computed.lap_time_s, rel=1e-3)
    for name in ARRAYS:
        np.testing.assert_array_equal(
            getattr(mirror_circuit(mirrored), name), getattr(prepared[0], name)
        )
    np.testing.assert_array_equal(mirrored.track.x_m, computed.track.x_m)
