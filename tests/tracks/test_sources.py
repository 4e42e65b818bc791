import numpy as np

from racing_env.tracks.sources import load_circuits


def test_circuits_are_the_same_for_every_number_of_workers():
    specs = ["club", "random:3:2"]
    one, two = load_circuits(specs, 1), load_circuits(specs, 2)
    assert [circuit.track.name for circuit in one] == [circuit.track.name for circuit in two]
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(ours.line_speed_mps, theirs.line_speed_mps)
