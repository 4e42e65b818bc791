"""Circuits made by the project itself: a few fixed shapes, and random ones that resemble real ones.

A circuit begins as a closed polygon that does not cross itself. Chicanes, esses and kinks are more
vertices on its edges, hairpins are cut-off tips. The vertices are then rounded (rounded_polygon).
Candidates whose parts overlap, or whose statistics are not those of real circuits, are rejected.
"""

import math

import numpy as np
from scipy.spatial import cKDTree

from racing_env.car.scales import REFERENCE, scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.tracks.geometry import Track, scaled_track, track_from_centre_line
from racing_env.tracks.rounded_polygon import (
    CORNER_SHAPES,
    POINT_SPACING_M,
    Vertex,
    edges_and_turns,
    resample,
    round_corners,
)

LENGTH_RANGE_M = (2300.0, 7000.0)
WIDTH_RANGE_M = (7.5, 20.0)
MEAN_WIDTH_RANGE_M = (9.0, 16.0)
NEARLY_STRAIGHT_RADPM = 0.005
STRAIGHT_SHARE_RANGE = (0.58, 0.78)
TIGHTEST_RADIUS_RANGE_M = (5.5, 20.0)
CURVATURE_99_RANGE_RADPM = (0.030, 0.085)
LONGEST_STRAIGHT_M = 1200.0
GAP_BETWEEN_PARTS_M = 3.0  # of ground between the borders of two parts of a circuit

SHAPE_WEIGHTS = (0.32, 0.25, 0.13, 0.10, 0.10, 0.10)

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
    """Random circuit with the length, width and curvature statistics of real ones, to the car's
    scale.

    Seed and car alone decide it.
    """
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    rng = np.random.default_rng(sequence)
    if name is None:
        label = (sequence.entropy, *sequence.spawn_key)
        name = "-".join(["random", *(str(part) for part in label)])
    while True:
        vertices = _add_details(rng, _layout(rng))
        _draw_radii(rng, vertices)
        shapes = rng.choice(len(CORNER_SHAPES), size=len(vertices), p=SHAPE_WEIGHTS)
        centre = _start_on_straight(resample(round_corners(vertices, shapes)))
        centre = _ripple(rng, centre)
        length_m = centre.shape[0] * POINT_SPACING_M
        if not LENGTH_RANGE_M[0] < length_m < LENGTH_RANGE_M[1]:
            continue
        right, left = _widths(rng, centre.shape[0])
        if not _parts_keep_apart(centre, right + left):
            continue
        track = track_from_centre_line(name, centre[:, 0], centre[:, 1], right, left, REFERENCE)
        if _looks_real(track_statistics(track)):
            return scaled_track(track, scales_of(vehicle).length)


def built_in_track(name: str, vehicle: Vehicle) -> Track:
    """One of the fixed circuits in BUILT_IN, to the car's scale."""
    width, corners = BUILT_IN[name]
    vertices = [Vertex(*corner) for corner in corners]
    shapes = np.zeros(len(vertices), dtype=int)
    centre = _start_on_straight(resample(round_corners(vertices, shapes)))
    half = np.full(centre.shape[0], 0.5 * width)
    track = track_from_centre_line(name, centre[:, 0], centre[:, 1], half, half, REFERENCE)
    return scaled_track(track, scales_of(vehicle).length)


def track_statistics(track: Track) -> dict[str, float]:
    """Figures by which generated circuits are held against real ones (SI units)."""
    kappa = np.abs(track.kappa_radpm)
    width = track.width_left_m + track.width_right_m
    turning = np.abs(np.sum(track.kappa_radpm)) * track.step_m
    return {
        "length_m": track.length_m,
        "width_mean_m": float(width.mean()),
        "width_min_m": float(width.min()),
        "width_max_m": float(width.max()),
        "straight_share": float(np.mean(kappa < NEARLY_STRAIGHT_RADPM)),
        "radius_min_m": float(1.0 / kappa.max()),
        "kappa_99_radpm": float(np.quantile(kappa, 0.99)),
        "longest_straight_m": _longest_run(kappa < NEARLY_STRAIGHT_RADPM)[1] * track.step_m,
        "turning_per_lap": float(np.sum(kappa) * track.step_m / max(turning, 1e-9)),
        "corners": float(_corner_count(track)),
        "width_change_pm": float(np.abs(np.diff(width)).mean() / track.step_m),
    }


def _corner_count(track: Track) -> int:
    curved = np.abs(track.kappa_radpm) > NEARLY_STRAIGHT_RADPM
    side = np.where(curved, np.sign(track.kappa_radpm), 0.0)
    return int(np.sum((side != np.roll(side, 1)) & (side != 0.0)))


def _longest_run(flags: np.ndarray) -> tuple[int, int]:
    """First index and length of the longest run of True in a periodic array."""
    if flags.all():
        return 0, flags.size
    breaks = np.flatnonzero(~flags)
    runs = np.diff(np.append(breaks, breaks[0] + flags.size)) - 1
    longest = int(np.argmax(runs))
    return int(breaks[longest]) + 1, int(runs[longest])


