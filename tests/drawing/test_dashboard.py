import numpy as np
import pytest

pygame = pytest.importorskip(
    "pygame", reason="rendering needs the extra: pip install -r requirements-render.txt"
)

from cars import RACECAR  # noqa: E402

from racing_env.car import dynamics as dyn  # noqa: E402 - after the skip
from racing_env.drawing import dashboard  # noqa: E402


def picture_at(**changes) -> np.ndarray:
    state = np.zeros(dyn.STATE_SIZE)
    moment = dashboard.Moment(state, 0.0, 0.0, 1, 0.0)
    for name, value in changes.items():
        if name == "drive":
            state[dyn.DRIVE] = value * RACECAR.drive_force_max_n
        else:
            moment = moment._replace(**{name: value})
    surface = pygame.Surface((960, 540), 0, 32)
    dashboard.Dashboard().draw(surface, moment, RACECAR)
    return pygame.surfarray.array3d(surface)


def test_the_drive_gauge_fills_with_the_drive():
    lengths = [
        (picture_at(drive=share) == dashboard.GREEN).all(axis=2).any(axis=1).sum()
        for share in (0.0, 0.5, 1.0)
    ]
    assert lengths[0] == 0
    assert lengths[1] == pytest.approx(46, abs=1) and lengths[2] == pytest.approx(92, abs=1)


def test_the_last_lap_is_shown():
    assert (picture_at(last_lap_s=83.4) != picture_at()).any()


def test_the_best_lap_has_a_row_where_there_is_one_and_standings_are_below():
    standings = [dashboard.Standing("a", (250, 10, 10), "")]
    tops = []
    for best_lap_s in (None, 83.4):
        surface, board = pygame.Surface((960, 540), 0, 32), dashboard.Dashboard()
        moment = dashboard.Moment(np.zeros(dyn.STATE_SIZE), 0.0, 0.0, 2, 0.0, 90.0, best_lap_s)
        board.draw(surface, moment, RACECAR)
        board.draw_standings(surface, standings)
        swatch = (pygame.surfarray.array3d(surface) == (250, 10, 10)).all(axis=2)
        tops.append(int(np.argwhere(swatch)[:, 1].min()))
    assert tops[1] == tops[0] + 24


def test_clock_rounds_without_sixty_seconds():
    assert dashboard.clock(0.0) == "0:00.0"
    assert dashboard.clock(59.96) == "1:00.0"
    assert dashboard.clock(147.64) == "2:27.6"
    assert dashboard.clock(59.9996, 3) == "1:00.000" and dashboard.clock(7.0123, 3) == "0:07.012"


def test_standings_have_a_swatch_each_and_room_for_long_names():
    surface = pygame.Surface((960, 540), 0, 32)
    standings = [
        dashboard.Standing("a", (250, 10, 10), "0.00 s"),
        dashboard.Standing("a-driver-with-a-very-long-name", (10, 250, 10), "+1.00 s"),
    ]
    dashboard.Dashboard().draw_standings(surface, standings)
    pixels = pygame.surfarray.array3d(surface)
    for standing in standings:
        assert (pixels == standing.colour).all(axis=2).sum() > 80


def test_the_map_has_a_dot_for_each_car_in_place():
    angles = np.linspace(0.0, 2.0 * np.pi, 100, endpoint=False)
    circle = 500.0 * np.column_stack([np.cos(angles), np.sin(angles)])
    small = dashboard.SmallMap(circle)
    surface = pygame.Surface((960, 540), 0, 32)
    red, green = (250, 10, 10), (10, 250, 10)
    small.draw(surface, [(circle[0], red), (circle[50], green)])
    pixels = pygame.surfarray.array3d(surface)
    east = np.argwhere((pixels == red).all(axis=2)).mean(axis=0)
    west = np.argwhere((pixels == green).all(axis=2)).mean(axis=0)
    assert east[0] > west[0] + 80 and abs(east[1] - west[1]) < 1.0
