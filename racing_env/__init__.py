"""Racing with a double-track car: tracks, racing lines, an expert, and Gymnasium environments.

Importing the package registers the environments and loads nothing else of it.
"""

from gymnasium.envs.registration import register, registry

__version__ = "0.1.0"

DEFAULT_VEHICLE = "racecar"  # of the scripts and of the registered environment

if "racing_env/Race-v0" not in registry:
    register(
        id="racing_env/Race-v0",
        entry_point="racing_env.environment:RaceEnv",
        kwargs={"vehicle": DEFAULT_VEHICLE},
    )
