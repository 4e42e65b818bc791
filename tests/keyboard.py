"""A person at the window who is a program: he presses keys by events, frame by frame.

As a program, `python -m keyboard END ARGUMENTS...` runs drive.py with him at the keys. END is
`laps`, or what he does when a lap is done: `close` (the window) or `interrupt` (Ctrl-C).
"""

import math
import os
import runpy
import signal
import sys
from collections.abc import Callable

from processes import ROOT

from racing_env.car import dynamics as dyn
from racing_env.drawing.pygame_extra import pygame
from racing_env.drawing.window import Window

PACE, AHEAD_S, BAND = 0.8, 0.3, 0.08  # of the profile; where he aims; how far off a key may be
FRAMES_MOST = 2000
ARROWS = {
    "left": pygame.K_LEFT,
    "right": pygame.K_RIGHT,
    "drive": pygame.K_UP,
    "brake": pygame.K_DOWN,
}


class Driver:
    """Who follows the racing line by the arrow keys."""

    def __init__(self) -> None:
        self.down: set[str] = set()

    def press(self, window: Window) -> None:
        """Press and let go what the car's place asks for."""
        session, turn = window.session, window._hands.turn
        simulator, circuit = session._simulator, session.circuit
        state, track = simulator.state[:, 0], circuit.track
        speed = max(state[dyn.VX], 5.0)
        place_m = simulator.place_s_m()[0]
        near = int((place_m + speed * (AHEAD_S + session.control_step_s)) / track.step_m)
        near %= track.x_m.size
        offset, psi = circuit.line_offset_m[near], track.psi_rad[near]
        dx = track.x_m[near] - offset * math.sin(psi) - state[dyn.X]
        dy = track.y_m[near] + offset * math.cos(psi) - state[dyn.Y]
        bearing = math.atan2(dy, dx) - state[dyn.PSI]
        wanted = 2.0 * math.sin(bearing) / math.hypot(dx, dy) * speed * speed / 10.0  # of the grip
        target = PACE * circuit.line_speed_mps[near]
        self.hold("left", wanted > turn + BAND and wanted > BAND)
        self.hold("right", wanted < turn - BAND and wanted < -BAND)
        self.hold("drive", state[dyn.VX] < target)
        self.hold("brake", state[dyn.VX] > 1.05 * target)

    def hold(self, name: str, held: bool) -> None:
        if held != (name in self.down):
            self.down ^= {name}
            kind = pygame.KEYDOWN if held else pygame.KEYUP
            pygame.event.post(pygame.event.Event(kind, key=ARROWS[name]))


def clock_that(frame: Callable[[], None], frame_s: float) -> type:
    """A clock for `pygame.time.Clock` that waits for nobody: it has frame called in each frame.

    It fails after FRAMES_MOST.
    """

    class Clock:
        frames = 0

        def tick(self, _: float) -> float:
            self.frames += 1
            assert self.frames < FRAMES_MOST, "still not at its end"
            frame()
            return 1000.0 * frame_s

    return Clock


def main() -> None:
    end, driver, windows = sys.argv[1], Driver(), []
    open_window = Window.__init__

    def noted(self: Window, *arguments: object) -> None:
        open_window(self, *arguments)
        windows.append(self)

    def frame() -> None:
        if windows[0].session.laps and end == "close":
            pygame.event.post(pygame.event.Event(pygame.QUIT))
        elif windows[0].session.laps and end == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        driver.press(windows[0])

    Window.__init__ = noted
    pygame.time.Clock = clock_that(frame, 0.05)
    sys.argv = ["drive.py", *sys.argv[2:]]
    runpy.run_path(str(ROOT / "drive.py"), run_name="__main__")


if __name__ == "__main__":
    main()
