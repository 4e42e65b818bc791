"""The scales of a car: 1 for the reference car, Froude's for one that is smaller in every way."""

import pytest
from cars import RACECAR, on_both_axles, scaled

from racing_env.car.scales import REFERENCE, Scales, scales_of


def test_all_scales_of_the_racecar_are_exactly_one():
    assert scales_of(RACECAR) == REFERENCE == Scales(*[1.0] * len(Scales._fields))


def test_a_tenth_of_all_lengths_has_froudes_scales():
    """Lengths alone matter but for the force, which goes with the weight."""
    lengths = [name for name in RACECAR._fields if name.endswith("_m")]
    model = RACECAR._replace(**{name: 0.1 * getattr(RACECAR, name) for name in lengths})
    scales = scales_of(model)
    root = 0.1**0.5
    assert scales._asdict() == pytest.approx(
        {
            "length": 0.1, "width": 0.1, "acceleration": 1.0, "speed": root, "time": root,
            "turn_rate": 1.0 / root, "curvature": 10.0, "force": 1.0,
            "front_slip": 1.0, "rear_slip": 1.0,
        }
    )  # fmt: skip
    assert scales_of(scaled(RACECAR, 0.1)).force == pytest.approx(1e-3)


@pytest.mark.parametrize("friction", [0.5, 2.0])
def test_grip_makes_everything_faster(friction):
    scales = scales_of(RACECAR._replace(**on_both_axles(friction=friction)))
    assert scales.acceleration == scales.force == friction
    assert scales.speed == pytest.approx(friction**0.5)
    assert scales.time == pytest.approx(friction**-0.5)
    assert scales.length == scales.width == scales.curvature == 1.0


def test_scales_fit_each_other():
    """Whatever the car, a length is a speed times a time, a speed an acceleration times one."""
    tyre = on_both_axles(friction=1.4)
    scales = scales_of(RACECAR._replace(cog_to_front_m=0.7, cog_to_rear_m=0.9, **tyre))
    assert scales.speed * scales.time == pytest.approx(scales.length)
    assert scales.acceleration * scales.time == pytest.approx(scales.speed)
    assert scales.turn_rate * scales.time == pytest.approx(1.0)
    assert scales.curvature * scales.length == pytest.approx(1.0)
