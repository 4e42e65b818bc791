"""Sensors: what a driver sees is computed from his car's state with their errors.

The line and the map are known as they are; the car's place on them is not.
"""

from typing import NamedTuple

import numpy as np

from racing_env.car import conditions
from racing_env.car import dynamics as dyn
from racing_env.car.conditions import SENSOR_NOISE, noise_scales
from racing_env.car.kernels import inlined
from racing_env.car.vehicle import Vehicle
from racing_env.simulation.motion import CarTable, locate, new_car_table, room_inside

CHANNELS = len(SENSOR_NOISE)
ROWS = (dyn.X, dyn.Y, dyn.PSI, dyn.VX, dyn.VY, dyn.YAW_RATE, dyn.AX, dyn.AY)  # of the channels


class Sensors(NamedTuple):
    """What they need for one car at a time."""

    scales: np.ndarray  # (CHANNELS,) standard deviations of their errors at noise 1
    state: np.ndarray  # (STATE_SIZE, 1) with errors
    cars: CarTable  # one car, where it would be then


def new_sensors(vehicle: Vehicle) -> Sensors:
    return Sensors(noise_scales(vehicle), np.zeros((dyn.STATE_SIZE, 1)), new_car_table(1))


@inlined
def measure(state, car, cars, circuits, sensors, noise):
    """Fill the sensors with a car's state and place with errors.

    noise: (CHANNELS,) errors in standard deviations at noise 1.
    """
    for i in range(dyn.STATE_SIZE):
        sensors.state[i, 0] = state[i, car]
    amount = cars.conditions[car, conditions.NOISE]
    for channel in range(CHANNELS):
        sensors.state[ROWS[channel], 0] += amount * sensors.scales[channel] * noise[channel]
    for i in range(conditions.SIZE):
        sensors.cars.conditions[0, i] = cars.conditions[car, i]
    sensors.cars.circuit[0], sensors.cars.station[0] = cars.circuit[car], cars.station[car]
    locate(sensors.state, sensors.cars, circuits, 0)
    sensors.cars.room_m[0] = room_inside(sensors.cars, circuits, 0)
