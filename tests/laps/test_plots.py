"""The pictures are written whole, for finished and failed drives, and bad logs are named."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from cars import circuit_named
from tenth import tenth_of_circuit, tenth_of_lap

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


def test_a_tenth_of_the_car_has_a_tenth_of_the_close_up(oval, finished, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    (result,) = finished
    small = replace(result, telemetry=tenth_of_lap(result.telemetry))
    plots.plot_circuit(oval, [result], tmp_path / "oval.png")
    plots.plot_circuit(tenth_of_circuit(oval), [small], tmp_path / "oval.png")
    close_ups = [
        axes for figure in figures for axes in figure.axes if "slowest corner" in axes.get_title()
    ]
    limits, small_limits = (np.array([axes.get_xlim(), axes.get_ylim()]) for axes in close_ups)
    assert np.ptp(limits, axis=1) == pytest.approx(90.0)
    np.testing.assert_allclose(small_limits, 0.1 * limits, rtol=1e-9)


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
    sizes = set()
    for practised in ("", "Monza"):
        plots.learning_curve(tmp_path / "log.csv", tmp_path / "curve.png", practised)
        size_of_png(tmp_path / "curve.png")
        sizes.add((tmp_path / "curve.png").stat().st_size)
    assert len(sizes) == 2  # what it says of itself


@pytest.mark.parametrize("text", ["", HEADER, "wall_s,finished\n1,2\n", HEADER + "a,b,c,d,e\n"])
def test_learning_curve_names_a_bad_log(tmp_path, text):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(InputError, match=r"log\.csv") as error:
        plots.learning_curve(tmp_path / "log.csv", tmp_path / "curve.png")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "curve.png").exists()
