"""What worker processes are given to do."""

import gc
import os
import signal
import time
import warnings
from collections.abc import Sequence

import numpy as np

from racing_env.common.errors import InputError

greetings: list[str] = []


def double(number: int) -> int:
    return 2 * number


def warn_of(words: str) -> str:
    warnings.warn(words, RuntimeWarning, stacklevel=1)
    return words


def pid(_: object) -> int:
    return os.getpid()


def kib(size: int) -> bytes:
    return bytes(1024 * size)


def greet(words: str) -> None:
    greetings.append(words)


def greeting(_: object) -> tuple[int, str, int]:
    """The process, how it was greeted, and how often."""
    time.sleep(0.01)
    return os.getpid(), greetings[-1], len(greetings)


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_with_three(numbers: Sequence[int]) -> tuple[list[int], float]:
    if 3 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return [], 0.0


def exit_at_three(number: int) -> int:
    if number == 3:
        os._exit(7)
    return number


def refuse(number: int) -> int:
    raise InputError(f"{number}: not wanted")


class PickyError(Exception):
    """Arrives as one argument where two are needed."""

    def __init__(self, one: int, other: int):
        super().__init__(f"{one} and {other}")


def raise_what_cannot_be_sent(_: object) -> None:
    raise PickyError(1, 2)


def wait_but_for_the_first(number: int) -> int:
    if number:
        time.sleep(60.0)
    return number


def wait_for_the_others(folder_and_number: tuple[str, int]) -> int:
    """Done when two jobs have left a file each in the folder."""
    folder, number = folder_and_number
    with open(os.path.join(folder, str(number)), "w"):
        pass
    while len(os.listdir(folder)) < 2:
        time.sleep(0.001)
    return number


def fail() -> None:
    raise ValueError("no start")


def ignore_sigterm(number: int) -> int:
    """A worker that does not end when it is told to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if number:
        time.sleep(600.0)
    return number


def steer_nowhere(simulator: object) -> np.ndarray:
    """A driver's actions that are no numbers."""
    return np.full((simulator.n, 2), np.nan)


def kept(*values: object) -> None:
    """An initializer."""
    _kept[:] = values


_kept: list[object] = []


def what_is_kept(number: int) -> tuple[object, ...]:
    return number, *_kept


def place(_: int) -> dict[str, object]:
    """Where a job is done, a moment long."""
    import ray

    import racing_env

    time.sleep(0.3)
    return {
        "node": ray.get_runtime_context().get_node_id(),
        "package": racing_env.__file__,
        "process": os.getpid(),
        "threads": [os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "MKL", "NUMBA")],
    }


def die_the_first_time(job: tuple[int, str]) -> int:
    """Dies in the first process that does it."""
    number, path = job
    if number == 1:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return number
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def double_slowly(number: int) -> int:
    time.sleep(0.3)
    return 2 * number


def unwatched_objects(_: object) -> int:
    """How many the garbage collector leaves out."""
    return gc.get_freeze_count()
