"""What circuits a car's class races on: the sizes by which random ones are drawn and judged.

The wheelbase decides the class. Below 0.8 m: corridors and the race tracks of 1:10 cars, which grow
with the wheelbase, so that a 1:28 car gets its own. To 2 m: courses between cones, as those of
Formula Student; they are of one size, for karts too. From there: full size, where circuits are what
they are, whatever car drives there.
"""

import math
from typing import Any, NamedTuple

from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.tracks.feasibility import full_lock_radius_m

CORRIDORS_BELOW_M = 0.8  # wheelbase
CONES_BELOW_M = 2.0
CORRIDOR_WHEELBASE_M = 0.33  # of the 1:10 car whose sizes are below
# Of a corner's widest line, over that of full lock. What is driven at all begins at 0.9.
LINE_OVER_FULL_LOCK = 0.94
WIDTH_OVER_CAR = 2.0
BORDER_OVER_CAR = 0.25  # widths between the border and the side of a car on its line
CORNERS_WIDER_BY = 1.08  # than the least radius, for what smoothing and ripple take

Range = tuple[float, float]


class CircuitKind(NamedTuple):
    """A kind of circuit; lengths in metres, ranges from least to most.

    `_m` and `_radpm` at the end of a name say how its values grow with a circuit (`sized`).
    """

    name: str
    # What a circuit must have in the end.
    length_m: Range
    width_m: Range
    mean_width_m: Range
    straight_share: Range
    nearly_straight_radpm: float
    longest_straight_m: float
    tightest_m: Range  # radius of the centre line
    inside_m: float  # least radius of an inner border; below 0 there is none, it has an edge
    curvature_99_radpm: Range
    gap_m: float  # of ground between the borders of two parts
    wide_lines: bool  # a line through a hairpin lies as far outside of the centre as there is room
    # The polygon that it begins as: vertices, and length (mean, deviation, least, most).
    right_angles: bool
    vertices: tuple[int, int]
    perimeter_m: tuple[float, float, float, float]
    hairpin_across_m: Range
    bend_across_m: Range
    # What is put on straights: shares of none, chicane, shift, esses, kink, bow.
    detail_shares: tuple[float, ...]
    detail_from_m: float  # length of a straight that has room
    chicane_radius_m: Range
    esses_count: tuple[int, int]
    esses_pitch_m: Range
    esses_radius_m: Range
    kink_radius_m: Range
    bow_radius_m: Range
    # Corners: median radius of turns by 10, 40, 80 and 130 degrees, limits, and long sweepers.
    corner_shares: tuple[float, ...]  # of rounded_polygon.CORNER_SHAPES
    corner_median_m: tuple[float, float, float, float]
    corner_m: Range
    sweeper_m: Range
    least_corner_m: float  # no vertex is rounded tighter than this
    # The surface.
    drawn_width_m: Range  # mean
    width_deviation: Range  # relative
    width_orders: int  # most waves of the width a lap
    ripple_m: Range
    ripple_wave_m: Range
    spacing_m: float  # of points


FULL_SIZE = CircuitKind(
    name="full-size circuits",
    length_m=(2300.0, 7000.0),
    width_m=(7.5, 20.0),
    mean_width_m=(9.0, 16.0),
    straight_share=(0.58, 0.78),
    nearly_straight_radpm=0.005,
    longest_straight_m=1200.0,
    tightest_m=(5.5, 20.0),
    inside_m=-math.inf,
    curvature_99_radpm=(0.030, 0.085),
    gap_m=3.0,
    wide_lines=True,
    right_angles=False,
    vertices=(6, 13),
    perimeter_m=(5900.0, 1400.0, 2600.0, 7900.0),
    hairpin_across_m=(18.0, 45.0),
    bend_across_m=(90.0, 300.0),
    detail_shares=(0.47, 0.11, 0.09, 0.10, 0.11, 0.12),
    detail_from_m=180.0,
    chicane_radius_m=(9.0, 35.0),
    esses_count=(3, 5),
    esses_pitch_m=(70.0, 160.0),
    esses_radius_m=(25.0, 110.0),
    kink_radius_m=(60.0, 300.0),
    bow_radius_m=(300.0, 1200.0),
    corner_shares=(0.32, 0.25, 0.13, 0.10, 0.10, 0.10),
    corner_median_m=(300.0, 90.0, 40.0, 18.0),
    corner_m=(7.0, 600.0),
    sweeper_m=(60.0, 220.0),
    least_corner_m=0.0,
    drawn_width_m=(9.5, 15.0),
    width_deviation=(0.03, 0.18),
    width_orders=25,
    ripple_m=(0.02, 0.15),
    ripple_wave_m=(60.0, 250.0),
    spacing_m=5.0,
)


