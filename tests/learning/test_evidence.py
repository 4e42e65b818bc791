"""Learning to guess conditions: what is learnt from, and that something is learnt."""

import numpy as np
import pytest
import torch
from cars import RACECAR, simulator_on
from loops import drive, driver_parameters, loop_numbers

from racing_env.car.conditions import Conditions, differences
from racing_env.learning import evidence
from racing_env.learning.network import flat_parameters, layers_of, linear_layers
from racing_env.simulation import adaptation as ad
from racing_env.simulation.layouts import layout_named
from racing_env.simulation.task import training_task

TASK = training_task(RACECAR)
LAYOUT = layout_named(TASK.layout, "test")
UNDER = Conditions(friction=0.9, mass=1.05, delay_s=0.05)


@pytest.fixture(scope="module")
def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return evidence.new_network()


def adaptation_of(network: torch.nn.Sequential) -> ad.Adaptation:
    return ad.new_adaptation(LAYOUT, RACECAR, flat_parameters(linear_layers(network)))


@pytest.fixture(scope="module")
def driven(network):
    """Two cars from a standstill, and the actions (steps, cars, 2) that they were asked for."""
    simulator = simulator_on(["club", "oval"], 2, TASK)
    for car in range(2):
        simulator.place(car, car, 60.0, conditions=UNDER)
    noise = np.random.default_rng(0).normal(0.0, 0.2, (40, 2, 2)).astype(np.float32)
    parameters = driver_parameters(ad.inputs(LAYOUT, adapts=True))
    told = drive(
        simulator, parameters, loop_numbers(TASK), 40, noise, adaptation=adaptation_of(network)
    )  # fmt: skip
    return told.tape, np.clip(told.tape.out + noise, -1.0, 1.0)


def test_evidence_is_what_drivers_weigh(driven, network):
    """The same numbers from a data set as in the kernels, and the same guesses."""
    tape, asked = driven
    adaptation, layers = adaptation_of(network), layers_of(linear_layers(network))
    for car in range(2):
        ours = evidence.evidence_of(adaptation, tape.seen[:-1, car], asked[:, car])
        np.testing.assert_allclose(ours[1:], tape.weighing.inputs[1:, car], rtol=1e-4, atol=1e-4)
        guess, weight = evidence.guesses_along(layers, ours, adaptation.keep)
        gathered = tape.weighing.gathered[:, car].astype(np.float64)
        weights = ad.PRIOR_WEIGHT + gathered[:, ad.GUESSES :]
        np.testing.assert_allclose(weight, weights, rtol=1e-3)
        np.testing.assert_allclose(guess, gathered[:, : ad.GUESSES] / weights, rtol=1e-3, atol=1e-4)


def test_last_actions():
    asked = np.arange(1.0, 9.0).reshape(4, 2)
    rows = evidence.last_actions(asked)
    assert rows.shape == (4, ad.ASKED)
    np.testing.assert_array_equal(rows[0], 0.0)
    np.testing.assert_array_equal(rows[3], [5.0, 6.0, 3.0, 4.0, 1.0, 2.0])


def test_truth_is_in_halves_of_the_ranges(network):
    adaptation = adaptation_of(network)
    truth = evidence.truth_of(differences(UNDER), adaptation, 0.05)
    np.testing.assert_allclose(truth, [-1 / 3, 0.5, 0.0, 0.0, 0.0, 0.0], atol=1e-6)
    row = np.array([[-0.1, 0.05, 0.0, 0.0, 0.0, 1.0, 0.0]])
    kernels = [ad.truth.py_func(adaptation, row[0], k) for k in range(ad.GUESSES)]
    np.testing.assert_allclose(kernels, truth, atol=1e-6)


def test_loss_of_drives_is_that_of_their_guesses(driven, network):
    """Minus the log likelihood, as `guesses_along` has the guesses."""
    tape, asked = driven
    adaptation, layers = adaptation_of(network), layers_of(linear_layers(network))
    truth = evidence.truth_of(differences(UNDER), adaptation, 0.05)
    drives = [
        evidence.evidence_of(adaptation, tape.seen[:-1, car], asked[:, car]) for car in range(2)
    ]
    with torch.no_grad():
        loss = evidence.loss_of_drives(
            network, torch.from_numpy(np.stack(drives)), torch.from_numpy(np.stack([truth] * 2)),
            adaptation.keep,
        )  # fmt: skip
    expected = []
    for one in drives:
        guess, weight = (part[1:] for part in evidence.guesses_along(layers, one, adaptation.keep))
        expected.append(0.5 * weight * (guess - truth) ** 2 - 0.5 * np.log(weight))
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-4)


def test_what_speaks_for_a_value_is_learnt():
    """Evidence of which one number is the truth's first guess, with errors; the rest says nothing.

    After many steps the guess is near, and the weights know how near.
    """
    rng = np.random.default_rng(0)
    drives = []
    for _ in range(200):
        truth = rng.uniform(-1.0, 1.0, ad.GUESSES).astype(np.float32)
        inputs = rng.normal(0.0, 0.3, (60, ad.EVIDENCE_INPUTS)).astype(np.float32)
        inputs[:, 0] = truth[0] + rng.normal(0.0, 0.5, 60)
        drives.append(evidence.Drive(inputs, truth))
    torch.manual_seed(1)
    network = evidence.new_network()
    adaptation = adaptation_of(network)
    before = evidence.fit(network, drives, LAYOUT, adaptation, (1, 0), rng)
    after = evidence.fit(network, drives, LAYOUT, adaptation, (300, 60), rng)
    assert after < before - 0.1
    layers = layers_of(linear_layers(network))
    told = [evidence.guesses_along(layers, one.inputs, adaptation.keep) for one in drives]
    errors = np.array([guess[-1] - d.truth for (guess, _), d in zip(told, drives, strict=True)])
    weights = np.array([weight[-1] for _, weight in told])
    assert np.sqrt((errors[:, 0] ** 2).mean()) < 0.2 < np.sqrt((errors[:, 1] ** 2).mean())
    assert 0.5 < (weights[:, 0] * errors[:, 0] ** 2).mean() < 2.5
