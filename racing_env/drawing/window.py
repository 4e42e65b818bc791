"""The window in which a person drives: keys and gamepad, pictures in real time, lap times.

The car moves by control steps; pictures are drawn more often, between the last two of them.
"""

import os
import sys
import warnings
from typing import NamedTuple

from racing_env.common.errors import InputError
from racing_env.drawing.dashboard import Dashboard, Moment, Standing, clock
from racing_env.drawing.gamepad import Gamepad
from racing_env.drawing.pygame_extra import pygame
from racing_env.drawing.rendering import BODY, SIZE, View, rival_colour
from racing_env.laps.hands import Controls, Hands
from racing_env.laps.session import Session

FRAMES_PER_S = 60
LONGEST_FRAME_S = 0.25  # what took longer was no driving: a window that was moved, a machine asleep
UNSEEN = ("offscreen", "dummy")  # drivers that SDL takes where it finds nothing to be looked at
NEWS_S = 4.0  # for which a lap that is done stands on the picture


class Key(NamedTuple):
    """What a key does, and which keys do it."""

    action: str
    keys: tuple[int, ...]


HELD = (
    Key("drive", (pygame.K_UP, pygame.K_w)),
    Key("brake", (pygame.K_DOWN, pygame.K_s)),
    Key("left", (pygame.K_LEFT, pygame.K_a)),
    Key("right", (pygame.K_RIGHT, pygame.K_d)),
)
PRESSED = (
    Key("restart", (pygame.K_r,)),
    Key("pause", (pygame.K_p, pygame.K_SPACE)),
    Key("camera", (pygame.K_c,)),
    Key("help", (pygame.K_h, pygame.K_F1)),
    Key("quit", (pygame.K_ESCAPE, pygame.K_q)),
)
ACTIONS = {key: binding.action for binding in PRESSED for key in binding.keys}


def open_display() -> None:
    """Find a display, without a window yet. Raises InputError if there is none."""
    chosen = os.environ.get("SDL_VIDEODRIVER")
    desktops = (os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    try:
        if sys.platform == "linux" and not chosen and not any(desktops):
            raise pygame.error("neither DISPLAY nor WAYLAND_DISPLAY is set")
        pygame.display.init()
        if not chosen and pygame.display.get_driver() in UNSEEN:
            raise pygame.error("that of DISPLAY or WAYLAND_DISPLAY cannot be opened")
    except pygame.error as error:
        raise InputError(
            f"no display to open a window on ({error}); start it on a desktop"
        ) from None


class Window:
    """A person's session in a window, from `open_display` until it is closed."""

    def __init__(self, session: Session):
        self.session = session
        self._hands = Hands(session.circuit.vehicle, session.control_step_s)
        self._view = View("rgb_array", "follow", FRAMES_PER_S)
        self._dashboard = Dashboard()
        self._gamepad = Gamepad()
        self._down: set[int] = set()  # keys
        self._paused = self._closed = False
        self._help = True  # until the person drives off
        self._time_s, self._news_until_s = 0.0, 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a slow renderer is good enough for one picture
            self._screen = pygame.display.set_mode(SIZE, pygame.SCALED | pygame.RESIZABLE)
        pygame.display.set_caption(f"{session.circuit.track.name} - racing_env")

    def run(self, laps: int | None = None) -> None:
        """Drive until the window is closed or, where laps is given, so many laps count."""
        pace = pygame.time.Clock()
        try:
            while not self._closed and (laps is None or len(self.session.laps) < laps):
                for event in pygame.event.get():
                    self._handle(event)
                self._advance(min(pace.tick(FRAMES_PER_S) / 1000.0, LONGEST_FRAME_S))
                self._draw()
        finally:
            pygame.display.quit()

    def _handle(self, event: pygame.event.Event) -> None:
        self._gamepad.handle(event)
        if event.type == pygame.QUIT:
            self._closed = True
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._down.clear()  # no one will say that they are let go
        elif event.type == pygame.KEYUP:
            self._down.discard(event.key)
        elif event.type == pygame.KEYDOWN:
            self._down.add(event.key)
            self._press(ACTIONS.get(event.key, ""))

    def _press(self, action: str) -> None:
        if action == "quit":
            self._closed = True
        elif action == "pause":
            self._paused = not self._paused
        elif action == "help":
            self._help = not self._help
        elif action == "camera":
            self._view.camera = "track" if self._view.camera == "follow" else "follow"
        elif action == "restart":
            self._hands.let_go()
            self._view.forget_marks()
            self.session.restart()

    def _advance(self, elapsed_s: float) -> None:
        if self._paused:
            return
        keys = {binding.action: not self._down.isdisjoint(binding.keys) for binding in HELD}
        stick, pedals = self._gamepad.axes()
        held = Controls(**keys, stick=stick, pedals=pedals)
        waiting, done = self.session.waiting, len(self.session.laps)
        self._time_s += elapsed_s
        self.session.advance(elapsed_s, lambda state: self._hands.act(held, state))
        if waiting and not self.session.waiting:
            self._help = False
        if len(self.session.laps) > done:
            self._news_until_s = self._time_s + NEWS_S

    def _draw(self) -> None:
        session = self.session
        shown, laps = session.shown(), session.laps
        length_m = session.circuit.track.length_m
        lap_s = max(shown.lap_s, 0.0)
        moment = Moment(
            shown.state, shown.lap_m % length_m, self._time_s, len(laps) + 1, lap_s,
            laps[-1].time_s if laps else None, session.best_lap_s,
        )  # fmt: skip
        state, s_m = session.rival.place_at(session.standing, lap_s)
        ghost = Moment(state, s_m, self._time_s, len(laps) + 1, lap_s)
        picture = self._view.paint(session.circuit, moment, [ghost], self._standings())
        if news := self._news():
            self._dashboard.draw_news(picture, news)
        if self._help:
            rows = [(binding.action, key_names(binding)) for binding in (*HELD, *PRESSED)]
            rows.append(("gamepad", "left stick, triggers"))
            self._dashboard.draw_table(picture, rows)
        self._screen.blit(picture, (0, 0))
        pygame.display.flip()

    def _standings(self) -> list[Standing]:
        gap_s, theirs_s = self.session.gap_s(), self.session.rival.lap(self.session.standing).lap_s
        return [
            Standing("you", BODY, "" if gap_s is None else f"{gap_s:+.2f} s"),
            Standing(
                self.session.rival.name,
                rival_colour(0),
                "no lap" if theirs_s is None else clock(theirs_s),
            ),
        ]

    def _news(self) -> str:
        session = self.session
        if self._paused:
            return "paused"
        if session.waiting:
            return f"{key_names(HELD[0])} to drive off"
        if self._time_s < self._news_until_s:
            lap = session.laps[-1]
            gap = "" if lap.gap_s is None else f" ({lap.gap_s:+.3f} s)"
            return f"lap {len(session.laps)}: {clock(lap.time_s, 3)}{gap}"
        return "" if session.counts else "this lap does not count"


def key_names(binding: Key) -> str:
    return " or ".join(pygame.key.name(key) for key in binding.keys)
