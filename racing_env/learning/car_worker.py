"""A process that drives training cars for a learner in another one.

It has a module of its own so that it loads no torch. A byte through a pipe says what to do; all
else lies in shared memory.
"""

import contextlib
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

from racing_env.learning.rollouts import RolloutCars, new_cars
from racing_env.learning.shared_block import Block, block_bytes, group_of, open_block
from racing_env.learning.training_cars import TrainingCars, TrainingSettings
from racing_env.tracks.bank import CircuitBank, with_mapped_table

RESET, STEP, ROLLOUT, SAVE, LOAD, CLOSE, READY = b"r", b"s", b"o", b"v", b"l", b"c", b"."
ACTIONS: dict[bytes, Callable[[Any], None]] = {
    RESET: TrainingCars.reset, STEP: TrainingCars.step, ROLLOUT: RolloutCars.rollout,
    SAVE: TrainingCars.save, LOAD: TrainingCars.load,
}  # fmt: skip


class Share(NamedTuple):
    """The groups of cars of one process, by number and in order, and all of their cars."""

    groups: list[slice]

    @property
    def cars(self) -> slice:
        return slice(self.groups[0].start, self.groups[-1].stop)

    def nbytes(self, settings: TrainingSettings) -> int:
        return block_bytes(*self._sizes(settings))

    def block(self, memory: Any, settings: TrainingSettings) -> Block:
        """A block for the share over the start of a buffer of `nbytes`."""
        return open_block(memory, *self._sizes(settings))

    def _sizes(self, settings: TrainingSettings) -> tuple[int, int, int, int]:
        size = settings.task.observation_layout().size
        cars = self.cars.stop - self.cars.start
        return cars, size, len(self.groups), settings.parameters

    def training_cars(
        self, circuits: CircuitBank, block: Block, settings: TrainingSettings
    ) -> list[TrainingCars]:
        """The cars of each group, over their parts of the share's block."""
        first = self.cars.start
        return [
            new_cars(
                circuits,
                group_of(block, i, slice(group.start - first, group.stop - first)),
                group.start,
                settings,
            )
            for i, group in enumerate(self.groups)
        ]


def execute(groups: Sequence[TrainingCars], command: bytes) -> None:
    """What a command but CLOSE asks of the cars, whose blocks have its arguments and results."""
    for cars in groups:
        ACTIONS[command](cars)


def serve(
    pipe: Connection,
    memory_name: str,
    share: Share,
    table_file: str,
    circuits: CircuitBank,
    settings: TrainingSettings,
) -> None:
    """Execute the commands that come through the pipe until it says close, or breaks."""
    try:
        command = pipe.recv_bytes()
    except (EOFError, OSError):
        return  # the learner was stopped at this start; the memory may be gone, too
    memory = SharedMemory(memory_name)
    block = share.block(memory.buf, settings)
    groups = share.training_cars(with_mapped_table(circuits, table_file), block, settings)
    with contextlib.suppress(EOFError, OSError):  # the learner is gone: so are we
        while command != CLOSE:
            execute(groups, command)
            pipe.send_bytes(READY)
            command = pipe.recv_bytes()
    del groups, block  # their arrays lie in the memory
    memory.close()
