"""A circuit as it is drawn: grass, kerbs, asphalt, white lines, start line, racing line."""

import math
from typing import NamedTuple

import numpy as np

from racing_env.drawing.camera import Camera
from racing_env.drawing.pygame_extra import pygame
from racing_env.tracks.circuit import Circuit

GRASS, GRASS_STRIPE = (74, 122, 66), (80, 129, 71)
ASPHALT, EDGE = (66, 68, 74), (232, 232, 228)
KERBS = ((196, 44, 40), (236, 236, 232))
CHEQUERS = ((34, 34, 38), (236, 236, 232))
# of the racing line, where its profile accelerates, holds speed and brakes
DRIVE, COAST, BRAKE = np.array([[92, 190, 116], [205, 196, 120], [222, 84, 72]])

EDGE_M, KERB_M, KERB_LENGTH_M, KERB_KAPPA_RADPM = 0.2, 0.9, 4.0, 0.012
LINE_M = 0.35
START_ROWS, START_SQUARE_M = 2, 0.8
STRIPE_M = 12.0
QUAD_STATIONS = 2
KERB_PX_PER_M = 5.0  # smaller, kerbs are left out


class Scene(NamedTuple):
    """What is drawn of one circuit; borders are (right, left) pairs."""

    centre: np.ndarray  # (n, 2)
    asphalt: np.ndarray  # (2, n, 2), inside the white lines
    border: np.ndarray  # (2, n, 2)
    kerb: np.ndarray  # (2, n, 2), outer edge of the kerbs
    kerb_here: np.ndarray  # (n,) bool
    line: np.ndarray  # (n, 2)
    line_colours: list[tuple[int, int, int]]
    start: np.ndarray  # (squares, 4, 2) of the start line, the colours by turns


def scene_of(circuit: Circuit) -> Scene:
    """Everything that is drawn of a circuit, on the ground."""
    track = circuit.track
    centre = np.column_stack([track.x_m, track.y_m])
    normal = np.column_stack([-np.sin(track.psi_rad), np.cos(track.psi_rad)])
    widths = np.stack([-track.width_right_m, track.width_left_m])
    outwards = np.array([-1.0, 1.0])[:, None]

    def beside(offset: np.ndarray) -> np.ndarray:
        return centre + offset[..., None] * normal

    speed = circuit.line_speed_mps
    acceleration = np.gradient(speed, track.step_m) * speed
    share = np.clip(acceleration / 4.0, -1.0, 1.0)[:, None]
    colours = (
        COAST + np.maximum(share, 0) * (DRIVE - COAST) - np.minimum(share, 0) * (BRAKE - COAST)
    )
    colours = (0.65 * colours + 0.35 * np.array(ASPHALT)).astype(int)
    return Scene(
        centre=centre,
        asphalt=beside(widths - outwards * EDGE_M),
        border=beside(widths),
        kerb=beside(widths + outwards * KERB_M),
        kerb_here=np.abs(track.kappa_radpm) > KERB_KAPPA_RADPM,
        line=beside(circuit.line_offset_m),
        line_colours=[tuple(colour) for colour in colours.tolist()],
        start=_start_squares(centre[0], normal[0], widths[:, 0]),
    )


def _start_squares(centre: np.ndarray, normal: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Rows of squares (n, 4, 2) across the track, from its right border to its left."""
    along = np.array([normal[1], -normal[0]])
    count = 2 * round((widths[1] - widths[0]) / START_SQUARE_M / 2.0) + 1  # odd: colours alternate
    across = centre + np.linspace(widths[0], widths[1], count + 1)[:, None] * normal
    steps = [along * START_SQUARE_M * row for row in range(START_ROWS + 1)]
    squares = [
        np.stack([a + near, b + near, b + far, a + far])
        for near, far in zip(steps, steps[1:], strict=False)
        for a, b in zip(across, across[1:], strict=False)
    ]
    return np.array(squares)


def draw_ground(surface: pygame.Surface, camera: Camera) -> None:
    """Grass, mown in stripes that are fixed to the ground, so that speed can be seen."""
    surface.fill(GRASS)
    width, height = surface.get_size()
    corners = camera.ground(np.array([[0, 0], [width, 0], [0, height], [width, height]]))
    (x_low, y_low), (x_high, y_high) = corners.min(axis=0), corners.max(axis=0)
    stripe_m = STRIPE_M * max(1.0, 8.0 / camera.px_per_m)
    starts = 2.0 * stripe_m * np.arange(x_low // (2.0 * stripe_m), x_high // (2.0 * stripe_m) + 1)
    for x in starts:
        ends = [[x, y_low], [x + stripe_m, y_low], [x + stripe_m, y_high], [x, y_high]]
        pygame.draw.polygon(surface, GRASS_STRIPE, camera(np.array(ends)).tolist())


def draw_track(surface: pygame.Surface, camera: Camera, scene: Scene) -> None:
    """Kerbs, white lines and asphalt in layers, each over the one before, then the racing line.

    As overlapping strips: where a corner is so tight that its borders cross, the asphalt covers it.
    """
    width, height = surface.get_size()
    middle = camera.ground(np.array([0.5 * width, 0.5 * height]))
    reach = 0.5 * math.hypot(width, height) / camera.px_per_m + 25.0
    n = len(scene.centre)
    near = np.hypot(*(scene.centre - middle).T) < reach
    here = np.flatnonzero(near)
    here = here[here % QUAD_STATIONS == 0]
    following = np.minimum(here + QUAD_STATIONS, n) % n
    # far away a white line would be thinner than a pixel
    inset = max(1.0, 2.0 / (EDGE_M * camera.px_per_m))
    asphalt = scene.border + inset * (scene.asphalt - scene.border)
    kerb_step = round(KERB_LENGTH_M / QUAD_STATIONS) * QUAD_STATIONS
    if camera.px_per_m > KERB_PX_PER_M:
        kerbed = scene.kerb_here[here]
        quads = _quads(camera, scene.kerb, here[kerbed], following[kerbed])
        for index, quad in zip((here[kerbed] // kerb_step % 2).tolist(), quads, strict=True):
            pygame.draw.polygon(surface, KERBS[index], quad)
    for border, colour in ((scene.border, EDGE), (asphalt, ASPHALT)):
        for quad in _quads(camera, border, here, following):
            pygame.draw.polygon(surface, colour, quad)
    if near[0]:
        for i, square in enumerate(camera(scene.start).tolist()):
            pygame.draw.polygon(surface, CHEQUERS[i % 2], square)
    starts, ends = camera(scene.line[here]).tolist(), camera(scene.line[following]).tolist()
    thickness = max(round(LINE_M * camera.px_per_m), 2)
    for index, start, end in zip(here.tolist(), starts, ends, strict=True):
        pygame.draw.line(surface, scene.line_colours[index], start, end, thickness)


def _quads(camera: Camera, border: np.ndarray, here: np.ndarray, following: np.ndarray) -> list:
    """Strips (m, 4, 2) in pixels across the track, from stations to those that follow."""
    right, left = border
    return camera(
        np.stack([right[here], right[following], left[following], left[here]], axis=1)
    ).tolist()
