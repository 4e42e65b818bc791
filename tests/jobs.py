"""What worker processes are given to do."""

import os
import signal
import time

from racing_env.common.errors import InputError


def double(number: int) -> int:
    return 2 * number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def exit_at_three(number: int) -> int:
    if number == 3:
        os._exit(7)
    return number


def refuse(number: int) -> int:
    raise InputError(f"{number}: not wanted")


def wait_but_for_the_first(number: int) -> int:
    if number:
        time.sleep(60.0)
    return number


def fail() -> None:
    raise ValueError("no start")


def ignore_sigterm(number: int) -> int:
    """A worker that does not end when it is told to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if number:
        time.sleep(600.0)
    return number
