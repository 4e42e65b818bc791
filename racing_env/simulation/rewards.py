"""What a driver is paid for, term by term: names, weights, and how each is computed.

A term more is a line in each of the three.
"""

from typing import NamedTuple

from racing_env.car import dynamics as dyn
from racing_env.car.kernels import inlined
from racing_env.car.scales import Scales

BORDER_DEPTH_MAX = 4.0  # zones; beyond, the price of being off the track grows no more
SLIP_EXCESS_MAX = 3.0

TERMS = {
    "progress": "time that the speed profile takes for what was covered in this step",
    "border": "penalty near the border and outside it, quadratic in depth",
    "slip": "penalty for slip angles past the tyres' peak",
    "steering": "penalty for what is asked of the steering in one control step",
    "end": "penalty, once, when the episode is terminated",
}
REWARD_TERMS = tuple(TERMS)


class RewardWeights(NamedTuple):
    """Prices of the terms. Numbers are those of the reference car; see `reward_weights`."""

    progress_per_s: float = 0.1  # a second of the speed profile's time covered
    border_per_s: float = 0.5  # at the border; grows with the square of the depth in the zone,
    border_zone_m: float = 0.4  # which begins this far inside and goes on outside the track
    slip_per_s: float = 0.1  # an axle's slip angle at twice the following one, where the price
    front_slip_rad: float = 0.09  # begins: a little past the tyre's peak
    rear_slip_rad: float = 0.09
    steering_per_s: float = 0.0  # a full lock at once; grows with the square of its share
    end: float = 1.0  # an episode ended by leaving the track, turning round or standing still


def reward_weights(scales: Scales) -> RewardWeights:
    """The weights for a car: a control step is paid as one of the reference car."""
    reference = RewardWeights()
    return reference._replace(
        progress_per_s=reference.progress_per_s * scales.turn_rate,
        border_per_s=reference.border_per_s * scales.turn_rate,
        border_zone_m=reference.border_zone_m * scales.width,
        slip_per_s=reference.slip_per_s * scales.turn_rate,
        front_slip_rad=reference.front_slip_rad * scales.front_slip,
        rear_slip_rad=reference.rear_slip_rad * scales.rear_slip,
        steering_per_s=reference.steering_per_s * scales.turn_rate,
    )


@inlined
def steering_demand(state, car, steering, vehicle):
    """How far from where it is a car's steering is asked to be, as a share of full lock.

    state: (STATE_SIZE, n) before the control step; steering: the action that reaches the car.
    """
    return steering - state[dyn.STEER, car] / vehicle.steering_max_rad


@inlined
def pay(rewards, state, car, gained_s, room_m, demand, ended, weights, vehicle, dt_s):
    """Fill rewards (terms,) of one car after a control step of dt_s.

    state: (STATE_SIZE, n) after the step; gained_s: of the profile's time; room_m: between the car
    and the nearer border, below zero outside; demand: `steering_demand` of the step; ended: the
    step ended the episode.
    """
    depth = min(max(1.0 - room_m / weights.border_zone_m, 0.0), BORDER_DEPTH_MAX)
    front_slip, rear_slip = dyn.axle_slips(state, car, vehicle)
    excess = max(abs(front_slip) / weights.front_slip_rad - 1.0, 0.0)
    excess += max(abs(rear_slip) / weights.rear_slip_rad - 1.0, 0.0)
    rewards[0] = weights.progress_per_s * gained_s
    rewards[1] = -weights.border_per_s * depth * depth * dt_s
    rewards[2] = -weights.slip_per_s * min(excess, SLIP_EXCESS_MAX) * dt_s
    rewards[3] = -weights.steering_per_s * demand * demand * dt_s
    rewards[4] = -weights.end if ended else 0.0
