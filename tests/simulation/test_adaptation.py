"""What drivers guess of their conditions: in kernels as with numpy, and its gradient."""

import numpy as np
import pytest
from cars import RACECAR, simulator_on
from loops import HIDDEN, drive, driver_parameters, loop_numbers, pulled_back, weighed_back

from racing_env.car.conditions import Conditions
from racing_env.drivers.expert import expert_actions
from racing_env.drivers.guessing import PLACES, adapted, measured, note_actions
from racing_env.simulation import adaptation as ad
from racing_env.simulation.adaptation_adjoint import ALONE_WEIGHT
from racing_env.simulation.layouts import layout_named
from racing_env.simulation.perceptron import parameters_of
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import training_task

TASK = training_task(RACECAR)
NUMBERS = loop_numbers(TASK)
STEPS, CARS = 16, 3
CONDITIONS = (
    Conditions(friction=0.85, delay_s=0.1),
    Conditions(mass=1.1, power=0.9, tyre_stiffness=1.2, delay_s=0.03),
    Conditions(friction=1.1, downforce=0.8, delay_s=0.12),
)


def guessing_parameters(seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.2, ad.parameters()).astype(np.float32)


def guesser_of(flat: np.ndarray) -> ad.Adaptation:
    layout = layout_named(TASK.layout, "test")
    return ad.new_adaptation(layout, RACECAR, flat.astype(np.float32))


def guessing() -> ad.Adaptation:
    """Numbers of drivers who weigh evidence somehow."""
    return guesser_of(guessing_parameters())


def on_the_road(noise: float = 0.0) -> Simulator:
    """Cars under conditions of their own, after a second of the expert's driving."""
    simulator = simulator_on(["club", "oval"], CARS, TASK)
    for car, conditions in enumerate(CONDITIONS):
        simulator.place(
            car, car % 2, 130.0 * car + 60.0, line_offset_m=0.3, speed_mps=20.0,
            conditions=conditions._replace(noise=noise),
        )  # fmt: skip
    for _ in range(20):
        simulator.step(expert_actions(simulator, np.full(CARS, 0.7)))
    return simulator


def layers_of(adaptation: ad.Adaptation) -> list[tuple[np.ndarray, np.ndarray]]:
    net = adaptation.network
    weights = (net.weight_1, net.weight_2, net.weight_3)
    biases = (net.bias_1, net.bias_2, net.bias_3)
    return [(weight.T, bias) for weight, bias in zip(weights, biases, strict=True)]


def test_kernels_do_as_numpy_does():
    """Along a drive, memory and all."""
    start, adaptation = on_the_road(), guessing()
    parameters = driver_parameters(start.layout.size + ad.EXTRA_INPUTS)
    driven = drive(start, parameters, NUMBERS, STEPS, adaptation=adaptation)
    memory, tape = start.memory.copy(), driven.tape
    memory[:, ad.LAST_ASKED :] = start.cars.asked.reshape(CARS, -1)
    for step in range(STEPS):
        expected = adapted(adaptation, layers_of(adaptation), tape.seen[step], memory)
        np.testing.assert_allclose(tape.inputs[step], expected, rtol=1e-4, atol=1e-4)
        note_actions(memory, np.clip(tape.out[step], -1.0, 1.0))
    np.testing.assert_allclose(
        driven.simulator.memory[:, : ad.LAST_ASKED], memory[:, : ad.LAST_ASKED],
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    assert (memory[:, ad.WEIGHTS + np.diagonal(PLACES)] > 0.0).all()


def test_the_profile_is_that_of_the_guessed_grip():
    """Its speeds by the root of the grip, whatever the own speed; nothing else changes."""
    start, adaptation = on_the_road(), guessing()
    seen, memory = start.observe(), start.memory.copy()
    seen_inputs = adapted(adaptation, layers_of(adaptation), seen, memory)
    scales = start.layout.limits(RACECAR)[:, 0]
    middle, half = adaptation.middle[ad.FRICTION], adaptation.half[ad.FRICTION]
    variance = 1.0 / ad.PRIOR_WEIGHT
    care = ad.EARNEST.deviations * np.sqrt(variance) + ad.EARNEST.variances * variance
    assert care > ad.GRIP_REACH  # so that nobody takes the grip to be less than that
    factor = np.sqrt(middle - half * ad.GRIP_REACH)
    names = [quantity.name for quantity in start.layout.quantities]
    for column, name in enumerate(names):
        now = seen_inputs[:, column]
        if name.startswith("profile_minus_speed_mps"):
            profile = seen[:, column] * scales[column] + start.state[3]
            expected = factor * profile - start.state[3]
            np.testing.assert_allclose(now * scales[column], expected, rtol=1e-4, atol=1e-3)
        else:
            np.testing.assert_array_equal(now, seen[:, column])


@pytest.mark.parametrize(
    ("guess", "deviation", "taken"),
    [(0.2, 0.3, 0.2 - 0.525 - 0.27), (0.9, 0.1, 0.8 - 0.175 - 0.03), (-1.0, 0.5, -1.5)],
)
def test_care_grows_with_the_variance_and_trusts_no_guess_above_the_most(guess, deviation, taken):
    adaptation = guessing()
    factor = ad.speed_factor.py_func(np.float32(guess), np.float32(deviation), adaptation)
    grip = adaptation.middle[ad.FRICTION] + adaptation.half[ad.FRICTION] * taken
    assert factor == pytest.approx(np.sqrt(grip), rel=1e-5)


@pytest.mark.parametrize("adapts", [False, True])
def test_gradient_under_conditions_is_the_difference_of_driving_again(adapts: bool):
    """With delays, some of them no whole steps, and with guesses, which are taken as they are:
    evidence without weight leaves the prior's, so that they do not change with the driving.
    """
    start = on_the_road()
    adaptation = None
    if adapts:
        adaptation = guessing()
        adaptation.network.weight_3[:] = 0.0
        adaptation.network.bias_3[:] = 0.0
        for k, guess in ((ad.FRICTION, 0.8), (ad.DELAY, 0.5)):
            start.memory[:, ad.SUMS + k] = 30.0 * guess
            start.memory[:, ad.WEIGHTS + PLACES[k, k]] = 30.0
    inputs = ad.inputs(start.layout, adapts)
    parameters = driver_parameters(inputs)
    driven = drive(start, parameters, NUMBERS, STEPS, adaptation=adaptation)
    ours = pulled_back(driven, parameters, NUMBERS, adaptation=adaptation)[0].astype(np.float64)
    rng = np.random.default_rng(0)
    directions = list(np.eye(len(parameters))[-2:])
    for part in parameters_of(np.arange(len(parameters)), inputs, HIDDEN, 2):
        directions.append(np.zeros(len(parameters)))
        directions[-1][part.ravel()] = rng.choice([-1.0, 1.0], part.size)
    found, expected = [], []
    for direction in directions:
        change = (2e-3 / np.linalg.norm(direction) * direction).astype(np.float32)
        ways = [
            drive(
                start, parameters + sign * change, NUMBERS, STEPS, adaptation=adaptation
            ).paid.sum()
            for sign in (-1.0, 1.0)
        ]  # fmt: skip
        expected.append((ways[1] - ways[0]) / 2e-3 / 2.0)
        found.append(ours @ change.astype(np.float64) / 2e-3)
    size = np.abs(expected).max()
    assert size > 0.005
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.01 * size)


