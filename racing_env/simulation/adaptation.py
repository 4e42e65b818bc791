"""What a driver guesses of the conditions that he is not told, and how it changes what he sees.

From one control step to the next the car answers to what it was asked, and each answer is evidence:
a small network makes of it a few measurements of the conditions, and these an information filter
(`racing_env.simulation.information`). A corner at half the grip tells friction times stiffness, one
near the limit friction alone; of both, both follow. On a straight the measurements say little and
add little, and the filter knows how sure the guess is.

The driver's network is given what he sees, but for the profile's speeds, which become those that
the guessed grip allows; the guesses, and how sure they are; and the actions that are still on their
way, for a delay.
"""

import math
from typing import NamedTuple

import numpy as np

from racing_env.car import conditions
from racing_env.car.kernels import inlined, kernel
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import GRAVITY_MPS2, Vehicle
from racing_env.simulation.information import (
    GATHERED,
    GUESSED,
    GUESSES,
    INFORMATION,
    MEASUREMENTS,
    PRIOR_WEIGHT,
    add_measurements,
    guess_of,
    invert,
)
from racing_env.simulation.layout import Layout
from racing_env.simulation.perceptron import (
    Network,
    forward,
    network_of,
    parameter_count,
)
from racing_env.simulation.task import CONTROL_STEP_S

FRICTION, DELAY = GUESSED.index("friction"), GUESSED.index("delay_s")
EVIDENCE = (
    "vx_mps", "vy_mps", "yaw_rate_radps", "steer_rad", "drive_n", "brake_n", "ax_mps2", "ay_mps2",
    "front_slip_rad", "rear_slip_rad",
)  # fmt: skip
VX, STEER, DRIVE, BRAKE, AX, AY, FRONT_SLIP, REAR_SLIP = (
    EVIDENCE.index(name)
    for name in ("vx_mps", "steer_rad", "drive_n", "brake_n", "ax_mps2", "ay_mps2",
                 "front_slip_rad", "rear_slip_rad")
)  # fmt: skip
COUNT = len(EVIDENCE)
ASKED = 2 * conditions.MOST_DELAY_STEPS
EXPECTED = 6  # of what the car as the driver knows it would do
HIDDEN = 48  # units of each hidden layer of the network that measures
EVIDENCE_INPUTS = 2 * COUNT + ASKED + EXPECTED
# inputs, units of both layers, outputs: for each measurement h, then z
EVIDENCE_SIZES = (EVIDENCE_INPUTS, HIDDEN, MEASUREMENTS * (GUESSES + 1))
EXTRA_INPUTS = ASKED + 2 + 2 * GUESSES  # of the driver's network, after what he sees

# Guesses are in halves of the range, from its middle.
CHANGE_GAIN = 10.0  # what changes in a control step is a small part of what is seen
FADE_STEPS = 1200.0  # after which evidence counts a third: a minute of the reference car
GRIP_REACH = 1.5  # of the grip for the profile's speeds: a little more than the range

# What a driver remembers: what he saw of his car, the sums of h z and of h h' (the lower triangle,
# row by row), whether he has seen anything, and his last actions, the latest first.
SAW, SUMS, WEIGHTS = 0, COUNT, COUNT + GUESSES
SEEN_ANY = WEIGHTS + INFORMATION
LAST_ASKED = SEEN_ANY + 1
MEMORY = LAST_ASKED + ASKED


class Care(NamedTuple):
    """How much less than his guess the driver takes the grip to be, in halves of its range: what he
    does not know yet is paid for in pace, not in laps.
    """

    deviations: float
    variances: float  # weighs most where least is known
    most: float  # he trusts no guess above it


# In earnest more than in training, where he learns by how much the profile that he is shown may be
# beaten. What looks like more grip than a road has is more often stiff tyres far from their limit.
LEARNING = Care(deviations=1.75, variances=0.0, most=GRIP_REACH)
EARNEST = Care(deviations=1.75, variances=3.0, most=0.8)


class Known(NamedTuple):
    """What the driver knows of his car, in single precision, for `expected`."""

    scales: np.ndarray  # (COUNT,) of what is seen of it
    lift_per_mass: np.float32
    drag_kgpm: np.float32
    mass_kg: np.float32
    power_w: np.float32
    rolling_resistance: np.float32
    front: tuple[np.float32, np.float32, np.float32]  # B, C, E of the tyres
    rear: tuple[np.float32, np.float32, np.float32]
    slow_mps: np.float32
    acceleration_mps2: np.float32  # a few tenths of the grip


class Adaptation(NamedTuple):
    """The numbers of it for a car and a layout. Without adaptation the arrays are empty."""

    evidence: np.ndarray  # (len(EVIDENCE),) int64: where in what is seen it is
    profile: np.ndarray  # (p,) int64: where the profile's speeds are, less the car's own
    speeds: np.ndarray  # (p,) float32: the scale of the car's own speed over theirs
    middle: np.ndarray  # (GUESSES,) float32 of the ranges; a delay's in control steps
    half: np.ndarray  # (GUESSES,) float32
    keep: float  # of the sums, from one control step to the next
    care: Care  # in single precision
    known: Known
    network: Network  # from evidence to measurements


