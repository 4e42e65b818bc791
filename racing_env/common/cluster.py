"""Work on the nodes of a Ray cluster, by the interface that processes of one machine have.

    python -m racing_env.common.cluster ADDRESS

prints how many CPUs it has. Nothing of Ray is loaded here: see `racing_env.common.ray_bridge`.
"""

import itertools
import pickle
import re
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from racing_env.common import command_line as cli
from racing_env.common.errors import InputError, shown
from racing_env.common.kernel_cache import compiled_kernels
from racing_env.common.ray_bridge import serve
from racing_env.common.sharing import pickle_apart
from racing_env.common.workers import (
    Job,
    LocalWorkers,
    Result,
    Workers,
    starting_processes,
    worker_context,
)

CONNECT_S = 60.0  # after which a cluster that says nothing is none
JOBS_A_CPU = 4  # under way: one is done, others wait for the CPU, or for an earlier one's result


def open_workers(cluster: str | None, count: int) -> Workers:
    """Where a script's work is done: on a cluster, or in so many processes of this machine.

    cluster: its address, `auto` or HOST:PORT. Raises InputError if there is no cluster.
    """
    return LocalWorkers(count) if cluster is None else Cluster(cluster)


class Cluster:
    """A Ray cluster. All its CPUs work, those of nodes that come later, too."""

    def __init__(self, address: str):
        """Raises InputError for an address at which there is no cluster."""
        if address != "auto" and not re.fullmatch(r"[\w.-]+:\d{1,5}", address, re.ASCII):
            raise InputError(f"--cluster {shown(address)}: is neither auto nor HOST:PORT")
        self.address = address
        context = worker_context()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, address), daemon=True)
        with starting_processes():
            self._process.start()
        theirs.close()
        self._answers: dict[int, tuple[str, Any]] = {}
        self._wanted: set[int] = set()
        self._tickets = itertools.count()
        self._lost = ""
        if not self._pipe.poll(CONNECT_S):
            raise InputError(f"--cluster {address}: no answer within {CONNECT_S:.0f} s")
        kind, said = self._receive()
        if kind == "refused":
            raise InputError(f"--cluster {address}: {said}")
        self.number: int = said
        """CPUs that the cluster has now."""
        if not self.number:
            raise InputError(f"--cluster {address}: its nodes lend no CPU; start one that does")

    def pool(
        self,
        initializer: Callable[..., None] | None = None,
        arguments: Sequence[Any] = (),
        at_most: int | None = None,
    ) -> "ClusterPool":
        """See `Workers.pool`; `at_most` saves starting processes, of which none is started here."""
        return ClusterPool(self, initializer, arguments)

    def begin_pool(self, initializer: Callable[..., None] | None, arguments: Sequence[Any]) -> str:
        """Bring what a pool's workers are to keep to the cluster, once; the pool's name."""
        name = secrets.token_hex(8)
        data, memory = pickle_apart((initializer, tuple(arguments)))
        sizes = [part.nbytes for part in memory]
        self._send("pool", name, data, compiled_kernels(), sizes)
        for part in memory:
            self._pipe.send_bytes(part)
        return name

    def end_pool(self, name: str) -> None:
        self._tell("end", name)

    def submit(self, pool: str, function: Callable[[Job], Any], job: Job) -> int:
        """Have function(job) done; the ticket for its result."""
        ticket = next(self._tickets)
        self._wanted.add(ticket)
        self._send("job", ticket, pool, pickle.dumps((function, job)))
        return ticket

    def result(self, ticket: int) -> Any:
        """What a job has returned, when it is there. Raises what it has raised, and
        ChildProcessError where the cluster cannot do it.
        """
        while ticket not in self._answers:
            self._take(*self._receive())
        self._wanted.discard(ticket)
        kind, said = self._answers.pop(ticket)
        if kind == "failed":
            raise ChildProcessError(f"the cluster {self.address}: {said}")
        result, error = pickle.loads(said)
        if error is not None:
            raise error
        return result

    def is_done(self, ticket: int) -> bool:
        """Whether `result` would not wait."""
        while ticket not in self._answers and self._pipe.poll():
            self._take(*self._receive())
        return ticket in self._answers

    def forget(self, tickets: Sequence[int]) -> None:
        """Have jobs not done whose results nobody waits for."""
        self._wanted.difference_update(tickets)
        for ticket in tickets:
            self._answers.pop(ticket, None)
        self._tell("forget", tickets)

    def _take(self, kind: str, *said: Any) -> None:
        if kind == "lost":
            self._lost = said[0]
            raise self._broken()
        if kind == "cpus":
            self.number = said[0]
        elif said[0] in self._wanted:
            self._answers[said[0]] = kind, said[1]

    def _send(self, *message: Any) -> None:
        if self._lost:
            raise self._broken()
        try:
            self._pipe.send(message)
        except ConnectionError:
            raise self._broken() from None

    def _tell(self, *message: Any) -> None:
        """Send what is no longer of importance where the cluster is lost."""
        with suppress(ConnectionError):
            self._pipe.send(message)

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionError):
            raise self._broken() from None

    def _broken(self) -> ChildProcessError:
        why = self._lost or "the connection has ended; does its head still run?"
        return ChildProcessError(f"the cluster {self.address}: {why}")


class ClusterPool:
    """Workers of a cluster that keep what `initializer(*arguments)` gave them.

    A worker that starts a first job runs the initializer before. Read-only arrays among the
    arguments are brought to a node once and mapped by all its workers. The jobs of a worker or node
    that dies are done again by others.
    """

    def __init__(
        self,
        cluster: Cluster,
        initializer: Callable[..., None] | None = None,
        arguments: Sequence[Any] = (),
    ):
        self._cluster, self._initializer, self._arguments = cluster, initializer, arguments

    def __enter__(self) -> "ClusterPool":
        self._name = self._cluster.begin_pool(self._initializer, self._arguments)
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.end_pool(self._name)

    def imap(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], wait: bool = True
    ) -> Iterator[Any]:
        """function(job) for each job, in the order of the jobs; see `LocalPool.imap`."""
        cluster, rest = self._cluster, iter(jobs)
        tickets: deque[int] = deque()
        try:
            while True:
                room = JOBS_A_CPU * cluster.number - len(tickets)  # less than 0 after a lost node
                for job in itertools.islice(rest, max(room, 0)):
                    tickets.append(cluster.submit(self._name, function, job))
                if not tickets:
                    return
                while not (wait or cluster.is_done(tickets[0])):
                    yield None
                result = cluster.result(tickets[0])
                tickets.popleft()
                yield result
        finally:
            cluster.forget(tuple(tickets))


def main() -> None:
    print(Cluster(sys.argv[1]).number)


if __name__ == "__main__":
    cli.run(main)
