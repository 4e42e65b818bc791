"""Feed damaged and hostile files to the readers of tracks, cars, policies and data sets.

    python -m stress.fuzz --inputs 350000 --json stress/results/fuzz.json

Inputs are good files with seeded mutations: bits, bytes, pieces, numbers, sizes; now and then
something else altogether, such as a pickle. A reader must read an input or refuse it by InputError
with one line that names the file; anything else is a failure, of which the input is kept. Memory is
limited, so that a size that a file only declares cannot be allocated unseen; what the pickles would
do if they were loaded is looked for.
"""

import argparse
import io
import os
import pickle
import random
import re
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import numpy as np

from benchmarks.measuring import write_results
from racing_env import DEFAULT_VEHICLE
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common import command_line as cli
from racing_env.common.errors import InputError
from racing_env.data.dataset import MANIFEST, read_dataset, shapes
from racing_env.data.dataset_writer import DatasetWriter, Episode, Origin
from racing_env.drivers.policy import Policy, load_policy, save_policy
from racing_env.simulation.layouts import DEFAULT, layout_named
from racing_env.simulation.task import demonstration_task
from racing_env.tracks.reader import read_track
from stress.car_seeds import car_seeds
from stress.circuit_seeds import MAP, circuit_seeds

VEHICLE = read_vehicle(DEFAULT_VEHICLE)
LAYOUT = layout_named(DEFAULT, "the fuzzer")
MEMORY_MAX_BYTES = 4 * 2**30
HOSTILE_SHARE = 0.01
NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
TOKENS = [
    b"nan", b"inf", b"-inf", b"0", b"-1", b"1e308", b"-1e308", b"1e-320", b"9223372036854775807",
    b"18446744073709551616", b"9" * 400, b"1e9", b"0x10", b"1_0", b"", b"null", b"true", b"[]",
    b"{}", b'"x"', b"\xc3\xa9", b"\xff", b"\0", b"\n", b"\r\n", b";", b",,", b"#",
    b"../../etc/passwd",
    b"0x" + b"f" * 5000, b"&a [*a, *a]", b"*a", b"\xef\xbb\xbf",
    b"(2147483647, 2147483647)", b"'|O'", b"'<f8'", b"shard-00001", b"F64", b"I8", b"[1,1]",
]  # fmt: skip


class Target(NamedTuple):
    """A reader and good files of which one is damaged at a time."""

    seeds: Sequence[tuple[Path, bytes]]
    read: Callable[[Path], object]  # of the path that was damaged


