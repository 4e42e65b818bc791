"""From what `--track` names to circuits that are ready to drive, in parallel."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import forkserver
from typing import Any, TypeVar

from racing_env.circuit import Circuit, prepare_circuit
from racing_env.track import Track
from racing_env.track_sources import track_makers
from racing_env.vehicle import RACECAR, Vehicle

# Workers start from a clean server process that has the compiled simulator loaded and neither
# torch nor the parent's threads: they start at once, and share its memory.
START_METHOD = "forkserver"
LIVENESS_CHECK_S = 1.0

Job = TypeVar("Job")
Result = TypeVar("Result")


def start_worker_server(*modules: str) -> None:
    """Start the process that all workers are forked from, with further modules loaded in it."""
    context = multiprocessing.get_context(START_METHOD)
    context.set_forkserver_preload(["racing_env.recording", *modules])
    forkserver.ensure_running()


def load_circuits(
    specs: Sequence[str], workers: int = 1, vehicle: Vehicle = RACECAR
) -> list[Circuit]:
    """Circuits named by `specs` (see `load_tracks`), with line and profile, in order.

    Raises InputError for a spec that names none.
    """
    jobs = [(make, vehicle) for make in track_makers(specs, vehicle)]
    if workers <= 1 or len(jobs) == 1:
        return [_prepare(job) for job in jobs]
    first = _prepare(jobs[0])  # compiles what the workers then find in the cache
    return [first, *parallel_map(_prepare, jobs[1:], min(workers, len(jobs) - 1))]


def _prepare(job: tuple[Callable[[], Track], Vehicle]) -> Circuit:
    make, vehicle = job
    return prepare_circuit(make(), vehicle)


def parallel_map(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    initializer: Callable[..., None] | None = None,
    arguments: Sequence[Any] = (),
) -> Iterator[Result]:
    """function(job) for each job, in order, from processes that end with the iterator.

    Raises what the function raises, and ChildProcessError if a process dies: a Pool would start
    another and wait for the lost result for ever.
    """
    context = multiprocessing.get_context(START_METHOD)
    context.set_forkserver_preload(["racing_env.recording"])
    others = multiprocessing.active_children()
    with context.Pool(workers, _start, (initializer, tuple(arguments))) as pool:
        processes = [child for child in multiprocessing.active_children() if child not in others]
        results = pool.imap(function, jobs)
        while True:
            try:
                yield results.next(timeout=LIVENESS_CHECK_S)
            except multiprocessing.TimeoutError:
                _check_alive(processes)
            except StopIteration:
                return


def _start(initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if initializer is not None:
        initializer(*arguments)


def _check_alive(processes: Sequence[Any]) -> None:
    for process in processes:
        if not process.is_alive():
            raise ChildProcessError(
                f"worker process {process.name} has died, exit code {process.exitcode}"
                + (" (killed; was memory short?)" if process.exitcode == -signal.SIGKILL else "")
            )
