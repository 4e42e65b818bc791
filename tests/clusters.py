"""Ray clusters of several nodes on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from processes import ROOT

from racing_env.car.kernels import cache_folder

# The head asks more often than by default whether a node is alive.
SETTINGS = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200,
            "health_check_timeout_ms": 1000, "health_check_failure_threshold": 5}  # fmt: skip


@contextmanager
def cluster_of(nodes: int) -> Iterator[Any]:
    """A cluster of nodes with a CPU each. They find what tests share, not this package; kernels are
    those of this process.
    """
    from ray.cluster_utils import Cluster

    here = {"PYTHONPATH": str(ROOT / "tests"), "RAY_USAGE_STATS_ENABLED": "0",
            "NUMBA_CACHE_DIR": str(cache_folder().parent)}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in here.items():
            patch.setenv(name, value)
        size = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
        cluster = Cluster(True, head_node_args={**size, "_system_config": SETTINGS})
        try:
            for _ in range(nodes - 1):
                cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
            yield cluster
        finally:
            cluster.shutdown()


def kill(node: Any) -> None:
    """As if its machine lost power."""
    node.kill_all_processes(check_alive=False, allow_graceful=False)


def sent_to(cluster: Any) -> str:
    """The folder in which the cluster keeps what is sent to it."""
    return str(cluster.head_node.get_session_dir_path())
