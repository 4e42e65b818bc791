"""Where and how episodes begin."""

from typing import NamedTuple

import numpy as np

from racing_env.tracks.bank import LINE_SPEED, CircuitBank


class Starts(NamedTuple):
    """How starts are drawn: on the racing line or beside it, in its direction.

    A start is at the start line, or anywhere; standing, or at a share of the profile's speed.
    """

    at_the_line: bool = False
    standing_share: float = 0.0  # of the starts
    least_speed_share: float = 0.6  # of the profile's speed, for the others
    largest_speed_share: float = 0.95
    offset_m: float = 0.0  # standard deviations of the place beside the line,
    heading_rad: float = 0.0  # and of the direction
    retry_share: float = 0.0  # of the episodes that went wrong are followed by a start on the same
    least_retry_back_m: float = 0.0  # circuit, so far before the place where they did
    largest_retry_back_m: float = 0.0
    # of the others, so far before the slowest place of the slowest of several circuits
    tight_share: float = 0.0


class Start(NamedTuple):
    """One start, as `Simulator.place` takes it."""

    start_s_m: float = 0.0
    line_offset_m: float = 0.0
    heading_rad: float = 0.0
    speed_mps: float = 0.0


def draw_start(
    starts: Starts,
    circuits: CircuitBank,
    circuit: int,
    rng: np.random.Generator,
    place_m: float | None = None,
) -> Start:
    """Draw a start on a circuit of the bank; at place_m along the centre line where it is given."""
    length_m = circuits.count[circuit] * circuits.step_m[circuit]
    if starts.at_the_line:
        place_m = 0.0
    elif place_m is None:
        place_m = rng.random() * length_m
    place_m = place_m % length_m
    station = int(place_m / circuits.step_m[circuit]) % circuits.count[circuit]
    profile_mps = float(circuits.table[circuits.first[circuit] + station, LINE_SPEED])
    speed_mps = 0.0
    if not rng.random() < starts.standing_share:
        share = rng.uniform(starts.least_speed_share, starts.largest_speed_share)
        speed_mps = share * profile_mps
    return Start(
        place_m,
        line_offset_m=starts.offset_m * rng.standard_normal(),
        heading_rad=starts.heading_rad * rng.standard_normal(),
        speed_mps=speed_mps,
    )
