import numpy as np
import pytest
import torch
from gymnasium import spaces

from racing_env.common.errors import InputError
from racing_env.data.dataset_writer import DatasetWriter, Episode
from racing_env.learning.sac_parts import DemonstrationReplayBuffer, PersistentNoise
from racing_env.simulation.layouts.line_preview import LAYOUT

SPACES = (
    spaces.Box(-5, 5, (LAYOUT.size,), np.float32),
    spaces.Box(-1, 1, (2,), np.float32),
)


def episode(number: int, steps: int, terminated: bool) -> Episode:
    """Observations count 100 * number, + 1, …; actions and rewards are made of them."""
    count = 100.0 * number + np.arange(steps, dtype=np.float32)
    ends = np.zeros(steps, bool)
    ends[-1] = True
    arrays = {
        "observations": np.repeat(count[:, None], LAYOUT.size, axis=1),
        "actions": np.stack([count / 1000, -count / 1000], axis=1),
        "expert_actions": np.zeros((steps, 2), np.float32),
        "rewards": count / 10,
        "terminations": ends & terminated,
        "truncations": ends & (not terminated),
    }
    return Episode(arrays, {"circuit": "oval", "laps": 0})


@pytest.fixture
def folder(tmp_path):
    """Two shards with three episodes; the second is cut off, the others end."""
    writer = DatasetWriter(tmp_path, {})
    writer.add(episode(1, 5, True))
    writer.add(episode(2, 4, False))
    writer.flush()
    writer.add(episode(3, 3, True))
    writer.flush()
    return tmp_path


def test_transitions_of_the_demonstrations(folder):
    shown = DemonstrationReplayBuffer(8, *SPACES, device="cpu", folder=folder).demonstrations
    seen = shown.observations[:, 0, 0]
    starts = [100, 101, 102, 103, 104, 200, 201, 202, 300, 301, 302]
    np.testing.assert_array_equal(seen, starts)  # 203 was cut off: nobody knows what followed
    np.testing.assert_array_equal(np.flatnonzero(shown.dones[:, 0]), [4, 7, 10])
    np.testing.assert_array_equal(np.flatnonzero(shown.timeouts[:, 0]), [7])
    known = shown.dones[:, 0] == shown.timeouts[:, 0]
    np.testing.assert_array_equal(shown.next_observations[known, 0, 0], seen[known] + 1)
    np.testing.assert_allclose(shown.actions[:, 0, 0], seen / 1000)
    np.testing.assert_allclose(shown.rewards[:, 0], seen / 10)


@pytest.mark.parametrize("batch", [2, 7, 64])
def test_half_of_a_batch_are_demonstrations(folder, batch):
    buffer = DemonstrationReplayBuffer(
        8, *SPACES, device="cpu", folder=folder, n_steps=3, gamma=0.5
    )
    own = np.full((1, LAYOUT.size), -3.0, np.float32)
    for _ in range(5):
        buffer.add(own, own, np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    sample = buffer.sample(batch)
    own_rows = sample.observations[:, 0] == -3.0
    assert own_rows.sum() == batch - batch // 2 and len(own_rows) == batch
    assert all(values.dtype == torch.float32 for values in sample)
    widths = (LAYOUT.size, 2, LAYOUT.size, 1, 1, 1)
    for values, width in zip(sample, widths, strict=True):
        assert values.shape == (batch, width)
    shown = sample.observations[~own_rows, 0]
    torch.testing.assert_close(sample.rewards[~own_rows, 0], shown / 10)
    assert set(sample.discounts[~own_rows, 0].tolist()) == {0.5}  # of a step
    assert set(sample.discounts[own_rows, 0].tolist()) <= {0.5, 0.25, 0.125}  # of three at most
    ends = sample.dones[~own_rows, 0] == 1.0
    assert set(shown[ends].tolist()) <= {104, 302}  # being cut off is no end


def test_no_data_set_and_an_empty_one_are_refused(tmp_path):
    with pytest.raises(InputError, match="no manifest.json"):
        DemonstrationReplayBuffer(8, *SPACES, device="cpu", folder=tmp_path)
    writer = DatasetWriter(tmp_path, {})
    writer.add(episode(1, 1, False))
    writer.flush()
    with pytest.raises(InputError, match="holds no transition"):
        DemonstrationReplayBuffer(8, *SPACES, device="cpu", folder=tmp_path)


def test_noise_has_its_deviations_and_lasts():
    np.random.seed(0)  # noqa: NPY002
    noise = PersistentNoise(500, (0.02, 0.1), (0.5, 0.95))
    for _ in range(100):
        noise()
    now = noise()
    noise.reset(indices=[3])  # as SB3 does at an episode's end
    next_but_one = [noise() for _ in range(2)][1]
    assert now.shape == (500, 2) and now.dtype == np.float32
    np.testing.assert_allclose(now.std(axis=0), [0.02, 0.1], rtol=0.15)
    left = (now * next_but_one).mean(axis=0) / now.var(axis=0)
    np.testing.assert_allclose(left, [0.5**2, 0.95**2], atol=0.12)
