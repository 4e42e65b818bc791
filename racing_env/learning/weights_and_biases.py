"""Weights & Biases, for those who keep their runs there: what TensorBoard gets goes there, too."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from racing_env.common.errors import InputError


@contextmanager
def tracked(project: str | None, out: Path, config: Mapping[str, Any]) -> Iterator[None]:
    """A run of this project at Weights & Biases while the block lasts; None: there is none.

    It is named after the folder `out`, which gets its files. WANDB_MODE=offline needs no account.
    Raises InputError if wandb is not installed or refuses.
    """
    if project is None:
        yield
        return
    wandb = require_wandb()
    out.mkdir(parents=True, exist_ok=True)
    try:
        run = wandb.init(
            project=project, name="/".join(out.resolve().parts[-2:]), dir=out, config=dict(config),
            sync_tensorboard=True,
        )  # fmt: skip
    except wandb.Error as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"--wandb {project}: {reason}; log in with `wandb login`, or set WANDB_MODE=offline"
        ) from None
    with run:
        yield


def require_wandb() -> Any:
    """The package; raises InputError if it is not installed."""
    try:
        import wandb
    except ImportError:
        raise InputError(
            "--wandb needs wandb; install it with: pip install -r requirements-wandb.txt"
        ) from None
    return wandb
