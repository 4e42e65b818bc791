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
# of the racing line, where its profile accelerates, holds speed and brakes; in full where it does
# so by this share of what the car's largest drive force gives
DRIVE, COAST, BRAKE = np.array([[92, 190, 116], [205, 196, 120], [222, 84, 72]])
FULL_COLOUR = 24.0 / 35.0

# in widths of the car
EDGE_WIDTH, LINE_WIDTH, START_SQUARE = 0.1, 0.175, 0.4
KERB_WIDTH, KERB_LENGTH, STRIP_LENGTH = 0.45, 2.0, 1.0
KERB_RADIUS_MAX = 1.0 / 0.024  # in wider corners there are no kerbs
STRIPE, BEYOND = 6.0, 12.5  # of grass; of what is drawn outside the picture
START_ROWS = 2
# pixels that a car's width has at least where kerbs are drawn, and stripes as narrow as they are
KERB_PX, STRIPE_PX = 10.0, 16.0


class Scene(NamedTuple):
    """What is drawn of one circuit; borders are (right, left) pairs."""

    car_width_m: float  # what sizes are multiples of
    strip: int  # stations that a strip of the road is long
    kerb_strip: int  # stations of a kerb that have one colour
    centre: np.ndarray  # (n, 2)
    asphalt: np.ndarray  # (2, n, 2), inside the white lines
    border: np.ndarray  # (2, n, 2)
    kerb: np.ndarray  # (2, n, 2), outer edge of the kerbs
    kerb_here: np.ndarray  # (n,) bool
    line: np.ndarray  # (n, 2)
    line_colours: list[tuple[int, int, int]]
    start: np.ndarray  # (squares, 4, 2) of the start line, the colours by turns


def scene_of(circuit: Circuit) -> Scene:
    """Everything that is drawn of a circuit, on the ground, at sizes that suit its car."""
    track, vehicle = circuit.track, circuit.vehicle
    width = vehicle.width_m
    strip = max(round(STRIP_LENGTH * width / track.step_m), 1)
    centre = np.column_stack([track.x_m, track.y_m])
    normal = np.column_stack([-np.sin(track.psi_rad), np.cos(track.psi_rad)])
    widths = np.stack([-track.width_right_m, track.width_left_m])
    outwards = np.array([-1.0, 1.0])[:, None]

    def beside(offset: np.ndarray) -> np.ndarray:
        return centre + offset[..., None] * normal

    speed = circuit.line_speed_mps
    acceleration = np.gradient(speed, track.step_m) * speed
    full = FULL_COLOUR * vehicle.drive_force_max_n / vehicle.mass_kg
    share = np.clip(acceleration / full, -1.0, 1.0)[:, None]
    colours = (
        COAST + np.maximum(share, 0) * (DRIVE - COAST) - np.minimum(share, 0) * (BRAKE - COAST)
    )
    colours = (0.65 * colours + 0.35 * np.array(ASPHALT)).astype(int)
    return Scene(
        car_width_m=width,
        strip=strip,
        kerb_strip=strip * max(round(KERB_LENGTH * width / (strip * track.step_m)), 1),
        centre=centre,
        asphalt=beside(widths - outwards * EDGE_WIDTH * width),
        border=beside(widths),
        kerb=beside(widths + outwards * KERB_WIDTH * width),
        kerb_here=np.abs(track.kappa_radpm) * width * KERB_RADIUS_MAX > 1.0,
        line=beside(circuit.line_offset_m),
        line_colours=[tuple(colour) for colour in colours.tolist()],
        start=_start_squares(centre[0], normal[0], widths[:, 0], START_SQUARE * width),
    )


def _start_squares(
    centre: np.ndarray, normal: np.ndarray, widths: np.ndarray, square_m: float
) -> np.ndarray:
    """Rows of squares (n, 4, 2) across the track, from its right border to its left."""
    along = np.array([normal[1], -normal[0]])
    count = 2 * round((widths[1] - widths[0]) / square_m / 2.0) + 1  # odd: colours alternate
    across = centre + np.linspace(widths[0], widths[1], count + 1)[:, None] * normal
    steps = [along * square_m * row for row in range(START_ROWS + 1)]
    squares = [
        np.stack([a + near, b + near, b + far, a + far])
        for near, far in zip(steps, steps[1:], strict=False)
        for a, b in zip(across, across[1:], strict=False)
    ]
    return np.array(squares)


def draw_ground(surface: pygame.Surface, camera: Camera, car_width_m: float) -> None:
    """Grass, mown in stripes that are fixed to the ground, so that speed can be seen."""
    surface.fill(GRASS)
    width, height = surface.get_size()
    corners = camera.ground(np.array([[0, 0], [width, 0], [0, height], [width, height]]))
    (x_low, y_low), (x_high, y_high) = corners.min(axis=0), corners.max(axis=0)
    stripe_m = STRIPE * car_width_m * max(1.0, STRIPE_PX / (car_width_m * camera.px_per_m))
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
    reach = 0.5 * math.hypot(width, height) / camera.px_per_m + BEYOND * scene.car_width_m
    n = len(scene.centre)
    near = np.hypot(*(scene.centre - middle).T) < reach
    here = np.flatnonzero(near)
    here = here[here % scene.strip == 0]
    following = np.minimum(here + scene.strip, n) % n
    # far away a white line would be thinner than a pixel
    car_px = scene.car_width_m * camera.px_per_m
    inset = max(1.0, 2.0 / (EDGE_WIDTH * car_px))
    asphalt = scene.border + inset * (scene.asphalt - scene.border)
    if car_px > KERB_PX:
        kerbed = scene.kerb_here[here]
        quads = _quads(camera, scene.kerb, here[kerbed], following[kerbed])
        for index, quad in zip((here[kerbed] // scene.kerb_strip % 2).tolist(), quads, strict=True):
            pygame.draw.polygon(surface, KERBS[index], quad)
    for border, colour in ((scene.border, EDGE), (asphalt, ASPHALT)):
        for quad in _quads(camera, border, here, following):
            pygame.draw.polygon(surface, colour, quad)
    if near[0]:
        for i, square in enumerate(camera(scene.start).tolist()):
            pygame.draw.polygon(surface, CHEQUERS[i % 2], square)
    starts, ends = camera(scene.line[here]).tolist(), camera(scene.line[following]).tolist()
    thickness = max(round(LINE_WIDTH * car_px), 2)
    for index, start, end in zip(here.tolist(), starts, ends, strict=True):
        pygame.draw.line(surface, scene.line_colours[index], start, end, thickness)


def _quads(camera: Camera, border: np.ndarray, here: np.ndarray, following: np.ndarray) -> list:
    """Strips (m, 4, 2) in pixels across the track, from stations to those that follow."""
    right, left = border
    return camera(
        np.stack([right[here], right[following], left[following], left[here]], axis=1)
    ).tolist()
