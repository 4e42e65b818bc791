import torch
from torch import nn

from racing_env.learning.actor_critic import TwoSpeedAdam


def test_two_speeds_of_one_optimiser():
    """A group steps as in an Adam of its own with the rate times the speed."""
    start = torch.linspace(-1.0, 1.0, 5)
    slow, fast, plain = (nn.Parameter(start.clone()) for _ in range(3))
    ours = TwoSpeedAdam([{"params": [slow], "speed": 1.0}, {"params": [fast], "speed": 5.0}], 1e-3)
    single = torch.optim.Adam([plain], 5e-3)
    for _ in range(3):
        for parameter in (slow, fast, plain):
            parameter.grad = torch.full_like(start, 2.0)
        ours.step()
        single.step()
    torch.testing.assert_close(fast, plain, rtol=0, atol=0)
    torch.testing.assert_close(fast - start, 5.0 * (slow - start), rtol=1e-3, atol=0)
    assert [group["lr"] for group in ours.param_groups] == [1e-3, 1e-3]
