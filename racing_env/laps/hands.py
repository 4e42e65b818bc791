"""A person at the wheel: what keys and a gamepad ask of the car, as actions.

A gamepad's axes are taken as they are. Keys are on or off: how far one is down grows while it is
held, and falls when it is let go. A steering key that is down asks for the tightest corner that the
grip allows at this speed, and the wheel is held as the expert holds it for that curvature: at the
angle that it needs in steady state, against yaw and drift beyond it, the tyres before their peak.
A pedal that is down asks for all that the tyres can bear beside their side force. So all that keys
do is measured in the car's own grip, and the times that they take are scaled with the car's.
"""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.loads import grip_n
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.drivers.expert import gains_for, pedals_n, steering_rad
from racing_env.drivers.steering_feedback import steering_feedback

# From up to down and back; of the reference car. A steering key of 0.4 s, or of 0.2 s, leaves the
# track more often where it is pressed by a program that looks no further than a second ahead.
TURN_S, PEDAL_S = 0.3, 0.2
DEAD_ZONE = 0.08  # of a gamepad's axis


class Controls(NamedTuple):
    """What a person holds."""

    left: bool = False  # keys
    right: bool = False
    drive: bool = False
    brake: bool = False
    stick: float = 0.0  # axes of a gamepad, -1 to 1: left positive
    pedals: float = 0.0  # drive positive


class Hands:
    """Turns what is held into actions, control step by control step."""

    def __init__(self, vehicle: Vehicle, control_step_s: float):
        scales = scales_of(vehicle)
        self._vehicle, self._gains = vehicle, gains_for(scales)
        self._feedback = steering_feedback(vehicle, control_step_s)
        self._step = control_step_s / scales.time
        self._lock_radpm = math.tan(vehicle.steering_max_rad) / vehicle.wheelbase_m
        self.turn = self.pedals = 0.0  # how far keys are down: left and drive positive
        self.act(Controls(left=True, drive=True), np.zeros(dyn.STATE_SIZE))  # compiled by now
        self.let_go()

    def let_go(self) -> None:
        """Wheel straight, feet off the pedals."""
        self.turn = self.pedals = 0.0

    def act(self, held: Controls, state: np.ndarray) -> np.ndarray:
        """The action (2,) float64 for a car (STATE_SIZE,); once a control step."""
        turn = float(held.left) - float(held.right)
        pedals = -1.0 if held.brake else float(held.drive)
        self.turn = moved_towards(self.turn, turn, self._step / TURN_S)
        if self.pedals * pedals < 0.0:
            self.pedals = 0.0  # one foot comes off as the other goes down
        self.pedals = moved_towards(self.pedals, pedals, self._step / PEDAL_S)
        stick, axis = without_dead_zone(held.stick), without_dead_zone(held.pedals)
        return np.array([stick or self._steering(state), axis or self._pedals(state)])

    def _steering(self, state: np.ndarray) -> float:
        vehicle, gains = self._vehicle, self._gains
        speed = max(float(state[dyn.VX]), gains.steering_speed_floor_mps)
        tightest = grip_n(speed, vehicle) / (vehicle.mass_kg * speed * speed)
        kappa = self.turn * min(tightest, self._lock_radpm)
        angle = steering_rad(
            state[:, None], 0, speed, kappa, 0.0, 0.0, vehicle, gains, self._feedback
        )  # fmt: skip
        return angle / vehicle.steering_max_rad

    def _pedals(self, state: np.ndarray) -> float:
        if self.pedals == 0.0:
            return 0.0
        vehicle, drive = self._vehicle, self.pedals > 0.0
        everything = math.copysign(math.inf, self.pedals)
        force = pedals_n(state[:, None], 0, state[dyn.VX], everything, vehicle, self._gains)
        full_n = vehicle.drive_force_max_n if drive else vehicle.brake_force_max_n
        return abs(self.pedals) * min(max(force / full_n, -1.0), 1.0)


def without_dead_zone(axis: float) -> float:
    """An axis (-1 to 1) that is zero about the middle and begins there."""
    return math.copysign(max(abs(axis) - DEAD_ZONE, 0.0) / (1.0 - DEAD_ZONE), axis)


def moved_towards(value: float, target: float, most: float) -> float:
    """A value moved to its target, by `most` at the most."""
    return value + min(max(target - value, -most), most)
