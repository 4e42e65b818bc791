"""Demonstrations as a Minari data set, which `minari.load_dataset` opens.

Minari keeps the observation after the last step, too; the data set on disk has none. So an episode
that was cut off is cut off a step earlier. One that failed keeps its last step, and the observation
before it stands where the one after it would: nobody learns from what follows a failure.
"""

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from racing_env.common.errors import InputError
from racing_env.common.files import in_home, reading, why_not_writable, writing
from racing_env.data.dataset import read_dataset

try:
    import h5py  # noqa: F401 - what Minari's default format needs
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_dataset import parse_dataset_id
except ImportError as error:
    raise InputError(
        f"exports need {error.name}; install it with: pip install -r requirements-export.txt"
    ) from error


def write_minari(folder: str | Path, dataset_id: str) -> Any:
    """Write the demonstrations in a folder as this Minari data set and return it.

    It goes where Minari keeps its own: $MINARI_DATASETS_PATH, else ~/.minari/datasets. `infos` has
    `expert_action`, what the expert would have done. Raises InputError if there is a data set of
    that name, or the name is none, FileError if it cannot be written.
    """
    try:
        parse_dataset_id(dataset_id)
    except ValueError as error:
        raise InputError(f"--id {dataset_id!r:.100}: {error} such as racing/expert-v0") from None
    data = read_dataset(folder)
    data.verify_checksums()
    target = datasets_folder() / dataset_id
    with reading(target):
        if target.exists():
            raise InputError(f"{target}: is there already; choose another name with --id")
    shards = data.shards()
    low, high = data.layout.bounds()
    episodes = [
        {name: values[first : first + steps] for name, values in shards[index].items()}
        for index, first, steps in data.episode_rows()
    ]
    buffers = [buffer(episode) for episode in episodes if can_be_kept(episode)]
    try:
        with writing(target), warnings.catch_warnings():
            # of authors and links that a data set made at home has not
            warnings.filterwarnings("ignore", category=UserWarning, module="minari")
            return minari.create_dataset_from_buffers(
                dataset_id,
                buffers,
                env="racing_env/Race-v0",
                observation_space=spaces.Box(low, high, dtype=np.float32),
                action_space=spaces.Box(-1.0, 1.0, (2,), np.float32),
                algorithm_name=data.manifest["settings"].get("driver", "expert with disturbances"),
                description=f"racing_env demonstrations: {data.manifest['settings']}",
            )
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)  # half of a data set
        raise


def datasets_folder() -> Path:
    """Where Minari keeps data sets. Raises InputError where nothing can be written there."""
    folder = Path(os.environ.get("MINARI_DATASETS_PATH") or in_home(".minari", "datasets"))
    if why_not := why_not_writable(folder):
        raise InputError(
            f"{folder}: cannot be written ({why_not}); "
            "set MINARI_DATASETS_PATH to a folder that can be"
        )
    return folder


def can_be_kept(episode: dict[str, np.ndarray]) -> bool:
    """Whether a step is left of an episode that ends as this one does."""
    return bool(episode["terminations"][-1]) or len(episode["rewards"]) > 1


def buffer(episode: dict[str, np.ndarray]) -> Any:
    """An episode as Minari keeps it: n steps, n + 1 observations."""
    seen, labels = episode["observations"], episode["expert_actions"]
    if episode["terminations"][-1]:
        steps = len(seen)
        seen, labels = np.concatenate([seen, seen[-1:]]), np.concatenate([labels, labels[-1:]])
    else:
        steps = len(seen) - 1
    ends = np.zeros(steps, dtype=np.bool_)
    ends[-1] = True
    failed = bool(episode["terminations"][-1])
    return EpisodeBuffer(
        observations=np.array(seen),
        actions=np.array(episode["actions"][:steps]),
        rewards=episode["rewards"][:steps].tolist(),
        terminations=(ends & failed).tolist(),
        truncations=(ends & (not failed)).tolist(),
        infos={"expert_action": np.array(labels)},
    )
