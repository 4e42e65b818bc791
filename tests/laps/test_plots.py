"""The pictures are written whole, for finished and failed drives, and bad logs are named."""

import struct

import numpy as np
import pytest
from cars import circuit_named

from racing_env.common.errors import InputError
from racing_env.laps import evaluation as ev
from racing_env.laps import plots

HEADER = "wall_s,timesteps,finished,circuits,lap_ratio\n"


def size_of_png(path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


@pytest.fixture(scope="module")
def oval():
    return circuit_named("oval")


@pytest.fixture(scope="module")
def finished(oval):
    return ev.drive_laps([oval], ev.expert_driver(np.array([0.8])), 1, name="slow", telemetry=True)


@pytest.fixture(scope="module")
def failed(oval):
    def straight_on(simulator):
        return np.tile([0.0, 1.0], (simulator.n, 1))

    return ev.drive_laps([oval], ev.Driver(straight_on), 1, name="straight on", telemetry=True)


def test_circuit_with_finished_and_failed_drivers(oval, finished, failed, tmp_path):
    path = tmp_path / "new" / "oval.png"
    plots.plot_circuit(oval, [*failed, *finished], path)
    width, height = size_of_png(path)
    assert width >= 1000 and height >= 800
    assert [file.name for file in path.parent.iterdir()] == ["oval.png"]


def test_circuit_that_nobody_finished_and_more_drivers_than_colours(oval, failed, tmp_path):
    plots.plot_circuit(oval, failed * 9, tmp_path / "oval.png")
    size_of_png(tmp_path / "oval.png")


def test_standing_car(oval, tmp_path):
    driver = ev.Driver(lambda simulator: np.zeros((simulator.n, 2)))
    standing = ev.drive_laps([oval], driver, 1, telemetry=True)
    plots.plot_circuit(oval, standing, tmp_path / "oval.png")
    size_of_png(tmp_path / "oval.png")


def test_results_without_telemetry_are_refused(oval, tmp_path):
    bare = ev.LapResult("driver", "oval", 1.0, 1.0, ev.OFF_TRACK, (), 0.0, 2)
    with pytest.raises(ValueError, match="no telemetry"):
        plots.plot_circuit(oval, [bare], tmp_path / "oval.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "rows", ["0,0,0,20,nan\n60,1000,12,20,1.05\n120,2000,20,20,1.02\n", "0,0,0,20,\n"]
)
def test_learning_curve(tmp_path, rows):
    (tmp_path / "log.csv").write_text(HEADER + rows)
    plots.learning_curve(tmp_path / "log.csv", tmp_path / "curve.png")
    size_of_png(tmp_path / "curve.png")


@pytest.mark.parametrize("text", ["", HEADER, "wall_s,finished\n1,2\n", HEADER + "a,b,c,d,e\n"])
def test_learning_curve_names_a_bad_log(tmp_path, text):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(InputError, match=r"log\.csv") as error:
        plots.learning_curve(tmp_path / "log.csv", tmp_path / "curve.png")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "curve.png").exists()
