"""A process that drives training cars for a learner in another one.

It has a module of its own so that it loads no torch. A byte through a pipe says what to do; all
else lies in shared memory.
"""

import contextlib
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory

from racing_env.learning.shared_block import open_block
from racing_env.learning.training_cars import TrainingCars, TrainingSettings
from racing_env.tracks.bank import CircuitBank, with_mapped_table

RESET, STEP, PULL_BACK, SAVE, LOAD, CLOSE, READY = b"r", b"s", b"b", b"v", b"l", b"c", b"."
ACTIONS = {
    RESET: TrainingCars.reset, STEP: TrainingCars.step, PULL_BACK: TrainingCars.pull_back,
    SAVE: TrainingCars.save, LOAD: TrainingCars.load,
}  # fmt: skip


def execute(cars: TrainingCars, command: bytes) -> None:
    """What a command but CLOSE asks of the cars, whose block has its arguments and results."""
    ACTIONS[command](cars)


def serve(
    pipe: Connection,
    memory_name: str,
    cars: int,
    first_car: int,
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
    size = settings.task.observation_layout().size
    block = open_block(memory.buf, cars, size, settings.tape_steps)
    training_cars = TrainingCars(
        with_mapped_table(circuits, table_file), block, first_car, settings
    )
    with contextlib.suppress(EOFError, OSError):  # the learner is gone: so are we
        while command != CLOSE:
            execute(training_cars, command)
            pipe.send_bytes(READY)
            command = pipe.recv_bytes()
    del training_cars, block  # their arrays lie in the memory
    memory.close()
