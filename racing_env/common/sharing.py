"""Values for other processes, of which arrays that nobody writes to are not copied."""

import mmap
import os
import pickle
import tempfile
from multiprocessing import reduction
from typing import Any

ALIGNED_BYTES = 64  # a cache line; kernels are compiled for arrays that are aligned


def pickle_apart(value: Any) -> tuple[bytes, list[memoryview]]:
    """A value pickled, and apart from it the memory of its read-only arrays.

    Read back by `pickle.loads(data, buffers=memory)`, from wherever the memory was mapped to. An
    array can be written to, or not, as before.
    """
    apart: list[memoryview] = []

    def is_copied(buffer: pickle.PickleBuffer) -> bool:
        memory = buffer.raw()
        if memory.readonly:
            apart.append(memory)
        return not memory.readonly

    return pickle.dumps(value, protocol=5, buffer_callback=is_copied), apart


def sendable(error: Exception) -> Exception:
    """An exception, or one that says the same where it could not be read in another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class Mapped:
    """A value for processes that are about to be started: each gets the value itself, its read-only
    arrays mapped from one file, which has no name and goes with the last process.
    """

    def __init__(self, value: Any):
        """Raises OSError if the disk of temporary files is full."""
        self._data, memory = pickle_apart(value)
        self._places = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        for part in memory:
            start = -(-self._file.tell() // ALIGNED_BYTES) * ALIGNED_BYTES
            self._file.seek(start)
            self._file.write(part)
            self._places.append((start, start + part.nbytes))
        self._file.flush()

    def __reduce__(self) -> Any:
        return _mapped, (self._data, self._places, reduction.DupFd(self._file.fileno()))

    def close(self) -> None:
        """The processes have been started."""
        self._file.close()


def _mapped(data: bytes, places: list[tuple[int, int]], handle: Any) -> Any:
    file = handle.detach()
    try:
        if not places:
            return pickle.loads(data)
        memory = memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(file)
    return pickle.loads(data, buffers=[memory[start:end] for start, end in places])
