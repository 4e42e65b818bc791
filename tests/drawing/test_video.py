from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pygame", reason="videos need the extra: requirements-render.txt")
imageio_ffmpeg = pytest.importorskip(
    "imageio_ffmpeg", reason="videos need the extra: requirements-render.txt"
)

from cars import RACECAR  # noqa: E402
from processes import ROOT, call, run, run_without  # noqa: E402 - after the skips

from racing_env.drawing import video  # noqa: E402
from racing_env.drawing.rendering import BODY, RIVALS  # noqa: E402
from racing_env.drivers.policy import Policy, save_policy  # noqa: E402
from racing_env.laps.evaluation import drive_laps, expert_driver  # noqa: E402
from racing_env.simulation.layouts.line_preview import LAYOUT  # noqa: E402
from racing_env.tracks.circuit import prepare_circuit  # noqa: E402
from racing_env.tracks.generator import built_in_track  # noqa: E402


@pytest.fixture(scope="module")
def circuit(tmp_path_factory):
    return prepare_circuit(
        built_in_track("oval", RACECAR), RACECAR, cache_dir=tmp_path_factory.mktemp("cache")
    )


@pytest.fixture(scope="module")
def results(circuit):
    """A slow lap and a fast one."""
    return [
        drive_laps([circuit], expert_driver(np.array([pace])), laps=1, name=name, telemetry=True)[0]
        for name, pace in (("slow", 0.7), ("fast", 0.8))
    ]


def has(frame, colour) -> bool:
    return bool((np.abs(frame.astype(int) - colour).sum(axis=2) < 40).sum() > 20)


def test_the_fastest_is_followed_and_the_others_are_shown(circuit, results):
    assert [r.driver for r in video.followed_first(results)] == ["fast", "slow"]
    frames = list(video.race_frames(circuit, results, frames_per_s=1.0))
    assert len(frames) == video.frame_count(results, 1.0)
    assert len(frames) == pytest.approx(results[1].flying_lap_s + video.STILL_S, abs=1.0)
    assert all(has(frame[300:480, 400:560], BODY) for frame in frames)
    assert has(frames[0], RIVALS[0])  # at the start line together


def test_time_behind_ends_at_the_difference_of_the_laps(results):
    slow, fast = (r.telemetry for r in results)
    end = slow.time_s[-1:]
    behind = video._time_behind(fast, slow, end)
    assert behind == pytest.approx(results[0].flying_lap_s - results[1].flying_lap_s, abs=0.05)


def test_a_crash_is_named_and_a_driver_without_a_lap_comes_last(results):
    crash = replace(results[0], end="off_track", lap_times_s=())
    assert video.followed_first([crash, results[1]])[0] is results[1]
    assert video._standing(crash, crash.telemetry, 1e3, 0.0) == "off track"
    assert video._standing(results[1], results[1].telemetry, 1.0, 0.5) == "+0.50 s"


def test_the_file_has_the_frames_at_full_size(tmp_path):
    path = tmp_path / "race.mp4"
    frames = (np.full((540, 960, 3), shade, np.uint8) for shade in range(0, 120, 10))
    video.write_video(frames, path, frames_per_s=10.0)
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    assert facts["size"] == (960, 540)
    assert facts["fps"] == 10.0
    shades = [np.frombuffer(frame, np.uint8).mean() for frame in reader]
    np.testing.assert_allclose(shades, range(0, 120, 10), atol=3)
    assert [p.name for p in tmp_path.iterdir()] == ["race.mp4"]


def test_an_error_leaves_the_earlier_video(tmp_path):
    path = tmp_path / "race.mp4"
    path.write_bytes(b"earlier")

    def frames():
        yield np.zeros((540, 960, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video.write_video(frames(), path)
    assert path.read_bytes() == b"earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["race.mp4"]


def test_what_is_missing_is_named_before_anything_is_driven():
    result = run_without("imageio_ffmpeg", "evaluate.py", "--track", "oval", "--video", "race.mp4")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "pip install -r requirements-render.txt" in result.stderr


@pytest.mark.parametrize("name", ["race.gif", "race", "."])
def test_only_mp4(name):
    result = call("evaluate.py", "--track", "oval", "--video", name, cwd=ROOT)
    assert result.returncode == 2
    assert ".mp4" in result.stderr


def test_evaluate_films_what_a_driver_did_even_without_a_lap(tmp_path):
    weights, biases = np.zeros((2, LAYOUT.size), np.float32), np.array([0.0, 5.0], np.float32)
    straight_on = Policy((weights,), (biases,), RACECAR, LAYOUT, {})
    save_policy(straight_on, tmp_path / "policy.safetensors")
    done = run(
        "evaluate.py", "--driver", "policy.safetensors", "--track", "hairpins", "--video",
        "race.mp4", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = next(imageio_ffmpeg.read_frames(str(tmp_path / "race.mp4")))
    assert facts["size"] == (960, 540)
    assert facts["duration"] > 2.0
