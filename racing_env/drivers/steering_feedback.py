"""How much to steer for an error: an optimal regulator for each speed of a car.

The errors of a car that follows a line obey the linear single-track model (Rajamani, "Vehicle
Dynamics and Control", section 2.5), here with a steering angle that lags behind what is asked:

    e''     = -(Cf + Cr)/(m v) e' + (Cf + Cr)/m h - (Cf lf - Cr lr)/(m v) h' + Cf/m d
    h''     = -(Cf lf - Cr lr)/(I v) e' + (Cf lf - Cr lr)/I h - (Cf lf^2 + Cr lr^2)/(I v) h'
              + Cf lf/I d
    d'      = (asked - d)/lag

with the offset e (left positive), the heading h relative to the line, the steering d beyond what
the line's curvature needs, and the axles' cornering stiffnesses Cf, Cr at the car's loads. The
gains minimise the sum of the squared errors, each over what is large for this car, control step by
control step.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import expm, solve_discrete_are

from racing_env.car.handling import axle_stiffnesses_n_per_rad
from racing_env.car.scales import scales_of
from racing_env.car.similarity import speed_scale
from racing_env.car.tyre import SLIP_SPEED_FLOOR_MPS
from racing_env.car.vehicle import Vehicle

ERRORS = ("offset_m", "offset_mps", "heading_rad", "yaw_rate_radps", "steering_rad")
SPEEDS = 24
# Of the scale of slip: a tyre without much of a peak has it far beyond what a car steers.
SOFTEST_TYRE = 2.3


class Tuning(NamedTuple):
    """What is large for the reference car; tuned on generated circuits with three kinds of car."""

    offset_m: float = 0.5
    heading_rad: float = 0.1
    steering_rad: float = 0.03  # with 0.05 some cars begin to weave
    # Of the time from straight to full lock: corrections are small, and soon made. Gains that
    # expect more of a lag shake the wheel at every step.
    lag_share: float = 0.03
    stiffness_share: float = 0.7  # of a tyre that rolls straight: near the limit it is softer


class SteeringFeedback(NamedTuple):
    """Gains (SPEEDS, len(ERRORS)): steering (rad) per error, at speeds i * speed_step_mps."""

    gains: np.ndarray
    speed_step_mps: float


TUNING = Tuning()


@lru_cache(maxsize=16)
def steering_feedback(vehicle: Vehicle, dt_s: float) -> SteeringFeedback:
    """The regulator of a car whose control step is dt_s."""
    speeds = np.linspace(0.0, vehicle.top_speed_mps, SPEEDS)
    slowest = SLIP_SPEED_FLOOR_MPS * speed_scale(vehicle)
    gains = np.stack([_gains(max(speed, slowest), vehicle, dt_s) for speed in speeds])
    gains.flags.writeable = False
    return SteeringFeedback(gains, float(speeds[1]))


def _gains(speed_mps: float, vehicle: Vehicle, dt_s: float) -> np.ndarray:
    """Steering per error (len(ERRORS),) at one speed."""
    tuning, scales = TUNING, scales_of(vehicle)
    motion, steered = _linear_model(speed_mps, vehicle, tuning)
    size = len(ERRORS)
    both = np.zeros((size + 1, size + 1))
    both[:size, :size], both[:size, size] = motion, steered
    both = expm(both * dt_s)  # exact for what is asked at the beginning of a step and then held
    a, b = both[:size, :size], both[:size, size:]
    price = np.zeros((size, size))
    price[0, 0] = (tuning.offset_m * scales.width) ** -2
    price[2, 2] = tuning.heading_rad**-2
    softness = min(scales.front_slip, SOFTEST_TYRE)
    asked = np.array([[(tuning.steering_rad * softness) ** -2]])
    cost = solve_discrete_are(a, b, price, asked)
    return np.linalg.solve(asked + b.T @ cost @ b, b.T @ cost @ a)[0]


def _linear_model(
    speed_mps: float, vehicle: Vehicle, tuning: Tuning
) -> tuple[np.ndarray, np.ndarray]:
    """Rates of the errors by the errors, and by the steering asked for."""
    front, rear = (
        tuning.stiffness_share * stiffness
        for stiffness in axle_stiffnesses_n_per_rad(vehicle, speed_mps)
    )
    to_front, to_rear = vehicle.cog_to_front_m, vehicle.cog_to_rear_m
    mass, inertia = vehicle.mass_kg, vehicle.yaw_inertia_kgm2
    both, turning = front + rear, front * to_front - rear * to_rear
    damping = front * to_front**2 + rear * to_rear**2
    lag_s = tuning.lag_share * vehicle.steering_full_s
    motion = np.array([
        [0.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, -both / (mass * speed_mps), both / mass, -turning / (mass * speed_mps), front / mass],
        [0.0, 0.0, 0.0, 1.0, 0.0],
        [0.0, -turning / (inertia * speed_mps), turning / inertia,
         -damping / (inertia * speed_mps), front * to_front / inertia],
        [0.0, 0.0, 0.0, 0.0, -1.0 / lag_s],
    ])  # fmt: skip
    return motion, np.array([0.0, 0.0, 0.0, 0.0, 1.0 / lag_s])