def parameters() -> int:
    """Of the network that weighs evidence."""
    return parameter_count(*EVIDENCE_SIZES)


def inputs(layout: Layout, adapts: bool) -> int:
    """Of the driver's network."""
    return layout.size + (EXTRA_INPUTS if adapts else 0)


def new_adaptation(
    layout: Layout, vehicle: Vehicle, flat: np.ndarray, care: Care = EARNEST
) -> Adaptation:
    """For a car and a layout, from the parameters (parameters(),) float32 of the network.

    Raises ValueError if the layout does not show what is needed.
    """
    names = [quantity.name for quantity in layout.quantities]
    profile = [i for i, name in enumerate(names) if name.startswith("profile_minus_speed_mps")]
    scales = [quantity.scale_for(vehicle) for quantity in layout.quantities]
    speed_scale = scales[names.index("vx_mps")]
    ranges = conditions.ROAD[:GUESSES]  # in control steps a delay's is that of any car
    middle = np.array([0.5 * (r.least + r.most) for r in ranges])
    half = np.array([0.5 * (r.most - r.least) for r in ranges])
    middle[DELAY] /= CONTROL_STEP_S
    half[DELAY] /= CONTROL_STEP_S
    return Adaptation(
        evidence=np.array([names.index(name) for name in EVIDENCE]),
        profile=np.array(profile),
        speeds=np.array([speed_scale / scales[i] for i in profile], dtype=np.float32),
        middle=middle.astype(np.float32),
        half=half.astype(np.float32),
        keep=math.exp(-1.0 / FADE_STEPS),
        care=_single(care),
        known=_known(layout, vehicle),
        network=network_of(flat, *EVIDENCE_SIZES),
    )


def _single(care: Care) -> Care:
    return Care(*(np.float32(part) for part in care))


def _known(layout: Layout, vehicle: Vehicle) -> Known:
    scales, one = scales_of(vehicle), np.float32
    by_name = {quantity.name: quantity.scale_for(vehicle) for quantity in layout.quantities}
    tyre = ("tyre_b", "tyre_c", "tyre_e")
    front, rear = (
        tuple(one(getattr(vehicle, f"{name}_{axle}")) for name in tyre)
        for axle in ("front", "rear")
    )
    return Known(
        np.array([by_name[name] for name in EVIDENCE], dtype=np.float32),
        one((vehicle.lift_front_kgpm + vehicle.lift_rear_kgpm) / vehicle.mass_kg),
        one(vehicle.drag_kgpm), one(vehicle.mass_kg), one(vehicle.power_max_w),
        one(vehicle.rolling_resistance), front, rear,
        one(3.0 * scales.speed), one(3.0 * scales.acceleration),
    )  # fmt: skip


def no_adaptation() -> Adaptation:
    """Of a driver who takes what he sees as it is."""
    none, nowhere = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
    network = network_of(np.zeros(parameter_count(0, 1, 1), dtype=np.float32), 0, 1, 1)
    one = np.float32(1.0)
    known = Known(none, one, one, one, one, one, (one, one, one), (one, one, one), one, one)
    return Adaptation(nowhere, nowhere, none, none, none, 1.0, _single(LEARNING), known, network)


class Weighing(NamedTuple):
    """How evidence was weighed, (steps, n, ...) float32 each: the network's inputs, layers and
    outputs, and the sums that the memory then had.
    """

    inputs: np.ndarray  # EVIDENCE_INPUTS
    hidden_1: np.ndarray  # HIDDEN
    hidden_2: np.ndarray
    out: np.ndarray  # MEASUREMENTS * (GUESSES + 1)
    gathered: np.ndarray  # GATHERED
    sums: np.ndarray  # (GATHERED,) float64, of the last car
    work: np.ndarray  # (2, GUESSES, GUESSES) float64, for matrices


@inlined
def speed_factor(guess, deviation, adaptation):
    """Of the profile's speeds, by the guess and its deviation: the root of the grip, with care.

    Never of a grip below -GRIP_REACH: of who knows nothing, in earnest.
    """
    care = adaptation.care
    less = deviation * (care.deviations + care.variances * deviation)
    careful = max(min(guess, care.most) - less, np.float32(-GRIP_REACH))
    return np.sqrt(adaptation.middle[FRICTION] + adaptation.half[FRICTION] * careful)


@inlined
def on_its_way(delay_steps, age):
    """Share of the action that is age + 1 steps old that the car has yet to feel."""
    return min(max(delay_steps - np.float32(age), np.float32(0.0)), np.float32(1.0))


