"""From what `--track` names to circuits that are ready to drive, in parallel."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import Pool
from typing import Any

from racing_env.circuit import Circuit, prepare_circuit
from racing_env.track import Track
from racing_env.track_sources import track_makers
from racing_env.vehicle import RACECAR, Vehicle

# Workers start from a clean server process that has the compiled simulator loaded and neither
# torch nor the parent's threads: they start at once, and share its memory.
START_METHOD = "forkserver"


def load_circuits(
    specs: Sequence[str], workers: int = 1, vehicle: Vehicle = RACECAR
) -> list[Circuit]:
    """Circuits named by `specs` (see `load_tracks`), with line and profile, in order.

    Raises InputError for a spec that names none.
    """
    jobs = [(make, vehicle) for make in track_makers(specs, vehicle)]
    if workers <= 1 or len(jobs) == 1:
        return [_prepare(job) for job in jobs]
    with worker_pool(min(workers, len(jobs))) as pool:
        return list(pool.imap(_prepare, jobs))


def _prepare(job: tuple[Callable[[], Track], Vehicle]) -> Circuit:
    make, vehicle = job
    return prepare_circuit(make(), vehicle)


@contextmanager
def worker_pool(
    workers: int, initializer: Callable[..., None] | None = None, arguments: Iterable[Any] = ()
) -> Iterator[Pool]:
    """A pool of processes that is ended on leaving, whatever happened inside."""
    context = multiprocessing.get_context(START_METHOD)
    context.set_forkserver_preload(["racing_env.recording"])
    pool = context.Pool(workers, initializer, tuple(arguments))
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.terminate()
        raise
    finally:
        pool.join()
