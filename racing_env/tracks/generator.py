"""Circuits made by the project itself: a few fixed shapes, and random ones that resemble real ones.

A circuit begins as a closed polygon that does not cross itself. Chicanes, esses and kinks are more
vertices on its edges, hairpins are cut-off tips. The vertices are then rounded (rounded_polygon).
Candidates whose parts overlap, or whose statistics are not those of real circuits, are rejected.
"""

import math

import numpy as np
from scipy.spatial import cKDTree

from racing_env.car.scales import REFERENCE, Scales, scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.common.errors import InputError
from racing_env.tracks.circuit_kind import (
    FULL_SIZE,
    CircuitKind,
    kinds_for,
    no_circuit,
    with_corners_from,
)
from racing_env.tracks.geometry import Track, scaled_track, track_from_centre_line
from racing_env.tracks.polygon import random_polygon
from racing_env.tracks.rounded_polygon import (
    CORNER_SHAPES,
    Vertex,
    edges_and_turns,
    resample,
    round_corners,
)
from racing_env.tracks.statistics import longest_run, looks_real

CANDIDATES_MAX = 1000  # of a kind, before it is given up for a car
TIGHTER_WITHOUT_ROOM = 2.0  # than the least corner, before smoothing: one that had to shrink

# Built-in circuits: width, then vertices x, y and the radius there, all in metres.
BUILT_IN: dict[str, tuple[float, tuple[tuple[float, float, float], ...]]] = {
    "oval": (14.0, ((0, 0, 110), (1000, 0, 110), (1000, 300, 110), (0, 300, 110))),
    "club": (11.0, ((0, 0, 30), (700, 0, 18), (760, 260, 45), (420, 330, 25), (470, 560, 35),
                    (60, 600, 60), (150, 300, 40), (-120, 230, 25))),
    "hairpins": (12.0, ((0, 0, 30), (900, 0, 12), (900, 28, 12), (250, 120, 14), (250, 150, 14),
                        (880, 260, 13), (870, 290, 13), (380, 330, 70), (-60, 300, 40))),
    "chicane": (12.0, ((0, 0, 60), (500, 0, 14), (515, 14, 14), (560, 14, 14), (575, 0, 14),
                       (1150, 0, 45), (1120, 420, 90), (760, 400, 18), (742, 418, 18),
                       (120, 460, 35), (-60, 260, 80))),
    "grand_prix": (13.0, ((0, 0, 40), (1050, 0, 16), (1000, 170, 60), (1260, 330, 12),
                          (1240, 356, 12), (900, 300, 80), (780, 380, 70), (660, 310, 70),
                          (540, 400, 60), (560, 680, 120), (230, 720, 25), (260, 480, 30),
                          (-120, 430, 20), (-160, 180, 90))),
}  # fmt: skip


def generate_track(
    seed: int | np.random.SeedSequence, vehicle: Vehicle, name: str | None = None
) -> Track:
    """Random circuit like the real ones on which the car's class races (`circuit_kind`).

    No corner of it is tighter than the car turns. Seed and car alone decide it. Raises InputError
    for a car for which none can be made.
    """
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    rng = np.random.default_rng(sequence)
    name = random_name(sequence) if name is None else name
    kinds = kinds_for(vehicle)
    for number in rng.permutation(len(kinds)):
        for _ in range(CANDIDATES_MAX):
            kind = _of_one_width(rng, kinds[number])
            track = _candidate(rng, kind, name, scales_of(vehicle))
            if track is not None and looks_real(track, kind):
                return track
    raise InputError(no_circuit(vehicle, kinds))


def random_name(seed: np.random.SeedSequence) -> str:
    """What a circuit of this seed is called."""
    return "-".join(["random", *(str(part) for part in (seed.entropy, *seed.spawn_key))])


def _of_one_width(rng: np.random.Generator, kind: CircuitKind) -> CircuitKind:
    """Where inner borders have a least radius, the mean width comes first, and corners fit it."""
    if kind.inside_m < 0.0:
        return kind
    width_m = rng.uniform(*kind.drawn_width_m)
    least_m = kind.inside_m + 0.5 * width_m * (1.0 + kind.width_deviation[1])
    kind = kind._replace(drawn_width_m=(width_m, width_m))
    return with_corners_from(kind, max(least_m, kind.tightest_m[0]))


