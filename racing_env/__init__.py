"""Racing with a double-track car: tracks, racing lines, an expert, and Gymnasium environments.

Importing the package registers the environments and loads nothing else of it.
"""

__version__ = "0.2.0"
DEFAULT_VEHICLE = "racecar"  # of the scripts and of the registered environment
DEFAULT_LAYOUT = "line-preview-1"  # what a driver sees, see `racing_env.simulation.layouts`


def register_environments() -> None:
    """Make racing_env/Race-v0 known to Gymnasium, once.

    Also the entry point for the Gymnasium that looks for environments by itself. It may call this
    while it is being imported by the line below, so that nothing else here may come before.
    """
    from gymnasium.envs.registration import register, registry

    if "racing_env/Race-v0" not in registry:
        register(
            id="racing_env/Race-v0",
            entry_point="racing_env.environment:RaceEnv",
            kwargs={"vehicle": DEFAULT_VEHICLE},
        )


register_environments()
