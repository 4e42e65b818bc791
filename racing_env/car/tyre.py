"""The tyre: side force over slip angle and load, its peak, its inverse, and combined slip as a cap.

Side force by the magic formula (Pacejka, "Tyre and Vehicle Dynamics"), with a grip that falls off
with the load and without offsets, as in Christ, Wischnewski, Heilmeier, Lohmann, "Time-optimal
trajectory planning for a race car considering variable tyre-road friction coefficients", Vehicle
System Dynamics, 2019:

    F_y = mu F_z (1 + eps F_z / F_z0) sin(C atan(B a - E (B a - atan(B a))))

Combined slip is a cap, not a scale: |F_x| <= mu F_z, then |F_y| <= sqrt((mu F_z)^2 - F_x^2).
All arguments and results are numbers, for one wheel each: N, rad, m/s. The motion, the speed
profile and the expert share these functions. They take one axle's tyre, see `axle_tyres`.
"""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car.arithmetic import PI, arctangent, sine
from racing_env.car.kernels import inlined
from racing_env.car.similarity import speed_scale

# Of the reference car; another's are scaled with its speed.
SLIP_SPEED_FLOOR_MPS = 4.0  # denominator of the slip angle: no side force on a standing car
STOP_SPEED_MPS = 0.5  # brakes and rolling resistance fade out below it, so they never push back
MOST_SLIP_RAD = 1.0
INVERSE_SHARE_MAX = 0.98  # of the peak force: at the peak itself slip is not a function of force


class Tyre(NamedTuple):
    """The numbers of one tyre: of the magic formula, of rolling, and what is slow for its car."""

    friction: float  # mu, force per load
    b: float  # stiffness factor, 1/rad
    c: float  # shape factor
    e: float  # curvature factor
    load_sensitivity: float  # eps, change of the side force's peak per nominal load
    nominal_load_n: float  # F_z0
    rolling_resistance: float  # force per load
    slip_speed_floor_mps: float
    stop_speed_mps: float


@inlined
def axle_tyres(vehicle):
    """The tyre of the front axle and that of the rear one."""
    speed = speed_scale(vehicle)
    front = Tyre(
        vehicle.friction_front,
        vehicle.tyre_b_front,
        vehicle.tyre_c_front,
        vehicle.tyre_e_front,
        vehicle.tyre_load_sensitivity_front,
        vehicle.tyre_nominal_load_n,
        vehicle.rolling_resistance,
        SLIP_SPEED_FLOOR_MPS * speed,
        STOP_SPEED_MPS * speed,
    )
    rear = Tyre(
        vehicle.friction_rear,
        vehicle.tyre_b_rear,
        vehicle.tyre_c_rear,
        vehicle.tyre_e_rear,
        vehicle.tyre_load_sensitivity_rear,
        vehicle.tyre_nominal_load_n,
        vehicle.rolling_resistance,
        SLIP_SPEED_FLOOR_MPS * speed,
        STOP_SPEED_MPS * speed,
    )
    return front, rear


@inlined
def peak_side_force_n(load_n, tyre):
    """Largest side force: mu F_z (1 + eps F_z / F_z0), the magic formula where its sine is 1."""
    load_factor = 1.0 + tyre.load_sensitivity / tyre.nominal_load_n * load_n
    return tyre.friction * load_n * load_factor


@inlined
def slip_stiffness_n_per_rad(load_n, tyre):
    """Side force per slip angle of a tyre that rolls straight: mu F_z B C, without its loss of grip
    by load.
    """
    return tyre.friction * load_n * tyre.b * tyre.c


@inlined
def side_force_n(slip_tangent, load_n, tyre):
    """Side force without force along; slip_tangent: tan(slip angle), of any size."""
    stiff_slip = tyre.b * arctangent(slip_tangent)
    bent_slip = stiff_slip - tyre.e * (stiff_slip - arctangent(stiff_slip))
    angle = tyre.c * arctangent(bent_slip)
    shape = sine(min(max(angle, -PI), PI))
    return peak_side_force_n(load_n, tyre) * shape


@inlined
def combined_forces_n(asked_along_n, load_n, tyre):
    """Force along that a wheel transmits, and the largest side force that the circle then leaves.

    |F_x| <= mu F_z, |F_y| <= sqrt((mu F_z)^2 - F_x^2).
    """
    grip = tyre.friction * load_n
    along = min(max(asked_along_n, -grip), grip)
    return along, np.sqrt((grip - along) * (grip + along))


@inlined
def wheel_force_n(v_along, v_across, load_n, drive_n, brake_n, tyre):
    """Force of one wheel in its own frame: (along, across).

    v_along, v_across: velocity of the contact point in the wheel's frame (m/s); drive_n, brake_n:
    asked of the wheel, the second against its own way, as its rolling resistance is.
    """
    direction = min(max(v_along * (1.0 / tyre.stop_speed_mps), -1.0), 1.0)
    asked_along_n = drive_n - direction * (brake_n + tyre.rolling_resistance * load_n)
    slip_tangent = -v_across / max(v_along, tyre.slip_speed_floor_mps)
    along, across_max = combined_forces_n(asked_along_n, load_n, tyre)
    across = side_force_n(slip_tangent, load_n, tyre)
    return along, min(max(across, -across_max), across_max)


@inlined
def axle_slips_rad(vx, vy, yaw_rate, steer, vehicle):
    """Slip angles of the front and the rear axle's middle; speeds in m/s, yaw rate in rad/s."""
    speed = max(vx, SLIP_SPEED_FLOOR_MPS * speed_scale(vehicle))
    front_y = vy + yaw_rate * vehicle.cog_to_front_m
    rear_y = vy - yaw_rate * vehicle.cog_to_rear_m
    return steer - arctangent(front_y / speed), -arctangent(rear_y / speed)


@inlined
def peak_slip_rad(tyre):
    """Slip angle of the largest side force: C atan(B a - E (B a - atan(B a))) = pi/2."""
    return _slip_of_bend(math.tan(min(0.5 * math.pi / tyre.c, 1.5)), tyre)


@inlined
def slip_of_force_rad(force_n, load_n, tyre):
    """Slip angle before the peak that gives this side force: the inverse of `side_force_n`.

    A force beyond INVERSE_SHARE_MAX of the peak gives the slip angle of that share.
    """
    share = force_n / peak_side_force_n(load_n, tyre)
    share = min(max(share, -INVERSE_SHARE_MAX), INVERSE_SHARE_MAX)
    return _slip_of_bend(math.tan(math.asin(share) / tyre.c), tyre)


@inlined
def _slip_of_bend(bend, tyre):
    """Slip angle at which B a - E (B a - atan(B a)) = bend, by Newton's method."""
    stiff_slip = bend
    for _ in range(6):
        value = stiff_slip - tyre.e * (stiff_slip - math.atan(stiff_slip)) - bend
        slope = 1.0 - tyre.e + tyre.e / (1.0 + stiff_slip * stiff_slip)
        # A curve that rises for ever has no peak: then it is where MOST_SLIP_RAD is.
        most = MOST_SLIP_RAD * tyre.b
        stiff_slip = min(max(stiff_slip - value / slope, -most), most)
    return stiff_slip / tyre.b
