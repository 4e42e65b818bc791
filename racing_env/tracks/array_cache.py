"""Arrays that take long to make, kept on disk by a key of all that decides them."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from racing_env.common.files import replaced_atomically, user_cache

Arrays = dict[str, np.ndarray]


def cached_arrays(
    key: str,
    make: Callable[[], Arrays],
    usable: Callable[[Arrays], bool],
    cache_dir: str | Path | None = None,
) -> Arrays:
    """What `make` gives, float64 arrays by name, from the cache where it has them.

    usable: whether finite arrays from a file are such as `make` gives. Any number of processes may
    share a cache. A damaged file is replaced; where none can be written, a warning says so and the
    work goes on without.
    """
    folder = Path(cache_dir) if cache_dir is not None else user_cache()
    path = folder / f"{key}.npz"
    arrays = _load(path)
    if arrays is None or not usable(arrays):
        arrays = make()
        try:
            with replaced_atomically(path) as temporary:
                np.savez(temporary, **arrays)  # type: ignore[arg-type]
        except OSError as error:
            warnings.warn(
                f"circuits are not cached in {folder}: {error.strerror or error}; "
                "set RACING_ENV_CACHE to a folder that can be written",
                RuntimeWarning,
                stacklevel=3,
            )
    return arrays


def _load(path: Path) -> Arrays | None:
    """The arrays of a file, or None where it is absent, damaged, or has others than float64."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception:  # a damaged archive raises anything, down to tokenize.TokenError
        return None
    sound = all(a.dtype == np.float64 and np.isfinite(a).all() for a in arrays.values())
    return arrays if sound else None
