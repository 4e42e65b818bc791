"""For all tests: signals as they are in a terminal, no deadlines, caches that nobody shares."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A shell starts what is in its background with SIGINT ignored, and every child inherits it: the
# tests that interrupt a script would wait for ever. A handler here means the default there.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example of a kernel compiles it.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# Files that take the longest come first: else one process would be at one when the others are done.
LONGEST = ("test_faults.py", "test_train_rl.py", "test_report.py", "test_cluster_scripts.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


# Tests that run side by side, and the programs that they start, would spoil each other's cache of
# compiled kernels. Numba reads this when it is imported; the folder goes with the process, and
# begins as a copy of what `tests/kernels.py` compiled for all of them.
if "PYTEST_XDIST_WORKER" in os.environ:
    kernels = tempfile.TemporaryDirectory(prefix="racing-env-kernels-")
    os.environ["NUMBA_CACHE_DIR"] = kernels.name
    for compiled in Path(os.environ.get("RACING_ENV_TEST_KERNELS", kernels.name)).iterdir():
        shutil.copytree(compiled, kernels.name, dirs_exist_ok=True)

    def pytest_collection_finish() -> None:
        """One server forks the workers of all tests here: what it has loaded none has to load."""
        from racing_env.common.workers import worker_context

        worker_context(
            "racing_env.laps.chunks",
            "racing_env.learning.batches",
            "racing_env.learning.car_vec_env",
            "racing_env.learning.car_worker",
        )
