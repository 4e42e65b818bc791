"""Batches of demonstrations for a torch DataLoader, read from memory-mapped shards."""

import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from racing_env.common.workers import worker_context
from racing_env.data.dataset import read_dataset
from racing_env.learning.error_gradient import Batch

LEARNED_FIELDS = ("observations", "expert_actions")
VALIDATION_SHARE = 0.1
BATCHES_PER_FETCH = 16  # which share the price of a message from process to process
FETCHES_PER_WORKER = 2  # on their way, of each worker


class Demonstrations(Dataset[Batch]):
    """Observations and the expert's actions of some episodes of several data sets.

    Rows are numbered 0 to 2 * steps - 1: the second half are the mirror images of the first, which
    are exact. The data sets are of one layout. An item is many examples: `dataset[rows]` with an
    array of row numbers.
    """

    def __init__(self, folders: Sequence[str | Path], validation: bool, seed: int):
        """Every tenth episode, drawn by the seed, is for validation, the others for training."""
        self.chosen = folders, validation, seed
        self.shards: list[tuple[np.ndarray, ...]] = []
        places = []
        for folder in folders:
            data = read_dataset(folder)
            base = len(self.shards)
            for arrays in data.shards():
                # plain views of the maps: indexing the memmap class itself is several times slower
                self.shards.append(tuple(np.asarray(arrays[name]) for name in LEARNED_FIELDS))
            for number, (shard, start, steps) in enumerate(data.episode_rows()):
                held_out = np.random.default_rng([seed, base, number]).random() < VALIDATION_SHARE
                if held_out == validation:
                    places.append((base + shard, start, steps))
        self.shard = np.array([place[0] for place in places], dtype=np.int64)
        lengths = np.array([place[2] for place in places], dtype=np.int64)
        starts = np.array([place[1] for place in places], dtype=np.int64)
        self.ends = np.cumsum(lengths)  # of the episodes, in row numbers
        self.shift = starts - (self.ends - lengths)
        self.steps = int(lengths.sum())
        self.signs, self.order = data.layout.mirror()

    def __reduce__(self) -> tuple[type["Demonstrations"], tuple[Sequence[str | Path], bool, int]]:
        """Another process maps the files itself: it would be sent all that is in them."""
        return Demonstrations, self.chosen

    def __len__(self) -> int:
        return 2 * self.steps

    def __getitem__(self, rows: np.ndarray) -> Batch:
        observations = torch.empty(len(rows), len(self.signs))
        actions = torch.empty(len(rows), 2)
        self.read(rows, observations.numpy(), actions.numpy())
        return observations, actions

    def read(self, rows: np.ndarray, observations: np.ndarray, actions: np.ndarray) -> None:
        """The same into arrays (rows, layout.size) and (rows, 2) that are there already."""
        mirrored = rows >= self.steps
        rows = rows - self.steps * mirrored
        episode = np.searchsorted(self.ends, rows, side="right")
        rows += self.shift[episode]
        # a group is the rows of one shard, as they were or mirrored
        group = 2 * self.shard[episode] + mirrored
        order = np.argsort(group, kind="stable")
        group, rows = group[order], rows[order]
        bounds = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(rows)]
        for start, end in zip(bounds[:-1], bounds[1:], strict=True):
            if start == end:  # no rows at all
                break
            # every row is inside; "clip" only spares numpy a buffer
            shard = self.shards[group[start] // 2]
            seen, labels = (part.take(rows[start:end], 0, mode="clip") for part in shard)
            if group[start] % 2:
                seen = seen.take(self.order, axis=1) * self.signs
                labels[:, 0] *= -1.0
            observations[order[start:end]] = seen
            actions[order[start:end]] = labels


class RowSampler(Sampler[np.ndarray]):
    """Row numbers, so many at a time, shuffled anew in each epoch by a seed.

    An epoch is a random half of the rows: as many as were driven, each as it was or mirrored.
    """

    def __init__(self, rows: int, at_a_time: int, seed: int):
        self.rows, self.at_a_time = rows, at_a_time
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return -(-self.rows // 2 // self.at_a_time)

    def __iter__(self) -> Iterator[np.ndarray]:
        order = self.rng.permutation(self.rows)[: self.rows // 2]
        for start in range(0, len(order), self.at_a_time):
            yield order[start : start + self.at_a_time]


class Slots(Dataset["Batch | Filled"]):
    """Memory that all processes share: a worker fills a slot with a fetch, the learner looks at it.

    As a data set it takes (slot, rows). What a worker returns is small, and becomes the tensors
    where it arrives: to hand over the tensors themselves costs more than to read them. A slot may
    be filled again once the next fetch is asked for.
    """

    def __init__(self, dataset: Demonstrations, rows: int, count: int, workers: int):
        self.dataset, self.number = dataset, next(_numbers)
        self.workers_cpu_s = torch.zeros(workers, dtype=torch.float64).share_memory_()
        self.observations = torch.empty(count, rows, len(dataset.signs)).share_memory_()
        self.actions = torch.empty(count, rows, 2).share_memory_()
        _open_slots[self.number] = self

    def __getitem__(self, fetch: tuple[int, np.ndarray]) -> "Batch | Filled":
        slot, rows = fetch
        observations, actions = self.look(slot, len(rows))
        self.dataset.read(rows, observations.numpy(), actions.numpy())
        worker = get_worker_info()
        if worker is None:
            return observations, actions
        self.workers_cpu_s[worker.id] = time.process_time()
        return Filled(self.number, slot, len(rows))

    def look(self, slot: int, rows: int) -> Batch:
        return self.observations[slot, :rows], self.actions[slot, :rows]


class Filled:
    """A slot that was filled, on its way to the process that made the slots."""

    def __init__(self, *place: int):
        self.place = place

    def __reduce__(self) -> tuple[Callable[..., Batch], tuple[int, ...]]:
        return _look, self.place


_numbers = itertools.count()
_open_slots: WeakValueDictionary[int, Slots] = WeakValueDictionary()


def _look(number: int, slot: int, rows: int) -> Batch:
    return _open_slots[number].look(slot, rows)


class SlotSampler(Sampler[tuple[int, np.ndarray]]):
    """The row numbers of another sampler, each with one of so many slots, in turn."""

    def __init__(self, rows: RowSampler, slots: int):
        self.rows, self.slots = rows, slots

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        return zip(itertools.cycle(range(self.slots)), self.rows, strict=False)


class BatchLoader:
    """Batches of (observations, actions) on a device; each iteration is an epoch.

    The batches are the same for every number of workers, which stay alive between epochs. A fetch
    is several batches, read, passed on and copied to the device at once. A batch may be overwritten
    once the next is asked for. Raises ChildProcessError if a worker dies.
    """

    def __init__(
        self,
        dataset: Demonstrations,
        batch_size: int,
        seed: int,
        workers: int,
        device: torch.device,
    ):
        self.batch_size, self.device = batch_size, device
        rows = RowSampler(len(dataset), BATCHES_PER_FETCH * batch_size, seed)
        # those that are on their way, and the one that the learner looks at
        slots = FETCHES_PER_WORKER * workers + 1
        self.slots = Slots(dataset, min(rows.at_a_time, dataset.steps), slots, workers)
        self.fetches: DataLoader[Any] = DataLoader(
            self.slots,
            sampler=SlotSampler(rows, slots),
            batch_size=None,  # the sampler hands out many rows at a time
            num_workers=workers,
            prefetch_factor=FETCHES_PER_WORKER if workers > 0 else None,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
            multiprocessing_context=worker_context(__name__) if workers > 0 else None,
            worker_init_fn=_start_worker,
        )

    @property
    def workers_cpu_s(self) -> float:
        """CPU time that the workers have used."""
        return float(self.slots.workers_cpu_s.sum())

    def __iter__(self) -> Iterator[Batch]:
        try:
            for fetch in self.fetches:
                observations, actions = (part.to(self.device, non_blocking=True) for part in fetch)
                yield from zip(
                    observations.split(self.batch_size), actions.split(self.batch_size), strict=True
                )
        except (RuntimeError, EOFError, ConnectionError) as error:
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ChildProcessError(f"a process that loads batches has died ({reason})") from None


def _start_worker(number: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone, be it killed.

    PyTorch's loader asks for the process that forked it: the worker server, which lives as long as
    its children do.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
