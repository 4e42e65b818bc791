"""Whatever is in a file, it is a circuit or one line that says why not."""

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from cars import RACECAR
from hypothesis import given, settings
from hypothesis import strategies as st

from racing_env.common.errors import InputError
from racing_env.tracks.reader import read_track
from stress.circuit_seeds import MAP, circuit_seeds

SMALL_CAR = RACECAR._replace(cog_to_front_m=0.2, cog_to_rear_m=0.2, width_m=0.3)
NAMES = ["x", "y", "w_right", "w_left", "width", "left_x", "left_y", "right_x", "right_y", "tag",
         "z_m", "s_m", "", "x_m", "inner_x", "half_width", "#"]  # fmt: skip


def check_reads_or_refuses(path: Path, folder: str) -> None:
    try:
        track = read_track(path, SMALL_CAR)
    except InputError as error:
        assert folder in str(error) and "\n" not in str(error) and len(str(error)) < 1000
    else:
        assert np.isfinite(track.kappa_radpm).all()
        assert np.isfinite(track.width_left_m + track.width_right_m).all()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=8),
    st.sampled_from(",;\t| "),
    st.lists(st.lists(st.one_of(st.floats(-200, 200).map(repr), st.sampled_from(
        ["", "nan", "1,5", '"', "blue", "yellow", "1e999", "١", "1_0"])),
        min_size=1, max_size=8), max_size=14),
)  # fmt: skip
def test_tables(names, separator, rows):
    text = "\n".join(separator.join(row) for row in [names, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_text(text)
        check_reads_or_refuses(path, folder)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["blue", "yellow", "big_orange"]),
                  *[st.one_of(st.floats(-50, 50), st.integers(-5, 5))] * 2),
        min_size=10, max_size=60,
    )
)  # fmt: skip
def test_cones(cones):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_text("\n".join(f"{tag},{x},{y}" for tag, x, y in cones))
        check_reads_or_refuses(path, folder)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["image", "resolution", "origin", "negate", "free_thresh"]),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5),
                      st.sampled_from(["map.png", "..", "/dev/zero", MAP])),
            lambda inner: st.lists(inner, max_size=3), max_leaves=4,
        ),
    )
)  # fmt: skip
def test_descriptions_of_maps(record):
    with tempfile.TemporaryDirectory() as folder:
        circuit_seeds(Path(folder))
        path = Path(folder, MAP)
        path.write_text(yaml.safe_dump({"image": "map.png", "origin": [0, 0, 0]} | record))
        check_reads_or_refuses(path, folder)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files(seed, tmp_path):
    draw = random.Random(seed)
    seeds = circuit_seeds(tmp_path)
    for path, content in seeds:
        path.write_bytes(content)
        check_reads_or_refuses(path, str(tmp_path))
    for _ in range(100):
        path, content = draw.choice(seeds)
        data = bytearray(content)
        for _ in range(draw.choice((1, 1, 3))):
            at = draw.randrange(len(data))
            data[at : at + draw.choice((0, 1, 1, 9))] = draw.randbytes(draw.choice((0, 1, 1, 4)))
        path.write_bytes(data)
        named = tmp_path / MAP if path.suffix == ".png" else path
        check_reads_or_refuses(named, str(tmp_path))
        path.write_bytes(content)


def test_each_seed_is_read(tmp_path):
    for path, content in circuit_seeds(tmp_path):
        path.write_bytes(content)
        assert read_track(tmp_path / MAP if path.suffix == ".png" else path, SMALL_CAR).length_m > 9
