import numpy as np
import pytest

pygame = pytest.importorskip(
    "pygame", reason="driving needs the extra: pip install -r requirements-render.txt"
)

from cars import RACECAR  # noqa: E402
from keyboard import Driver, clock_that  # noqa: E402
from simple_tracks import ring  # noqa: E402 - after the skip

from racing_env.car import dynamics as dyn  # noqa: E402
from racing_env.common.errors import InputError  # noqa: E402
from racing_env.drawing import gamepad, window  # noqa: E402
from racing_env.drawing.rendering import RIVALS  # noqa: E402
from racing_env.drawing.window import LONGEST_FRAME_S, Window, open_display  # noqa: E402
from racing_env.laps.evaluation import expert_driver  # noqa: E402
from racing_env.laps.rival import drive_rival  # noqa: E402
from racing_env.laps.session import Session  # noqa: E402
from racing_env.simulation.layouts.line_preview import LAYOUT  # noqa: E402
from racing_env.tracks.circuit import Circuit, prepare_circuit  # noqa: E402

FRAME_S = 0.05


@pytest.fixture(scope="module")
def circuit() -> Circuit:
    return prepare_circuit(ring(), RACECAR)


@pytest.fixture(scope="module")
def rival(circuit):
    return drive_rival(circuit, expert_driver(np.array([0.9])), "expert")


@pytest.fixture
def opened(circuit, rival, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    open_display()
    yield Window(Session(circuit, LAYOUT.name, rival, lambda lap: None))
    pygame.display.quit()


@pytest.fixture
def play(opened, monkeypatch):
    """Runs the window; in each frame it calls the function of that number, or the last one."""

    def run(*frames, laps=None, frame_s=FRAME_S):
        done = 0

        def frame():
            nonlocal done
            frames[min(done, len(frames) - 1)]()
            done += 1

        monkeypatch.setattr(pygame.time, "Clock", clock_that(frame, frame_s))
        opened.run(laps)

    return run


def down(*keys):
    return lambda: [pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key)) for key in keys]


def up(*keys):
    return lambda: [pygame.event.post(pygame.event.Event(pygame.KEYUP, key=key)) for key in keys]


def nothing() -> None:
    pass


CLOSE = down(pygame.K_ESCAPE)


def speed(opened) -> float:
    return opened.session.shown().state[dyn.VX]


def test_keys_drive_a_lap_and_the_window_closes_by_itself(opened, play):
    player = Driver()
    play(lambda: player.press(opened), laps=1)
    (lap,) = opened.session.laps
    assert lap.standing and lap.rival_s < lap.time_s < 1.5 * lap.rival_s
    assert not pygame.display.get_init()


@pytest.mark.parametrize("key", [pygame.K_UP, pygame.K_w])
def test_a_key_acts_while_it_is_down(opened, play, key):
    speeds = []

    def look():
        speeds.append(speed(opened))

    play(nothing, down(key), *[look] * 20, up(key), *[look] * 20, CLOSE)
    assert speeds[0] < 0.5 and 2.0 < speeds[19] < 10.0
    assert speeds[-1] < speeds[24]  # it rolls


def test_what_is_held_is_let_go_when_the_window_loses_the_keyboard(opened, play):
    lost = pygame.event.Event(pygame.WINDOWFOCUSLOST)
    play(
        nothing, down(pygame.K_UP), *[nothing] * 20, lambda: pygame.event.post(lost),
        *[nothing] * 15, CLOSE,
    )  # fmt: skip
    assert opened._hands.pedals == 0.0 and speed(opened) > 1.0


BY_THE_CROSS = lambda: pygame.event.post(pygame.event.Event(pygame.QUIT))  # noqa: E731


@pytest.mark.parametrize("end", [CLOSE, down(pygame.K_q), BY_THE_CROSS])
def test_it_can_be_left_at_any_time(opened, play, end):
    play(nothing, end)
    assert not pygame.display.get_init() and opened.session.laps == []


