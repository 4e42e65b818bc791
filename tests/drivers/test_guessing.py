"""What a driver makes of evidence, one step at a time; kernels are held to it elsewhere."""

import numpy as np
import pytest
from adapting import adapting_policy, random_drive
from cars import RACECAR

from racing_env.drivers.guessing import adapted, gather, guesses, note_actions
from racing_env.simulation import adaptation as ad
from racing_env.simulation.layouts.line_preview import LAYOUT

POLICY = adapting_policy()
ADAPTATION = POLICY.adaptation
NAMES = [quantity.name for quantity in LAYOUT.quantities]


def that_says(
    value: np.ndarray, logarithm: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Layers that speak for a value with a weight, by its logarithm, whatever they are given."""
    out = np.concatenate([value / ad.REACH, (logarithm - ad.LOG_WEIGHT) / ad.LOG_WEIGHT_REACH])
    sizes = [ad.EVIDENCE_INPUTS, ad.HIDDEN, ad.HIDDEN, 2 * ad.GUESSES]
    layers = [
        (np.zeros((outputs, inputs), np.float32), np.zeros(outputs, np.float32))
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    layers[-1][1][:] = np.arctanh(out)
    return tuple(layers)


def test_a_guess_is_the_mean_of_prior_and_evidence():
    """Each piece of evidence by its weight and its age; the first step is no evidence."""
    rng = np.random.default_rng(0)
    steps = 40
    values = rng.uniform(-1.2, 1.2, (steps, ad.GUESSES))
    logarithms = rng.uniform(-6.0, 2.0, (steps, ad.GUESSES))
    seen, memory = random_drive(steps, 1), POLICY.new_memory(1)
    for step in range(steps):
        layers = that_says(values[step], logarithms[step])
        gather(ADAPTATION, layers, seen[step], memory)
    faded = ADAPTATION.keep ** np.arange(steps - 1)[::-1, None]
    weights = faded * np.exp(logarithms[1:])
    total = ad.PRIOR_WEIGHT + weights.sum(axis=0)
    guess, weight = guesses(memory)
    np.testing.assert_allclose(weight[0], total, rtol=1e-4)
    expected = (weights * values[1:]).sum(axis=0) / total
    np.testing.assert_allclose(guess[0], expected, rtol=1e-4, atol=1e-5)


def test_who_knows_nothing_guesses_the_middle():
    memory = POLICY.new_memory(2)
    given = adapted(ADAPTATION, POLICY.evidence, random_drive(1, 2)[0], memory)
    guess, weight = guesses(memory)
    assert (guess == 0.0).all() and (weight == ad.PRIOR_WEIGHT).all()
    assert (given[:, -ad.GUESSES :] == 0.0).all()
    assert (memory[:, ad.SEEN_ANY] == 1.0).all()


def test_evidence_fades_to_a_third_in_a_minute():
    """Steps that say nothing: their weights are next to none."""
    silent = that_says(np.zeros(ad.GUESSES), np.full(ad.GUESSES, -9.9))
    memory = POLICY.new_memory(1)
    memory[:, ad.SEEN_ANY] = 1.0
    memory[:, ad.SUMS : ad.WEIGHTS], memory[:, ad.WEIGHTS : ad.SEEN_ANY] = 50.0, 100.0
    seen = random_drive(1, 1)[0]
    for _ in range(round(ad.FADE_S / 0.05)):
        gather(ADAPTATION, silent, seen, memory)
    guess, weight = guesses(memory)
    left = np.exp(-1.0)
    np.testing.assert_allclose(memory[0, ad.SUMS : ad.WEIGHTS], 50.0 * left, rtol=1e-3)
    np.testing.assert_allclose(weight, ad.PRIOR_WEIGHT + 100.0 * left, rtol=2e-3)
    np.testing.assert_allclose(guess, 50.0 * left / (ad.PRIOR_WEIGHT + 100.0 * left), rtol=3e-3)


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
    for i, value in enumerate(expected):
        layers = that_says(np.zeros(ad.GUESSES), np.zeros(ad.GUESSES))
        layers[0][0][0, i] = layers[1][0][0, 0] = layers[2][0][0, 0] = 0.1
        now = memory.copy()
        gather(ADAPTATION, layers, seen[1], now)
        spoken_for = ad.REACH * np.tanh(0.1 * np.tanh(0.1 * np.tanh(0.1 * value)))
        gathered = now[0, ad.SUMS] - ADAPTATION.keep * memory[0, ad.SUMS]
        assert gathered == pytest.approx(spoken_for, rel=1e-2, abs=1e-5)  # its weight is 1


@pytest.mark.parametrize("guess", [-0.9, 0.0, 0.7])
def test_profile_and_pending_actions_follow_the_guess(guess):
    seen, memory = random_drive(1, 1)[0], POLICY.new_memory(1)
    silent = that_says(np.zeros(ad.GUESSES), np.full(ad.GUESSES, -9.9))
    asked = np.linspace(-0.6, 0.9, ad.ASKED, dtype=np.float32)
    weight = 1e4
    memory[0, ad.WEIGHTS : ad.SEEN_ANY] = weight / ADAPTATION.keep
    memory[0, ad.SUMS : ad.WEIGHTS] = guess * (weight + ad.PRIOR_WEIGHT) / ADAPTATION.keep
    memory[0, ad.LAST_ASKED :] = asked
    given = adapted(ADAPTATION, silent, seen, memory)[0]
    deviation = ad.CAUTION / np.sqrt(weight + ad.PRIOR_WEIGHT)
    factor = np.sqrt(0.95 + 0.15 * (guess - deviation))  # grip of a road: from 0.8 to 1.1
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
    np.testing.assert_allclose(given[-ad.GUESSES :], guess, rtol=1e-4, atol=1e-5)


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
    np.testing.assert_allclose(shuffled, together[order], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-4, atol=1e-5)
    assert len(np.unique(together[:, ad.SUMS])) == n


def test_what_is_seen_is_left_as_it_is():
    seen = random_drive(2, 3)
    before = seen.copy()
    memory = POLICY.new_memory(3)
    for now in seen:
        POLICY.act(now, memory)
    np.testing.assert_array_equal(seen, before)
