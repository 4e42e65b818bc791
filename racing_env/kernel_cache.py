"""Compiled kernels on disk: dropped when any source that they were inlined from is newer.

Numba keeps a compiled function as long as the function's own file is unchanged. The simulator's
kernels contain code of several modules, so that after an update of one of them the others would go
on with its old code.
"""

import contextlib
from pathlib import Path

KERNEL_SOURCES = (
    "circuit_bank.py", "dynamics.py", "expert.py", "gradients.py", "observation.py", "simulator.py",
    "speed_profile.py", "vehicle.py",
)  # fmt: skip


def drop_stale_kernels(package: Path) -> None:
    """Delete the indices of cached kernels in `package`/__pycache__ that are older than a source.

    With NUMBA_CACHE_DIR the cache is elsewhere and the user's own to clear.
    """
    newest = max((package / name).stat().st_mtime for name in KERNEL_SOURCES)
    for index in (package / "__pycache__").glob("*.nbi"):
        # another process may have been quicker, or the folder is read-only: then numba itself
        # neither finds nor writes anything there
        with contextlib.suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()
