import multiprocessing
import pickle
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from cars import circuit_named, simulator_on
from demonstrations import episode, made_up_origin
from processes import ROOT

from racing_env.data.dataset_writer import DatasetWriter, Episode
from racing_env.learning.batches import (
    BATCHES_PER_FETCH,
    BatchLoader,
    Demonstrations,
    Filled,
    RowSampler,
)
from racing_env.tracks.circuit import mirror_circuit

CPU = torch.device("cpu")
BATCH = 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two data sets of 30 and 10 episodes in shards of four, all actions different."""
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    rng = np.random.default_rng(1)
    number = 0
    for folder, episodes in zip(folders, (30, 10), strict=True):
        writer = DatasetWriter(folder, made_up_origin())
        for i in range(episodes):
            made = episode(number, steps=3 + number % 5)
            labels = rng.random(made.arrays["actions"].shape, dtype=np.float32)
            writer.add(Episode({**made.arrays, "expert_actions": labels}, made.facts))
            number += 1
            if i % 4 == 3:
                writer.flush()
        writer.flush()
    return folders


def everything(demonstrations: Demonstrations) -> tuple[np.ndarray, np.ndarray]:
    observations, actions = demonstrations[np.arange(len(demonstrations))]
    return observations.numpy(), actions.numpy()


def test_every_row_is_there_once_and_mirrored_once(folders):
    parts = [Demonstrations(folders, validation, seed=0) for validation in (False, True)]
    total = sum(3 + number % 5 for number in range(40))
    assert [len(part) // 2 for part in parts] == [part.steps for part in parts]
    assert sum(part.steps for part in parts) == total
    labels = np.concatenate([everything(part)[1][: part.steps] for part in parts])
    assert len(np.unique(labels, axis=0)) == total
    for part in parts:
        _, actions = everything(part)
        np.testing.assert_array_equal(actions[part.steps :], actions[: part.steps] * [-1, 1])


def test_rows_are_what_was_written(folders):
    train = Demonstrations(folders, validation=False, seed=0)
    observations, _ = everything(train)
    start = 0
    for end in train.ends:
        number = int(observations[start, 0])
        wanted = episode(number, steps=3 + number % 5).arrays["observations"]
        np.testing.assert_array_equal(observations[start:end], wanted)
        start = end


def test_validation_holds_whole_episodes(folders):
    def numbers(validation: bool, seed: int) -> set[int]:
        part = Demonstrations(folders, validation, seed)
        return set(everything(part)[0][: part.steps, 0].astype(int))

    for seed in range(5):
        train, validation = numbers(False, seed), numbers(True, seed)
        assert not train & validation and len(train | validation) == 40
    assert len({frozenset(numbers(True, seed)) for seed in range(5)}) > 1
    assert numbers(True, 0) == numbers(True, 0)


def test_rows_come_in_the_order_asked_for(folders):
    train = Demonstrations(folders, validation=False, seed=0)
    whole = everything(train)
    rows = np.random.default_rng(2).integers(len(train), size=100)
    for some, every in zip(train[rows], whole, strict=True):
        np.testing.assert_array_equal(some.numpy(), every[rows])


def test_another_process_is_told_where_they_are_and_not_sent_them(folders):
    train = Demonstrations(folders, validation=False, seed=0)
    sent = pickle.dumps(train)
    assert len(sent) < 1000
    for there, here in zip(everything(pickle.loads(sent)), everything(train), strict=True):
        np.testing.assert_array_equal(there, here)


def test_mirror_image_is_what_the_mirrored_car_sees(tmp_path):
    """Exactly: the same drive on the mirrored circuit, with the steering the other way."""
    circuit = circuit_named("club")
    seen = []
    for side, driven in ((1.0, circuit), (-1.0, mirror_circuit(circuit))):
        simulator = simulator_on([driven])
        simulator.place(0, 0, 50.0, side * 0.7, side * 0.02, 30.0)
        rng = np.random.default_rng(0)
        observations, actions = [], []
        for _ in range(20):
            actions.append(rng.uniform(-0.2, 0.2, 2).astype(np.float32) * (side, 1))
            observations.append(simulator.observe()[0])
            simulator.step(actions[-1][None])
        seen.append((np.array(observations), np.array(actions, np.float32)))
    as_driven, mirrored = seen
    arrays = dict(episode(0, steps=20).arrays)
    arrays |= {"observations": as_driven[0], "expert_actions": as_driven[1]}
    writer = DatasetWriter(tmp_path, made_up_origin())
    writer.add(Episode(arrays, {}))
    writer.flush()
    seed = next(s for s in range(99) if len(Demonstrations([tmp_path], False, s)))
    found = Demonstrations([tmp_path], False, seed)[np.arange(20, 40)]
    for ours, theirs in zip(found, mirrored, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-6)


def test_sampler_gives_half_of_the_rows():
    sampler = RowSampler(rows=1000, at_a_time=64, seed=5)
    first, second = list(sampler), list(sampler)
    assert len(first) == len(sampler) == 8
    assert [len(batch) for batch in first] == [64] * 7 + [500 - 7 * 64]
    rows = np.concatenate(first)
    assert len(np.unique(rows)) == 500 and rows.max() < 1000
    assert not np.array_equal(rows, np.concatenate(second))
    again = np.concatenate(list(RowSampler(rows=1000, at_a_time=64, seed=5)))
    np.testing.assert_array_equal(rows, again)


@pytest.fixture(scope="module")
def batches(folders):
    return two_epochs(loader_of(folders, 0))


def two_epochs(loader):
    """Copies: a batch is overwritten once the next is asked for."""
    return [tuple(part.clone() for part in batch) for _ in range(2) for batch in loader]


def loader_of(folders, workers):
    train = Demonstrations(folders, validation=False, seed=0)
    return BatchLoader(train, BATCH, 7, workers, CPU)


def test_loader_in_the_main_process(folders, batches):
    train = Demonstrations(folders, validation=False, seed=0)
    assert sum(len(actions) for _, actions in batches) == 2 * train.steps
    epoch = -(-train.steps // BATCH)
    assert len(batches) == 2 * epoch > 2 * BATCHES_PER_FETCH  # an epoch is more than one fetch
    sizes = [len(actions) for _, actions in batches]
    assert sizes == 2 * [*[BATCH] * (epoch - 1), train.steps - (epoch - 1) * BATCH]


@pytest.mark.parametrize("workers", [1, 2])
def test_loader_is_the_same_for_every_number_of_workers(folders, batches, workers):
    loader = loader_of(folders, workers)
    found = two_epochs(loader)
    assert loader.workers_cpu_s > 0.0
    assert len(found) == len(batches)
    for ours, wanted in zip(found, batches, strict=True):
        assert torch.equal(ours[0], wanted[0]) and torch.equal(ours[1], wanted[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_stays_as_it_is_until_the_next_is_asked_for(folders, batches, workers):
    """However far ahead the workers are."""
    loader = iter(loader_of(folders, workers))
    for number in range(6 * BATCHES_PER_FETCH):
        found = next(loader, None)
        if found is None:
            break
        if number % BATCHES_PER_FETCH == BATCHES_PER_FETCH - 1:
            time.sleep(0.05)
        assert torch.equal(found[0], batches[number][0])
        assert torch.equal(found[1], batches[number][1])


def test_what_comes_from_a_worker_is_tensors_in_shared_memory(folders):
    """So that the DataLoader itself can pin them, and nobody has copied them."""
    fetch = next(iter(loader_of(folders, 1).fetches))
    assert all(isinstance(part, torch.Tensor) and part.is_shared() for part in fetch)
    assert len(pickle.dumps(Filled(10**6, 10**6, 10**6))) < 200


def test_an_epoch_that_was_left_does_not_spoil_the_next(folders, batches):
    loader = loader_of(folders, 1)
    next(iter(loader))
    epoch = batches[len(batches) // 2 :]
    found = [tuple(part.clone() for part in batch) for batch in loader]
    assert len(found) == len(epoch)
    for ours, wanted in zip(found, epoch, strict=True):
        assert torch.equal(ours[0], wanted[0]) and torch.equal(ours[1], wanted[1])


def test_a_killed_process_is_named(folders):
    train = Demonstrations(folders, validation=False, seed=0)
    epoch = iter(BatchLoader(train, 1, 0, 1, CPU))
    next(epoch)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(ChildProcessError, match="process that loads batches has died"):
        list(epoch)


PROGRAM = """
import sys
import torch
from racing_env.learning.batches import BatchLoader, Demonstrations

