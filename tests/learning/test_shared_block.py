import numpy as np

from racing_env.learning.shared_block import (
    BY_CAR,
    BY_GROUP,
    EPISODES_KEPT,
    block_bytes,
    group_of,
    new_block,
    open_block,
)
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.rewards import REWARD_TERMS


def test_arrays_of_a_block_do_not_overlap():
    sizes = (7, LAYOUT.size, 3, 100)
    memory = memoryview(bytearray(block_bytes(*sizes)))
    block = open_block(memory, *sizes)
    for i, array in enumerate(block):
        array[...] = i % 2 if array.dtype == np.bool_ else i + 1
    for i, array in enumerate(block):
        assert (array == (i % 2 if array.dtype == np.bool_ else i + 1)).all()
        assert array.ctypes.data % 8 == 0
    assert block.observations.shape == (7, LAYOUT.size)
    assert block.returns.shape == (7, len(REWARD_TERMS))
    assert block.ended_returns.shape == (7, EPISODES_KEPT, len(REWARD_TERMS))
    assert block.gradients.shape == (3, 100) and block.parameters.shape == (100,)


def test_a_group_has_its_own_part_of_the_same_memory():
    """And what there is but one of, it has with the others."""
    block = new_block(5, 4, 2, 10)
    groups = [group_of(block, i, cars) for i, cars in enumerate((slice(0, 3), slice(3, 5)))]
    for i, group in enumerate(groups):
        for name in (*BY_CAR, *BY_GROUP):
            getattr(group, name)[...] = i
        assert group.parameters is block.parameters and group.number is block.number
    for name in BY_CAR:
        values = getattr(block, name).reshape(5, -1)
        assert (values[:3] == 0).all() and (values[3:] == 1).all(), name
    for name in BY_GROUP:
        values = getattr(block, name).reshape(2, -1)
        assert (values[0] == 0).all() and (values[1] == 1).all(), name
