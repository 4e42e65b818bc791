"""Laps on many circuits, shared out to processes by chunks of the circuits, a job each.

The chunks are the same for any number of processes: a policy's sums may be rounded differently in
a batch of another size.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from racing_env.car.conditions import Conditions
from racing_env.common.workers import Workers
from racing_env.data.recording import Stint, compile_kernels
from racing_env.laps.evaluation import Driver, LapResult, drive_bank, expert_paces
from racing_env.simulation.task import demonstration_task
from racing_env.tracks.bank import CircuitBank, pack_circuits, part_of
from racing_env.tracks.circuit import Circuit

# In jobs of 40 circuits, laps on 160 take 1.3 times the processor time of one batch; of 20, 1.9.
LAP_CHUNK = 40
PACE_CHUNK = 5  # circuits, each with a car for every pace

# Does jobs in order: `imap` of an open pool whose processes have `set_circuits`, or this process's
# `map` if itself has.
Imap = Callable[..., Iterator[Any]]


class _WorkerState:
    """The circuits that a process drives on."""

    circuits: CircuitBank
    tracks: Sequence[str]


_worker = _WorkerState()


def set_circuits(circuits: CircuitBank, tracks: Sequence[str]) -> None:
    """Have this process drive on these circuits, of these names."""
    _worker.circuits, _worker.tracks = circuits, tracks


@contextmanager
def circuits_set(
    circuits: Sequence[Circuit], layouts: Iterable[str], workers: Workers, chunk: int = LAP_CHUNK
) -> Iterator[Imap]:
    """What does jobs on these circuits within the block: `workers`, or this process where one chunk
    holds all the circuits.

    layouts: by which the drivers see.
    """
    bank, tracks = pack_circuits(circuits), [circuit.track.name for circuit in circuits]
    jobs = len(chunks_of(len(circuits), chunk))
    if min(workers.number, jobs) > 1:
        for layout in layouts:
            compile_kernels(Stint(bank, tracks, demonstration_task(bank.vehicle, layout)))
        with workers.pool(set_circuits, (bank, tracks), at_most=jobs) as pool:
            yield pool.imap
    else:
        set_circuits(bank, tracks)
        yield map


def drive_chunks(imap: Imap, circuits: int, driver: Driver, **options: Any) -> list[LapResult]:
    """`drive_bank` on so many circuits, in their order. The driver and options can be pickled."""
    drive = partial(_drive, driver, options)
    return list(chain.from_iterable(imap(drive, chunks_of(circuits, LAP_CHUNK))))


def paces_by_chunks(
    imap: Imap, circuits: int, laps: int = 3, conditions: Sequence[Conditions] | None = None
) -> np.ndarray:
    """`expert_paces` of so many circuits (circuits,), under the conditions of each."""
    find = partial(_paces, laps, conditions)
    return np.concatenate([*imap(find, chunks_of(circuits, PACE_CHUNK))])


def chunks_of(circuits: int, size: int) -> list[range]:
    """So many circuits, in their order, in chunks of this size."""
    return [range(circuits)[first : first + size] for first in range(0, circuits, size)]


def _drive(driver: Driver, options: dict[str, Any], which: range) -> list[LapResult]:
    return drive_bank(_worker.circuits, _worker.tracks, driver, which=which, **options)


def _paces(laps: int, conditions: Sequence[Conditions] | None, which: range) -> np.ndarray:
    own = conditions and conditions[which.start : which.stop]
    return expert_paces(part_of(_worker.circuits, which), laps, own)
