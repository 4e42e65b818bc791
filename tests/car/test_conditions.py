"""Conditions: as they are read and drawn, the car under them, and its motion by closed forms."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from cars import RACECAR, scaled, simulator_on
from hypothesis import given
from hypothesis import strategies as st

from racing_env.car import dynamics as dyn
from racing_env.car.conditions import (
    FACTORS,
    LIMITS,
    MOST_DELAY_STEPS,
    NOMINAL,
    NOMINAL_RANGES,
    ROAD,
    SENSOR_NOISE,
    SIZE,
    Conditions,
    Range,
    differences,
    draw_conditions,
    noise_scales,
    ranges_for,
    read_conditions,
    row_of,
    under,
)
from racing_env.car.vehicle import GRAVITY_MPS2, Vehicle
from racing_env.common.errors import InputError
from racing_env.simulation.task import CONTROL_STEP_S

SMALL = scaled(RACECAR, 0.25)  # whose times are half as long
WITHOUT_AIR = RACECAR._replace(drag_kgpm=0.0, lift_front_kgpm=0.0, lift_rear_kgpm=0.0)
any_conditions = st.builds(Conditions, *(st.floats(*limits[:2]) for limits in LIMITS))


@pytest.mark.parametrize(("text", "conditions"), [
    ("friction=0.9", Conditions(friction=0.9)),
    ("friction=1", NOMINAL),
    (" mass = 1.1 , delay_s=5e-2", Conditions(mass=1.1, delay_s=0.05)),
    ("noise=1,power=.5,tyre_stiffness=2,downforce=0",
     Conditions(noise=1.0, power=0.5, tyre_stiffness=2.0, downforce=0.0)),
])  # fmt: skip
def test_conditions_are_read_from_text(text, conditions):
    assert read_conditions(text, RACECAR) == conditions


@pytest.mark.parametrize(("text", "message"), [
    ("grip=0.9", "there is none of the name 'grip'; names are friction, mass, power"),
    ("friction", "expected NAME=VALUE"),
    ("friction=", "a number from 0.1 to 3 is needed"),
    ("friction=nan", "a number from 0.1 to 3"),
    ("friction=0.9,friction=0.9", "friction is there twice"),
    ("mass=0", "a number from 0.3 to 3"),
    ("delay_s=0.2", "a number from 0 to 0.15 (three control steps"),
    ("noise=-1", "a number from 0 to 10"),
    ("friction=0.9;mass=1", "a number from"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(text, message):
    with pytest.raises(InputError) as raised:
        read_conditions(text, RACECAR)
    assert message in str(raised.value) and "\n" not in str(raised.value)


names = st.sampled_from(Conditions._fields)
hostile_pairs = st.lists(st.tuples(names | st.text(), st.text() | st.floats().map(str)))


@given(st.text() | hostile_pairs.map(lambda pairs: ",".join(f"{n}={v}" for n, v in pairs)))
def test_any_text_is_read_within_the_limits_or_refused_in_one_short_line(text):
    try:
        conditions = read_conditions(text, RACECAR)
    except InputError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 250
    else:
        for value, limits in zip(conditions, LIMITS, strict=True):
            assert limits.least <= value <= limits.most


@given(any_conditions)
def test_differences_are_what_is_written_and_read(conditions):
    named = differences(conditions)
    text = ",".join(f"{name}={value!r}" for name, value in named.items())
    assert read_conditions(text, RACECAR) == conditions
    assert NOMINAL._replace(**named) == conditions


def test_another_cars_delay_goes_with_its_time():
    """And the longest is one that can be on its way."""
    assert ranges_for(ROAD, RACECAR) == ROAD
    small = ranges_for(ROAD, SMALL)
    assert small.delay_s == pytest.approx((0.0, 0.05, 0.0))
    assert small._replace(delay_s=ROAD.delay_s) == ROAD
    assert read_conditions("delay_s=0.075", SMALL).delay_s == 0.075
    with pytest.raises(InputError, match=r"from 0 to 0\.075"):
        read_conditions("delay_s=0.076", SMALL)
    assert LIMITS.delay_s.most == pytest.approx(MOST_DELAY_STEPS * CONTROL_STEP_S)


def test_a_road_is_within_the_limits_and_around_the_nominal():
    for road, limits, nominal in zip(ROAD, LIMITS, NOMINAL, strict=True):
        assert limits.least <= road.least <= nominal <= road.most <= limits.most


def test_draws_fill_their_ranges_and_repeat():
    draws = np.array([draw_conditions(ROAD, np.random.default_rng(seed)) for seed in range(200)])
    least, most, _ = np.array(ROAD).T
    assert (draws >= least).all() and (draws <= most).all()
    shares = (draws - least) / (most - least)
    assert (shares.min(axis=0) < 0.05).all() and (shares.max(axis=0) > 0.95).all()
    correlation = np.corrcoef(shares.T) - np.eye(SIZE)
    assert np.abs(correlation).max() < 0.25  # each is drawn for itself
    assert draw_conditions(ROAD, np.random.default_rng(7)) == Conditions(*draws[7])


def test_what_is_fixed_takes_nothing_from_the_stream():
    rng, untouched = np.random.default_rng(0), np.random.default_rng(0)
    assert draw_conditions(NOMINAL_RANGES, rng) == NOMINAL
    one = NOMINAL_RANGES._replace(friction=ROAD.friction)
    drawn = draw_conditions(one, rng)
    assert drawn == NOMINAL._replace(friction=untouched.uniform(*ROAD.friction[:2]))
    assert rng.random() == untouched.random()


def test_a_share_of_the_episodes_is_nominal():
    ranges = NOMINAL_RANGES._replace(noise=Range(0.0, 1.0, nominal_share=0.3))
    rng = np.random.default_rng(0)
    drawn = np.array([draw_conditions(ranges, rng).noise for _ in range(1000)])
    assert abs((drawn == 0.0).mean() - 0.3) < 0.05
    assert drawn.max() > 0.95 and abs(drawn[drawn > 0.0].mean() - 0.5) < 0.05


def test_the_car_is_itself_under_nominal_conditions():
    assert under(RACECAR, NOMINAL) == RACECAR
    assert not row_of(NOMINAL, CONTROL_STEP_S).any()


def test_a_factor_is_on_what_it_is_named_for():
    conditions = Conditions(0.8, 1.1, 0.9, 1.2, 0.5, delay_s=0.1, noise=1.0)
    factors = {
        "friction_front": 0.8, "friction_rear": 0.8, "mass_kg": 1.1, "yaw_inertia_kgm2": 1.1,
        "power_max_w": 0.9, "drive_force_max_n": 0.9, "tyre_b_front": 1.2, "tyre_b_rear": 1.2,
        "lift_front_kgpm": 0.5, "lift_rear_kgpm": 0.5,
    }  # fmt: skip
    car = under(RACECAR, conditions)
    for name, before, after in zip(Vehicle._fields, RACECAR, car, strict=True):
        assert after == pytest.approx(factors.get(name, 1.0) * before, rel=1e-15), name


def test_the_noise_of_another_car_is_to_its_scale():
    sigmas = np.array([sigma for _, sigma, _ in SENSOR_NOISE])
    np.testing.assert_array_equal(noise_scales(RACECAR), sigmas)
    ratios = dict(
        zip((name for name, *_ in SENSOR_NOISE), noise_scales(SMALL) / sigmas, strict=True)
    )
    assert ratios["x_m"] == pytest.approx(0.25) and ratios["vx_mps"] == pytest.approx(0.5)
    assert ratios["psi_rad"] == ratios["ax_mps2"] == pytest.approx(1.0)


@dataclass
class Drive:
    """Cars side by side, each under its own conditions."""

    vehicle: Vehicle
    conditions: tuple[Conditions, ...]

    def states(self, start: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """(steps + 1, STATE_SIZE, n) from a start (STATE_SIZE,); actions: (steps, 2)."""
        n = len(self.conditions)
        state = np.tile(start[:, None], (1, n))
        rows = np.array([row_of(some, CONTROL_STEP_S) for some in self.conditions])
        states = [state.copy()]
        for action in actions:
            dyn.step_dynamics(
                state, np.tile(action, (n, 1)), rows, self.vehicle, CONTROL_STEP_S,
                dyn.SUBSTEPS, dyn.new_scratch(),
            )  # fmt: skip
            states.append(state.copy())
        return np.array(states)


def start(**rows: float) -> np.ndarray:
    state = np.zeros(dyn.STATE_SIZE)
    for name, value in rows.items():
        state[getattr(dyn, name)] = value
    return state


@pytest.mark.parametrize("cars", [1, 3, 17])  # few are stepped otherwise than many
def test_kernels_drive_the_car_that_under_says(cars):
    """Whose record has the factors in it, and who is nominal then."""
    assert FACTORS == 5
    rng = np.random.default_rng(cars)
    least, most, _ = np.array(ROAD).T
    conditions = [Conditions(*values) for values in rng.uniform(least, most, (cars, SIZE))]
    conditions = [some._replace(delay_s=0.0, noise=0.0) for some in conditions]
    begin = start(VX=30.0, YAW_RATE=0.2)
    actions = rng.uniform([-0.2, -0.6], [0.2, 0.9], (20, 2))
    together = Drive(RACECAR, tuple(conditions)).states(begin, actions)
    for car, some in enumerate(conditions):
        alone = Drive(under(RACECAR, some), (NOMINAL,)).states(begin, actions)
        np.testing.assert_allclose(together[:, :, car], alone[:, :, 0], rtol=1e-4, atol=1e-4)
    nominal = Drive(RACECAR, (NOMINAL,)).states(begin, actions)
    assert np.abs(together[-1, dyn.VX] - nominal[-1, dyn.VX]).min() > 1e-3


def test_twice_the_mass_at_full_power_gains_half_the_energy_a_kilogram():
    """P = m v dv/dt: what is gained in the square of the speed goes with power over mass."""
    drive = Drive(
        WITHOUT_AIR._replace(rolling_resistance=1e-9),
        (NOMINAL, Conditions(mass=2.0), Conditions(power=1.1), Conditions(friction=2.0)),
    )
    begin = start(VX=50.0, DRIVE=1.1 * WITHOUT_AIR.drive_force_max_n)
    states = drive.states(begin, np.tile([0.0, 1.0], (20, 1)))
    gained = states[-1, dyn.VX] ** 2 - 50.0**2
    expected = 2.0 * RACECAR.power_max_w / RACECAR.mass_kg * 20 * CONTROL_STEP_S
    np.testing.assert_allclose(gained, expected * np.array([1.0, 0.5, 1.1, 1.0]), rtol=2e-3)


def test_braking_goes_with_the_friction_whatever_the_mass():
    """dv/dt = -mu g, all wheels at full grip."""
    factors = (1.0, 0.8, 1.1)
    drive = Drive(WITHOUT_AIR, (*(Conditions(friction=f) for f in factors), Conditions(mass=0.9)))
    begin = start(VX=60.0, BRAKE=RACECAR.brake_force_max_n)
    states = drive.states(begin, np.tile([0.0, -1.0], (40, 1)))
    lost = (60.0 - states[-1, dyn.VX]) / (40 * CONTROL_STEP_S)
    expected = RACECAR.friction_front * GRAVITY_MPS2 * np.array([*factors, 1.0])
    np.testing.assert_allclose(lost, expected, rtol=2e-3)


def test_downforce_is_grip_at_speed():
    """m v dv/dx = -(mu (m g + l v^2) + d v^2), all four wheels at full grip."""
    factors = (1.0, 0.0, 1.2)
    drive = Drive(RACECAR, tuple(Conditions(downforce=factor) for factor in factors))
    begin = start(VX=65.0, BRAKE=RACECAR.brake_force_max_n)
    states = drive.states(begin, np.tile([0.0, -1.0], (160, 1)))
    lift_kgpm = (RACECAR.lift_front_kgpm + RACECAR.lift_rear_kgpm) * np.array(factors)
    square = RACECAR.friction_front * lift_kgpm + RACECAR.drag_kgpm
    grip = RACECAR.friction_front * RACECAR.mass_kg * GRAVITY_MPS2
    expected = RACECAR.mass_kg / (2.0 * square) * np.log1p(square * 65.0**2 / grip)
    np.testing.assert_allclose(states[-1, dyn.X], expected, rtol=1e-3)


def test_softer_tyres_need_more_slip_for_the_same_turn():
    """In small slips F_y = mu F_z B C alpha: the slip goes with one over the stiffness."""
    drive = Drive(RACECAR, (NOMINAL, Conditions(tyre_stiffness=0.5)))
    steering = 0.02
    states = drive.states(start(VX=15.0), np.tile([steering, 0.1], (60, 1)))
    slips = []
    for car in range(2):
        state = np.ascontiguousarray(states[-1][:, car : car + 1])
        _, rear = dyn.axle_slips.py_func(state, 0, RACECAR)
        slips.append(rear / state[dyn.AY, 0])
    assert slips[1] / slips[0] == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(("delay_s", "steps"), [(0.05, 1), (0.1, 2), (0.15, 3)])
def test_a_delay_of_whole_steps_shifts_the_actions(delay_s, steps):
    """Bit for bit, where the quotient is a whole number; before the first action there is none."""
    late, shifted = simulator_on(["oval"]), simulator_on(["oval"])
    late.place(0, 0, speed_mps=20.0, conditions=Conditions(delay_s=delay_s))
    whole = delay_s / late.task.control_step_s == steps
    assert whole == (steps < MOST_DELAY_STEPS)
    shifted.place(0, 0, speed_mps=20.0)
    rng = np.random.default_rng(0)
    actions = rng.uniform([-0.1, -0.5], [0.1, 1.0], (30, 1, 2))
    nothing = np.zeros((steps, 1, 2))
    for action, earlier in zip(actions, [*nothing, *actions[:-steps]], strict=True):
        late.step(action)
        shifted.step(earlier)
        np.testing.assert_allclose(late.state, shifted.state, rtol=0.0, atol=0 if whole else 1e-9)
    assert np.abs(late.state[dyn.STEER]).max() > 0.0


def test_half_a_step_of_delay_is_the_mean_of_two_actions():
    late, mean = simulator_on(["oval"]), simulator_on(["oval"])
    late.place(0, 0, conditions=Conditions(delay_s=0.5 * late.task.control_step_s))
    mean.place(0, 0)
    before = np.zeros((1, 2))
    for action in np.random.default_rng(1).uniform(0.0, 1.0, (10, 1, 2)):
        late.step(action)
        mean.step(0.5 * action + 0.5 * before)
        before = action
    np.testing.assert_allclose(late.state, mean.state, rtol=1e-12, atol=1e-12)
    assert not math.isclose(late.state[dyn.VX, 0], 0.0)
