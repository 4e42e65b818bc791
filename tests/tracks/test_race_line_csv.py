"""Race lines for other programs: what is in the files, and that they are read back."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cars import RACECAR, circuit_named
from processes import call

from benchmarks import peer_venvs
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.errors import InputError
from racing_env.tracks.line_geometry import line_geometry
from racing_env.tracks.race_line_csv import F1TENTH_COLUMNS, PLANNER_COLUMNS, write_race_line
from racing_env.tracks.reader import read_track, write_track

F1TENTH = read_vehicle("f1tenth")
# The package needs an older Gymnasium, so mostly it has an environment of its own.
IN_GYMKHANA = """
import sys
from pathlib import Path
import numpy as np
from gymkhana.envs.track import Raceline

line = Raceline.from_raceline_file(Path(sys.argv[1]))
centre = Raceline.from_centerline_file(Path(sys.argv[2]))
np.savez(
    sys.argv[3], s=line.ss, x=line.xs, y=line.ys, psi=line.yaws, kappa=line.ks,
    speed=line.vxs, acceleration=line.axs, length=line.length,
    own_psi=[line.spline.calc_yaw(s) for s in line.ss],
    own_kappa=[line.spline.calc_curvature(s) for s in line.ss],
    backwards=line.reversed().ks,
    centre_length=centre.spline.s[-1], left=centre.w_lefts, right=centre.w_rights,
)
"""


def written(path, file_format: str) -> dict[str, np.ndarray]:
    """The columns of the club circuit's file, by the names in its last comment."""
    write_race_line(circuit_named("club"), path, file_format)
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    names = comments[-1].removeprefix("# ").split("; ")
    return dict(zip(names, np.loadtxt(path, delimiter=";").T, strict=True))


def test_a_planner_finds_the_line_along_the_normals(tmp_path):
    circuit, rows = circuit_named("club"), written(tmp_path / "line.csv", "planner")
    assert tuple(rows) == PLANNER_COLUMNS
    track = circuit.track
    x = rows["x_ref_m"] + rows["alpha_m"] * rows["x_normvec_m"]
    y = rows["y_ref_m"] + rows["alpha_m"] * rows["y_normvec_m"]
    np.testing.assert_allclose(
        x[:-1], track.x_m - circuit.line_offset_m * np.sin(track.psi_rad), atol=1e-5
    )
    assert (rows["alpha_m"] < rows["width_right_m"]).all()  # to the right
    assert (rows["alpha_m"] > -rows["width_left_m"]).all()
    # headings are from the y axis
    heading = np.arctan2(np.diff(y), np.diff(x)) - 0.5 * np.pi
    away = (rows["psi_racetraj_rad"][:-1] - heading + np.pi) % (2.0 * np.pi) - np.pi
    assert np.abs(away).max() < 0.05
    length = line_geometry(track, circuit.line_offset_m).step_m.sum()
    assert rows["s_racetraj_m"][-1] == pytest.approx(length, abs=1e-5)
    assert x[-1] == x[0] and y[-1] == y[0]


def test_an_f1tenth_line_has_the_profile(tmp_path):
    circuit, rows = circuit_named("club"), written(tmp_path / "line.csv", "f1tenth")
    assert tuple(rows) == F1TENTH_COLUMNS
    heading = np.arctan2(np.diff(rows["y_m"]), np.diff(rows["x_m"]))
    away = (rows["psi_rad"][:-1] - heading + np.pi) % (2.0 * np.pi) - np.pi
    assert np.abs(away).max() < 0.05
    np.testing.assert_allclose(rows["vx_mps"][:-1], circuit.line_speed_mps, atol=1e-6)
    step = np.diff(rows["s_m"])
    speed = rows["vx_mps"]
    np.testing.assert_allclose(
        speed[1:] ** 2, speed[:-1] ** 2 + 2.0 * rows["ax_mps2"][:-1] * step, atol=1e-4
    )
    lap_s = np.sum(2.0 * step / (speed[1:] + speed[:-1]))
    assert lap_s == pytest.approx(circuit.lap_time_s, abs=1e-4)


@pytest.mark.parametrize("vehicle", [RACECAR, F1TENTH], ids=["racecar", "f1tenth"])
def test_what_a_planner_reads_is_read_back_as_the_circuit(vehicle, tmp_path):
    path = tmp_path / "club.csv"
    write_race_line(circuit_named("club", vehicle), path, "planner")
    again, track = read_track(path, vehicle), circuit_named("club", vehicle).track
    assert again.length_m == pytest.approx(track.length_m, rel=1e-4)
    assert again.width_left_m.mean() == pytest.approx(track.width_left_m.mean(), rel=1e-3)