class Canary:
    """Leaves a file where its pickle is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def tracks(folder: Path) -> Target:
    angle = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    radius = 40.0 + 8.0 * np.cos(3.0 * angle)
    table = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    table = np.column_stack([table, np.full(24, 5.0), np.full(24, 6.5)])
    header = "# x_m,y_m,w_tr_right_m,w_tr_left_m\n"
    rows = [",".join(f"{value:.3f}" for value in row) for row in table]
    texts = [
        header + "\n".join(rows) + "\n",
        "\n".join(",".join(f"{value:.5e}" for value in row) for row in table),
        "\ufeff" + header.replace("\n", "\r\n") + "\r\n".join(rows[::-1]),
        "y_m, x_m, name, w_tr_left_m, w_tr_right_m\n"
        + "\n".join(f"{y:.2f}, {x:.2f}, a, {left:.2f}, {right:.2f}" for x, y, right, left in table),
    ]
    path = folder / "track.csv"
    return Target([(path, text.encode()) for text in texts], lambda path: read_track(path, VEHICLE))


def circuit_formats(folder: Path) -> Target:
    def read(path: Path) -> object:
        return read_track(folder / MAP if path.suffix == ".png" else path, VEHICLE)

    return Target(circuit_seeds(folder), read)


def cars(folder: Path) -> Target:
    return Target(car_seeds(folder, VEHICLE), read_vehicle)


def policies(folder: Path) -> Target:
    path = folder / "policy.safetensors"
    rng = np.random.default_rng(0)
    seeds = []
    for sizes in ([LAYOUT.size, 2], [LAYOUT.size, 3, 2]):
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        weights = tuple(rng.normal(size=(b, a)).astype(np.float32) for a, b in pairs)
        biases = tuple(np.zeros(b, np.float32) for _, b in pairs)
        save_policy(
            Policy(weights, biases, VEHICLE, LAYOUT, {"made_by": "fuzz", "seed": "0"}), path
        )
        seeds.append((path, path.read_bytes()))
    return Target(seeds, load_policy)


def data_sets(folder: Path) -> Target:
    rng = np.random.default_rng(0)
    origin = Origin(
        {"seed": 0},
        ["oval"],
        [{"name": "oval", "length_m": 1.0}],
        VEHICLE,
        demonstration_task(VEHICLE),
    )
    writer = DatasetWriter(folder, origin)
    for steps in (3, 2):
        arrays: dict[str, np.ndarray] = {
            name: rng.normal(size=(steps, *shape)).astype(dtype)
            for name, (dtype, shape) in shapes(LAYOUT.size).items()
        }
        writer.add(Episode(arrays, {"circuit": "oval", "laps": 0, "end": "lap"}))
        writer.flush()
    manifest = (folder / MANIFEST, (folder / MANIFEST).read_bytes())
    shards = [(path, path.read_bytes()) for path in sorted(folder.glob("*.npy"))]

    def read(_: Path) -> None:
        read_dataset(folder).verify_checksums()

    return Target([*[manifest] * len(shards), *shards], read)


TARGETS = {
    "tracks": tracks,
    "circuit_formats": circuit_formats,
    "cars": cars,
    "policies": policies,
    "data_sets": data_sets,
}


def hostile_contents(canary: Path) -> list[bytes]:
    """Whole files that are something else."""
    objects, huge = io.BytesIO(), io.BytesIO()
    np.save(objects, np.array([Canary(canary)], dtype=object), allow_pickle=True)
    shape = (2**40, LAYOUT.size)
    np.lib.format.write_array_header_1_0(
        huge, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    archive = io.BytesIO()
    np.savez(archive, observations=np.zeros(3))
    return [
        pickle.dumps(Canary(canary)), objects.getvalue(), huge.getvalue(), archive.getvalue(), b"",
        b"\0" * 100, b"[" * 100_000, (2**62).to_bytes(8, "little") + b"{}", b"PK\x03\x04",
    ]  # fmt: skip


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with one to four small damages."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        size = len(data)
        at = rng.randrange(size + 1)
        kind = rng.randrange(9)
        if kind == 0 and at < size:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < size:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + rng.randrange(1, 40)]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.randrange(1, 12))
        elif kind == 5:
            data[at:at] = data[at : at + rng.randrange(1, 400)]
        elif kind == 6:
            data[at:at] = rng.choice(TOKENS)
        elif kind == 7:
            data[:8] = rng.choice((rng.randbytes(8), rng.randrange(2**20).to_bytes(8, "little")))
        elif found := NUMBER.search(data, at):
            near = f"{rng.uniform(-60.0, 60.0):.3f}".encode()
            data[slice(*found.span())] = rng.choice((near, rng.choice(TOKENS)))
    return bytes(data)


def fuzz(name: str, inputs: int, seed: int, folder: Path) -> dict[str, Any]:
    """Feed so many inputs to a reader. Raises AssertionError at a failure; its input stays."""
    folder.mkdir(parents=True, exist_ok=True)
    target = TARGETS[name](folder)
    canary = folder / "canary"
    hostile = hostile_contents(canary)
    rng = random.Random(f"{name} {seed}")
    read, kinds, slowest_s = 0, set(), 0.0
    started = time.process_time()
    for number in range(inputs):
        path, good = target.seeds[rng.randrange(len(target.seeds))]
        strange = rng.random() < HOSTILE_SHARE
        path.write_bytes(rng.choice(hostile) if strange else mutated(good, rng))
        before = time.process_time()
        try:
            target.read(path)
            read += 1
        except InputError as error:
            line = str(error)
            assert "\n" not in line and str(folder) in line, f"{path}: input {number}: {line!r}"
            kinds.add(re.sub(r"\d+|'.*'|\(.*\)|\[.*\]", "", line))
        except BaseException as error:
            raise AssertionError(f"{path}: input {number}: {error!r}") from error
        slowest_s = max(slowest_s, time.process_time() - before)
        path.write_bytes(good)
    assert not canary.exists(), f"{folder}: a pickle was executed"
    return {
        "inputs": inputs,
        "seed": seed,
        "read": read,
        "refused": inputs - read,
        "kinds_of_refusal": len(kinds),
        "slowest_cpu_s": slowest_s,
        "cpu_s": time.process_time() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--inputs", type=cli.positive_int, default=350_000, help="for each reader (350000)")
    flag("--seed", type=cli.seed_int, default=0, help="decides the inputs (0)")
    flag("--reader", nargs="+", choices=TARGETS, default=list(TARGETS), help="(all)")
    flag("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # what a car's file does not say, a million times
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    memory = Path("/dev/shm")
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    met = {}
    for name in args.reader:
        met[name] = fuzz(name, args.inputs, args.seed, scratch / name)
        print(f"{name}: {met[name]}", flush=True)
    shutil.rmtree(scratch)  # kept after a failure, for a look at the input
    write_results(args.json, met)


if __name__ == "__main__":
    cli.run(main)
