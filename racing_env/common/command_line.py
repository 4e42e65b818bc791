"""What the scripts share: argument types, worker counts, and how they end.

Nothing heavy is imported here, so that `--help` answers at once.
"""

import argparse
import errno
import math
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, TextIO

from tqdm import tqdm

from racing_env.common.errors import FileError, InputError

VEHICLE_HELP = (
    "the car: a shipped one by its name, such as f1tenth, or a file: TOML, TU Munich's "
    "racecar.ini, F1TENTH's or CommonRoad's flat YAML"
)
CLUSTER_HELP = "a Ray cluster whose CPUs do the work: auto or HOST:PORT, see docs/cluster.md"

LEFT_ALONE = (signal.SIG_IGN, None)  # handlers of signals; None: not Python's
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

# What a machine runs out of, whatever the program was about to do with it: no mistake of its own
# gives one of these. Others are the user's only where a file says so (InputError, FileError).
MACHINE_ERRORS = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS,  # disks
    errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN,  # memory, open files, processes
})  # fmt: skip


def run(main: Callable[[], None], resumable: bool = False) -> None:
    """Run a script's main and turn what users can cause into one line and an exit code."""
    interrupted = False

    def interrupt(number: int, frame: Any) -> None:
        nonlocal interrupted
        interrupted = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGTERM, interrupt)  # is met as Ctrl-C is
    if signal.getsignal(signal.SIGINT) not in LEFT_ALONE:
        signal.signal(signal.SIGINT, interrupt)
    threading.excepthook = _thread_failed
    warnings.showwarning = _show_each_once()
    if isinstance(sys.stdout, TextIOWrapper):  # names of files may be anything
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error has it
    try:
        main()
    except MemoryError:
        print("error: memory is short; ask for less", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except BaseException as error:
        if _has_cause_outside(error):
            print(f"error: {error}", file=sys.stderr)
            sys.exit(EXIT_BAD_INPUT)
        # in a library's C code an interrupt may be swallowed, and end as another error
        if not (interrupted or _is_interrupt(error)):
            raise
        way_on = "everything finished is saved, --resume goes on" if resumable else "start again"
        print(f"interrupted; {way_on}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Meet Ctrl-C and SIGTERM at the end of the block instead of within: for imports.

    Raised while an extension module loads, KeyboardInterrupt may be swallowed by its C or C++, or
    end the process there without a word. A signal that the process ignores stays ignored.
    """
    caught = False

    def note(*_: Any) -> None:
        nonlocal caught
        caught = True

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    earlier = {number: handler for number, handler in handlers.items() if handler not in LEFT_ALONE}
    for number in earlier:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt


def _has_cause_outside(error: BaseException | None) -> bool:
    """Whether users or machines cause it: bad input, a file that cannot be written, a worker
    process that died, or a machine that has run out of something; no mistake of the program.
    """
    if isinstance(error, InputError | FileError | ChildProcessError):
        return True
    return isinstance(error, OSError) and error.errno in MACHINE_ERRORS


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether it is, or was caused by, Ctrl-C: in an import it can come out as an ImportError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _show_each_once() -> Callable[..., None]:
    """How a script shows warnings: one line without the place in the source, which says nothing to
    those who run it; the same words once, whatever they are said about again.
    """
    shown = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        words = " ".join(str(message).split())
        if words not in shown:
            shown.add(words)
            print(f"warning: {words}", file=file or sys.stderr)

    return show


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A thread of a library, such as TensorBoard's writer, that meets a full disk: one line."""
    if _has_cause_outside(failure.exc_value):
        print(f"error: {failure.exc_value}", file=sys.stderr)
    else:
        threading.__excepthook__(failure)


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


def seed_int(text: str) -> int:
    """argparse type: a seed that numpy, torch and all libraries between take, 0 to 2**32 - 1."""
    return _int_from(text, 0, 2**32 - 1)


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
    """Cores for this process: CPU affinity, then the container's CPU quota, at least 1.

    A part of a core counts as one, as in scripts/machine.sh.
    """
    from loky import cpu_count

    return cpu_count()


def progress_bar(total: int, done: int, unit: str, show_rate: bool = False) -> "tqdm[None]":
    """A bar on standard error; in a pipe or a log file a line every ten seconds instead. A run may
    have done more than its total, the last rollout of one that is resumed at its end.

    What does not fit into the columns is cut off at the end, where the postfix is.
    """
    state = "{remaining} left" + (", {rate_noinv_fmt}" if show_rate else "") + "{postfix}"
    shape: dict[str, Any]
    if sys.stderr.isatty():
        shape = {"bar_format": "{percentage:.0f}% {bar} " + state, "dynamic_ncols": True}
    else:
        state = "{percentage:.0f}% {n_fmt}/{total_fmt}{unit}, {elapsed} elapsed, " + state
        shape = {"bar_format": state, "mininterval": 10.0, "file": LogLines(sys.stderr)}
    return tqdm(
        total=total, initial=min(done, total), unit=f" {unit}", unit_scale=show_rate, **shape
    )


class LogLines:
    """A stream for a progress bar that has each of its states as a line of its own."""

    def __init__(self, stream: TextIO):
        self.stream, self.last = stream, ""

    def write(self, text: str) -> None:
        line = text.strip()
        if line and line != self.last:
            self.stream.write(f"{line}\n")
            self.last = line

    def flush(self) -> None:
        self.stream.flush()
