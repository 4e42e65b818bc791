"""What the scripts share: argument types, worker counts, and how they end.

Nothing heavy is imported here, so that `--help` answers at once.
"""

import argparse
import math
import os
import signal
import sys
from collections.abc import Callable

from tqdm import tqdm

from racing_env.errors import InputError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def run(main: Callable[[], None]) -> None:
    """Run a script's main and turn what users can cause into one line and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # is met as Ctrl-C is
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted; everything finished is saved, --resume goes on", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except MemoryError:
        print("error: memory is short; ask for less", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def positive_int(text: str) -> int:
    """argparse type: an integer of at least 1."""
    return _int_from(text, 1)


def size_int(text: str) -> int:
    """argparse type: how many of what takes memory, 1 to a million."""
    return _int_from(text, 1, 10**6)


def worker_int(text: str) -> int:
    """argparse type: how many processes, 1 to 1000."""
    return _int_from(text, 1, 1000)


def processes_int(text: str) -> int:
    """argparse type: how many processes, 0 to 1000."""
    return _int_from(text, 0, 1000)


def count_int(text: str) -> int:
    """argparse type: an integer of at least 0."""
    return _int_from(text, 0)


def positive_float(text: str) -> float:
    """argparse type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _int_from(text: str, least: int, most: int = 10**12) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not an integer of at least {least} and at most {most}"
        )
    return value


def available_cores() -> int:
    """Cores that this process may run on (CPU affinity counted in)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def progress_bar(total: int, done: int, unit: str) -> "tqdm[None]":
    """A bar on standard error; in a log file, where each state is a line, one every ten seconds."""
    quiet = not sys.stderr.isatty()
    return tqdm(
        total=total, initial=done, unit=unit, mininterval=10.0 if quiet else 0.1, ascii=quiet
    )
