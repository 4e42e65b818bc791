"""What a driver makes of evidence, one step at a time; kernels are held to it elsewhere."""

import numpy as np
import pytest
from adapting import adapting_policy, random_drive
from cars import RACECAR

from racing_env.car.scales import scales_of
from racing_env.car.vehicle import GRAVITY_MPS2
from racing_env.drivers.guessing import PLACES, adapted, gather, guesses, measured, note_actions
from racing_env.simulation import adaptation as ad
from racing_env.simulation.information import REACH
from racing_env.simulation.layouts.line_preview import LAYOUT

POLICY = adapting_policy()
ADAPTATION = POLICY.adaptation
NAMES = [quantity.name for quantity in LAYOUT.quantities]
REACHED = (-0.9 * REACH, 0.9 * REACH)
Layers = tuple[tuple[np.ndarray, np.ndarray], ...]


def that_measures(h: np.ndarray, z: np.ndarray) -> Layers:
    """Layers that measure the same whatever they are given; h: (k, GUESSES); z: (k,)."""
    out = np.zeros((ad.MEASUREMENTS, ad.GUESSES + 1))
    out[: len(h), : ad.GUESSES], out[: len(h), ad.GUESSES] = h, z
    given, hidden, outputs = ad.EVIDENCE_SIZES
    sizes = [given, hidden, hidden, outputs]
    layers = [
        (np.zeros((outputs, inputs), np.float32), np.zeros(outputs, np.float32))
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    layers[-1][1][:] = np.arctanh(out.ravel() / REACH)
    return tuple(layers)


SILENT = that_measures(np.zeros((0, ad.GUESSES)), np.zeros(0))


def informed(information: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """A memory (1, MEMORY) of one who has seen so much, beside the prior, and guesses this."""
    memory = POLICY.new_memory(1)
    memory[:, ad.SEEN_ANY] = 1.0
    memory[0, ad.WEIGHTS : ad.SEEN_ANY] = information[np.tril_indices(ad.GUESSES)]
    memory[0, ad.SUMS : ad.WEIGHTS] = (information + ad.PRIOR_WEIGHT * np.eye(ad.GUESSES)) @ guess
    return memory


def test_a_guess_solves_the_normal_equations_of_all_measurements():
    """Of the prior and of what was measured, by its age; the first step is no evidence."""
    rng = np.random.default_rng(0)
    steps = 40
    h = rng.uniform(*REACHED, (steps, ad.MEASUREMENTS, ad.GUESSES))
    z = rng.uniform(*REACHED, (steps, ad.MEASUREMENTS))
    seen, memory = random_drive(steps, 1), POLICY.new_memory(1)
    for step in range(steps):
        gather(ADAPTATION, that_measures(h[step], z[step]), seen[step], memory)
    faded = np.sqrt(ADAPTATION.keep) ** np.arange(steps - 1)[::-1, None]
    prior = np.sqrt(ad.PRIOR_WEIGHT) * np.eye(ad.GUESSES)
    rows = np.concatenate([prior, (faded[..., None] * h[1:]).reshape(-1, ad.GUESSES)])
    values = np.concatenate([np.zeros(ad.GUESSES), (faded * z[1:]).ravel()])
    expected = np.linalg.lstsq(rows, values, rcond=None)[0]
    guess, deviation = guesses(memory)
    np.testing.assert_allclose(guess[0], expected, rtol=1e-4, atol=1e-5)
    covariance = np.linalg.inv(rows.T @ rows)
    np.testing.assert_allclose(deviation[0], np.sqrt(np.diagonal(covariance)), rtol=1e-4)
    assert np.linalg.cond(covariance) < 100.0  # so that the sums tell


@pytest.mark.parametrize("condition", range(ad.GUESSES))
def test_one_condition_that_is_measured_has_the_posterior_in_closed_form(condition):
    """Of so many measurements h x = z of unit variance, and of the prior; of the others nothing."""
    h, z, steps = 0.25 * REACH, 0.15 * REACH, 8
    rows = np.zeros((1, ad.GUESSES))
    rows[0, condition] = h
    seen, memory = random_drive(steps + 1, 1), POLICY.new_memory(1)
    for now in seen:
        gather(ADAPTATION, that_measures(rows, np.array([z])), now, memory)
    count = (ADAPTATION.keep ** np.arange(steps)).sum()
    precision = ad.PRIOR_WEIGHT + count * h**2
    guess, deviation = (part[0] for part in guesses(memory))
    assert guess[condition] == pytest.approx(count * h * z / precision, rel=1e-5)
    assert deviation[condition] == pytest.approx(precision**-0.5, rel=1e-5)
    others = np.arange(ad.GUESSES) != condition
    np.testing.assert_array_equal(guess[others], 0.0)
    np.testing.assert_allclose(deviation[others], ad.PRIOR_WEIGHT**-0.5, rtol=1e-6)


def test_a_sum_that_is_measured_is_told_apart_by_another_measurement():
    """Friction and mass of one sum: both are half of it, until one of them is measured."""
    both, one = np.zeros((2, 1, ad.GUESSES))
    h = 0.8 * REACH
    both[0, :2], one[0, 0] = h, h
    seen, memory = random_drive(201, 1), POLICY.new_memory(1)
    for now in seen:
        gather(ADAPTATION, that_measures(both, np.array([0.6 * h])), now, memory)
    guess, deviation = (part[0] for part in guesses(memory))
    np.testing.assert_allclose(guess[:2], 0.3, rtol=1e-2)  # of 0.6 together
    np.testing.assert_allclose(deviation[:2], (2.0 * ad.PRIOR_WEIGHT) ** -0.5, rtol=1e-2)
    for now in seen:
        gather(ADAPTATION, that_measures(one, np.array([0.8 * h])), now, memory)
    guess, deviation = (part[0] for part in guesses(memory))
    np.testing.assert_allclose(guess[:2], [0.8, -0.2], rtol=5e-2)
    assert (deviation[:2] < 0.06).all()


def test_guesses_are_those_of_the_kernels():
    """Of memories with little and with much information."""
    rng = np.random.default_rng(0)
    for size in (0.1, 1.0, 30.0, 1000.0):
        rows = size * rng.normal(size=(ad.GUESSES + 2, ad.GUESSES))
        memory = informed(rows.T @ rows, rng.uniform(-1.0, 1.0, ad.GUESSES))
        gathered, covariance = memory[0, ad.SUMS : ad.SEEN_ANY], np.zeros((ad.GUESSES,) * 2)
        ad.invert.py_func(gathered, covariance)
        guess, deviation = guesses(memory)
        expected = [ad.guess_of.py_func(gathered, covariance, k) for k in range(ad.GUESSES)]
        np.testing.assert_allclose(guess[0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(deviation[0], np.sqrt(np.diagonal(covariance)), rtol=1e-5)


def test_who_knows_nothing_guesses_the_middle():
    memory = POLICY.new_memory(2)
    given = adapted(ADAPTATION, POLICY.evidence, random_drive(1, 2)[0], memory)
    guess, deviation = guesses(memory)
    assert (guess == 0.0).all()
    np.testing.assert_allclose(deviation, ad.PRIOR_WEIGHT**-0.5, rtol=1e-6)
    assert (given[:, -2 * ad.GUESSES : -ad.GUESSES] == 0.0).all()
    np.testing.assert_allclose(given[:, -ad.GUESSES :], 1.0, rtol=1e-6)
    assert (memory[:, ad.SEEN_ANY] == 1.0).all()


def test_evidence_fades_to_a_third_in_a_minute():
    """Steps that say nothing: the sums fade, the prior does not."""
    information = 100.0 * np.eye(ad.GUESSES)
    memory = informed(information, np.full(ad.GUESSES, 0.5))
    before, seen = memory.copy(), random_drive(1, 1)[0]
    for _ in range(round(60.0 / 0.05)):
        gather(ADAPTATION, SILENT, seen, memory)
    sums = slice(ad.SUMS, ad.SEEN_ANY)
    np.testing.assert_allclose(memory[:, sums], before[:, sums] * np.exp(-1.0), rtol=1e-3)
    left = ad.PRIOR_WEIGHT + 100.0 * np.exp(-1.0)
    guess, deviation = guesses(memory)
    expected = 0.5 * (100.0 + ad.PRIOR_WEIGHT) * np.exp(-1.0) / left
    np.testing.assert_allclose(guess, expected, rtol=1e-3)
    np.testing.assert_allclose(deviation, left**-0.5, rtol=1e-3)


def test_a_car_that_stands_for_long_is_no_surer_than_its_measurements():
    """The same measurements for ten minutes: what they do not tell keeps the prior's variance."""
    seen, memory = random_drive(1, 1)[0], POLICY.new_memory(1)
    rows = np.random.default_rng(0).uniform(*REACHED, (ad.MEASUREMENTS, ad.GUESSES))
    layers = that_measures(rows, rows @ np.linspace(-0.5, 0.5, ad.GUESSES))
    for _ in range(12_000):
        gather(ADAPTATION, layers, seen, memory)
    information = memory[0, ad.WEIGHTS : ad.SEEN_ANY][PLACES]
    assert information.max() > 1000.0 * REACH**2
    unknown = np.linalg.eigvalsh(information.astype(np.float64))[: -ad.MEASUREMENTS]
    np.testing.assert_allclose(unknown, 0.0, atol=0.1 * ad.PRIOR_WEIGHT)


def test_the_network_is_given_what_is_seen_its_change_and_what_was_not_met():
    """Read from outside: a first layer that looks at one input at a time."""
    seen, memory = random_drive(2, 1), POLICY.new_memory(1)
    asked = np.linspace(-0.6, 0.9, ad.ASKED, dtype=np.float32)
    gather(ADAPTATION, POLICY.evidence, seen[0], memory)
    memory[0, ad.LAST_ASKED :] = asked
    own, before = (dict(zip(NAMES, s[0], strict=True)) for s in (seen[1], seen[0]))
    steer, pedals = own["steer_rad"], own["drive_n"] - own["brake_n"]
    expected = [own[name] for name in ad.EVIDENCE]
    expected += [ad.CHANGE_GAIN * (own[name] - before[name]) for name in ad.EVIDENCE]
    expected += [ad.CHANGE_GAIN * (asked[i] - (pedals if i % 2 else steer)) for i in range(6)]
    expected += expectations(own)
    assert len(expected) == ad.EVIDENCE_INPUTS
    for i, value in enumerate(expected):
        layers = that_measures(np.zeros((0, ad.GUESSES)), np.zeros(0))
        layers[0][0][0, i] = layers[1][0][0, 0] = layers[2][0][ad.GUESSES, 0] = 0.1
        layers[2][1][0] = np.arctanh(1.0 / REACH)
        now = memory.copy()
        gather(ADAPTATION, layers, seen[1], now)
        z = REACH * np.tanh(0.1 * np.tanh(0.1 * np.tanh(0.1 * value)))
        gathered = now[0, ad.SUMS] - ADAPTATION.keep * memory[0, ad.SUMS]
        assert gathered == pytest.approx(z, rel=1e-2, abs=1e-5)  # its h is 1, of friction


def expectations(own: dict[str, float]) -> list[float]:
    """What the nominal car would do, in double precision; own: as seen, by name."""
    scales = dict(zip(NAMES, LAYOUT.limits(RACECAR)[:, 0], strict=True))
    of = {name: float(own[name]) * scales[name] for name in ad.EVIDENCE}
    slow_mps, hard_mps2 = 3.0 * scales_of(RACECAR).speed, 3.0 * scales_of(RACECAR).acceleration
    speed = max(of["vx_mps"], slow_mps)
    lift_n = (RACECAR.lift_front_kgpm + RACECAR.lift_rear_kgpm) * speed**2
    load_mps2 = GRAVITY_MPS2 + lift_n / RACECAR.mass_kg
    shapes = []
    for axle in ("front", "rear"):
        b, c, e = (getattr(RACECAR, f"tyre_{letter}_{axle}") for letter in "bce")
        x = b * of[f"{axle}_slip_rad"]
        shapes.append(np.sin(c * np.arctan(x - e * (x - np.arctan(x)))))
    drive_n = min(of["drive_n"], RACECAR.power_max_w / speed)
    along_n = drive_n - of["brake_n"] - RACECAR.drag_kgpm * speed**2
    along_mps2 = along_n / RACECAR.mass_kg - RACECAR.rolling_resistance * load_mps2
    used = of["ay_mps2"] / load_mps2
    return [
        5.0 * (used - shapes[0]), 5.0 * (used - shapes[1]), *shapes,
        (of["ax_mps2"] - along_mps2) / hard_mps2, along_mps2 / (3.0 * hard_mps2),
    ]  # fmt: skip


def test_measurements_are_the_same_for_one_car_and_for_many():
    """What the car would do is worked out in other functions for one."""
    seen = random_drive(30, 6, seed=4)
    together, alone = POLICY.new_memory(6), [POLICY.new_memory(1) for _ in range(6)]
    for now in seen:
        ours = gather(ADAPTATION, POLICY.evidence, now, together)
        theirs = [
            gather(ADAPTATION, POLICY.evidence, now[car : car + 1], alone[car]) for car in range(6)
        ]
        np.testing.assert_allclose(ours, np.concatenate(theirs), rtol=1e-5, atol=1e-3)


def test_what_is_measured_is_products_of_h_with_h_and_z():
    rng = np.random.default_rng(0)
    h, z = (
        rng.uniform(*REACHED, (ad.MEASUREMENTS, ad.GUESSES)),
        rng.uniform(*REACHED, ad.MEASUREMENTS),
    )
    sums = measured(that_measures(h, z), np.zeros((2, ad.EVIDENCE_INPUTS), np.float32))
    for own in sums:
        np.testing.assert_allclose(own[: ad.GUESSES], h.T @ z, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(own[ad.GUESSES :][PLACES], h.T @ h, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("guess", "taken"), [(-0.9, -0.9), (0.0, 0.0), (0.7, 0.7), (-4.0, -4.0), (3.0, 0.8)]
)
def test_profile_and_pending_actions_follow_the_guess(guess, taken):
    """The profile's grip is less than the guess by the care, and never far beyond the range."""
    seen, information = random_drive(1, 1)[0], 1e4
    memory = informed(information * np.eye(ad.GUESSES), np.full(ad.GUESSES, guess))
    memory[:, ad.SUMS : ad.SEEN_ANY] /= ADAPTATION.keep
    asked = np.linspace(-0.6, 0.9, ad.ASKED, dtype=np.float32)
    memory[0, ad.LAST_ASKED :] = asked
    given = adapted(ADAPTATION, SILENT, seen, memory)[0]
    deviation = 1.0 / np.sqrt(information + ad.PRIOR_WEIGHT)
    careful = max(taken - 1.75 * deviation - 3.0 * deviation**2, -1.5)
    factor = np.sqrt(0.95 + 0.15 * careful)  # grip of a road: from 0.8 to 1.1
    scales = LAYOUT.limits(RACECAR)[:, 0]
    for column, name in enumerate(NAMES):
        expected = seen[0, column]
        if name.startswith("profile_minus_speed_mps"):
            speed_mps = seen[0, 0] * scales[0]
            profile_mps = seen[0, column] * scales[column] + speed_mps
            expected = (factor * profile_mps - speed_mps) / scales[column]
        assert given[column] == pytest.approx(expected, rel=1e-4, abs=1e-5), name
    np.testing.assert_array_equal(given[LAYOUT.size :][: ad.ASKED], asked)
    delay_steps = 1.0 + guess  # from none to two control steps
    on_their_way = np.clip(delay_steps - np.arange(3), 0.0, 1.0)
    pending = given[LAYOUT.size + ad.ASKED :][:2]
    np.testing.assert_allclose(pending, on_their_way @ asked.reshape(3, 2), rtol=1e-4, atol=1e-5)
    told = given[-2 * ad.GUESSES : -ad.GUESSES]
    np.testing.assert_allclose(told, guess, rtol=1e-4, atol=1e-5)
    sure = np.sqrt(ad.PRIOR_WEIGHT) * deviation
    np.testing.assert_allclose(given[-ad.GUESSES :], sure, rtol=1e-4)


def test_the_last_actions_are_noted_and_the_oldest_forgotten():
    memory = POLICY.new_memory(2)
    actions = np.random.default_rng(0).uniform(-1, 1, (5, 2, 2)).astype(np.float32)
    for action in actions:
        note_actions(memory, action)
    latest_first = actions[:1:-1].transpose(1, 0, 2).reshape(2, ad.ASKED)
    np.testing.assert_array_equal(memory[:, ad.LAST_ASKED :], latest_first)
    assert (memory[:, : ad.LAST_ASKED] == 0.0).all()


def test_cars_do_not_know_of_each_other():
    """In any company, and in any order, each does as it does alone."""
    seen, n = random_drive(50, 5), 5
    order = np.array([3, 0, 4, 2, 1])
    together, shuffled = POLICY.new_memory(n), POLICY.new_memory(n)
    alone = [POLICY.new_memory(1) for _ in range(n)]
    for now in seen:
        actions = POLICY.act(now, together)
        np.testing.assert_allclose(POLICY.act(now[order], shuffled), actions[order], atol=1e-5)
        for car in range(n):
            action = POLICY.act(now[car : car + 1], alone[car])
            np.testing.assert_allclose(action[0], actions[car], atol=1e-5)
    np.testing.assert_allclose(shuffled, together[order], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-4, atol=1e-4)
    assert len(np.unique(together[:, ad.SUMS])) == n


def test_what_is_seen_is_left_as_it_is():
    seen = random_drive(2, 3)
    before = seen.copy()
    memory = POLICY.new_memory(3)
    for now in seen:
        POLICY.act(now, memory)
    np.testing.assert_array_equal(seen, before)