def _candidate(
    rng: np.random.Generator, kind: CircuitKind, name: str, scales: Scales
) -> Track | None:
    """A circuit that may be of the kind, or None."""
    vertices = _add_details(rng, random_polygon(rng, kind), kind)
    _draw_radii(rng, vertices, kind)
    shapes = rng.choice(len(CORNER_SHAPES), size=len(vertices), p=kind.corner_shares)
    centre = resample(round_corners(vertices, shapes, kind.spacing_m), kind.spacing_m)
    if np.abs(_turns(centre)).max() * kind.least_corner_m > TIGHTER_WITHOUT_ROOM * kind.spacing_m:
        return None
    centre = _ripple(rng, _start_on_straight(centre, kind), kind)
    length_m = centre.shape[0] * kind.spacing_m
    if not kind.length_m[0] < length_m < kind.length_m[1]:
        return None
    right, left = _widths(rng, centre.shape[0], kind)
    if not _parts_keep_apart(centre, right + left, kind):
        return None
    return track_from_centre_line(name, centre[:, 0], centre[:, 1], right, left, scales)


def built_in_track(name: str, vehicle: Vehicle) -> Track:
    """One of the fixed circuits in BUILT_IN, to the car's scale."""
    width, corners = BUILT_IN[name]
    vertices = [Vertex(*corner) for corner in corners]
    shapes = np.zeros(len(vertices), dtype=int)
    spacing_m = FULL_SIZE.spacing_m
    centre = resample(round_corners(vertices, shapes, spacing_m), spacing_m)
    centre = _start_on_straight(centre, FULL_SIZE)
    half = np.full(centre.shape[0], 0.5 * width)
    track = track_from_centre_line(name, centre[:, 0], centre[:, 1], half, half, REFERENCE)
    return scaled_track(track, scales_of(vehicle).length)


def _add_details(
    rng: np.random.Generator, corners: list[Vertex], kind: CircuitKind
) -> list[Vertex]:
    """Put chicanes, esses, kinks and long flat bends on the edges that have room for them."""
    vertices = []
    for here, there in zip(corners, corners[1:] + corners[:1], strict=True):
        vertices.append(here)
        start, end = np.array([here.x, here.y]), np.array([there.x, there.y])
        length = float(np.linalg.norm(end - start))
        along = (end - start) / length
        side = rng.choice([-1.0, 1.0]) * np.array([-along[1], along[0]])
        for distance, offset, radius in _detail(rng, length, kind):
            point = start + distance * along + offset * side
            vertices.append(Vertex(point[0], point[1], radius))
    return vertices


def _detail(
    rng: np.random.Generator, length: float, kind: CircuitKind
) -> list[tuple[float, float, float]]:
    """Vertices (distance along, offset to the side, radius) of a feature of a straight, metres."""
    detail = rng.choice(["none", "chicane", "shift", "esses", "kink", "bow"], p=kind.detail_shares)
    if detail == "none" or length < kind.detail_from_m:
        return []
    middle = length * rng.uniform(0.35, 0.65)
    if detail == "kink":
        return [(middle, length * rng.uniform(0.02, 0.12), rng.uniform(*kind.kink_radius_m))]
    if detail == "bow":
        return [(middle, length * rng.uniform(0.01, 0.06), rng.uniform(*kind.bow_radius_m))]
    if detail == "esses":
        count = int(rng.integers(kind.esses_count[0], kind.esses_count[1] + 1))
        pitch = min(rng.uniform(*kind.esses_pitch_m), 0.8 * length / count)
        swing = pitch * rng.uniform(0.12, 0.35)
        first = rng.uniform(0.1 * length, 0.9 * length - pitch * (count - 1))
        return [
            (
                first + i * pitch,
                (-1) ** i * swing * rng.uniform(0.6, 1.2),
                rng.uniform(*kind.esses_radius_m),
            )
            for i in range(count)
        ]
    radius = rng.uniform(*kind.chicane_radius_m)
    run = radius * rng.uniform(0.8, 2.0)
    swing = run * rng.uniform(0.4, 1.2)
    if detail == "shift":
        return [(middle, 0.0, radius), (middle + run, swing, radius)]
    pause = rng.uniform(0.5, 2.5) * run
    last = [(middle + run, swing), (middle + run + pause, swing), (middle + 2 * run + pause, 0.0)]
    return [(middle, 0.0, radius)] + [(*place, radius) for place in last]


