"""What the road carries and what holds the car back: wheel loads, drag, rolling resistance.

As in Christ, Wischnewski, Heilmeier, Lohmann, "Time-optimal trajectory planning for a race car
considering variable tyre-road friction coefficients", Vehicle System Dynamics, 2019. All arguments
and results are numbers: speeds forward in m/s, accelerations in m/s2, forces in N. The motion, the
speed profile and the expert share these functions.
"""

from racing_env.car.kernels import inlined
from racing_env.car.similarity import mass_scale
from racing_env.car.tyre import axle_tyres
from racing_env.car.vehicle import GRAVITY_MPS2

LOAD_FLOOR_N = 10.0  # of the reference car, scaled with the mass: no wheel pulls on the road


@inlined
def axle_loads_n(vx, vehicle):
    """Loads of the front and the rear axle at constant speed: static share and down-force."""
    wheelbase = vehicle.cog_to_front_m + vehicle.cog_to_rear_m
    speed_square = vx * vx
    weight = vehicle.mass_kg * GRAVITY_MPS2
    front = weight * vehicle.cog_to_rear_m / wheelbase + vehicle.lift_front_kgpm * speed_square
    rear = weight * vehicle.cog_to_front_m / wheelbase + vehicle.lift_rear_kgpm * speed_square
    return front, rear


@inlined
def wheel_loads_n(vx, ax, ay, vehicle):
    """Loads of front left, front right, rear left, rear right, never quite none.

    Axle loads, transfer along (h/L m ax) and across (h/b m ay, by the roll share).
    """
    wheelbase = vehicle.cog_to_front_m + vehicle.cog_to_rear_m
    along = vehicle.cog_height_m / wheelbase * vehicle.mass_kg * ax
    across = vehicle.cog_height_m / vehicle.axle_track_m * vehicle.mass_kg * ay
    front, rear = axle_loads_n(vx, vehicle)
    front = 0.5 * (front - along)
    rear = 0.5 * (rear + along)
    front_across = across * vehicle.roll_share_front
    rear_across = across - front_across
    floor = LOAD_FLOOR_N * mass_scale(vehicle)
    return (
        max(front - front_across, floor),
        max(front + front_across, floor),
        max(rear - rear_across, floor),
        max(rear + rear_across, floor),
    )


@inlined
def drag_n(vx, vehicle):
    """Drag of the air, with the sign of the speed."""
    return vehicle.drag_kgpm * vx * abs(vx)


@inlined
def resistance_n(vx, vehicle):
    """Drag and rolling resistance of a car that rolls forwards at constant speed."""
    front, rear = axle_loads_n(vx, vehicle)
    front_tyre, rear_tyre = axle_tyres(vehicle)
    rolling = front_tyre.rolling_resistance * front + rear_tyre.rolling_resistance * rear
    return drag_n(vx, vehicle) + rolling


@inlined
def grip_n(vx, vehicle):
    """Largest force that the tyres of both axles have together at constant speed: mu F_z."""
    front, rear = axle_loads_n(vx, vehicle)
    front_tyre, rear_tyre = axle_tyres(vehicle)
    return front_tyre.friction * front + rear_tyre.friction * rear
