"""Checkpoints as files, for cloning and reinforcement learning, without stable-baselines3."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from racing_env.car.vehicle import vehicle_from_record
from racing_env.common.content import refuse_difference
from racing_env.common.errors import InputError
from racing_env.common.files import replaced_atomically
from racing_env.simulation.task import completed_record


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors, numbers and strings, atomically. Raises FileError if that cannot be done."""
    with replaced_atomically(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # torch's own, about the end of a file that is cut short
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(
    path: Path, settings: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """A checkpoint of a training with the same settings; raises InputError for any other file."""
    try:
        saved = torch.load(path, weights_only=True, map_location=device)
        found = saved["settings"]
    except Exception:  # a damaged file raises anything
        raise InputError(f"{path}: not a readable checkpoint; use another --out") from None
    # with fields that are younger than the file
    if isinstance(found, dict) and isinstance(found.get("vehicle"), dict):
        found = found | {"vehicle": vehicle_from_record(found["vehicle"], path)._asdict()}
    if isinstance(found, dict) and isinstance(found.get("task"), dict):
        found = found | {"task": completed_record(found["task"])}
    refuse_difference(path, found, settings, "use the same, or another --out")
    return saved
