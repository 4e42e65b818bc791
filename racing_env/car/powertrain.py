"""From the pedals to the wheels: the motor's limit, and how a force is shared out over the axles.

Forces in N, speeds in m/s. The motion and the speed profile share these functions.
"""

from racing_env.car.kernels import inlined
from racing_env.car.similarity import speed_scale

# Of the reference car; another's are scaled with its speed.
SLOWEST_MPS = 1.0  # below it the power does not limit the force
FADE_MPS = 1.0  # below top speed the motor loses its force over so much


@inlined
def drive_force_n(asked_n, vx, vehicle):
    """Drive force of the whole car: what is asked, at most P_max / v."""
    power_n = vehicle.power_max_w / max(vx, SLOWEST_MPS * speed_scale(vehicle))
    return min(asked_n, power_n)


@inlined
def top_speed_fade(vx, vehicle):
    """Share of the drive force that is left near the top speed: 1, and 0 from there on."""
    left = max(vehicle.top_speed_mps - vx, 0.0) * (1.0 / (FADE_MPS * speed_scale(vehicle)))
    return min(left, 1.0)


@inlined
def wheel_shares_n(force_n, share_front):
    """Force of each front wheel and of each rear wheel, of one that is asked of the whole car."""
    front = 0.5 * force_n * share_front
    return front, 0.5 * force_n - front