def sized(kind: CircuitKind, factor: float) -> CircuitKind:
    """The kind with circuits so many times as large."""

    def grown(name: str, value: float) -> float:
        return value * factor if name.endswith("_m") else value / factor

    larger: dict[str, Any] = {
        name: tuple(grown(name, part) for part in value)
        if isinstance(value, tuple)
        else grown(name, value)
        for name, value in kind._asdict().items()
        if name.endswith(("_m", "_radpm"))
    }
    return kind._replace(**larger)


# Real circuits at 1:10, as they are published for F1TENTH: of one width, and so wide for their size
# that the inner borders of hairpins meet in a point. With inner borders of half a metre, as below,
# the tightest corner of a racing line was 3.8 m in the median; on published ones it is 2.2 m.
RACE_TRACKS = sized(FULL_SIZE, 0.1)._replace(
    name="race tracks at 1:10",
    length_m=(200.0, 550.0),
    width_m=(1.5, 3.0),
    mean_width_m=(1.7, 2.8),
    tightest_m=(0.75, 2.0),
    inside_m=-0.3,
    curvature_99_radpm=(0.3, 0.87),
    straight_share=(0.55, 0.80),
    longest_straight_m=100.0,
    perimeter_m=(470.0, 100.0, 260.0, 650.0),
    detail_shares=(0.38, 0.14, 0.10, 0.13, 0.12, 0.13),
    gap_m=0.3,
    wide_lines=False,
    drawn_width_m=(1.8, 2.6),
    width_deviation=(0.0, 0.03),
    ripple_m=(0.002, 0.015),
    spacing_m=0.5,
)
# Tracks laid out in a hall.
HALLS = RACE_TRACKS._replace(
    name="tracks in halls",
    length_m=(50.0, 250.0),
    mean_width_m=(1.5, 3.0),
    straight_share=(0.30, 0.80),
    longest_straight_m=60.0,
    tightest_m=(1.25, 3.5),
    inside_m=0.5,
    curvature_99_radpm=(0.25, 0.8),
    vertices=(5, 11),
    perimeter_m=(150.0, 60.0, 60.0, 280.0),
    hairpin_across_m=(2.6, 4.5),
    bend_across_m=(5.0, 14.0),
    detail_shares=FULL_SIZE.detail_shares,
    detail_from_m=10.0,
    chicane_radius_m=(1.3, 3.5),
    esses_pitch_m=(3.5, 8.0),
    esses_radius_m=(1.5, 6.0),
    kink_radius_m=(3.0, 20.0),
    bow_radius_m=(15.0, 60.0),
    corner_median_m=(15.0, 5.0, 2.6, 1.8),
    corner_m=(1.0, 30.0),
    sweeper_m=(4.0, 12.0),
    drawn_width_m=(1.55, 2.9),
    width_deviation=(0.0, 0.08),
    width_orders=12,
    ripple_wave_m=(4.0, 15.0),
    spacing_m=0.25,
)
# Loops of corridors that meet at about right angles.
HALLWAYS = HALLS._replace(
    name="loops of hallways",
    length_m=(20.0, 100.0),
    straight_share=(0.20, 0.85),
    longest_straight_m=40.0,
    right_angles=True,
    vertices=(4, 24),
    perimeter_m=(68.0, 30.0, 22.0, 120.0),
    detail_shares=(0.76, 0.08, 0.06, 0.03, 0.05, 0.02),
    corner_shares=(0.2, 0.8, 0.0, 0.0, 0.0, 0.0),
    corner_median_m=(15.0, 3.0, 1.6, 1.6),
    sweeper_m=(2.0, 4.0),
    width_deviation=(0.0, 0.05),
    width_orders=6,
    spacing_m=0.2,
)
# Autocross and trackdrive of Formula Student: hairpins from 9 m outside diameter, constant turns up
# to 50 m in diameter, slaloms, straights up to 80 m.
CONES = FULL_SIZE._replace(
    name="courses between cones",
    length_m=(200.0, 400.0),
    width_m=(3.0, 5.0),
    mean_width_m=(3.1, 4.9),
    straight_share=(0.10, 0.65),
    nearly_straight_radpm=0.02,
    longest_straight_m=80.0,
    tightest_m=(3.0, 9.0),
    inside_m=1.0,
    curvature_99_radpm=(0.11, 0.33),
    gap_m=1.0,
    wide_lines=False,
    vertices=(6, 11),
    perimeter_m=(340.0, 70.0, 220.0, 480.0),
    hairpin_across_m=(6.0, 14.0),
    bend_across_m=(20.0, 50.0),
    detail_shares=(0.24, 0.10, 0.10, 0.40, 0.08, 0.08),
    detail_from_m=36.0,
    chicane_radius_m=(3.5, 9.0),
    esses_count=(3, 6),
    esses_pitch_m=(8.0, 12.0),
    esses_radius_m=(4.0, 12.0),
    kink_radius_m=(8.0, 25.0),
    bow_radius_m=(25.0, 100.0),
    corner_median_m=(25.0, 12.0, 6.0, 4.0),
    corner_m=(3.0, 25.0),
    sweeper_m=(10.0, 25.0),
    drawn_width_m=(3.2, 4.7),
    width_deviation=(0.0, 0.08),
    width_orders=12,
    ripple_m=(0.01, 0.05),
    ripple_wave_m=(12.0, 50.0),
    spacing_m=1.0,
)