def loss_of(driven, adaptation: ad.Adaptation) -> float:
    """Minus the log likelihood of the conditions under the guesses of all cars and steps, and under
    those from each step's evidence alone.
    """
    row = driven.tape.conditions
    truth = np.concatenate([1.0 + row[..., : ad.DELAY], row[..., ad.DELAY : ad.GUESSES]], axis=2)
    truth = ((truth - adaptation.middle) / adaptation.half).reshape(-1, ad.GUESSES)
    gathered = driven.tape.weighing.gathered.astype(np.float64)
    inputs = driven.tape.weighing.inputs.reshape(-1, ad.EVIDENCE_INPUTS)
    alone = measured(layers_of(adaptation), inputs).astype(np.float64)
    total = 0.0
    for share, sums in ((1.0, gathered.reshape(-1, ad.GATHERED)), (ALONE_WEIGHT, alone)):
        for own, wanted in zip(sums, truth, strict=True):
            information = own[ad.GUESSES :][PLACES] + ad.PRIOR_WEIGHT * np.eye(ad.GUESSES)
            error = np.linalg.solve(information, own[: ad.GUESSES]) - wanted
            total += share * 0.5 * error @ information @ error
            total -= share * 0.5 * np.linalg.slogdet(information)[1]
    return total


def test_gradient_of_the_guesses_is_the_difference_of_weighing_again():
    """The driver goes on in the same way whatever he guesses, here: his inputs weigh nothing."""
    start, adaptation = on_the_road(), guessing()
    parameters = driver_parameters(ad.inputs(start.layout, adapts=True))
    parameters[: ad.inputs(start.layout, adapts=True) * HIDDEN] = 0.0
    driven = drive(start, parameters, NUMBERS, STEPS, adaptation=adaptation)
    ours, loss = weighed_back(driven, parameters, NUMBERS, adaptation)
    flat = guessing_parameters()
    rng = np.random.default_rng(1)
    found, expected = [], []
    for part in parameters_of(np.arange(len(flat)), *ad.EVIDENCE_SIZES):
        direction = np.zeros(len(flat))
        direction[part.ravel()] = rng.choice([-1.0, 1.0], part.size)
        direction *= 1e-2 / np.linalg.norm(direction)
        ways = [
            loss_of(drive(start, parameters, NUMBERS, STEPS, adaptation=other), other)
            for other in (guesser_of(flat - direction), guesser_of(flat + direction))
        ]
        expected.append((ways[1] - ways[0]) / 2e-2)
        found.append(ours.astype(np.float64) @ direction / 1e-2)
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.01 * np.abs(expected).max())
