"""Worker processes: how they are started, and work that is shared out to them."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain, repeat
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple, Protocol, TypeVar

import psutil

from racing_env.common.sharing import Mapped, sendable

# Workers start from a clean server process that has the compiled simulator loaded, and not the
# parent's threads: they start at once, and share its memory.
START_METHOD = "forkserver"
HOME_OF_PACKAGE = Path(__file__).resolve().parents[2]
END_S = 10.0  # for which a process that was told to end is waited for
TERMINATE_S = 1.0  # for which a Pool is left to end its processes by itself
POLL_S = 0.1  # after which one who waits for a result asks whether a process has died
# Jobs that are under way or done and not fetched yet: enough that no process waits for work while
# one job takes some times as long as the others, few enough that results do not fill the memory.
JOBS_A_WORKER = 4

Job = TypeVar("Job")
Result = TypeVar("Result")


def worker_context(*modules: str) -> Any:
    """How to start workers: the context, and the server that forks them, with modules loaded in it.

    One server serves a whole script: modules that later calls name are then loaded by the workers.
    """
    context = multiprocessing.get_context(START_METHOD)
    context.set_forkserver_preload([*modules, "racing_env.common.worker_server"])
    # Ctrl-C is the parent's to handle. The server and its workers inherit that they never see it:
    # in the middle of their imports it would have them print a traceback each.
    resource_tracker.ensure_running()  # would be started by the next, and end the mask
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # The server looks for modules first in the folder that it starts in, its workers where this
    # process does: it is not to load another package of this name, from there or an installed one.
    folder = os.getcwd()
    os.chdir(HOME_OF_PACKAGE)
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(folder)
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


class Pool(Protocol):
    """Workers within a `with` block; see `LocalPool`."""

    def __enter__(self) -> "Pool": ...

    def __exit__(self, *_: object) -> None: ...

    def imap(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], wait: bool = True
    ) -> Iterator[Any]: ...


class Workers(Protocol):
    """Where work can be shared out to: this machine's processes, or a cluster's."""

    @property
    def number(self) -> int:
        """How many jobs are done at a time."""

    def pool(
        self,
        initializer: Callable[..., None] | None = None,
        arguments: Sequence[Any] = (),
        at_most: int | None = None,
    ) -> Pool:
        """Workers, at most so many, that keep what `initializer(*arguments)` gave them.

        Read-only arrays among the arguments are mapped, not copied.
        """


class LocalWorkers(NamedTuple):
    """So many processes of this machine."""

    number: int

    def pool(
        self,
        initializer: Callable[..., None] | None = None,
        arguments: Sequence[Any] = (),
        at_most: int | None = None,
    ) -> "LocalPool":
        """See `Workers.pool`."""
        number = self.number if at_most is None else min(self.number, at_most)
        return LocalPool(number, initializer, arguments)


class LocalPool:
    """Processes of this machine that keep what `initializer(*arguments)` gave them.

    The processes start where the `with` block begins and end with it, whatever happens. The
    initializer runs in each before its first job, and its module is loaded once for all of them
    where no server has been started with others. Read-only arrays among the arguments are mapped
    from one file by all processes.
    """

    def __init__(
        self,
        workers: int,
        initializer: Callable[..., None] | None = None,
        arguments: Sequence[Any] = (),
    ):
        self._workers, self._initializer, self._arguments = workers, initializer, tuple(arguments)
        self._feed: SimpleQueue[Any] | None = None  # of the jobs under way

    def __enter__(self) -> "LocalPool":
        """Raises ChildProcessError if the server that forks processes has died."""
        worker_context(*([self._initializer.__module__] if self._initializer else []))
        self._crew = _Crew(self._workers)
        self._pool: Any = None
        # Nobody writes to it: it breaks where this process ends, or the block does.
        watched, self._lifeline = self._crew.Pipe(duplex=False)
        try:
            with starting_processes(), closing(Mapped(self._arguments)) as arguments:
                start = (watched, self._initializer, arguments)
                self._pool = self._crew.Pool(self._workers, _start, start)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def imap(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], wait: bool = True
    ) -> Iterator[Any]:
        """function(job) for each job, in the order of the jobs; a few a process are under way.

        Without waiting there is a None wherever the next result is not there yet. The first are
        begun when the first result is asked for, and a next one is taken from `jobs`,
        in the caller's thread, for each result that is fetched. May be called again and again, one
        after the other. What they warn of is said here. Raises what the function and the
        initializer raise, ChildProcessError if a process has died, RuntimeError if an earlier
        call's results are still being fetched.
        """
        if self._feed is not None:
            raise RuntimeError("the results of an earlier imap are still being fetched")
        # A Pool takes all jobs that it can get at once, whoever fetches the results: it is fed.
        feed = self._feed = SimpleQueue()
        fodder = chain(((job,) for job in jobs), repeat(None))
        try:
            for _ in range(JOBS_A_WORKER * self._workers):
                feed.put(next(fodder))
            results = self._pool.imap(partial(_work, function), iter(feed.get, None))
            while True:
                self._crew.check()
                try:
                    result = results.next(POLL_S if wait else 0.0)
                except multiprocessing.TimeoutError:
                    if not wait:
                        yield None
                    continue
                except StopIteration:
                    return
                feed.put(next(fodder))
                answer, said = result
                for words, category in said:
                    warnings.warn(words, category, stacklevel=2)
                yield answer
        finally:
            feed.put(None)
            self._feed = None

    def _end(self) -> None:
        """End the processes, and what the Pool has of threads.

        The processes of a Pool share locks. One that was killed while it held a lock has a Pool's
        own end wait for ever, so that is not waited for; the thread that does is left behind.
        """
        if self._feed is not None:
            self._feed.put(None)  # a thread of the Pool waits for it
        try:
            if self._pool is not None:
                terminating = Thread(target=self._pool.terminate, daemon=True)
                terminating.start()
                terminating.join(0.0 if self._crew.broken else TERMINATE_S)
        finally:
            self._lifeline.close()
            for process in self._crew.members:
                if process.pid is not None:  # else it could not be started
                    _end(process)


class _Crew(ForkServerContext):
    """The context of a Pool that starts as many processes as it was asked for, and no more.

    A Pool starts another process, without a word, in place of one that has died; the job of the
    latter never gets an answer.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.members: list[Any] = []
        self.broken = False  # one has died

    def Process(self, **kwargs: Any) -> Any:  # type: ignore[override]  # noqa: N802
        """A process that is to be started."""
        if len(self.members) == self.size:
            self.broken = True
            Event().wait()  # for ever: this is the Pool's thread that replaces processes
        name = f"worker-{len(self.members)}"
        self.members.append(ForkServerContext.Process(name=name, **kwargs))
        return self.members[-1]

    def check(self) -> None:
        """Raise ChildProcessError that names the process that has died, if one has."""
        if self.broken:  # before that the exit codes are the Pool's to read: they come only once
            raise _death(next(p for p in self.members if p.exitcode is not None))


