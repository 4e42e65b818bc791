"""Ray clusters of several nodes on this machine."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import ROOT

# The head asks more often than by default whether a node is alive.
SETTINGS = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200,
            "health_check_timeout_ms": 1000, "health_check_failure_threshold": 5}  # fmt: skip


@contextmanager
def cluster_of(nodes: int) -> Iterator[Any]:
    """A cluster of nodes with a CPU each.

    They have what tests share, but neither this package nor compiled kernels, for which they have
    the folder `cluster.kernels`.
    """
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="racing-env-kernels-") as kernels:
        cluster = Cluster()
        cluster.kernels = Path(kernels)
        try:
            add_node(cluster, include_dashboard=False, _system_config=SETTINGS)
            for _ in range(nodes - 1):
                add_node(cluster)
            yield cluster
        finally:
            cluster.shutdown()


def add_node(cluster: Any, **more: Any) -> Any:
    """One node more; the first is the head."""
    has = {"PYTHONPATH": str(ROOT / "tests"), "RAY_USAGE_STATS_ENABLED": "0",
           "NUMBA_CACHE_DIR": str(cluster.kernels)}  # fmt: skip
    return cluster.add_node(num_cpus=1, object_store_memory=80_000_000, env_vars=has, **more)


def kill(node: Any) -> None:
    """As if its machine lost power."""
    node.kill_all_processes(check_alive=False, allow_graceful=False)


def sent_to(cluster: Any) -> str:
    """The folder in which the cluster keeps what is sent to it."""
    return str(cluster.head_node.get_session_dir_path())
