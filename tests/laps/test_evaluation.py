"""Timed laps: what they must add up to, how drives end, and that one car does not touch another."""

import math

import numpy as np
import pytest
from adapting import adapting_straight_on
from cars import RACECAR, circuit_named, scaled
from processes import ROOT

from racing_env.car.conditions import NOMINAL, ROAD, Conditions
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.drivers.guessing import guesses
from racing_env.drivers.policy import Policy, load_policy
from racing_env.laps import evaluation as ev
from racing_env.simulation.adaptation import GUESSED
from racing_env.simulation.layouts import centre_preview
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.task import racing_task
from racing_env.tracks.bank import pack_circuits
from racing_env.tracks.circuit import Circuit

LAYOUT_VX = [quantity.name for quantity in LAYOUT.quantities].index("vx_mps")
PACE = 0.85  # slow enough for the expert on these circuits


@pytest.fixture(scope="module")
def circuits() -> list[Circuit]:
    return [circuit_named("oval"), circuit_named("club")]


@pytest.fixture(scope="module")
def driven(circuits) -> list[ev.LapResult]:
    expert = ev.expert_driver(np.full(2, PACE))
    return ev.drive_laps(circuits, expert, laps=2, name="expert", telemetry=True)


def constant(steering: float, pedals: float) -> ev.Driver:
    return ev.Driver(lambda simulator: np.tile([steering, pedals], (simulator.n, 1)))


def result(lap_times_s=(40.0, 30.0), end=ev.FINISHED, track="a", distance_m=2000.0, wanted=2):
    return ev.LapResult("driver", track, 1000.0, 25.0, end, lap_times_s, distance_m, wanted)


def test_the_expert_finishes_a_standing_and_all_flying_laps(circuits, driven):
    for circuit, drive in zip(circuits, driven, strict=True):
        assert drive.finished and drive.end == ev.FINISHED and drive.laps == 3
        assert drive.off_track == 0
        assert drive.track == circuit.track.name
        assert 3.0 * drive.length_m <= drive.distance_m < 3.0 * drive.length_m + 10.0
        assert drive.flying_lap_s == min(drive.lap_times_s[1:])
        assert drive.flying_lap_s <= drive.mean_flying_lap_s < drive.standing_lap_s
        assert circuit.lap_time_s < drive.flying_lap_s < circuit.lap_time_s / PACE * 1.05


def test_the_batch_changes_nothing_and_neither_does_telemetry(circuits, driven):
    for i, circuit in enumerate(circuits):
        alone = ev.drive_laps([circuit], ev.expert_driver(np.array([PACE])), laps=2)[0]
        assert alone.telemetry is None
        np.testing.assert_allclose(alone.lap_times_s, driven[i].lap_times_s, atol=1e-6)


def test_a_car_that_ends_leaves_the_others_alone(circuits, driven):
    """The car on circuit 0 drives off the track, the other one laps as it did in company."""
    expert = ev.expert_driver(np.full(2, PACE))

    def act(simulator):
        actions = expert.act(simulator)
        actions[simulator.cars.circuit == 0] = [1.0, 1.0]
        return actions

    crashed, other = ev.drive_laps(circuits, ev.Driver(act), laps=2)
    assert crashed.end in (ev.OFF_TRACK, "backwards") and not crashed.finished
    assert other.finished
    np.testing.assert_allclose(other.lap_times_s, driven[1].lap_times_s, atol=1e-6)


@pytest.mark.parametrize(
    ("driver", "end"),
    [(constant(0.0, 0.0), "standing"), (constant(0.0, 1.0), ev.OFF_TRACK)],
)
def test_failures_are_results(circuits, driver, end):
    for drive in ev.drive_laps(circuits, driver, laps=1, telemetry=True):
        assert drive.end == end and not drive.finished
        assert drive.off_track == (end == ev.OFF_TRACK)
        assert drive.lap_times_s == ()
        assert drive.flying_lap_s is drive.standing_lap_s is drive.mean_flying_lap_s is None
        assert drive.telemetry.s_m[-1] == pytest.approx(drive.distance_m, abs=0.01)


def test_a_slow_car_meets_the_time_limit(circuits):
    crawl = ev.expert_driver(np.array([0.15]))
    drive = ev.drive_laps(circuits[:1], crawl, laps=1)[0]
    assert drive.end == ev.TIME_LIMIT and 0.0 < drive.distance_m < 2.0 * drive.length_m


