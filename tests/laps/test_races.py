import numpy as np
import pytest
from cars import circuit_named
from processes import ROOT

from racing_env.car.conditions import NOMINAL
from racing_env.common.workers import LocalWorkers
from racing_env.drivers.policy import load_policy
from racing_env.laps import races
from racing_env.laps.evaluation import drive_laps, policy_driver
from racing_env.tracks.bank import pack_circuits

AS_IN_ITS_FILE = [NOMINAL] * 4  # the car, on all circuits
SHIPPED = load_policy(ROOT / "policies" / "racecar.safetensors")
NOMINAL_DRIVER = load_policy(ROOT / "policies" / "racecar-nominal.safetensors")


@pytest.fixture(scope="module")
def circuits():
    return [circuit_named(name) for name in ("club", "oval", 3, 5)]


def weakened(**changes):
    """The shipped driver with its last layer's biases moved: he steers or brakes all the time."""
    policy = load_policy(ROOT / "policies" / "racecar.safetensors")
    for row, change in changes.values():
        policy.biases[-1][row] += change
    return policy


@pytest.mark.parametrize(
    ("policy", "rounding"), [(NOMINAL_DRIVER, 1e-7), (SHIPPED, 1e-4)], ids=["nominal", "adapting"]
)
def test_laps_are_those_of_evaluation(circuits, policy, rounding):
    """But for rounding, which is another in kernels. What is guessed makes it grow on the way: with
    the adapting driver's biases moved by 1e-7, its laps change by up to 3e-5.
    """
    bank = pack_circuits(circuits)
    ours = races.flying_laps_s(bank, AS_IN_ITS_FILE, policy, range(4))
    theirs = [lap.flying_lap_s for lap in drive_laps(circuits, policy_driver(policy), laps=1)]
    np.testing.assert_allclose(ours, theirs, rtol=rounding)


def test_a_circuit_s_lap_is_the_same_in_any_batch(circuits):
    bank = pack_circuits(circuits)
    together = races.flying_laps_s(bank, AS_IN_ITS_FILE, SHIPPED, range(4))
    alone = [
        races.flying_laps_s(bank, AS_IN_ITS_FILE, SHIPPED, range(i, i + 1))[0] for i in range(4)
    ]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("change", [(0, 0.6), (1, -3.0)], ids=["off the track", "standing"])
def test_laps_that_are_not_finished_are_not_a_number(circuits, change):
    policy = weakened(last=change)
    theirs = drive_laps(circuits, policy_driver(policy), laps=1)
    assert not any(lap.finished for lap in theirs)
    assert np.isnan(
        races.flying_laps_s(pack_circuits(circuits), AS_IN_ITS_FILE, policy, range(4))
    ).all()


def test_laps_that_take_too_long_are_not_finished(circuits, monkeypatch):
    bank = pack_circuits(circuits)
    laps_s = races.flying_laps_s(bank, AS_IN_ITS_FILE, SHIPPED, range(4))
    monkeypatch.setattr(races, "TIME_LIMIT_FACTOR", 0.6)
    assert np.isnan(races.flying_laps_s(bank, AS_IN_ITS_FILE, SHIPPED, range(4))).all()
    monkeypatch.setattr(races, "TIME_LIMIT_FACTOR", 1.2)
    np.testing.assert_array_equal(
        races.flying_laps_s(bank, AS_IN_ITS_FILE, SHIPPED, range(4)), laps_s
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_shared_out_to_processes_they_are_the_same(circuits, workers, monkeypatch):
    monkeypatch.setattr(races, "CHUNK", 3)
    wanted = races.flying_laps_s(pack_circuits(circuits), AS_IN_ITS_FILE, SHIPPED, range(4))
    with races.racing(
        pack_circuits(circuits), AS_IN_ITS_FILE, SHIPPED, LocalWorkers(workers)
    ) as race:
        for _ in range(2):
            driven = [laps_s for laps_s in race(SHIPPED) if laps_s is not None]
            np.testing.assert_array_equal(np.concatenate(driven), wanted)
