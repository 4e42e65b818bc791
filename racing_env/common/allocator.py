"""The C library's allocator: whether a process keeps the memory that it frees."""

import ctypes
from contextlib import suppress

# of mallopt, in glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 2**31 - 1
BLOCK_BYTES = 2**25  # the most that glibc lets come from the kept memory


def keep_freed_memory() -> None:
    """Have this process use its freed memory again, where its C library is glibc.

    Otherwise the kernel takes it back after each update and clears it page by page for the next:
    an eighth of the time of PPO's updates.
    """
    with suppress(AttributeError, OSError):  # another system's library
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def return_freed_memory() -> None:
    """Give the system what this process has freed, once: after the last large thing of a set-up."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
