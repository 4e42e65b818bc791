"""Cars that a pool's workers drive are those of a batch in shared memory, to the last bit."""

from contextlib import closing

import numpy as np
import pytest
from cars import RACECAR

from racing_env.common.workers import LocalWorkers
from racing_env.learning.pooled_vec_env import PooledVecEnv
from racing_env.learning.training_cars import RolloutSettings, TrainingSettings
from racing_env.learning.vector_env import BatchVecEnv
from racing_env.simulation.task import training_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.sources import load_circuits

ROLLOUTS = RolloutSettings(
    steps=12, lookahead_steps=4, discount=0.99, action_gradient_limit=1.0, noise=(0.02, 0.08),
    hidden=8,
)  # fmt: skip
TASK = training_task(RACECAR)._replace(time_limit_s=1.5)  # so that episodes end
SETTINGS = TrainingSettings(TASK, 3, ROLLOUTS)
CARS = 20  # groups of one


@pytest.fixture(scope="module")
def bank():
    return pack_circuits(load_circuits(["club", "oval"], RACECAR))


def driven(env, snapshots=None):
    """All that a learner gets of some rollouts, and the cars in the end."""
    rng = np.random.default_rng(0)
    with closing(env):
        env.seed(11)
        seen = [env.reset()]
        if snapshots is not None:
            env.restore(snapshots)
            seen.append(env.observations)
        got = []
        for number in range(3):
            parameters = rng.normal(0.0, 0.05, SETTINGS.parameters).astype(np.float32)
            rollout = env.rollout(parameters, number)
            got.append((rollout.gradient.tobytes(), rollout.usable, rollout.sizes.tobytes(),
                        rollout.infos))  # fmt: skip
            seen.append(env.observations)
        return [array.tobytes() for array in seen], got, env.snapshots()


@pytest.mark.parametrize("workers", [1, 3])
def test_rollouts_are_those_of_a_batch(bank, tmp_path, workers):
    seen, got, snapshots = driven(BatchVecEnv(bank, 1, CARS, SETTINGS, tmp_path))
    assert any(infos for *_, infos in got)
    theirs = driven(PooledVecEnv(bank, LocalWorkers(workers), CARS, SETTINGS))
    assert theirs[:2] == (seen, got)
    np.testing.assert_array_equal(theirs[2], snapshots)
    # and they go on from what a batch has left
    going_on = driven(BatchVecEnv(bank, 1, CARS, SETTINGS, tmp_path), snapshots)
    theirs = driven(PooledVecEnv(bank, LocalWorkers(workers), CARS, SETTINGS), snapshots)
    assert theirs[:2] == going_on[:2] and theirs[1] != got


def test_cars_that_are_stepped_are_refused(bank):
    with pytest.raises(ValueError, match="whole rollouts"):
        PooledVecEnv(bank, LocalWorkers(1), CARS, SETTINGS._replace(rollouts=None))
    with (
        closing(PooledVecEnv(bank, LocalWorkers(1), CARS, SETTINGS)) as env,
        pytest.raises(NotImplementedError, match="whole rollouts"),
    ):
        env.step(np.zeros((CARS, 2), np.float32))
