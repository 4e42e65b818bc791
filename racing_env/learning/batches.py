"""Batches of demonstrations for a torch DataLoader, read from memory-mapped shards."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from racing_env.common.workers import worker_context
from racing_env.data.dataset import read_dataset

Batch = tuple[torch.Tensor, torch.Tensor]
LEARNED_FIELDS = ("observations", "expert_actions")
VALIDATION_SHARE = 0.1
# Handing a tensor from process to process costs more than reading a batch; sixteen at once do not.
BATCHES_PER_FETCH = 16


class Demonstrations(Dataset[Batch]):
    """Observations and the expert's actions of some episodes of several data sets.

    Rows are numbered 0 to 2 * steps - 1: the second half are the mirror images of the first, which
    are exact. The data sets are of one layout. An item is many examples: `dataset[rows]` with an
    array of row numbers.
    """

    def __init__(self, folders: Sequence[str | Path], validation: bool, seed: int):
        """Every tenth episode, drawn by the seed, is for validation, the others for training."""
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

    def __len__(self) -> int:
        return 2 * self.steps

    def __getitem__(self, rows: np.ndarray) -> Batch:
        mirrored = rows >= self.steps
        rows = np.where(mirrored, rows - self.steps, rows)
        episode = np.searchsorted(self.ends, rows, side="right")
        shard, row = self.shard[episode], rows + self.shift[episode]
        by_shard = np.argsort(shard, kind="stable")
        shard, row = shard[by_shard], row[by_shard]
        observations = np.empty((len(rows), len(self.signs)), dtype=np.float32)
        actions = np.empty((len(rows), 2), dtype=np.float32)
        bounds = [0, *(np.flatnonzero(np.diff(shard)) + 1).tolist(), len(rows)]
        for start, end in zip(bounds[:-1], bounds[1:], strict=True):
            # every row is inside; "clip" only spares numpy a buffer
            seen, labels = self.shards[shard[start]]
            seen.take(row[start:end], 0, observations[start:end], mode="clip")
            labels.take(row[start:end], 0, actions[start:end], mode="clip")
        back = np.argsort(by_shard)
        observations, actions = observations[back], actions[back]
        observations[mirrored] = observations[mirrored].take(self.order, axis=1) * self.signs
        actions[mirrored, 0] *= -1.0
        return torch.from_numpy(observations), torch.from_numpy(actions)


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


class BatchLoader:
    """Batches of (observations, actions) on a device; each iteration is an epoch.

    The batches are the same for every number of workers, which stay alive between epochs. A fetch
    is several batches, read, passed on and copied to the device at once. Raises ChildProcessError
    if a worker dies.
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
        self.fetches: DataLoader[Any] = DataLoader(
            dataset,
            sampler=RowSampler(len(dataset), BATCHES_PER_FETCH * batch_size, seed),
            batch_size=None,  # the sampler hands out many rows at a time
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
            multiprocessing_context=worker_context(__name__) if workers > 0 else None,
            worker_init_fn=_start_worker,
        )

    def __iter__(self) -> Iterator[Batch]:
        try:
            for fetch in self.fetches:
                observations, actions = (part.to(self.device, non_blocking=True) for part in fetch)
                yield from zip(
                    observations.split(self.batch_size), actions.split(self.batch_size), strict=True
                )
        except (RuntimeError, EOFError, ConnectionError, FileNotFoundError) as error:
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            # the others are met where a batch that is on its way was the dead process's
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