if __name__ == "__main__":
    train = Demonstrations(sys.argv[1:], validation=False, seed=0)
    loader = BatchLoader(train, 1, 0, 1, torch.device("cpu"))
    batches = iter(loader)
    next(batches)
    print("loaded", flush=True)
    sys.stdin.read()
"""


def test_a_killed_program_leaves_no_process(folders):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *folders], text=True, cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "loaded\n"
    others = psutil.Process(program.pid).children(recursive=True)
    assert len(others) > 1  # a loader and what it was forked from
    program.kill()
    program.wait()
    _, left = psutil.wait_procs(others, timeout=30.0)
    for process in left:
        process.kill()
    assert not left


def test_empty_part(tmp_path):
    writer = DatasetWriter(tmp_path, made_up_origin())
    writer.add(episode(0))
    writer.flush()
    for seed in range(40):  # the episode is held out, or it is not
        parts = [Demonstrations([tmp_path], validation, seed) for validation in (False, True)]
        assert sorted(len(part) for part in parts) == [0, 2 * 5]
        (empty,) = (part for part in parts if not len(part))
        assert list(BatchLoader(empty, 32, 0, 0, CPU)) == []


def test_memory_is_pinned_for_cuda_alone(folders):
    train = Demonstrations(folders, validation=False, seed=0)
    for device, pinned in ((CPU, False), (torch.device("cuda"), True)):
        assert BatchLoader(train, BATCH, 0, 0, device).fetches.pin_memory == pinned
