import numpy as np
import pytest

minari = pytest.importorskip("minari", reason="exports need the extra: requirements-export.txt")
pytest.importorskip("h5py", reason="exports need the extra: requirements-export.txt")

from demonstrations import made_up_origin  # noqa: E402 - after the skips
from processes import run, run_without  # noqa: E402

from racing_env.common.errors import InputError  # noqa: E402
from racing_env.data.dataset_writer import DatasetWriter, Episode  # noqa: E402
from racing_env.data.minari_export import write_minari  # noqa: E402
from racing_env.simulation.layouts.line_preview import LAYOUT  # noqa: E402

NAME = "racing/test-v0"


def episode(steps: int, failed: bool, seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    ends = np.arange(steps) == steps - 1
    arrays = {
        "observations": rng.uniform(-1, 1, (steps, LAYOUT.size)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        "expert_actions": rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        "rewards": rng.uniform(0, 1, steps).astype(np.float32),
        "terminations": ends & failed,
        "truncations": ends & (not failed),
    }
    return Episode(arrays, {"circuit": "oval", "laps": 0, "lap_time_s": None, "end": ""})


@pytest.fixture
def demonstrations(tmp_path, monkeypatch):
    """A folder of three episodes: one cut off, one that failed, one of a single step."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    writer = DatasetWriter(tmp_path / "data", made_up_origin(episodes=3))
    episodes = [episode(7, False, 0), episode(5, True, 1), episode(1, False, 2)]
    for each in episodes:
        writer.add(each)
    writer.flush()
    return tmp_path / "data", episodes


def test_minari_opens_what_was_written(demonstrations):
    folder, (cut, failed, _) = demonstrations
    write_minari(folder, NAME)
    data = minari.load_dataset(NAME)
    assert data.total_episodes == 2 and data.total_steps == 6 + 5
    first, second = data.iterate_episodes()
    np.testing.assert_array_equal(first.observations, cut.arrays["observations"])
    np.testing.assert_array_equal(first.actions, cut.arrays["actions"][:6])
    np.testing.assert_array_equal(first.infos["expert_action"], cut.arrays["expert_actions"])
    assert first.truncations.tolist() == [False] * 5 + [True] and not first.terminations.any()
    np.testing.assert_array_equal(second.observations[:5], failed.arrays["observations"])
    np.testing.assert_allclose(second.rewards, failed.arrays["rewards"])
    assert second.terminations.tolist() == [False] * 4 + [True] and not second.truncations.any()
    assert len(second.observations) == 6
    env = data.recover_environment()
    assert env.observation_space == data.spec.observation_space
    assert env.action_space == data.spec.action_space


def test_another_data_set_is_not_overwritten(demonstrations):
    folder, _ = demonstrations
    write_minari(folder, NAME)
    with pytest.raises(InputError, match="is there already"):
        write_minari(folder, NAME)
    assert minari.load_dataset(NAME).total_episodes == 2


@pytest.mark.parametrize("name", ["no version", "../../up-v0", ""])
def test_a_bad_name_leaves_nothing(demonstrations, tmp_path, name):
    folder, _ = demonstrations
    with pytest.raises(InputError, match="--id"):
        write_minari(folder, name)
    assert not (tmp_path / "minari").exists()


def test_the_script_says_how_to_open_it(demonstrations, tmp_path):
    folder, _ = demonstrations
    done = run("export.py", "minari", folder, "--id", NAME, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert f"minari.load_dataset({NAME!r})" in done.stdout


def test_a_missing_extra_is_named():
    result = run_without("minari", "export.py", "minari", "data", "--id", "racing/a-v0")
    assert result.returncode == 2
    assert "pip install -r requirements-export.txt" in result.stderr


def test_a_folder_of_data_sets_that_cannot_be_written_is_refused(demonstrations, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", "/dev/null/sets")
    with pytest.raises(InputError, match="set MINARI_DATASETS_PATH"):
        write_minari(demonstrations[0], NAME)
