"""How a car answers to small changes of its steering: the single-track model, linear tyres."""

import math

from racing_env.car.loads import axle_loads_n
from racing_env.car.tyre import axle_tyres, slip_stiffness_n_per_rad
from racing_env.car.vehicle import Vehicle


def axle_stiffnesses_n_per_rad(vehicle: Vehicle, speed_mps: float) -> tuple[float, float]:
    """Side force per slip angle of the front and the rear axle, going straight on at this speed."""
    loads, tyres = axle_loads_n(speed_mps, vehicle), axle_tyres(vehicle)
    return (
        slip_stiffness_n_per_rad(loads[0], tyres[0]),
        slip_stiffness_n_per_rad(loads[1], tyres[1]),
    )


def damping_ratio(vehicle: Vehicle, speed_mps: float) -> float:
    """Of yaw rate and slip together, going straight on at this speed; below 1 they swing.

    A car that understeers does above some speed, a neutral one at none. Infinite where one that
    oversteers does not come back at all. Half the trace over the root of the determinant: Milliken
    and Milliken, "Race Car Vehicle Dynamics", SAE 1995, chapter 6.
    """
    m, inertia = vehicle.mass_kg, vehicle.yaw_inertia_kgm2
    a, b = vehicle.cog_to_front_m, vehicle.cog_to_rear_m
    front, rear = axle_stiffnesses_n_per_rad(vehicle, speed_mps)
    trace = ((front + rear) / m + (front * a**2 + rear * b**2) / inertia) / speed_mps
    determinant = front * rear * (a + b) ** 2 / (m * inertia * speed_mps**2)
    determinant += (rear * b - front * a) / inertia
    return 0.5 * trace / math.sqrt(determinant) if determinant > 0.0 else math.inf