def _looks_real(statistics: dict[str, float]) -> bool:
    bounds = {
        "length_m": LENGTH_RANGE_M,
        "width_mean_m": MEAN_WIDTH_RANGE_M,
        "straight_share": STRAIGHT_SHARE_RANGE,
        "radius_min_m": TIGHTEST_RADIUS_RANGE_M,
        "kappa_99_radpm": CURVATURE_99_RANGE_RADPM,
        "longest_straight_m": (0.0, LONGEST_STRAIGHT_M),
    }
    return all(low <= statistics[key] <= high for key, (low, high) in bounds.items())


def _layout(rng: np.random.Generator) -> list[Vertex]:
    """Closed polygon without crossings, of random size, aspect and direction of travel."""
    count = int(rng.integers(6, 14))
    box = np.array([1.0, rng.uniform(0.35, 1.0)])
    points = np.empty((0, 2))
    while points.shape[0] < count:
        point = rng.uniform(size=2) * box
        if np.all(np.linalg.norm(points - point, axis=1) > 0.45 * math.sqrt(box[1] / count)):
            points = np.vstack([points, point])
    points = points[_uncrossed_order(points, shortest=rng.random() < 0.15)]
    perimeter = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1).sum()
    length_m = np.clip(rng.normal(5900.0, 1400.0), 2600.0, 7900.0)
    return _cut_tips(rng, points * (length_m / perimeter))


def _uncrossed_order(points: np.ndarray, shortest: bool) -> np.ndarray:
    """Order of a closed tour that crosses nowhere, by 2-opt moves from the order given.

    Moves that only undo crossings leave a folded tour; making every move that shortens it, an open
    one.
    """
    n = points.shape[0]
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)

    def left(a: int, b: int, c: int) -> bool:
        (x, y), (u, v) = points[b] - points[a], points[c] - points[a]
        return bool(x * v - y * u > 0.0)

    order = np.arange(n)
    improved = True
    while improved:
        improved = False
        for i in range(n - 1):
            for j in range(i + 2, n - (i == 0)):
                a, b, c, d = order[i], order[i + 1], order[j], order[(j + 1) % n]
                cross = left(a, b, c) != left(a, b, d) and left(c, d, a) != left(c, d, b)
                shorter = distance[a, c] + distance[b, d] < distance[a, b] + distance[c, d] - 1e-12
                if cross or (shortest and shorter):
                    order[i + 1 : j + 1] = order[i + 1 : j + 1][::-1]
                    improved = True
    return order


def _cut_tips(rng: np.random.Generator, points: np.ndarray) -> list[Vertex]:
    """Replace some vertices that turn sharply by two: a hairpin of two apexes, or a wide bend."""
    before = points - np.roll(points, 1, axis=0)
    edge = np.linalg.norm(before, axis=1)
    direction = before / edge[:, None]
    vertices = []
    for i, point in enumerate(points):
        inward, onward = direction[i], direction[(i + 1) % len(points)]
        turn = abs(math.atan2(inward[0] * onward[1] - inward[1] * onward[0], inward @ onward))
        if turn < math.radians(115.0) or (turn < math.radians(168.0) and rng.random() < 0.65):
            vertices.append(Vertex(point[0], point[1]))
            continue
        wide = rng.random() < 0.4
        across = rng.uniform(90.0, 300.0) if wide else rng.uniform(18.0, 45.0)
        back = 0.5 * across / math.cos(0.5 * turn)
        back = min(back, 0.4 * edge[i], 0.4 * edge[(i + 1) % len(points)])
        radius = 0.98 * back * math.cos(0.5 * turn) / math.tan(0.25 * turn)
        first, last = point - back * inward, point + back * onward
        vertices.append(Vertex(first[0], first[1], radius))
        vertices.append(Vertex(last[0], last[1], radius))
    return vertices


def _add_details(rng: np.random.Generator, corners: list[Vertex]) -> list[Vertex]:
    """Put chicanes, esses, kinks and long flat bends on the edges that have room for them."""
    vertices = []
    for here, there in zip(corners, corners[1:] + corners[:1], strict=True):
        vertices.append(here)
        start, end = np.array([here.x, here.y]), np.array([there.x, there.y])
        length = float(np.linalg.norm(end - start))
        along = (end - start) / length
        side = rng.choice([-1.0, 1.0]) * np.array([-along[1], along[0]])
        for distance, offset, radius in _detail(rng, length):
            point = start + distance * along + offset * side
            vertices.append(Vertex(point[0], point[1], radius))
    return vertices


