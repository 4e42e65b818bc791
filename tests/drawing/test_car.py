import numpy as np
import pytest

pygame = pytest.importorskip(
    "pygame", reason="rendering needs the extra: pip install -r requirements-render.txt"
)

from cars import RACECAR  # noqa: E402

from racing_env.car import dynamics as dyn  # noqa: E402 - after the skip
from racing_env.drawing.camera import Camera  # noqa: E402
from racing_env.drawing.car import MARKS_S, TyreMarks, draw_car, on_ground  # noqa: E402


def sliding_at(time_s: float) -> np.ndarray:
    state = np.zeros(dyn.STATE_SIZE)
    state[[dyn.X, dyn.VX, dyn.VY]] = 30.0 * time_s, 30.0, 8.0
    return state


def test_marks_join_where_tyres_slide_and_fade_with_time():
    marks = TyreMarks()
    for i in range(5):
        marks.add(sliding_at(0.05 * i), 0.05 * i, RACECAR)
    assert len(marks.segments) == 4
    start, end = marks.segments[0][1][0]
    np.testing.assert_allclose(end - start, [1.5, 0.0], atol=1e-9)
    straight = np.zeros(dyn.STATE_SIZE)
    straight[dyn.VX] = 30.0
    marks.add(straight, 0.25, RACECAR)
    assert len(marks.segments) == 4
    marks.add(straight, 0.25 + MARKS_S, RACECAR)
    assert not marks.segments


def test_a_jump_in_time_leaves_no_mark():
    marks = TyreMarks()
    marks.add(sliding_at(0.0), 0.0, RACECAR)
    marks.add(sliding_at(5.0), 5.0, RACECAR)
    assert not marks.segments


def test_a_car_is_drawn_to_scale():
    surface = pygame.Surface((400, 400), 0, 32)
    camera = Camera(np.zeros(2), 0.5 * np.pi, 40.0, (200.0, 200.0))
    state = np.zeros(dyn.STATE_SIZE)
    state[dyn.PSI] = 0.5 * np.pi
    draw_car(surface, camera, state, RACECAR, (10, 200, 30))
    drawn = np.argwhere(pygame.surfarray.array3d(surface).any(axis=2))
    width, length = np.ptp(drawn, axis=0) / 40.0
    assert length == pytest.approx(RACECAR.length_m, abs=0.1)
    assert width == pytest.approx(RACECAR.width_m, abs=0.2)
    np.testing.assert_allclose(on_ground(state, np.array([1.0, 0.0])), [0.0, 1.0], atol=1e-12)
