"""Worker processes: how they are started, and work that is shared out to them."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import psutil

# Workers start from a clean server process that has the compiled simulator loaded, and not the
# parent's threads: they start at once, and share its memory.
START_METHOD = "forkserver"
END_S = 10.0  # for which a process that was told to end is waited for

Job = TypeVar("Job")
Result = TypeVar("Result")


def worker_context(*modules: str) -> Any:
    """How to start workers: the context, and the server that forks them, with modules loaded in it.

    One server serves a whole script: modules that later calls name are then loaded by the workers.
    """
    context = multiprocessing.get_context(START_METHOD)
    context.set_forkserver_preload(list(modules))
    # Ctrl-C is the parent's to handle. The server and its workers inherit that they never see it:
    # in the middle of their imports it would have them print a traceback each.
    resource_tracker.ensure_running()  # would be started by the next, and end the mask
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
    return context


@contextmanager
def starting_processes() -> Iterator[None]:
    """Have the block, in which processes are started, raise ChildProcessError if the server that
    forks them has died meanwhile.
    """
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise ChildProcessError(
            f"the process that starts workers has died ({error or type(error).__name__})"
        ) from None


def descendants_cpu_s() -> float:
    """CPU time (s) that the living descendants of this process have used: its workers' work."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # ended since it was listed
        total += times.user + times.system
    return total


def parallel_map(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    initializer: Callable[..., None] | None = None,
    arguments: Sequence[Any] = (),
) -> Iterator[Result]:
    """function(job) for each job, in order, from processes that end with the iterator.

    Raises what the function raises, and ChildProcessError if a process dies. Each process has a
    pipe of its own: those of a Pool share locks, and one that is killed while it holds a lock lets
    the others, and the Pool's end, wait for ever. The function's module is loaded once for
    all of them, where no server has been started with others.
    """
    context = worker_context(function.__module__)
    team: dict[Connection, Any] = {}
    try:
        for i in range(min(workers, len(jobs))):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, function, initializer, tuple(arguments)),
                name=f"worker-{i}", daemon=True,
            )  # fmt: skip
            team[ours] = process
            with starting_processes():
                process.start()
            theirs.close()
        yield from _answers(team, jobs)
    finally:
        for pipe, process in team.items():
            pipe.close()
            if process.pid is not None:  # else Ctrl-C came before its start
                process.terminate()
        for process in team.values():
            if process.pid is not None:
                _end(process)


def _end(process: Any) -> None:
    """Wait for a process that was told to end; one that does not is killed, so that no one waits
    for ever.
    """
    process.join(timeout=END_S)
    if process.is_alive():
        process.kill()
        process.join(timeout=END_S)


def _answers(team: Mapping[Connection, Any], jobs: Sequence[Any]) -> Iterator[Any]:
    """Give the jobs to the processes and put their answers into order."""
    numbered = iter(enumerate(jobs))
    ready: dict[int, Any] = {}
    wanted = 0

    def give(pipe: Connection) -> None:
        if (job := next(numbered, None)) is not None:
            pipe.send(job)

    pipe: Any = None
    try:
        for pipe in (*team, *team):  # a second job waits in the pipe while the first is done
            give(pipe)
        while wanted < len(jobs):
            for pipe in wait(list(team)):
                number, ready[number], error = pipe.recv()
                if error is not None:
                    raise error
                give(pipe)
            while wanted in ready:
                yield ready.pop(wanted)
                wanted += 1
    except (EOFError, ConnectionError):
        raise _death(team[pipe]) from None


def _work(
    pipe: Connection,
    function: Callable[[Any], Any],
    initializer: Callable[..., None] | None,
    arguments: tuple[Any, ...],
) -> None:
    """What a process does: jobs, until the pipe breaks."""
    started = initializer is None
    while True:
        try:
            number, job = pipe.recv()
        except (EOFError, ConnectionError):
            return
        if initializer is not None and not started:
            initializer(*arguments)  # not before: a parent that was stopped at this process's start
            started = True  # has removed what the initializer needs
        answer: tuple[int, Any, Exception | None]
        try:
            answer = number, function(job), None
        except Exception as error:  # the parent raises it
            answer = number, None, error
        try:
            pipe.send(answer)
        except ConnectionError:
            return


def _death(process: Any) -> ChildProcessError:
    process.join(timeout=5.0)
    return ChildProcessError(
        f"worker process {process.name} has died, exit code {process.exitcode}"
        + (" (killed; was memory short?)" if process.exitcode == -signal.SIGKILL else "")
    )