@inlined
def _shape(slip, tyre):
    """Side force over its peak, at this slip angle (rad)."""
    b, c, e = tyre
    stiff = b * slip
    bent = stiff - e * (stiff - np.arctan(stiff))
    return np.sin(c * np.arctan(bent))


@inlined
def _expect(own, known, out):
    """Fill out (EXPECTED,) with what the car as the driver knows it would do.

    Lateral acceleration over the grip, less what each axle's slip angle would give; the latter two;
    acceleration forward, less what the pedals would give; and that. own: (COUNT,), as it is seen.
    """
    one = np.float32
    vx = max(own[VX] * known.scales[VX], known.slow_mps)
    grip = one(GRAVITY_MPS2) + known.lift_per_mass * vx * vx
    front = _shape(own[FRONT_SLIP] * known.scales[FRONT_SLIP], known.front)
    rear = _shape(own[REAR_SLIP] * known.scales[REAR_SLIP], known.rear)
    used = own[AY] * known.scales[AY] / grip
    drive = min(own[DRIVE] * known.scales[DRIVE], known.power_w / vx)
    force = drive - own[BRAKE] * known.scales[BRAKE] - known.drag_kgpm * vx * vx
    along = force / known.mass_kg - known.rolling_resistance * grip
    out[0], out[1] = one(5.0) * (used - front), one(5.0) * (used - rear)
    out[2], out[3] = front, rear
    out[4] = (own[AX] * known.scales[AX] - along) / known.acceleration_mps2
    out[5] = along / (one(3.0) * known.acceleration_mps2)


@kernel
def _gather(adaptation, seen, asked, memory, weighing, step, car):
    """Bring the memory up to date with what is seen; asked: (MOST_DELAY_STEPS, 2)."""
    inputs, out = weighing.inputs[step, car], weighing.out[step, car]
    for i in range(COUNT):
        now = seen[adaptation.evidence[i]]
        inputs[i] = now
        inputs[COUNT + i] = np.float32(CHANGE_GAIN) * (now - memory[SAW + i])
        memory[SAW + i] = now
    for age in range(len(asked)):
        for i in range(2):
            place = inputs[STEER] if i == 0 else inputs[DRIVE] - inputs[BRAKE]
            unmet = np.float32(asked[age, i]) - place
            inputs[2 * COUNT + 2 * age + i] = np.float32(CHANGE_GAIN) * unmet
    _expect(inputs, adaptation.known, inputs[2 * COUNT + ASKED :])
    known = memory[SEEN_ANY]  # at first there is nothing that it could have changed from
    memory[SEEN_ANY] = 1.0
    forward(
        adaptation.network, inputs, weighing.hidden_1[step, car], weighing.hidden_2[step, car], out
    )  # fmt: skip
    # Added in double and rounded once: with each step's roundings the sums of h h' would in time be
    # those of no measurements.
    sums = weighing.sums
    for k in range(GATHERED):
        sums[k] = adaptation.keep * memory[SUMS + k]
    if known > 0.0:
        add_measurements(out, sums)
    for k in range(GATHERED):
        memory[SUMS + k] = sums[k]
        weighing.gathered[step, car, k] = memory[SUMS + k]


@kernel
def adapt(adaptation, seen, asked, memory, weighing, step, car, out):
    """Fill out, the inputs of the driver's network, and bring the memory (MEMORY,) up to date.

    seen: (size,); asked: (MOST_DELAY_STEPS, 2), the last actions, the latest first; weighing:
    (steps, n, ...) each, of which those of the step and the car are filled. Returns the
    factor on the profile's speeds and the guessed delay in control steps.
    """
    size = len(seen)
    for i in range(size):
        out[i] = seen[i]
    if len(adaptation.evidence) == 0:
        return np.float32(1.0), np.float32(0.0)
    _gather(adaptation, seen, asked, memory, weighing, step, car)
    gathered, covariance = memory[SUMS:SEEN_ANY], weighing.work[0]
    invert(gathered, covariance)
    guesses = size + ASKED + 2
    for k in range(GUESSES):
        out[guesses + k] = guess_of(gathered, covariance, k)
        out[guesses + GUESSES + k] = math.sqrt(PRIOR_WEIGHT * covariance[k, k])
    deviation = np.float32(math.sqrt(covariance[FRICTION, FRICTION]))
    factor = speed_factor(out[guesses + FRICTION], deviation, adaptation)
    delay = adaptation.middle[DELAY] + adaptation.half[DELAY] * out[guesses + DELAY]
    speed = seen[adaptation.evidence[0]]
    for i in range(len(adaptation.profile)):
        column = adaptation.profile[i]
        out[column] = factor * seen[column]
        out[column] += (factor - np.float32(1.0)) * adaptation.speeds[i] * speed
    for i in range(2):
        pending = np.float32(0.0)
        for age in range(len(asked)):
            action = np.float32(asked[age, i])
            out[size + 2 * age + i] = action
            pending += on_its_way(delay, age) * action
        out[size + ASKED + i] = pending
    return factor, delay
