"""Learning to guess conditions: what is learnt from, and that something is learnt."""

import numpy as np
import pytest
import torch
from cars import RACECAR, simulator_on
from loops import drive, driver_parameters, loop_numbers
from scipy.stats import multivariate_normal

from racing_env.car.conditions import Conditions, differences
from racing_env.drivers.guessing import PLACES, measured
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
        guess, deviation = evidence.guesses_along(layers, ours, adaptation.keep)
        gathered = tape.weighing.gathered[:, car].astype(np.float64)
        covariance = np.linalg.inv(information_of(gathered))
        expected = (covariance @ gathered[:, : ad.GUESSES, None])[:, :, 0]
        np.testing.assert_allclose(guess, expected, rtol=1e-3, atol=1e-4)
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=1e-3)


def information_of(gathered: np.ndarray) -> np.ndarray:
    """(steps, GUESSES, GUESSES) with the prior, of sums (steps, GATHERED)."""
    return gathered[:, ad.GUESSES :][:, PLACES] + ad.PRIOR_WEIGHT * np.eye(ad.GUESSES)


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
    """Minus the log likelihood, of what is gathered and of each step alone."""
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
        added = measured(layers, one).astype(np.float64)[1:]
        for step in range(0, len(added), evidence.EVERY):
            faded = adaptation.keep ** np.arange(step + 1)[::-1, None]
            for sums in (added[step], (faded * added[: step + 1]).sum(axis=0)):
                expected.append(surprise(sums, truth))
    assert float(loss) == pytest.approx(2.0 * np.mean(expected) / ad.GUESSES, rel=1e-3)


def surprise(sums: np.ndarray, truth: np.ndarray) -> float:
    """Minus the log density of the truth under the guesses, but for a constant; sums: (GATHERED,).

    By the textbook's normal distribution.
    """
    covariance = np.linalg.inv(information_of(sums[None])[0])
    density = multivariate_normal(covariance @ sums[: ad.GUESSES], covariance)
    return -density.logpdf(truth) - 0.5 * ad.GUESSES * np.log(2.0 * np.pi)


def test_likelihood_is_that_of_a_joint_normal_distribution():
    rng = np.random.default_rng(0)
    h = rng.normal(size=(5, 4, ad.GUESSES))
    information = h.transpose(0, 2, 1) @ h
    sums, truth = rng.normal(size=(5, ad.GUESSES)), rng.uniform(-1.0, 1.0, (5, ad.GUESSES))
    found = evidence.minus_log_likelihood(
        *(torch.from_numpy(part.astype(np.float32)) for part in (sums, information, truth))
    )
    rows, columns = np.tril_indices(ad.GUESSES)
    lower = information[:, rows, columns]
    gathered = np.concatenate([sums, lower], axis=1)
    expected = [surprise(*one) for one in zip(gathered, truth, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_measurements_are_those_of_the_numpy_driver(network):
    inputs = np.random.default_rng(0).normal(size=(7, ad.EVIDENCE_INPUTS)).astype(np.float32)
    with torch.no_grad():
        h, z = evidence.measurements(network, torch.from_numpy(inputs))
    added = measured(layers_of(linear_layers(network)), inputs)
    np.testing.assert_allclose((h.mT @ z)[..., 0], added[:, : ad.GUESSES], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(h.mT @ h, added[:, ad.GUESSES :][:, PLACES], rtol=1e-4, atol=1e-5)


def test_what_tells_a_condition_is_learnt(monkeypatch):
    """Evidence of which one number is the truth's first value, with errors; the rest says nothing.

    After many steps the guess is near, and its deviation says how near; of what nothing tells no
    more is known than before.
    """
    steps, error = 60, 0.5
    monkeypatch.setattr(evidence, "WINDOW_STEPS", steps)
    rng = np.random.default_rng(0)
    drives = []
    for _ in range(200):
        truth = rng.uniform(-1.0, 1.0, ad.GUESSES).astype(np.float32)
        inputs = rng.normal(0.0, 0.3, (steps, ad.EVIDENCE_INPUTS)).astype(np.float32)
        inputs[:, 0] = truth[0] + rng.normal(0.0, error, steps)
        drives.append(evidence.Drive(inputs, truth))
    torch.manual_seed(1)
    network = evidence.new_network()
    adaptation = adaptation_of(network)
    before = evidence.fit(network, drives, LAYOUT, adaptation, (0, 1), rng)
    after = evidence.fit(network, drives, LAYOUT, adaptation, (200, 60), rng)
    assert after < before - 0.1
    layers = layers_of(linear_layers(network))
    told = [evidence.guesses_along(layers, one.inputs, adaptation.keep) for one in drives]
    errors = np.array([guess[-1] - d.truth for (guess, _), d in zip(told, drives, strict=True)])
    deviation = np.array([deviation[-1] for _, deviation in told])
    spread = np.sqrt((errors**2).mean(axis=0))
    assert spread[0] < 1.5 * error / np.sqrt(steps) and (spread[1:] > 0.4).all()
    claimed = np.sqrt((deviation**2).mean(axis=0))
    np.testing.assert_array_less(spread, 2.0 * claimed)
    np.testing.assert_array_less(claimed, 2.0 * spread)
