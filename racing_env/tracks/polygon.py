"""Closed polygons that do not cross themselves, as which random circuits begin."""

import math

import numpy as np

from racing_env.tracks.circuit_kind import CircuitKind
from racing_env.tracks.rounded_polygon import Vertex

CELLS_MAX = 12  # of the grid of a loop with right angles
# Around a cell; every other one shares a side with it.
RING = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


def random_polygon(rng: np.random.Generator, kind: CircuitKind) -> list[Vertex]:
    """Closed polygon without crossings, of random size, aspect and direction of travel."""
    if kind.right_angles:
        return [Vertex(x, y) for x, y in _right_angled(rng, kind)]
    count = int(rng.integers(kind.vertices[0], kind.vertices[1] + 1))
    box = np.array([1.0, rng.uniform(0.35, 1.0)])
    points = np.empty((0, 2))
    while points.shape[0] < count:
        point = rng.uniform(size=2) * box
        if np.all(np.linalg.norm(points - point, axis=1) > 0.45 * math.sqrt(box[1] / count)):
            points = np.vstack([points, point])
    points = points[_uncrossed_order(points, shortest=rng.random() < 0.15)]
    perimeter = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1).sum()
    length_m = _drawn_perimeter_m(rng, kind)
    return _cut_tips(rng, points * (length_m / perimeter), kind)


def _drawn_perimeter_m(rng: np.random.Generator, kind: CircuitKind) -> float:
    mean, deviation, least, most = kind.perimeter_m
    return float(np.clip(rng.normal(mean, deviation), least, most))


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


def _cut_tips(rng: np.random.Generator, points: np.ndarray, kind: CircuitKind) -> list[Vertex]:
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
        across = rng.uniform(*kind.bend_across_m) if wide else rng.uniform(*kind.hairpin_across_m)
        back = 0.5 * across / math.cos(0.5 * turn)
        back = min(back, 0.4 * edge[i], 0.4 * edge[(i + 1) % len(points)])
        radius = 0.98 * back * math.cos(0.5 * turn) / math.tan(0.25 * turn)
        first, last = point - back * inward, point + back * onward
        vertices.append(Vertex(first[0], first[1], radius))
        vertices.append(Vertex(last[0], last[1], radius))
    return vertices


def _right_angled(rng: np.random.Generator, kind: CircuitKind) -> np.ndarray:
    """Outline (n, 2) of some cells of an uneven grid, turned anyhow, and at times a bit askew."""
    # Corridors side by side have a wall between them, and room to turn from one into the other.
    apart_m = max(0.5 * sum(kind.drawn_width_m) + kind.gap_m, 2.4 * kind.least_corner_m)
    perimeter_m = _drawn_perimeter_m(rng, kind)
    most = max(int(perimeter_m / (2.3 * apart_m)) - 1, 1)  # k cells in a row have 2 k + 2 sides
    outline = _outline(_grown_cells(rng, int(rng.integers(1, min(most, CELLS_MAX) + 1))))
    outline -= outline.min(axis=0)
    lines = np.cumsum(rng.uniform(1.0, 2.0, size=(2, outline.max() + 1)), axis=1)
    points = np.column_stack([lines[axis][outline[:, axis]] for axis in (0, 1)])
    length = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1).sum()
    points *= max(perimeter_m / length, apart_m)
    if rng.random() < 0.5:
        points += rng.normal(scale=rng.uniform(0.0, 0.1) * apart_m, size=points.shape)
    angle = rng.uniform(0.0, 2.0 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    points = points @ np.array([[cos, sin], [-sin, cos]])
    return points[::-1] if rng.random() < 0.5 else points


def _grown_cells(rng: np.random.Generator, count: int) -> set[tuple[int, int]]:
    """Cells of a grid that touch each other along sides, without holes and without mere corners."""
    cells = {(0, 0)}
    while len(cells) < count:
        beside = {(x + dx, y + dy) for x, y in cells for dx, dy in RING[::2]} - cells
        free = sorted(cell for cell in beside if _touches_once(cell, cells))
        if rng.random() < 0.5:  # an arm grows rather than a block
            fewest = min(_sides_taken(cell, cells) for cell in free)
            free = [cell for cell in free if _sides_taken(cell, cells) == fewest]
        cells.add(free[int(rng.integers(len(free)))])
    return cells


def _touches_once(cell: tuple[int, int], cells: set[tuple[int, int]]) -> bool:
    """Whether the cells around this one that are taken follow each other."""
    taken = [(cell[0] + dx, cell[1] + dy) in cells for dx, dy in RING]
    return sum(here and not taken[i - 1] for i, here in enumerate(taken)) == 1


def _sides_taken(cell: tuple[int, int], cells: set[tuple[int, int]]) -> int:
    return sum((cell[0] + dx, cell[1] + dy) in cells for dx, dy in RING[::2])


def _outline(cells: set[tuple[int, int]]) -> np.ndarray:
    """Grid points (n, 2) where the border of the cells turns, anti-clockwise."""
    after = {}
    for x, y in cells:
        around = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
        for (dx, dy), start, end in zip(
            ((0, -1), (1, 0), (0, 1), (-1, 0)), around, around[1:] + around[:1], strict=True
        ):
            if (x + dx, y + dy) not in cells:
                after[start] = end
    walk = [min(after)]
    while (end := after[walk[-1]]) != walk[0]:
        walk.append(end)
    points = np.array(walk)
    onward = np.roll(points, -1, axis=0) - points
    return points[np.any(onward != np.roll(onward, 1, axis=0), axis=1)]