def test_pause_stops_the_clock_and_goes_on(opened, play):
    times = []
    pause = down(pygame.K_p)

    def look():
        times.append(opened.session.shown().lap_s)

    play(nothing, down(pygame.K_UP), *[nothing] * 10, pause, nothing, look, *[nothing] * 20, look,
         pause, *[nothing] * 10, look, CLOSE)  # fmt: skip
    assert times[0] == times[1] > 0.0
    assert times[2] == pytest.approx(times[1] + 10 * FRAME_S, abs=2 * FRAME_S)


def test_restart_is_at_the_line_with_the_feet_off_the_pedals(opened, play):
    play(nothing, down(pygame.K_UP), *[nothing] * 30, up(pygame.K_UP), down(pygame.K_r), nothing,
         nothing, CLOSE)  # fmt: skip
    assert opened.session.waiting and speed(opened) == 0.0
    assert opened.session.shown().lap_m == 0.0


def picture() -> np.ndarray:
    return pygame.surfarray.array3d(pygame.display.get_surface())


def test_help_is_shown_until_one_drives_off_and_when_it_is_asked_for(opened, play):
    pictures = {}

    def keep(name):
        return lambda: pictures.update({name: picture()[330:630, 72:356]})

    play(nothing, nothing, keep("waiting"), down(pygame.K_h), nothing, keep("closed"),
         down(pygame.K_F1), nothing, keep("again"), down(pygame.K_UP), *[nothing] * 4,
         keep("off"), CLOSE)  # fmt: skip
    np.testing.assert_array_equal(pictures["waiting"], pictures["again"])
    light = {name: area.mean() for name, area in pictures.items()}  # the panel is dark
    assert light["waiting"] < light["closed"] - 20.0 and light["waiting"] < light["off"] - 20.0


def test_the_help_names_every_key():
    named = " ".join(window.key_names(key) for key in (*window.HELD, *window.PRESSED))
    assert "up or w" in named and "escape or q" in named
    bound = [key for binding in (*window.HELD, *window.PRESSED) for key in binding.keys]
    assert len(set(bound)) == len(bound)


def test_the_camera_changes_and_the_ghost_is_in_both(opened, play):
    seen = []

    def look():
        beside_the_panels = picture()[300:, 140:].astype(int)
        seen.append((np.abs(beside_the_panels - RIVALS[0]).sum(axis=2) < 40).sum())

    play(nothing, down(pygame.K_UP), *[nothing] * 50, look, down(pygame.K_c), nothing, nothing,
         look, down(pygame.K_c), nothing, nothing, look, CLOSE)  # fmt: skip
    assert all(count > 20 for count in seen)


def test_a_long_frame_is_no_driving(opened, play):
    play(nothing, down(pygame.K_UP), nothing, nothing, nothing, CLOSE, frame_s=10.0)
    assert 0.0 < opened.session.shown().lap_s <= 5 * LONGEST_FRAME_S


class Pad:
    """What SDL has of a gamepad whose right trigger is pulled."""

    def __init__(self, index: int):
        assert index == 3

    def get_axis(self, axis: int) -> int:
        return 32767 if axis == pygame.CONTROLLER_AXIS_TRIGGERRIGHT else 0


def test_a_gamepad_drives_the_car(opened, play, monkeypatch):
    monkeypatch.setattr(gamepad.controller, "Controller", Pad)
    added = pygame.event.Event(pygame.CONTROLLERDEVICEADDED, device_index=3)
    play(nothing, lambda: pygame.event.post(added), *[nothing] * 20, CLOSE)
    assert speed(opened) > 2.0


@pytest.mark.parametrize("driver", [None, "nothing-of-the-kind"])
def test_where_no_window_can_be_seen_one_line_says_so(monkeypatch, driver):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    if driver:
        monkeypatch.setenv("SDL_VIDEODRIVER", driver)
    monkeypatch.setattr(window.sys, "platform", "linux")
    with pytest.raises(InputError, match="no display to open a window on") as refused:
        open_display()
    assert "\n" not in str(refused.value) and not pygame.display.get_init()
