"""The process that a script speaks to Ray through.

Ray has threads that end a process without a word when the cluster's head is lost. It writes on the
terminal and takes over signals, too. So it is loaded in a process beside the script's own. Whatever
happens there, the script sees a pipe that breaks.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import racing_env
from racing_env.common.ray_worker import Worker, versions

CHECK_EVERY_S = 2.0  # whether the head still answers, how many CPUs there are
UNANSWERED_MAX = 3  # checks in a row, then the head is lost
ANSWER_S = 5.0
DEATHS_MAX = 4  # of workers at the same job
FAILED_STARTS_MAX = 6  # in a row, of workers
NODE_VARIABLES = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}  # fmt: skip


def serve(pipe: Connection, address: str) -> None:
    """Carry jobs from the pipe to the cluster and answers back, until the pipe breaks.

    Comes: ("pool", name, data, kernels, sizes) and then memory of these sizes;
    ("job", ticket, name, data); ("forget", tickets); ("end", name). Goes: ("ready", CPUs) or
    ("refused", why); ("cpus", CPUs); ("done", ticket, data); ("failed", ticket, why);
    ("lost", why).
    """
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(silent, stream)
    try:
        ray = _connected(address)
    except Exception as error:
        pipe.send(("refused", _one_line(error)))
        return
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray has replaced it
    _Bridge(pipe, ray).run()


def _connected(address: str) -> Any:
    """Ray, connected. Raises whatever Ray does if there is no cluster."""
    try:
        import ray
    except ImportError as error:
        raise ImportError(f"{error}; pip install -r requirements-cluster.txt") from None
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), ANSWER_S).close()  # Ray would try for minutes
    package = str(Path(racing_env.__file__).resolve().parent)
    # Ray would have nodes look for modules in folders of these names first.
    os.chdir("/")
    sys.argv = [""]
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        runtime_env={
            "py_modules": [package],
            "excludes": ["**/__pycache__/"],
            "env_vars": NODE_VARIABLES,
        },
    )
    return ray


class _Job:
    """What is to be done, and how often it was begun by one who died."""

    def __init__(self, ticket: int, pool: str, data: bytes):
        self.ticket, self.pool, self.data = ticket, pool, data
        self.deaths = 0


class _Bridge:
    """Gives jobs to the cluster's workers, one to each that is idle, and hires workers: as many as
    there are CPUs.
    """

    def __init__(self, pipe: Connection, ray: Any):
        self.pipe, self.ray = pipe, ray
        self.outgoing: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        # What Ray's threads have heard, and how they wake the loop: only there may Ray be called.
        self.heard: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.woken, self.wake = Pipe(duplex=False)
        self.pools: dict[str, list[Any]] = {}  # references to what the initializers need
        self.waiting: deque[_Job] = deque()
        self.crew: dict[Any, str] = {}  # workers and their nodes, which have no name at first
        self.idle: deque[Any] = deque()
        self.dead: list[Any] = []
        self.failed_starts = 0  # in a row
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self.head = host, int(port)
        self.unanswered = 0
        self.check_at = 0.0  # by time.monotonic()
        self.cpus = self.count_cpus()

    def count_cpus(self) -> int:
        return int(self.ray.cluster_resources().get("CPU", 0))

    # -------- the loop

    def run(self) -> None:
        # Sending has a thread of its own, so that what comes is always taken: else both could wait.
        threading.Thread(target=self.send_all, daemon=True).start()
        self.send("ready", self.cpus)
        try:
            while True:
                ready = wait([self.pipe, self.woken], max(self.check_at - time.monotonic(), 0.0))
                if self.woken in ready:
                    self.woken.recv_bytes()
                    self.heard.get()()
                if self.pipe in ready:
                    kind, *message = self.pipe.recv()
                    getattr(self, f"on_{kind}")(*message)
                if time.monotonic() > self.check_at:
                    self.check()
                    self.check_at = time.monotonic() + CHECK_EVERY_S
        except (EOFError, ConnectionError):
            os._exit(0)  # the script has ended; the cluster ends what is under way

    def when_done(self, answer: Any, call: Callable[[Any], None]) -> None:
        """Have the loop call with the answer's future."""

        def hear(future: Any) -> None:
            self.heard.put(lambda: call(future))
            self.wake.send_bytes(b"!")

        answer.future().add_done_callback(hear)

    def send(self, *message: Any) -> None:
        self.outgoing.put(message)

    def send_all(self) -> None:
        try:
            while True:
                self.pipe.send(self.outgoing.get())
        except ConnectionError:
            os._exit(0)

    def check(self) -> None:
        """Count CPUs anew, and have a worker for each; or tell that the head or all nodes are lost.

        Calls that the head answers are made nowhere else: without it they last for a minute.
        """
        try:
            socket.create_connection(self.head, ANSWER_S).close()
            cpus, why = self.count_cpus(), "no node with a CPU is left"
        except OSError as error:
            cpus, why = 0, f"its head at {self.head[0]}:{self.head[1]} does not answer ({error})"
        if not cpus:
            self.unanswered += 1
            if self.unanswered == UNANSWERED_MAX:
                self.send("lost", why)
            return
        self.unanswered = 0
        if cpus != self.cpus:
            self.cpus = cpus
            self.send("cpus", cpus)
        while self.dead:
            self.ray.kill(self.dead.pop())  # if the connection alone is lost
        self.hire()

    # -------- from the script

    def on_pool(
        self, name: str, data: bytes, kernels: Mapping[str, bytes], sizes: Sequence[int]
    ) -> None:
        import numpy as np

        memory = [np.frombuffer(self.pipe.recv_bytes(), np.uint8) for _ in sizes]
        # in a list: a worker fetches it once, not for each job
        self.pools[name] = [self.ray.put((data, memory, kernels, versions()))]

    def on_job(self, ticket: int, pool: str, data: bytes) -> None:
        self.waiting.append(_Job(ticket, pool, data))
        self.deal()

    def on_forget(self, tickets: Sequence[int]) -> None:
        """Those that are under way are finished in vain."""
        self.waiting = deque(job for job in self.waiting if job.ticket not in tickets)

    def on_end(self, name: str) -> None:
        del self.pools[name]

    # -------- workers

    def hire(self) -> None:
        """A worker whose CPU others use starts when that is free."""
        kind = self.ray.remote(num_cpus=1)(Worker)
        for _ in range(self.cpus - len(self.crew)):
            worker = kind.remote()
            self.crew[worker] = ""
            self.greet(worker)

    def greet(self, worker: Any) -> None:
        """Have a worker say that it can begin."""
        self.when_done(worker.node.remote(), lambda future: self.greeted(worker, future))

    def greeted(self, worker: Any, future: Any) -> None:
        try:
            self.crew[worker] = future.result()
        except Exception as error:
            self.crew.pop(worker)
            self.failed_starts += 1
            if self.failed_starts == FAILED_STARTS_MAX:
                self.send("lost", f"its workers do not start: {_last_line(error)}")
            return
        self.failed_starts = 0
        self.idle.append(worker)
        self.deal()

    def deal(self) -> None:
        while self.waiting and self.idle:
            job = self.waiting.popleft()
            if job.pool in self.pools:  # else nobody waits for it any more
                self.begin(job, self.idle.popleft())

    def begin(self, job: _Job, worker: Any) -> None:
        answer = worker.do.remote(job.pool, self.pools[job.pool], job.data)
        self.when_done(answer, lambda future: self.finished(job, worker, future))

    def finished(self, job: _Job, worker: Any, future: Any) -> None:
        try:
            self.send("done", job.ticket, future.result())
            self.idle.append(worker)
        except Exception:  # the worker's end: what a job raises is an answer
            self.replace(job, worker)
        self.deal()

    def replace(self, job: _Job, worker: Any) -> None:
        """Have the job of a dead worker done again, and ask the others of its node how they are."""
        node = self.crew.pop(worker)
        self.dead.append(worker)
        for neighbour in [each for each in self.idle if self.crew[each] == node]:
            self.idle.remove(neighbour)
            self.greet(neighbour)
        job.deaths += 1
        if job.deaths < DEATHS_MAX:
            self.waiting.appendleft(job)
        else:
            self.send("failed", job.ticket, f"{job.deaths} workers have died at the same job "
                      "(was memory short?)")  # fmt: skip
        self.check_at = 0.0


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return " ".join(" ".join(lines[:3]).split()) or type(error).__name__


def _last_line(error: BaseException) -> str:
    """Where Ray has the cause."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