def _draw_radii(rng: np.random.Generator, vertices: list[Vertex], kind: CircuitKind) -> None:
    """Give the vertices that have none a radius: the sharper the turn, the tighter in the mean."""
    size = rng.uniform(0.8, 1.7)
    for vertex, turn in zip(
        vertices, np.degrees(np.abs(edges_and_turns(vertices)[2])), strict=True
    ):
        if vertex.radius_m is None and turn > 35.0 and rng.random() < 0.4:  # a long sweeper
            vertex.radius_m = float(rng.uniform(*kind.sweeper_m))
        elif vertex.radius_m is None:
            median = size * np.interp(turn, [10.0, 40.0, 80.0, 130.0], kind.corner_median_m)
            vertex.radius_m = float(np.clip(median * math.exp(0.6 * rng.normal()), *kind.corner_m))
        vertex.radius_m = max(vertex.radius_m, kind.least_corner_m)


def _widths(rng: np.random.Generator, n: int, kind: CircuitKind) -> tuple[np.ndarray, np.ndarray]:
    """Width to the right and to the left (n,), metres: slow waves about a mean."""
    orders = np.arange(1, kind.width_orders + 1)
    mean_m = rng.uniform(*kind.drawn_width_m)
    total = mean_m * np.exp(_waves(rng, n, orders, rng.uniform(*kind.width_deviation)))
    share = 0.5 + _waves(rng, n, orders, 0.01)
    total = np.clip(total, *kind.width_m)
    return total * share, total * (1.0 - share)


def _turns(centre: np.ndarray) -> np.ndarray:
    """Angle by which the line (n, 2) turns at each of its points, radians, left > 0."""
    step = np.roll(centre, -1, axis=0) - centre
    heading = np.arctan2(step[:, 1], step[:, 0])
    return (heading - np.roll(heading, 1) + math.pi) % (2.0 * math.pi) - math.pi


def _start_on_straight(centre: np.ndarray, kind: CircuitKind) -> np.ndarray:
    """The line (n, 2) beginning in the middle of its longest straight, as the laps of real ones."""
    first, count = longest_run(
        np.abs(_turns(centre)) < 0.5 * kind.nearly_straight_radpm * kind.spacing_m
    )
    return np.roll(centre, -(first + count // 2), axis=0)


def _ripple(rng: np.random.Generator, centre: np.ndarray, kind: CircuitKind) -> np.ndarray:
    """The line (n, 2) shifted sideways by centimetres: no real straight is perfectly straight."""
    n = centre.shape[0]
    lap_m = n * kind.spacing_m
    orders = np.arange(*(int(lap_m / wave_m) for wave_m in reversed(kind.ripple_wave_m)))
    tangent = np.roll(centre, -1, axis=0) - np.roll(centre, 1, axis=0)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    return centre + _waves(rng, n, orders, rng.uniform(*kind.ripple_m))[:, None] * normal


def _waves(rng: np.random.Generator, n: int, orders: np.ndarray, deviation: float) -> np.ndarray:
    """Smooth periodic noise (n,) of the given numbers of waves a lap, the longer the higher."""
    amplitude = rng.normal(size=orders.size) / np.sqrt(orders)
    phase = rng.uniform(0.0, 2.0 * math.pi, size=orders.size)
    angle = np.outer(orders, np.arange(n)) * (2.0 * math.pi / n)
    waves = amplitude @ np.sin(angle + phase[:, None])
    return deviation * waves / waves.std()


def _parts_keep_apart(centre: np.ndarray, width: np.ndarray, kind: CircuitKind) -> bool:
    """Whether the surfaces of parts of the circuit that do not follow each other stay separate."""
    reach = width.max() + kind.gap_m
    i, j = cKDTree(centre).query_pairs(reach, output_type="ndarray").T
    along = np.abs(i - j)
    along = np.minimum(along, centre.shape[0] - along) * kind.spacing_m
    distance = np.hypot(*(centre[i] - centre[j]).T)
    room = 0.5 * (width[i] + width[j]) + kind.gap_m
    return not np.any((along > max(12.0 * kind.spacing_m, 1.7 * reach)) & (distance < room))