def gymkhana_python() -> Path:
    """A Python that has the package; without one the test is skipped."""
    own = peer_venvs.python_of("gymkhana")
    if own.exists():
        return own
    if importlib.util.find_spec("gymkhana"):
        return Path(sys.executable)
    pytest.skip("gymkhana is not installed: python -m benchmarks.peers --install does it")


@pytest.fixture(scope="module")
def read(tmp_path_factory) -> dict[str, np.ndarray]:
    """What the package's own reader makes of the club circuit's line and of its centre line."""
    python, folder = gymkhana_python(), tmp_path_factory.mktemp("gymkhana")
    line, centre, found = (folder / name for name in ("line.csv", "centre.csv", "found.npz"))
    done = call("export.py", "raceline", "--track", "club", "--vehicle", "f1tenth",
                "--format", "f1tenth", "--out", line)  # fmt: skip
    assert done.returncode == 0, done.stderr
    write_track(circuit_named("club", F1TENTH).track, centre)
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    there = subprocess.run(
        [python, "-c", IN_GYMKHANA, line, centre, found],
        capture_output=True, text=True, cwd=folder, env=alone,
    )  # fmt: skip
    assert there.returncode == 0, there.stderr
    with np.load(found) as archive:
        return {name: archive[name] for name in archive.files}


def test_gymkhana_reads_the_line_and_the_profile(read):
    circuit = circuit_named("club", F1TENTH)
    track, offset = circuit.track, circuit.line_offset_m
    psi = track.psi_rad + circuit.line_heading_rad
    step = line_geometry(track, offset).step_m
    speed = np.append(circuit.line_speed_mps, circuit.line_speed_mps[0])
    expected = {
        "s": np.cumsum(step) - step,
        "x": track.x_m - offset * np.sin(track.psi_rad),
        "y": track.y_m + offset * np.cos(track.psi_rad),
        "kappa": circuit.line_kappa_radpm,
        "speed": circuit.line_speed_mps,
        "acceleration": np.diff(speed**2) / (2.0 * step),
    }
    for name, values in expected.items():  # the package keeps them in single precision
        np.testing.assert_allclose(read[name][:-1], values, rtol=1e-6, atol=2e-6, err_msg=name)
        assert name == "s" or read[name][-1] == read[name][0]
    assert read["s"][-1] == pytest.approx(step.sum(), rel=1e-6)

    def away(angle: np.ndarray) -> float:
        return np.abs(np.angle(np.exp(1j * (angle[:-1] - psi)))).max()

    assert away(read["psi"]) < 1e-6
    # Its own spline through the points agrees on what a heading and a curvature are.
    assert away(read["own_psi"]) < 1e-3
    np.testing.assert_allclose(read["own_kappa"][:-1], circuit.line_kappa_radpm, atol=0.01)
    np.testing.assert_array_equal(read["backwards"], -read["kappa"][::-1])


def test_gymkhana_reads_the_centre_line(read):
    track = circuit_named("club", F1TENTH).track
    assert read["centre_length"] == pytest.approx(track.length_m, rel=1e-4)
    assert read["left"].mean() == pytest.approx(track.width_left_m.mean(), rel=1e-3)
    assert read["right"].mean() == pytest.approx(track.width_right_m.mean(), rel=1e-3)


def test_a_line_without_widths_is_no_circuit(tmp_path):
    write_race_line(circuit_named("club"), tmp_path / "line.csv", "f1tenth")
    with pytest.raises(InputError, match="width"):
        read_track(tmp_path / "line.csv", RACECAR)


def test_the_script_writes_and_refuses(tmp_path):
    done = call("export.py", "raceline", "--track", "oval", "--out", "line.csv", cwd=tmp_path)
    assert done.returncode == 0 and "by the profile" in done.stdout
    assert np.loadtxt(tmp_path / "line.csv", delimiter=";").shape[1] == len(PLANNER_COLUMNS)
    for arguments, word in (
        (("--track", "random:1:2", "--out", "x.csv"), "names 2 circuits"),
        (("--track", "oval", "--out", "."), "is a folder"),
        (("--track", "oval", "--vehicle", "none", "--out", "x.csv"), "no such car or file"),
    ):
        done = call("export.py", "raceline", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and word in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.csv").exists()
