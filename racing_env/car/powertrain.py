"""From the pedals to the wheels: the motor's limit, and how a force is shared out over the axles.

Forces in N, speeds in m/s. The motion and the speed profile share these functions.
"""

from racing_env.car.kernels import inlined


@inlined
def drive_force_n(asked_n, vx, vehicle):
    """Drive force of the whole car: what is asked, at most P_max / v."""
    power_n = vehicle.power_max_w / max(vx, 1.0)
    return min(asked_n, power_n)


@inlined
def wheel_shares_n(force_n, share_front):
    """Force of each front wheel and of each rear wheel, of one that is asked of the whole car."""
    front = 0.5 * force_n * share_front
    return front, 0.5 * force_n - front