def straight_on(vehicle: Vehicle) -> Policy:
    """Full throttle by a bias alone."""
    weights = (np.zeros((2, LAYOUT.size), np.float32),)
    return Policy(weights, (np.array([0.0, 20.0], np.float32),), vehicle, LAYOUT, {})


def test_a_policy_drives_by_what_it_observes(circuits):
    """Full throttle by a bias alone is the same as constant full throttle."""
    policy = straight_on(RACECAR)
    by_policy = ev.drive_laps(circuits, ev.policy_driver(policy), laps=1)
    by_hand = ev.drive_laps(circuits, constant(0.0, 1.0), laps=1)
    assert [r.distance_m for r in by_policy] == [r.distance_m for r in by_hand]


def test_a_driver_sees_by_his_own_layout(circuits):
    sizes = []

    def act(simulator):
        sizes.append(simulator.layout)
        return np.tile([0.0, 1.0], (simulator.n, 1))

    ev.drive_laps(circuits[:1], ev.Driver(act, "centre-preview-1"), laps=1)
    assert set(sizes) == {centre_preview.LAYOUT}


def test_a_driver_of_another_car_or_another_layout_is_refused(circuits):
    other = ev.policy_driver(straight_on(scaled(RACECAR, 0.25)))
    with pytest.raises(ValueError, match="not for this car"):
        ev.drive_laps(circuits, other)
    task = racing_task(RACECAR, "centre-preview-1")
    with pytest.raises(ValueError, match="not for what this task shows"):
        ev.drive_laps(circuits, ev.policy_driver(straight_on(RACECAR)), task=task)


def test_a_task_may_be_stricter_and_shorter(circuits):
    expert = ev.expert_driver(np.full(2, PACE))
    task = racing_task(RACECAR)._replace(time_limit_s=5.0)
    for drive in ev.drive_laps(circuits, expert, laps=1, task=task):
        assert drive.end == ev.TIME_LIMIT and 20.0 < drive.distance_m < 200.0
    far = ev.drive_laps(circuits, constant(0.0, 1.0), laps=1)
    near_task = racing_task(RACECAR)._replace(run_off_m=-2.0)
    near = ev.drive_laps(circuits, constant(0.0, 1.0), laps=1, task=near_task)
    for ours, stricter in zip(far, near, strict=True):
        assert ours.end == stricter.end == ev.OFF_TRACK
        assert stricter.distance_m < ours.distance_m


def test_no_circuits_no_results():
    assert ev.drive_laps([], constant(0.0, 0.0)) == []
    assert math.isnan(ev.summary([]).lap_ratio)


def test_an_action_that_is_no_number_is_refused(circuits):
    with pytest.raises(ValueError, match="finite"):
        ev.drive_laps(circuits, constant(math.nan, 0.0))


def test_expert_paces_finish(circuits):
    paces = ev.expert_paces(pack_circuits(circuits[1:]), laps=1)
    assert paces.shape == (1,) and 0.7 <= paces[0] <= 1.0
    assert ev.drive_laps(circuits[1:], ev.expert_driver(paces), laps=1)[0].finished


def test_laps_that_could_not_be_told_apart_are_refused(circuits):
    with pytest.raises(InputError, match=f"{circuits[0].track.name}.* 2 times"):
        ev.demonstrated_laps([*circuits, circuits[0]])


def test_summary_counts_and_averages_finished_circuits_only():
    failed = result((40.0, 20.0), ev.OFF_TRACK, "b", 2500.0, wanted=4)
    sums = ev.summary([result(), failed, result((50.0, 40.0), track="c")])
    assert (sums.circuits, sums.finished) == (3, 2)
    assert sums.lap_ratio == pytest.approx((30.0 / 25.0 + 40.0 / 25.0) / 2.0)
    assert ev.summary([result(), failed], {"a": 15.0}).lap_ratio == 2.0
    assert math.isnan(ev.summary([result()], {"other": 1.0}).lap_ratio)
    assert ev.lap_ratio(result((40.0,))) is None


