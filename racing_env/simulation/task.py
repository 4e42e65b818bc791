"""What is asked of a driver: what he sees, where he starts, what he is paid for, when it is over.

One record that the environment, demonstrations, training and judging are each handed, and that data
sets and checkpoints carry. Its numbers are made for a car; those below are of the reference car.
"""

from typing import Any, NamedTuple

from racing_env.car.conditions import LEARNING_ROAD, NOMINAL_RANGES, ConditionRanges, ranges_for
from racing_env.car.handling import damping_ratio
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.simulation import layouts
from racing_env.simulation.layout import Layout
from racing_env.simulation.rewards import RewardWeights, reward_weights
from racing_env.simulation.starts import Starts

CONTROL_STEP_S = 0.05
EPISODE_S = 200.0
TRAINING_EPISODE_S = 40.0
SPECIALIST_BORDER_SHARE, SPECIALIST_ZONE_SHARE = 0.3, 0.6  # of what training has
ROAD_STANDING_SHARE = 0.4  # of the episodes on any road
# On any road a car that answers late is not caught, and runs wider than it was driven.
ROAD_SLIP_SHARE = 5.0  # of the price of slip
ROAD_BORDER_SHARE, ROAD_ZONE_SHARE = 1.6, 0.9
# A car that swings by itself, and answers late, is made to swing more and more, for longer than is
# known ahead of an action: small swings have to cost something. Times 1 less the square of the
# damping ratio at a speed of fast corners: to the driver of another car it costs pace.
ROAD_STEERING_PER_S, SWING_SPEED_MPS = 10.0, 40.0


class Task(NamedTuple):
    """A task for one car. A field with a default would be one that leaves a task as it was."""

    vehicle: Vehicle
    layout: str
    starts: Starts
    weights: RewardWeights
    # A car is off the track when its centre is so far beyond the end of what it may use, which is
    # half a car's width inside the borders: 0 is the rule, more a run-off area, less stricter.
    run_off_m: float
    time_limit_s: float | None  # None: by the circuit, see `racing_env.laps.evaluation`
    control_step_s: float
    conditions: ConditionRanges = NOMINAL_RANGES  # that each episode draws its own from

    def observation_layout(self) -> Layout:
        """The layout of this name; raises InputError if there is none."""
        return layouts.layout_named(self.layout, "the task")

    def record(self) -> dict[str, Any]:
        """All but the car, ready for JSON."""
        record = self._asdict() | {
            "starts": self.starts._asdict(),
            "weights": self.weights._asdict(),
            "conditions": {name: list(r) for name, r in self.conditions._asdict().items()},
        }
        del record["vehicle"]
        return record


def completed_record(record: dict[str, Any]) -> dict[str, Any]:
    """A task's record with the fields that are younger than it and whose defaults change nothing.

    A weight of the reward is no such field: with another term the pay is another.
    """
    starts = record.get("starts")
    if isinstance(starts, dict):
        record = record | {"starts": Starts()._asdict() | starts}
    nominal = {name: list(range_) for name, range_ in NOMINAL_RANGES._asdict().items()}
    return {"conditions": nominal} | record


def completed_data_record(record: dict[str, Any]) -> dict[str, Any]:
    """The same for a data set, whose younger terms paid nothing."""
    weights = record.get("weights")
    if isinstance(weights, dict):
        record = record | {"weights": {"steering_per_s": 0.0} | weights}
    return completed_record(record)


def racing_task(vehicle: Vehicle, layout: str = layouts.DEFAULT) -> Task:
    """Laps by the rule, standing on the start line: what drivers are judged by."""
    scales = scales_of(vehicle)
    return Task(
        vehicle=vehicle,
        layout=layout,
        starts=Starts(at_the_line=True, standing_share=1.0),
        weights=reward_weights(scales),
        run_off_m=0.0,
        time_limit_s=None,
        control_step_s=CONTROL_STEP_S * scales.time,
    )


def practice_task(vehicle: Vehicle, layout: str = layouts.DEFAULT) -> Task:
    """The Gymnasium environment's: starts anywhere on the line, below the profile's speed."""
    starts = Starts(least_speed_share=0.4, largest_speed_share=0.9)
    limit_s = EPISODE_S * scales_of(vehicle).time
    return racing_task(vehicle, layout)._replace(starts=starts, time_limit_s=limit_s)


def demonstration_task(vehicle: Vehicle, layout: str = layouts.DEFAULT) -> Task:
    """The expert's for a data set: starts anywhere, some standing, beside the line."""
    starts = Starts(standing_share=0.1, offset_m=0.6 * scales_of(vehicle).width, heading_rad=0.04)
    return practice_task(vehicle, layout)._replace(starts=starts)


def training_task(vehicle: Vehicle, layout: str = layouts.DEFAULT) -> Task:
    """Reinforcement learning's: as the demonstrations', shorter, with retries and a run-off area.

    Outside is paid for by the second there. With an end at the border instead, a few dozen rare,
    large losses a rollout drown what there is to learn.
    """
    scales = scales_of(vehicle)
    task = demonstration_task(vehicle, layout)
    starts = task.starts._replace(
        retry_share=0.4,
        least_retry_back_m=60.0 * scales.length,
        largest_retry_back_m=220.0 * scales.length,
        tight_share=0.3,
    )
    return task._replace(
        starts=starts, run_off_m=2.0 * scales.width, time_limit_s=TRAINING_EPISODE_S * scales.time
    )


def specialist_task(vehicle: Vehicle, layout: str = layouts.DEFAULT) -> Task:
    """For practice on one circuit: as training, nearer to the border and to the tyres' limit."""
    task = training_task(vehicle, layout)
    weights = task.weights._replace(
        border_per_s=SPECIALIST_BORDER_SHARE * task.weights.border_per_s,
        border_zone_m=SPECIALIST_ZONE_SHARE * task.weights.border_zone_m,
        slip_per_s=0.0,
    )
    return task._replace(weights=weights, starts=task.starts._replace(tight_share=0.0))


def on_any_road(task: Task) -> Task:
    """The same under conditions that no driver is told, those of `LEARNING_ROAD`.

    As a drive is in earnest: from a standing start, when nothing is known yet, and as often with
    sensors that say what is as with noisy ones. A driver who has seldom learnt so guesses wrong
    there, and is sure of it (docs/recipe.md).
    """
    scales = scales_of(task.vehicle)
    damping = damping_ratio(task.vehicle, SWING_SPEED_MPS * scales.speed)
    swinging = max(1.0 - damping**2, 0.0)
    starts = task.starts._replace(standing_share=ROAD_STANDING_SHARE)
    weights = task.weights._replace(
        border_per_s=ROAD_BORDER_SHARE * task.weights.border_per_s,
        border_zone_m=ROAD_ZONE_SHARE * task.weights.border_zone_m,
        slip_per_s=ROAD_SLIP_SHARE * task.weights.slip_per_s,
        steering_per_s=ROAD_STEERING_PER_S * swinging * scales.turn_rate,
    )
    return task._replace(
        conditions=ranges_for(LEARNING_ROAD, task.vehicle), starts=starts, weights=weights
    )
