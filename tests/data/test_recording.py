import multiprocessing
from contextlib import closing

import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled, simulator_on
from demonstrations import record_episode
from jobs import die_with_three

from racing_env.common.workers import LocalWorkers
from racing_env.data import recording
from racing_env.data.dataset import FIELDS, read_dataset, shapes
from racing_env.data.dataset_writer import DatasetWriter, Origin
from racing_env.data.recording import Drives, Stint, record_beside, record_episodes, record_together
from racing_env.drivers.expert import DEMONSTRATION_PACE, expert_actions
from racing_env.drivers.policy import Policy
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.starts import draw_start
from racing_env.simulation.task import demonstration_task, racing_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import circuits_content

NAMES = ["club", "oval"]
LIMIT_S = 6.0
TASK = demonstration_task(RACECAR)._replace(time_limit_s=LIMIT_S)


@pytest.fixture(scope="module")
def bank():
    return pack_circuits([circuit_named(name) for name in NAMES])


@pytest.fixture(scope="module")
def learner():
    """Turns a little and accelerates: leaves the track soon."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0.0, 0.02, (2, LAYOUT.size)).astype(np.float32)
    return Policy((weights,), (np.array([0.0, 0.5], np.float32),), RACECAR, LAYOUT, {})


def seeds(count: int) -> list[np.random.SeedSequence]:
    return np.random.SeedSequence(5).spawn(count)


def stint(bank, policy=None) -> Stint:
    return Stint(bank, NAMES, TASK, policy)


def record(bank, policy=None, count=5, workers=1):
    driven = record_episodes(stint(bank, policy), seeds(count), LocalWorkers(workers))
    return [episode for episode, _ in driven]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.facts == other.facts
        for field in FIELDS:
            assert one.arrays[field].tobytes() == other.arrays[field].tobytes(), field


def test_episodes_depend_on_their_seed_alone(bank):
    simulator = simulator_on(bank, 1, TASK)
    forward = [record_episode(simulator, NAMES, seed, None) for seed in seeds(4)]
    backward = [record_episode(simulator, NAMES, seed, None) for seed in seeds(4)[::-1]]
    assert_same(forward, backward[::-1])
    assert len({episode.arrays["rewards"].tobytes() for episode in forward}) == 4


@pytest.mark.parametrize("driver", ["expert", "learner"])
def test_episodes_are_the_same_for_every_number_of_workers(bank, learner, driver):
    policy = learner if driver == "learner" else None
    one, two, five = (record(bank, policy, 5, n) for n in (1, 2, 5))
    assert_same(one, two)
    assert_same(one, five)


def test_arrays_are_as_the_data_set_has_them(bank):
    for episode in record(bank):
        steps = len(episode.arrays["rewards"])
        for field, (dtype, shape) in shapes(LAYOUT.size).items():
            assert episode.arrays[field].shape == (steps, *shape)
            assert episode.arrays[field].dtype == dtype
        ends = episode.arrays["terminations"] | episode.arrays["truncations"]
        assert ends[-1] and not ends[:-1].any()
        assert np.isfinite(episode.arrays["observations"]).all()
        assert np.abs(episode.arrays["actions"]).max() <= 1.0
        assert episode.facts["circuit"] in NAMES


def test_actions_are_the_expert_s_but_for_disturbances(bank):
    simulator = simulator_on(bank, 1, TASK._replace(time_limit_s=30.0))
    some = np.random.SeedSequence(1).spawn(10)
    episodes = [record_episode(simulator, NAMES, seed, None) for seed in some]
    pushed = np.concatenate(
        [(e.arrays["actions"] != e.arrays["expert_actions"]).any(axis=1) for e in episodes]
    )
    share = recording.PUSH_S / recording.PUSH_EVERY_S
    assert 0.3 * share < pushed.mean() < 1.5 * share


def test_learner_drives_and_the_expert_labels(bank, learner):
    simulator = simulator_on(bank, 1, TASK)
    episode = record_episode(simulator, NAMES, seeds(1)[0], learner)
    observations = episode.arrays["observations"]
    np.testing.assert_array_equal(
        episode.arrays["actions"], np.concatenate([learner.act(o[None]) for o in observations])
    )
    difference = np.abs(episode.arrays["expert_actions"] - episode.arrays["actions"])
    assert difference.max(axis=1).mean() > 0.1


def test_labels_are_what_the_expert_does_in_the_same_state(bank, learner):
    """Driven again by the recorded actions, from the same start."""
    simulator, seed = simulator_on(bank, 1, TASK), seeds(1)[0]
    episode = record_episode(simulator, NAMES, seed, learner)
    rng = np.random.default_rng(seed)
    circuit = int(rng.integers(len(NAMES)))
    simulator.place(0, circuit, *draw_start(TASK.starts, bank, circuit, rng))
    for action, label in zip(
        episode.arrays["actions"], episode.arrays["expert_actions"], strict=True
    ):
        wanted = expert_actions(simulator, np.array([DEMONSTRATION_PACE]))[0]
        np.testing.assert_array_equal(label, wanted.astype(np.float32))
        simulator.step(action[None])


def test_drives_in_one_simulator_are_those_of_each_alone(bank):
    """The expert's to the last bit; they end at different times."""
    some = np.random.SeedSequence(3).spawn(4)
    task = demonstration_task(RACECAR)
    together = record_together(Stint(bank, NAMES, task), some)
    alone = [record_episode(simulator_on(bank, 1, task), NAMES, seed, None) for seed in some]
    assert_same(together, alone)
    assert len({len(episode.arrays["rewards"]) for episode in together}) > 1