def test_a_driver_who_knows_one_road_leaves_another_and_one_who_adapts_does_not():
    """The profile's lap is the slower car's; the expert, who knows, gets round."""
    wet = Conditions(friction=0.9)
    club = circuit_named("club")
    adapting, driver = (
        ev.policy_driver(load_policy(ROOT / "policies" / f"racecar{end}.safetensors"))
        for end in ("", "-nominal")
    )
    (dry_lap,) = ev.drive_laps([club], driver, laps=1)
    (wet_lap,) = ev.drive_laps([club], driver, laps=1, conditions=wet)
    assert dry_lap.finished and dry_lap.conditions == NOMINAL
    assert wet_lap.end == ev.OFF_TRACK and wet_lap.conditions == wet
    assert dry_lap.profile_lap_s == club.lap_time_s < 0.99 * wet_lap.profile_lap_s
    (adapted_lap,) = ev.drive_laps([club], adapting, laps=1, conditions=wet)
    assert adapted_lap.finished and 1.0 < ev.lap_ratio(adapted_lap) < 1.1
    paces = ev.expert_paces(pack_circuits([club]), 1, [wet])
    (expert_lap,) = ev.drive_laps([club], ev.expert_driver(paces), laps=1, conditions=wet)
    assert expert_lap.finished
    assert 1.0 < ev.lap_ratio(expert_lap) < 1.1


def test_paces_are_each_circuits_own_under_its_conditions(circuits):
    bank = pack_circuits(circuits)
    conditions = [Conditions(friction=0.8), Conditions(delay_s=0.1)]
    paces = ev.expert_paces(bank, 1, conditions)
    for circuit, condition, pace in zip(circuits, conditions, paces, strict=True):
        assert ev.expert_paces(pack_circuits([circuit]), 1, [condition]) == [pace]
    dry = ev.expert_paces(bank, 1)
    assert paces[0] < dry[0] - 0.05
    np.testing.assert_array_equal(ev.expert_paces(bank, 1, [NOMINAL] * 2), dry)


def test_the_time_limit_is_that_of_the_slower_car(circuits):
    """On ice the profile is more than three times as slow as on the road."""
    ice = Conditions(friction=0.1)
    crawl = ev.expert_driver(np.array([0.2]))
    (drive,) = ev.drive_laps(circuits[:1], crawl, laps=1, conditions=ice)
    dry_limit_s = ev.TIME_LIMIT_FACTOR * 2 * circuits[0].lap_time_s
    assert drive.finished and sum(drive.lap_times_s) > dry_limit_s


def test_noise_is_seen_and_repeats(circuits):
    """A driver sees another thing at each step, the same in each drive; the sensors of a car
    without noise err by nothing.
    """
    seen: list[np.ndarray] = []

    def act(simulator):
        seen.append(simulator.observe())
        return np.tile([0.0, 0.3], (simulator.n, 1))

    for conditions in (Conditions(noise=1.0), Conditions(noise=1.0), NOMINAL):
        ev.drive_laps(circuits[:1], ev.Driver(act), laps=1, conditions=conditions)
    steps = len(seen) // 3
    first, again, clean = seen[:steps], seen[steps : 2 * steps], seen[2 * steps :]
    np.testing.assert_array_equal(first, again)
    errors = (np.array(first) - np.array(clean))[:, 0, LAYOUT_VX]
    sigma = 0.1 / LAYOUT.quantities[LAYOUT_VX].scale_for(RACECAR)
    assert np.std(errors[-40:]) == pytest.approx(sigma, rel=0.4)
    assert abs(np.mean(errors)) < sigma


def test_a_driver_who_adapts_has_a_memory_and_his_guesses_are_told(circuits):
    policy, conditions = adapting_straight_on(), Conditions(friction=0.85, delay_s=0.05)
    driver = ev.policy_driver(policy)
    (drive,) = ev.drive_laps(circuits[:1], driver, laps=1, telemetry=True, conditions=conditions)
    assert drive.guesses.shape == (len(drive.telemetry.time_s), len(GUESSED))
    middle = [0.5 * (least + most) for least, most, _ in ROAD[: len(GUESSED)]]
    np.testing.assert_allclose(drive.guesses[0], middle, rtol=1e-6)  # nothing seen yet
    assert (np.abs(drive.guesses[-1] - middle) > 1e-3).all()
    # by hand: the memory of a policy that is asked at each step
    memory = policy.new_memory(1)

    def act(simulator):
        return policy.act(simulator.observe(), memory)

    by_hand = ev.Driver(act)
    (other,) = ev.drive_laps(circuits[:1], by_hand, laps=1, conditions=conditions)
    assert other.distance_m == drive.distance_m and other.guesses is None
    half = [0.5 * (most - least) for least, most, _ in ROAD[: len(GUESSED)]]
    np.testing.assert_allclose(drive.guesses[-1], middle + half * guesses(memory)[0][0], rtol=1e-5)


def test_a_driver_who_does_not_guess_tells_no_guesses(driven):
    assert driven[0].guesses is None and driven[0].conditions == NOMINAL
