import subprocess
import sys

import numpy as np
import pytest
from processes import ROOT
from tenth import tenth_of_circuit, tenth_of_state, tenth_of_vehicle

pygame = pytest.importorskip(
    "pygame", reason="rendering needs the extra: pip install -r requirements-render.txt"
)

from cars import RACECAR  # noqa: E402

from racing_env.car import dynamics as dyn  # noqa: E402
from racing_env.drawing.rendering import BODY, RIVALS, View, moment_of  # noqa: E402
from racing_env.environment import RaceEnv  # noqa: E402
from racing_env.tracks.circuit import prepare_circuit  # noqa: E402 - after the skip
from racing_env.tracks.generator import built_in_track  # noqa: E402


@pytest.fixture(scope="module")
def circuit(tmp_path_factory):
    return prepare_circuit(
        built_in_track("hairpins", RACECAR), cache_dir=tmp_path_factory.mktemp("cache")
    )


def has_car(picture, rows=slice(300, 480), columns=slice(400, 560)) -> bool:
    return bool(is_colour(picture[rows, columns], BODY).sum() > 20)


def is_colour(picture, colour) -> np.ndarray:
    return np.abs(picture.astype(int) - colour).sum(axis=2) < 40


@pytest.mark.parametrize("camera", ["follow", "track"])
def test_pictures_show_the_car_and_change_as_it_moves(circuit, camera):
    env = RaceEnv(circuit, render_mode="rgb_array", camera=camera)
    env.reset(seed=0)
    first = env.render()
    assert first is not None
    assert first.shape == (540, 960, 3)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous and first.flags.writeable
    assert has_car(first, slice(None), slice(None)) if camera == "track" else has_car(first)
    kept = first.copy()
    env.step(np.array([0.0, 1.0], dtype=np.float32))
    second = env.render()
    assert second is not None and not np.array_equal(second, kept)
    np.testing.assert_array_equal(first, kept)
    env.close()
    env.close()


def test_drawing_does_not_disturb_the_drive(circuit):
    results = []
    for mode in (None, "rgb_array"):
        env = RaceEnv(circuit, render_mode=mode)
        observation, _ = env.reset(seed=4)
        for _ in range(10):
            observation, *_ = env.step(np.array([0.1, 0.5]))
            if mode:
                env.render()
        results.append(observation)
    np.testing.assert_array_equal(results[0], results[1])


def test_sliding_tyres_leave_marks_until_the_next_episode(circuit):
    env = RaceEnv(circuit, render_mode="rgb_array")
    env.reset(seed=0, options={"start_s": 0.0})
    env.simulator.state[3, 0] = 30.0  # m/s
    env.simulator.state[4, 0] = 9.0  # sideways
    for _ in range(5):
        env.step(np.array([0.0, 0.0]))
        env.render()
    assert sum(len(segments) for _, segments in env._view.marks.segments) >= 4
    env.reset(seed=0)
    assert not env._view.marks.segments


def test_every_place_of_a_circuit_can_be_drawn(circuit):
    env = RaceEnv(circuit, render_mode="rgb_array")
    for start in np.linspace(0.0, circuit.track.length_m, 12, endpoint=False):
        env.reset(options={"start_s": float(start)})
        assert has_car(env.render())


def test_the_window_opens_and_closes_without_a_display(circuit, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = RaceEnv(circuit, render_mode="human")
    env.reset(seed=0)
    env.step(np.zeros(2))
    assert env.render() is None
    assert pygame.display.get_surface().get_size() == (960, 540)
    env.close()
    assert not pygame.display.get_init()
    env.close()


def test_render_without_mode_or_episode(circuit):
    from gymnasium.error import ResetNeeded

    with pytest.raises(ResetNeeded):
        RaceEnv(circuit, render_mode="rgb_array").render()
    env = RaceEnv(circuit)
    env.reset()
    with pytest.warns(UserWarning, match="render mode"):
        assert env.render() is None


@pytest.mark.parametrize("camera", ["follow", "track"])
def test_rivals_are_drawn_in_colours_of_their_own(circuit, camera):
    env = RaceEnv(circuit)
    env.reset(options={"start_s": 100.0})
    car = moment_of(env.simulator, 0)
    env.reset(options={"start_s": 90.0})
    rival = moment_of(env.simulator, 0)
    view = View("rgb_array", camera, 20.0)
    alone = view.draw(circuit, car, RACECAR)
    assert not is_colour(alone, RIVALS[0]).sum() > 20
    both = view.draw(circuit, car, RACECAR, rivals=[rival])
    assert is_colour(both, RIVALS[0]).sum() > 20


@pytest.mark.parametrize("camera", ["follow", "track"])
def test_a_tenth_of_the_car_on_a_tenth_of_the_circuit_looks_the_same(circuit, camera):
    env = RaceEnv(circuit)
    views = [View("rgb_array", camera, 20.0) for _ in range(2)]
    small_circuit, small_car = tenth_of_circuit(circuit), tenth_of_vehicle(RACECAR)
    for start_m in (0.0, 150.0, 400.0):  # start line, racing line, kerbs
        env.reset(options={"start_s": start_m})
        env.simulator.state[[dyn.VX, dyn.VY], 0] = 30.0, 8.0  # m/s: tyres leave marks
        for _ in range(4):
            env.step(np.array([0.3, 0.5]))
            moment = moment_of(env.simulator, 0)
            small = moment._replace(state=tenth_of_state(moment.state), s_m=0.1 * moment.s_m)
            full_size = views[0].draw(circuit, moment, RACECAR)
            tenth = views[1].draw(small_circuit, small, small_car)
        assert full_size is not None and tenth is not None
        beside_the_gauges = np.s_[:, 300:]
        differ = (full_size != tenth)[beside_the_gauges].any(axis=2)
        assert differ.mean() < 1e-3


def test_a_missing_pygame_is_named_and_only_when_rendering():
    code = (
        "import sys; sys.modules['pygame'] = None\n"
        "import racing_env.environment\n"
        "from racing_env.common.errors import InputError\n"
        "try:\n    import racing_env.drawing.rendering\n"
        "except InputError as error:\n    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert "pip install -r requirements-render.txt" in result.stdout
