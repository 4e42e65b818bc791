"""Race lines for other programs: what is in the files, and that they are read back."""

import numpy as np
import pytest
from cars import RACECAR, circuit_named
from processes import run

from racing_env.common.errors import InputError
from racing_env.tracks.line_geometry import line_geometry
from racing_env.tracks.race_line_csv import F1TENTH_COLUMNS, PLANNER_COLUMNS, write_race_line
from racing_env.tracks.reader import read_track


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


def test_what_a_planner_reads_is_read_back_as_the_circuit(tmp_path):
    path = tmp_path / "club.csv"
    write_race_line(circuit_named("club"), path, "planner")
    again, track = read_track(path, RACECAR), circuit_named("club").track
    assert again.length_m == pytest.approx(track.length_m, rel=1e-4)
    assert again.width_left_m.mean() == pytest.approx(track.width_left_m.mean(), abs=0.01)


def test_a_line_without_widths_is_no_circuit(tmp_path):
    write_race_line(circuit_named("club"), tmp_path / "line.csv", "f1tenth")
    with pytest.raises(InputError, match="width"):
        read_track(tmp_path / "line.csv", RACECAR)


def test_the_script_writes_and_refuses(tmp_path):
    done = run("export.py", "raceline", "--track", "oval", "--out", "line.csv", cwd=tmp_path)
    assert done.returncode == 0 and "by the profile" in done.stdout
    assert np.loadtxt(tmp_path / "line.csv", delimiter=";").shape[1] == len(PLANNER_COLUMNS)
    for arguments, word in (
        (("--track", "random:1:2", "--out", "x.csv"), "names 2 circuits"),
        (("--track", "oval", "--out", "."), "is a folder"),
        (("--track", "oval", "--vehicle", "none", "--out", "x.csv"), "no such car or file"),
    ):
        done = run("export.py", "raceline", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and word in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.csv").exists()