def test_episode_ends_with_its_lap_or_with_its_limit(bank):
    some = np.random.SeedSequence(3).spawn(5)
    brief = simulator_on(bank, 1, TASK._replace(time_limit_s=1.0))
    short = record_episode(brief, NAMES, some[0], None)
    assert short.facts["end"] == "time limit" and short.facts["lap_time_s"] is None
    assert len(short.arrays["rewards"]) == round(1.0 / TASK.control_step_s)
    simulator = simulator_on(bank, 1, demonstration_task(RACECAR))
    whole = [record_episode(simulator, NAMES, seed, None) for seed in some]
    laps = [episode for episode in whole if episode.facts["end"] == "lap"]
    assert laps
    for episode in laps:
        assert episode.facts["laps"] == 1 and episode.facts["lap_time_s"] > 10.0
        assert episode.arrays["truncations"][-1] and not episode.arrays["terminations"].any()


def test_beside_other_work_the_episodes_are_the_same(bank, learner):
    came = list(record_beside(stint(bank, learner), seeds(5), LocalWorkers(1)))
    assert came[0] is None  # nobody can have driven yet
    assert_same([told[0] for told in came if told], record(bank, learner))


def test_drives_beside_other_work_become_a_data_set(bank, learner, tmp_path):
    content = circuits_content([circuit_named(name) for name in NAMES])
    writer = DatasetWriter(tmp_path / "data", Origin({}, NAMES, content, RACECAR, TASK))
    episodes = record_beside(stint(bank, learner), seeds(5), LocalWorkers(1))
    with closing(Drives(episodes, writer)) as drives:
        drives.take()
        assert writer.episodes == 0  # nobody can have driven yet
        drives.take(wait=True)
    assert writer.episodes == 5 and drives.busy_s > 0.0
    (arrays,) = read_dataset(tmp_path / "data").shards()
    wanted = np.concatenate([each.arrays["rewards"] for each in record(bank, learner)])
    np.testing.assert_array_equal(arrays["rewards"], wanted)
    assert not multiprocessing.active_children()


def test_dead_worker_is_reported(bank, monkeypatch):
    monkeypatch.setattr(recording, "_record", die_with_three)
    monkeypatch.setattr(recording, "EPISODES_AT_ONCE", 1)
    episodes = record_episodes(stint(bank), [0, 1, 2, 3, 4], LocalWorkers(2))
    with pytest.raises(ChildProcessError, match="exit code -9"):
        list(episodes)


def test_a_task_without_a_time_limit_is_refused(bank):
    with pytest.raises(ValueError, match="time limit"):
        record_episode(simulator_on(bank, 1, racing_task(RACECAR)), NAMES, seeds(1)[0], None)


def test_pushes_are_to_the_scale_of_the_car():
    """A car of a quarter of the size has the same ones at its control steps, of half the length."""
    model = scaled(RACECAR, 0.25)
    simulators = [
        simulator_on(pack_circuits([circuit_named("oval", car)]), 1, demonstration_task(car))
        for car in (RACECAR, model)
    ]
    ours, theirs = (record_episode(sim, ["oval"], seeds(1)[0], None) for sim in simulators)
    pushed = [
        (e.arrays["actions"] != e.arrays["expert_actions"]).any(axis=1) for e in (ours, theirs)
    ]
    steps = min(map(len, pushed))
    assert steps > 500 and pushed[0][:steps].any()
    np.testing.assert_array_equal(pushed[0][:steps], pushed[1][:steps])
