import numpy as np

from racing_env.learning.shared_block import block_bytes, open_block
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.rewards import REWARD_TERMS


def test_arrays_of_a_block_do_not_overlap():
    memory = memoryview(bytearray(block_bytes(7)))
    block = open_block(memory, 7)
    for i, array in enumerate(block):
        array[...] = i % 2 if array.dtype == np.bool_ else i + 1
    for i, array in enumerate(block):
        assert (array == (i % 2 if array.dtype == np.bool_ else i + 1)).all()
        assert array.ctypes.data % 8 == 0
    assert block.observations.shape == (7, LAYOUT.size)
    assert block.returns.shape == (7, len(REWARD_TERMS))
