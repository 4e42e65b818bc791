"""pygame-ce, which only drawing needs; where it is missing, one line says how to get it."""

import os

from racing_env.common.errors import InputError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
try:
    import pygame
    from pygame._sdl2 import controller  # gamepads whose axes have names; documented, no other way
except ImportError as error:
    raise InputError(
        "rendering needs pygame-ce; install it with: pip install -r requirements-render.txt"
    ) from error

__all__ = ["controller", "pygame"]
