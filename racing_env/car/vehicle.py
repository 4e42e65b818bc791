"""The car: parameters of a planar double-track model of an electric race car.

Source of equations and numbers: Christ, Wischnewski, Heilmeier, Lohmann, "Time-optimal trajectory
planning for a race car considering variable tyre-road friction coefficients", Vehicle System
Dynamics, 2019, and `racecar.ini` of TUMFTM/global_racetrajectory_optimization.
"""

from typing import NamedTuple

GRAVITY_MPS2 = 9.81
KPH_PER_MPS = 3.6


class Vehicle(NamedTuple):
    """Parameters of one car, in SI units and radians. Another car is another instance.

    A named tuple of floats rather than a dataclass, because numba passes it into kernels as it is.
    """

    mass_kg: float = 1200.0
    yaw_inertia_kgm2: float = 1200.0
    cog_to_front_m: float = 1.6
    cog_to_rear_m: float = 1.4
    axle_track_m: float = 1.6
    cog_height_m: float = 0.38
    length_m: float = 4.7
    width_m: float = 2.0

    drag_kgpm: float = 0.75  # force = drag * v**2
    lift_front_kgpm: float = 0.45  # down-force = lift * v**2
    lift_rear_kgpm: float = 0.75
    roll_share_front: float = 0.5  # of the lateral load transfer
    rolling_resistance: float = 0.013  # of the wheel load

    brake_share_front: float = 0.6
    drive_share_front: float = 0.0
    power_max_w: float = 230e3
    top_speed_mps: float = 70.0
    drive_force_max_n: float = 7000.0
    brake_force_max_n: float = 20000.0
    steering_max_rad: float = 0.35

    friction: float = 1.0
    tyre_b: float = 10.0
    tyre_c: float = 2.5
    tyre_e: float = 1.0
    tyre_load_sensitivity: float = -0.1  # epsilon, per nominal load
    tyre_nominal_load_n: float = 3000.0

    steering_full_s: float = 0.2  # time from straight to full lock
    drive_full_s: float = 0.05  # time from no to full drive force
    brake_full_s: float = 0.05

    load_filter_s: float = 0.03  # low-pass of the accelerations that shift load between wheels

    @property
    def wheelbase_m(self) -> float:
        return self.cog_to_front_m + self.cog_to_rear_m


RACECAR = Vehicle()
