"""With a gamepad that SDL makes up, in the SDL that pygame has with it."""

import ctypes
from pathlib import Path

import pytest

pygame = pytest.importorskip(
    "pygame", reason="driving needs the extra: pip install -r requirements-render.txt"
)

from racing_env.drawing.gamepad import Gamepad  # noqa: E402 - after the skip

GAMEPAD, AXES, BUTTONS, HATS = 1, 6, 15, 0  # an SDL_JoystickType, and what it has
STICK, LEFT_TRIGGER, RIGHT_TRIGGER = 0, 4, 5
LEAST, MOST = -32768, 32767  # of an axis; a trigger that is let go is at its least


class Virtual:
    """A gamepad that is plugged in as soon as it is made, nothing touched."""

    def __init__(self, sdl: ctypes.CDLL):
        self.sdl = sdl
        self.index = sdl.SDL_JoystickAttachVirtual(GAMEPAD, AXES, BUTTONS, HATS)

    def move(self, axis: int, value: int) -> None:
        number = self.sdl.SDL_JoystickGetDeviceInstanceID(self.index)
        opened = ctypes.c_void_p(self.sdl.SDL_JoystickFromInstanceID(number))
        self.sdl.SDL_JoystickSetVirtualAxis(opened, axis, ctypes.c_int16(value))


@pytest.fixture
def sdl(monkeypatch):
    package = Path(pygame.__file__).parent
    libraries = [*package.parent.glob("pygame_ce.libs/libSDL2-2*"),
                 *package.glob(".dylibs/libSDL2-2*")]  # fmt: skip
    if not libraries:
        pytest.skip("pygame has no SDL of its own")
    library = ctypes.CDLL(str(libraries[0]))
    library.SDL_JoystickFromInstanceID.restype = ctypes.c_void_p
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    pygame.display.set_mode((64, 64))
    yield library
    pygame.display.quit()


def pump(pad: Gamepad) -> None:
    for event in pygame.event.get():
        pad.handle(event)


def test_its_stick_and_triggers_are_read_until_it_is_gone(sdl):
    pad = Gamepad()
    assert pad.axes() == (0.0, 0.0)
    virtual = Virtual(sdl)
    pump(pad)
    assert pad.axes() == (0.0, 0.0)
    for moves, axes in (
        (((STICK, LEAST // 2), (RIGHT_TRIGGER, MOST), (LEFT_TRIGGER, LEAST)), (0.5, 1.0)),
        (((STICK, MOST), (RIGHT_TRIGGER, LEAST)), (-1.0, 0.0)),
        (((LEFT_TRIGGER, MOST),), (-1.0, -1.0)),
    ):
        for axis, value in moves:
            virtual.move(axis, value)
        pump(pad)
        assert pad.axes() == pytest.approx(axes, abs=1e-3)
    sdl.SDL_JoystickDetachVirtual(virtual.index)
    pump(pad)
    assert pad.axes() == (0.0, 0.0)


def test_one_that_is_there_already_is_found(sdl):
    pygame.joystick.init()
    virtual = Virtual(sdl)
    pad = Gamepad()
    pump(pad)
    virtual.move(STICK, LEAST)
    pump(pad)
    assert pad.axes()[0] == pytest.approx(1.0, abs=1e-3)
    sdl.SDL_JoystickDetachVirtual(virtual.index)
