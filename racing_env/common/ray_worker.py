"""What a process of a cluster's node does: jobs, for a pool that is elsewhere."""

import fcntl
import os
import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from racing_env.common.files import user_cache
from racing_env.common.kernel_cache import add_kernels
from racing_env.common.sharing import sendable

# What has to be of one version everywhere, or results would not be the same.
LIBRARIES = ("numpy", "scipy", "numba", "piqp")


def versions() -> dict[str, str]:
    """Of the libraries that decide results."""
    return {name: metadata.version(name) for name in LIBRARIES}


class Worker:
    """A process of a node: an actor of Ray's."""

    def __init__(self) -> None:
        self.pool = ""  # whose initializer has run last
        self.known: set[str] = set()  # pools of which it has done a job
        # Before numba is loaded: kernels outlive Ray's copy of this package.
        os.environ.setdefault("NUMBA_CACHE_DIR", str(user_cache() / "kernels"))

    def node(self) -> str:
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def do(self, pool: str, setup: Sequence[Any], data: bytes) -> bytes:
        """What a job's function returns, or the exception, pickled.

        Jobs and answers are pickled as between processes of one machine: arrays that Ray itself
        brings cannot be written to.
        """
        try:
            if self.pool == pool:
                return pickle.dumps((_called(data), None))
            with nullcontext() if pool in self.known else first_on_this_node(pool):
                self.pool = ""
                _begin(setup)
                result = _called(data)
            self.pool = pool
            self.known.add(pool)
            return pickle.dumps((result, None))
        except Exception as error:
            return _error(error)


def _begin(setup: Sequence[Any]) -> None:
    import ray

    data, memory, kernels, wanted = ray.get(setup[0])
    _refuse_other_versions(wanted)
    with suppress(OSError):  # nowhere to be written to: they are compiled
        add_kernels(kernels)
    initializer, arguments = pickle.loads(data, buffers=memory)
    if initializer is not None:
        initializer(*arguments)


def _called(data: bytes) -> Any:
    function, job = pickle.loads(data)
    return function(job)


def _error(error: Exception) -> bytes:
    """An exception, pickled; one that cannot be is told in words."""
    if isinstance(error, ModuleNotFoundError):
        error = ChildProcessError(
            f"the node {socket.gethostname()} of the cluster lacks the package {error.name}; "
            "install requirements.txt there"
        )
    return pickle.dumps((None, sendable(error)))


def _refuse_other_versions(wanted: Mapping[str, str]) -> None:
    for name, version in wanted.items():
        here = metadata.version(name)
        if here != version:
            raise ChildProcessError(
                f"the node {socket.gethostname()} of the cluster has {name} {here}, this machine "
                f"{version}: results would differ; install the same requirements.txt on both"
            )


@contextmanager
def first_on_this_node(pool: str) -> Iterator[None]:
    """Let the first process of a node do the block alone, the others then at once.

    The first job compiles kernels that did not come with the pool, as on another kind of processor;
    the others then find them in the cache. Compiling at once they would spoil it for each other.
    """
    with _opened(user_cache() / "cluster.lock") as file:
        if file is None:
            yield  # nowhere to be written to, so there is no cache to spoil either
            return
        fcntl.flock(file, fcntl.LOCK_EX)  # is freed by the system at any end
        file.seek(0)
        if file.read() == pool:
            fcntl.flock(file, fcntl.LOCK_UN)
            yield
            return
        yield
        file.seek(0)
        file.truncate()
        file.write(pool)
        file.flush()


@contextmanager
def _opened(path: Path) -> Iterator[TextIO | None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError:
        yield None
        return
    with file:
        yield file