def kinds_for(vehicle: Vehicle) -> list[CircuitKind]:
    """Kinds of circuits that the car's class races on and that it gets round.

    Raises InputError, one line, if there is none.
    """
    if vehicle.wheelbase_m < CORRIDORS_BELOW_M:
        factor = vehicle.wheelbase_m / CORRIDOR_WHEELBASE_M
        kinds = [sized(kind, factor) for kind in (RACE_TRACKS, HALLS, HALLWAYS)]
    else:
        kinds = [CONES if vehicle.wheelbase_m < CONES_BELOW_M else FULL_SIZE]
    fitting = [_fitted(kind, vehicle) for kind in kinds]
    found = [kind for kind in fitting if kind is not None]
    if not found:
        raise InputError(no_circuit(vehicle, kinds))
    return found


def no_circuit(vehicle: Vehicle, kinds: list[CircuitKind]) -> str:
    """Message for a car for which none can be made."""
    names = " and ".join(kind.name for kind in kinds)
    return (
        f"track random: no circuit can be made for this car, {vehicle.width_m:g} m wide and "
        f"turning on {full_lock_radius_m(vehicle):.2f} m at full lock; by its wheelbase of "
        f"{vehicle.wheelbase_m:.3g} m it would drive on {names}"
    )


def _fitted(kind: CircuitKind, vehicle: Vehicle) -> CircuitKind | None:
    """The kind, with corners as wide and a width as large as the car needs, if it has such."""
    narrowest = max(kind.width_m[0], WIDTH_OVER_CAR * vehicle.width_m)
    if narrowest > kind.drawn_width_m[0]:
        most = kind.drawn_width_m[1]
        drawn = (narrowest / (1.0 - kind.width_deviation[1]), most)
        if drawn[0] > most:
            return None
        kind = kind._replace(width_m=(narrowest, kind.width_m[1]), drawn_width_m=drawn)
    elif narrowest > kind.width_m[0]:
        kind = kind._replace(width_m=(narrowest, kind.width_m[1]))
    least = LINE_OVER_FULL_LOCK * full_lock_radius_m(vehicle)
    if kind.wide_lines:
        least -= 0.5 * (narrowest - vehicle.width_m) - BORDER_OVER_CAR * vehicle.width_m
    if least <= kind.tightest_m[0]:
        return kind
    return with_corners_from(kind, least) if least < kind.tightest_m[1] else None


def with_corners_from(kind: CircuitKind, radius_m: float) -> CircuitKind:
    """The kind without corners tighter than this."""
    corner = max(CORNERS_WIDER_BY * radius_m, kind.least_corner_m)

    def from_at_least(drawn: Range, least: float) -> Range:
        return (max(drawn[0], least), max(drawn[1], 1.5 * least))

    return kind._replace(
        tightest_m=(max(radius_m, kind.tightest_m[0]), kind.tightest_m[1]),
        least_corner_m=corner,
        # As long as it takes for corners so wide to have room.
        hairpin_across_m=from_at_least(kind.hairpin_across_m, 2.2 * corner),
        chicane_radius_m=from_at_least(kind.chicane_radius_m, 1.5 * corner),
        esses_pitch_m=from_at_least(kind.esses_pitch_m, 2.2 * corner),
    )
