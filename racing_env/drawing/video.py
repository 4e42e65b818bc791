"""A video of drivers who race each other around a circuit: their best laps, as ghosts.

The camera follows the fastest. What is shown between two control steps is interpolated.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.common.files import replaced_atomically
from racing_env.drawing.dashboard import Moment, Standing
from racing_env.drawing.rendering import BODY, SIZE, View, rival_colour
from racing_env.laps.evaluation import LapResult
from racing_env.laps.telemetry import Telemetry, states_at
from racing_env.tracks.circuit import Circuit

try:
    import imageio_ffmpeg
except ImportError as error:
    raise InputError(
        "videos need imageio-ffmpeg; install it with: pip install -r requirements-render.txt"
    ) from error

FRAMES_PER_S = 30
STILL_S = 1.0  # for which the last frame stays
ENCODER = ("-preset", "veryfast", "-crf", "23", "-movflags", "+faststart")


def write_video(
    frames: Iterable[np.ndarray], path: str | Path, frames_per_s: float = FRAMES_PER_S
) -> None:
    """Write frames (height, width, 3) uint8 of SIZE as an MP4 file (H.264). Atomic.

    Raises FileError if the file cannot be written.
    """
    with replaced_atomically(path) as temporary:
        encoder = imageio_ffmpeg.write_frames(
            str(temporary), SIZE, fps=frames_per_s, codec="libx264", quality=None,
            macro_block_size=2, output_params=list(ENCODER), ffmpeg_log_level="error",
        )  # fmt: skip
        encoder.send(None)
        try:
            for frame in frames:
                encoder.send(frame)
        finally:
            encoder.close()


def frame_count(results: Sequence[LapResult], frames_per_s: float = FRAMES_PER_S) -> int:
    """How many frames `race_frames` yields."""
    lap = followed_first(results)[0].required_telemetry()
    return math.ceil((lap.time_s[-1] + STILL_S) * frames_per_s)


def race_frames(
    circuit: Circuit,
    results: Sequence[LapResult],
    frames_per_s: float = FRAMES_PER_S,
) -> Iterator[np.ndarray]:
    """Pictures (height, width, 3) uint8 of the laps that the results' telemetry holds."""
    shown = followed_first(results)
    laps = [result.required_telemetry() for result in shown]
    times_s = np.arange(frame_count(results, frames_per_s)) / frames_per_s
    tracks = [_moments(r, times_s, circuit.track.length_m, circuit.vehicle) for r in shown]
    behind_s = [np.zeros(len(times_s)), *(_time_behind(laps[0], lap, times_s) for lap in laps[1:])]
    view = View("rgb_array", "follow", frames_per_s)
    for i, moments in enumerate(zip(*tracks, strict=True)):
        standings = [
            Standing(
                name=result.driver,
                colour=rival_colour(car - 1) if car else BODY,
                text=_standing(result, lap, times_s[i], behind_s[car][i]),
            )
            for car, (result, lap) in enumerate(zip(shown, laps, strict=True))
        ]
        frame = view.draw(circuit, moments[0], moments[1:], standings if len(shown) > 1 else ())
        assert frame is not None  # as the mode is "rgb_array"
        yield frame


def followed_first(results: Sequence[LapResult]) -> list[LapResult]:
    """The fastest, then the others by lap time; who has no flying lap after those who have."""
    return sorted(results, key=lambda r: (r.flying_lap_s or math.inf, -r.distance_m))


def _moments(
    result: LapResult, times_s: np.ndarray, length_m: float, vehicle: Vehicle
) -> list[Moment]:
    """The car at these times since the start of its lap; after its end it stays where it is."""
    lap, flying = result.required_telemetry(), result.lap_times_s[1:]
    before = int(np.argmin(flying)) + 1 if flying else result.laps  # full laps until this one
    s_m = np.interp(times_s, lap.time_s, lap.s_m) % length_m
    own_s = np.minimum(times_s, lap.time_s[-1])
    last_lap_s = result.lap_times_s[before - 1] if before else None
    return [
        Moment(state, float(s), float(t), before + 1, float(t), last_lap_s)
        for state, s, t in zip(states_at(lap, times_s, vehicle), s_m, own_s, strict=True)
    ]


def _time_behind(first: Telemetry, lap: Telemetry, times_s: np.ndarray) -> np.ndarray:
    """How long before each time the first car was where this one is now (s)."""
    place_m = np.interp(times_s, lap.time_s, lap.s_m)
    return times_s - np.interp(place_m, np.maximum.accumulate(first.s_m), first.time_s)


def _standing(result: LapResult, lap: Telemetry, time_s: float, behind_s: float) -> str:
    if time_s < lap.time_s[-1]:
        return f"{behind_s:+.2f} s" if behind_s else ""  # who is followed is behind no one
    if result.flying_lap_s:
        return f"{lap.time_s[-1]:.2f} s"
    return result.end.replace("_", " ")
