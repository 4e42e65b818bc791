"""The regulator of the expert's steering against its linear model, and how it goes with the car."""

import numpy as np
import pytest
from cars import RACECAR, on_both_axles, scaled
from scipy.linalg import expm

from racing_env.car.scales import scales_of
from racing_env.car.vehicle_files import read_vehicle, shipped_names
from racing_env.drivers import steering_feedback as sf
from racing_env.simulation.task import CONTROL_STEP_S


def feedback(vehicle) -> sf.SteeringFeedback:
    return sf.steering_feedback(vehicle, CONTROL_STEP_S * scales_of(vehicle).time)


@pytest.mark.parametrize("name", shipped_names())
@pytest.mark.parametrize("stiffness_share", [0.3, 0.6, 1.0])
def test_errors_die_out_at_every_speed(name, stiffness_share):
    """On tyres that are softer, as stiff as, and stiffer than those the gains are made for."""
    vehicle = read_vehicle(name)
    dt_s = CONTROL_STEP_S * scales_of(vehicle).time
    gains, step_mps = feedback(vehicle)
    tuning = sf.TUNING._replace(stiffness_share=stiffness_share)
    for i in range(2, sf.SPEEDS):
        motion, steered = sf._linear_model(i * step_mps, vehicle, tuning)
        both = np.zeros((6, 6))
        both[:5, :5], both[:5, 5] = motion, steered
        both = expm(both * dt_s)
        closed = both[:5, :5] - np.outer(both[:5, 5], gains[i])
        assert np.abs(np.linalg.eigvals(closed)).max() < 1.0


def test_it_steers_back_to_the_line():
    gains, _ = feedback(RACECAR)
    assert (gains[:, [0, 2, 3]] > 0.0).all()  # steering is less the gains times the errors


def test_a_similar_car_has_similar_gains():
    """Per metre of offset four times as much for a car of a quarter of the size."""
    ours, step = feedback(RACECAR)
    theirs, small_step = feedback(scaled(RACECAR, 0.25))
    assert small_step == pytest.approx(0.5 * step)
    np.testing.assert_allclose(theirs, ours * [4.0, 2.0, 1.0, 0.5, 1.0], rtol=1e-6)


def test_a_car_on_softer_front_tyres_steers_more():
    soft = RACECAR._replace(tyre_b_front=0.5 * RACECAR.tyre_b_front)
    quick = feedback(RACECAR).gains[-1]
    assert feedback(soft).gains[-1, 0] > quick[0]


def test_gains_are_made_once_and_cannot_be_changed():
    first = feedback(RACECAR)
    assert feedback(RACECAR) is first
    with pytest.raises(ValueError, match="read-only"):
        first.gains[0, 0] = 1.0
    assert feedback(RACECAR._replace(**on_both_axles(friction=0.8))) is not first