def _death(process: Any) -> ChildProcessError:
    reasons = {
        -signal.SIGKILL: " (killed; was memory short?)",
        255: " (or the process that starts workers has died)",  # the code that is read then
    }
    return ChildProcessError(
        f"worker process {process.name} has died, exit code {process.exitcode}"
        + reasons.get(process.exitcode, "")
    )


def _end(process: Any) -> None:
    """Wait for a process that was told to end; one that does not is killed, so that no one waits
    for ever.
    """
    process.join(timeout=END_S)
    if process.is_alive():
        process.kill()
        process.join(timeout=END_S)


class _WorkerState:
    """What a process of a LocalPool has; set when it starts."""

    initializer: Callable[..., None] | None
    arguments: tuple[Any, ...]


_worker = _WorkerState()


def _start(
    lifeline: Connection, initializer: Callable[..., None] | None, arguments: tuple[Any, ...]
) -> None:
    # Whatever it does or waits for, such as a lock that a process held which was killed.
    Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    _worker.initializer, _worker.arguments = initializer, arguments


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


def _work(
    function: Callable[[Job], Result], boxed_job: tuple[Job]
) -> tuple[Result, list[tuple[str, type[Warning]]]]:
    """What a process does for a job: its result, and what it warns of, for the parent to say."""
    try:
        with warnings.catch_warnings(record=True) as said:
            if _worker.initializer is not None:
                # not before: a parent that was stopped at this process's start has removed what the
                # initializer needs
                _worker.initializer(*_worker.arguments)
                _worker.initializer = None
            result = function(*boxed_job)
        return result, [(str(each.message), each.category) for each in said]
    except Exception as error:
        sent = sendable(error)  # of one that cannot be read a Pool would never hear again
        if sent is error:
            raise
        raise sent from error
