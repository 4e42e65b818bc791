"""Closed lines made of a polygon whose vertices are rounded by corners.

A corner's curvature is piecewise linear in arc length (clothoid, arc, clothoid; also tightening,
opening and double apex). It starts and ends on the two edges of its vertex, so the line closes
exactly, whatever the shapes.
"""

import math
from dataclasses import dataclass

import numpy as np

# Curvature over normalised arc length: (position, relative curvature), linear in between.
CORNER_SHAPES = (
    ((0.0, 0.0), (0.3, 1.0), (0.7, 1.0), (1.0, 0.0)),
    ((0.0, 0.0), (0.15, 1.0), (0.85, 1.0), (1.0, 0.0)),
    ((0.0, 0.0), (0.5, 1.0), (1.0, 0.0)),
    ((0.0, 0.0), (0.15, 0.5), (0.5, 0.5), (0.65, 1.0), (0.85, 1.0), (1.0, 0.0)),  # tightens
    ((0.0, 0.0), (0.15, 1.0), (0.35, 1.0), (0.5, 0.5), (0.85, 0.5), (1.0, 0.0)),  # opens
    ((0.0, 0.0), (0.12, 1.0), (0.3, 1.0), (0.42, 0.3), (0.58, 0.3), (0.7, 1.0), (0.88, 1.0),
     (1.0, 0.0)),  # double apex
)  # fmt: skip


@dataclass
class Vertex:
    """A corner of the polygon, and the radius wanted at its apex (None: drawn from its angle)."""

    x: float
    y: float
    radius_m: float | None = None


def edges_and_turns(vertices: list[Vertex]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heading and length of the edge after each vertex, and the turn there, left > 0: (n,) each."""
    points = np.array([(vertex.x, vertex.y) for vertex in vertices], dtype=float)
    edge = np.roll(points, -1, axis=0) - points
    heading = np.arctan2(edge[:, 1], edge[:, 0])
    turn = (heading - np.roll(heading, 1) + math.pi) % (2.0 * math.pi) - math.pi
    return heading, np.hypot(edge[:, 0], edge[:, 1]), turn


def round_corners(vertices: list[Vertex], shapes: np.ndarray, spacing_m: float) -> np.ndarray:
    """Points (n, 2) of the polygon with each vertex rounded; `shapes` (m,) index CORNER_SHAPES.

    spacing_m: about what points are apart that are then chosen from these (`resample`).

    Where two corners have no room on the edge between them, both shrink to what fits.
    """
    heading, length, turn = edges_and_turns(vertices)
    before = np.roll(heading, 1)
    corners = [
        _corner(CORNER_SHAPES[shape], float(angle), float(vertex.radius_m or 0.0), spacing_m)
        for shape, angle, vertex in zip(shapes, turn, vertices, strict=True)
    ]
    entry = np.array([corner[1] for corner in corners])
    leave = np.array([corner[2] for corner in corners])
    fit = np.minimum(0.995 * length / (leave + np.roll(entry, -1)), 1.0)  # of the edge after
    scale = np.minimum(fit, np.roll(fit, 1))
    pieces = []
    for i, vertex in enumerate(vertices):
        cos, sin = math.cos(before[i]), math.sin(before[i])
        local = scale[i] * (corners[i][0] - np.array([entry[i], 0.0]))
        pieces.append(local @ np.array([[cos, sin], [-sin, cos]]) + (vertex.x, vertex.y))
    return np.concatenate(pieces)


def _corner(
    shape: tuple[tuple[float, float], ...], turn: float, radius_m: float, spacing_m: float
) -> tuple[np.ndarray, float, float]:
    """Corner through the angle `turn`, radians, whose tightest radius is `radius_m`.

    Returns points (k, 2) from the origin with the x axis as tangent, and the distances to its start
    and to its end from where the tangents of both meet.
    """
    place, bend = np.array(shape).T
    area = np.trapezoid(bend, place)
    length = abs(turn) * radius_m / area
    u = np.linspace(0.0, 1.0, max(int(length / (0.4 * spacing_m)), 12) + 1)
    bend = np.interp(u, place, bend)
    heading = np.concatenate([[0.0], np.cumsum(0.5 * (bend[1:] + bend[:-1]))])
    heading *= turn / heading[-1]
    middle = 0.5 * (heading[1:] + heading[:-1])
    step = length * u[1]
    points = np.zeros((u.size, 2))
    points[1:, 0] = np.cumsum(step * np.cos(middle))
    points[1:, 1] = np.cumsum(step * np.sin(middle))
    if abs(turn) < 1e-6:
        return points, 0.5 * length, 0.5 * length
    leave = points[-1, 1] / math.sin(turn)
    return points, float(points[-1, 0] - leave * math.cos(turn)), float(leave)


def resample(points: np.ndarray, spacing_m: float) -> np.ndarray:
    """Points (n, 2) along a closed line, about spacing_m apart."""
    closed = np.vstack([points, points[:1]])
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    n = round(s[-1] / spacing_m)
    at = np.arange(n) * (s[-1] / n)
    return np.column_stack([np.interp(at, s, closed[:, 0]), np.interp(at, s, closed[:, 1])])
