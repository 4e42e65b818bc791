"""Laps that are shared out must be those of one process, whoever drives them."""

import multiprocessing

import numpy as np
import pytest
from cars import circuit_named
from jobs import steer_nowhere
from processes import ROOT

from racing_env import DEFAULT_LAYOUT
from racing_env.car.conditions import NOMINAL, Conditions
from racing_env.common.errors import InputError
from racing_env.common.workers import LocalPool, LocalWorkers
from racing_env.drivers.policy import load_policy
from racing_env.laps import chunks
from racing_env.laps import evaluation as ev
from racing_env.laps.circuit_conditions import conditions_on
from racing_env.tracks.bank import pack_circuits

PACES = np.array([0.85, 0.8, 0.85])


@pytest.fixture(scope="module")
def circuits():
    return [circuit_named(name) for name in ("oval", "club", "hairpins")]


@pytest.fixture(autouse=True)
def chunks_of_two(monkeypatch):
    monkeypatch.setattr(chunks, "LAP_CHUNK", 2)
    monkeypatch.setattr(chunks, "PACE_CHUNK", 2)


def shared(circuits, workers, driver, **options):
    with chunks.circuits_set(circuits, [DEFAULT_LAYOUT], LocalWorkers(workers), 2) as imap:
        assert len(multiprocessing.active_children()) == (workers if workers > 1 else 0)
        return chunks.drive_chunks(imap, len(circuits), driver, **options)


def content(results):
    """All that results hold, to the last bit."""
    return [
        (result.record(), [values.tobytes() for values in result.telemetry or ()])
        for result in results
    ]


def test_laps_are_those_of_one_process_for_any_number_of_them(circuits):
    expert = ev.expert_driver(PACES)
    options = {"laps": 1, "name": "expert", "telemetry": True}
    alone = ev.drive_laps(circuits[:2], expert, **options)
    last = ev.drive_bank(
        pack_circuits(circuits), ["oval", "club", "hairpins"], expert, which=range(2, 3), **options
    )
    assert [result.track for result in alone + last] == ["oval", "club", "hairpins"]
    assert all(result.finished for result in alone + last)
    for workers in (1, 2):
        assert content(shared(circuits, workers, expert, **options)) == content(alone + last)


def test_laps_under_noise_are_those_of_one_process_too(circuits):
    """Each circuit under its own conditions."""
    driver = ev.policy_driver(load_policy(ROOT / "policies" / "racecar.safetensors"))
    own = conditions_on(circuits, [Conditions(noise=1.0), NOMINAL, Conditions(0.97, noise=0.5)])
    options = {"laps": 1, "telemetry": True}
    alone = shared(circuits, 1, driver, conditions=own, **options)
    assert content(shared(circuits, 2, driver, conditions=own, **options)) == content(alone)
    assert [result.conditions for result in alone] == list(own.conditions)
    clean = shared(circuits, 1, driver, **options)
    for ours, theirs, noisy in zip(alone, clean, (True, False, True), strict=True):
        assert (ours.lap_times_s != pytest.approx(theirs.lap_times_s, abs=1e-4)) == noisy


def test_paces_under_conditions_are_those_of_one_process(circuits):
    own = [Conditions(friction=0.8), NOMINAL, Conditions(friction=0.9)]
    wanted = ev.expert_paces(pack_circuits(circuits), 1, own)
    with chunks.circuits_set(circuits, [DEFAULT_LAYOUT], LocalWorkers(2), 2) as imap:
        np.testing.assert_array_equal(chunks.paces_by_chunks(imap, 3, 1, own), wanted)


def test_paces_are_those_of_all_circuits_at_once(circuits):
    wanted = ev.expert_paces(pack_circuits(circuits), 1)
    assert len(set(wanted)) > 1
    for workers in (1, 2):
        with chunks.circuits_set(circuits, [DEFAULT_LAYOUT], LocalWorkers(workers), 2) as imap:
            np.testing.assert_array_equal(chunks.paces_by_chunks(imap, 3, 1), wanted)


def test_circuits_of_one_chunk_take_no_other_process(circuits):
    with chunks.circuits_set(circuits[:2], [DEFAULT_LAYOUT], LocalWorkers(4), 2) as imap:
        assert imap is map and not multiprocessing.active_children()


def test_a_driver_arrives_in_another_process(circuits):
    """And a pool of one's own needs no more than the circuits."""
    driver = ev.policy_driver(load_policy(ROOT / "policies" / "racecar.safetensors"))
    bank = pack_circuits(circuits)
    with LocalPool(1, chunks.set_circuits, (bank, ["a", "b", "c"])) as pool:
        for options in ({"laps": 0}, {"laps": 1}):
            there = chunks.drive_chunks(pool.imap, 3, driver, **options)
            assert [result.track for result in there] == ["a", "b", "c"]
            chunks.set_circuits(bank, ["a", "b", "c"])
            assert content(there) == content(chunks.drive_chunks(map, 3, driver, **options))


def test_error_of_a_driver_comes_through(circuits):
    with pytest.raises(InputError, match="two finite numbers are needed"):
        shared(circuits, 2, ev.Driver(steer_nowhere))
    assert not multiprocessing.active_children()