def _detail(rng: np.random.Generator, length: float) -> list[tuple[float, float, float]]:
    """Vertices (distance along, offset to the side, radius) of a feature of a straight, metres."""
    kind = rng.choice(["none", "chicane", "shift", "esses", "kink", "bow"],
                      p=[0.47, 0.11, 0.09, 0.10, 0.11, 0.12])  # fmt: skip
    if kind == "none" or length < 180.0:
        return []
    middle = length * rng.uniform(0.35, 0.65)
    if kind == "kink":
        return [(middle, length * rng.uniform(0.02, 0.12), rng.uniform(60.0, 300.0))]
    if kind == "bow":
        return [(middle, length * rng.uniform(0.01, 0.06), rng.uniform(300.0, 1200.0))]
    if kind == "esses":
        count = int(rng.integers(3, 6))
        pitch = min(rng.uniform(70.0, 160.0), 0.8 * length / count)
        swing = pitch * rng.uniform(0.12, 0.35)
        first = rng.uniform(0.1 * length, 0.9 * length - pitch * (count - 1))
        return [
            (first + i * pitch, (-1) ** i * swing * rng.uniform(0.6, 1.2), rng.uniform(25.0, 110.0))
            for i in range(count)
        ]
    radius = rng.uniform(9.0, 35.0)
    run = radius * rng.uniform(0.8, 2.0)
    swing = run * rng.uniform(0.4, 1.2)
    if kind == "shift":
        return [(middle, 0.0, radius), (middle + run, swing, radius)]
    pause = rng.uniform(0.5, 2.5) * run
    last = [(middle + run, swing), (middle + run + pause, swing), (middle + 2 * run + pause, 0.0)]
    return [(middle, 0.0, radius)] + [(*place, radius) for place in last]


def _draw_radii(rng: np.random.Generator, vertices: list[Vertex]) -> None:
    """Give the vertices that have none a radius: the sharper the turn, the tighter in the mean."""
    size = rng.uniform(0.8, 1.7)
    for vertex, turn in zip(
        vertices, np.degrees(np.abs(edges_and_turns(vertices)[2])), strict=True
    ):
        if vertex.radius_m is None and turn > 35.0 and rng.random() < 0.4:  # a long sweeper
            vertex.radius_m = float(rng.uniform(60.0, 220.0))
        elif vertex.radius_m is None:
            median = size * np.interp(turn, [10.0, 40.0, 80.0, 130.0], [300.0, 90.0, 40.0, 18.0])
            vertex.radius_m = float(np.clip(median * math.exp(0.6 * rng.normal()), 7.0, 600.0))


def _widths(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Width to the right and to the left (n,), metres: slow waves about a mean."""
    orders = np.arange(1, 26)
    total = rng.uniform(9.5, 15.0) * np.exp(_waves(rng, n, orders, rng.uniform(0.03, 0.18)))
    share = 0.5 + _waves(rng, n, orders, 0.01)
    total = np.clip(total, *WIDTH_RANGE_M)
    return total * share, total * (1.0 - share)


def _start_on_straight(centre: np.ndarray) -> np.ndarray:
    """The line (n, 2) beginning in the middle of its longest straight, as the laps of real ones."""
    step = np.roll(centre, -1, axis=0) - centre
    heading = np.arctan2(step[:, 1], step[:, 0])
    turn = (heading - np.roll(heading, 1) + math.pi) % (2.0 * math.pi) - math.pi
    first, count = _longest_run(np.abs(turn) < 0.5 * NEARLY_STRAIGHT_RADPM * POINT_SPACING_M)
    return np.roll(centre, -(first + count // 2), axis=0)


def _ripple(rng: np.random.Generator, centre: np.ndarray) -> np.ndarray:
    """The line (n, 2) shifted sideways by centimetres: no real straight is perfectly straight."""
    n = centre.shape[0]
    orders = np.arange(*(int(n * POINT_SPACING_M / wave_m) for wave_m in (250.0, 60.0)))
    tangent = np.roll(centre, -1, axis=0) - np.roll(centre, 1, axis=0)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    return centre + _waves(rng, n, orders, rng.uniform(0.02, 0.15))[:, None] * normal


def _waves(rng: np.random.Generator, n: int, orders: np.ndarray, deviation: float) -> np.ndarray:
    """Smooth periodic noise (n,) of the given numbers of waves a lap, the longer the higher."""
    amplitude = rng.normal(size=orders.size) / np.sqrt(orders)
    phase = rng.uniform(0.0, 2.0 * math.pi, size=orders.size)
    angle = np.outer(orders, np.arange(n)) * (2.0 * math.pi / n)
    waves = amplitude @ np.sin(angle + phase[:, None])
    return deviation * waves / waves.std()


def _parts_keep_apart(centre: np.ndarray, width: np.ndarray) -> bool:
    """Whether the surfaces of parts of the circuit that do not follow each other stay separate."""
    reach = width.max() + GAP_BETWEEN_PARTS_M
    i, j = cKDTree(centre).query_pairs(reach, output_type="ndarray").T
    along = np.abs(i - j)
    along = np.minimum(along, centre.shape[0] - along) * POINT_SPACING_M
    distance = np.hypot(*(centre[i] - centre[j]).T)
    room = 0.5 * (width[i] + width[j]) + GAP_BETWEEN_PARTS_M
    return not np.any((along > max(60.0, 1.7 * reach)) & (distance < room))
