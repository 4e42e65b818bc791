"""Pictures of a car on its circuit, with pygame-ce: as arrays, or in a window.

Shapes are drawn at twice the size and scaled down, which smooths every edge; text and gauges are
drawn on top. No display is needed for arrays.
"""

import math
import os
from typing import NamedTuple

import numpy as np

from racing_env import circuit_bank as bank
from racing_env import dynamics as dyn
from racing_env import observation as obs
from racing_env.circuit import Circuit
from racing_env.errors import InputError
from racing_env.simulator import PEAK_SLIP_RAD, Simulator
from racing_env.vehicle import Vehicle

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
try:
    import pygame
except ImportError as error:
    raise InputError("rendering needs pygame-ce; install it with: pip install pygame-ce") from error

SIZE = (960, 540)
SMOOTHING = 2  # shapes are drawn this many times as large

GRASS, GRASS_STRIPE = (74, 122, 66), (80, 129, 71)
ASPHALT, EDGE = (66, 68, 74), (232, 232, 228)
KERBS = ((196, 44, 40), (236, 236, 232))
RUBBER = (34, 34, 38)
TYRE, BODY, WING = (22, 22, 24), (240, 136, 24), (214, 216, 220)
BODY_DARK, VISOR = (44, 46, 54), (150, 205, 225)
DRIVE, COAST, BRAKE = np.array([[92, 190, 116], [205, 196, 120], [222, 84, 72]])
TEXT, FAINT, PANEL = (244, 244, 240), (168, 172, 178), (18, 20, 26, 190)
GREEN, RED, BLUE = (92, 200, 116), (226, 78, 66), (96, 168, 236)

EDGE_M, KERB_M, KERB_LENGTH_M, KERB_KAPPA_RADPM = 0.2, 0.9, 4.0, 0.012
LINE_M, MARK_M = 0.35, 0.28
STRIPE_M = 12.0
QUAD_STATIONS = 2
KERB_PX_PER_M = 5.0  # smaller, they are left out
MARKS_MAX = 400  # draws for which the tyres' marks stay


class Scene(NamedTuple):
    """What is drawn of one circuit; borders are (right, left) pairs."""

    centre: np.ndarray  # (n, 2)
    asphalt: np.ndarray  # (2, n, 2), inside the white lines
    border: np.ndarray  # (2, n, 2)
    kerb: np.ndarray  # (2, n, 2), outer edge of the kerbs
    kerb_here: np.ndarray  # (n,) bool
    line: np.ndarray  # (n, 2)
    line_colours: list[tuple[int, int, int]]


class Camera(NamedTuple):
    """Maps the ground to pixels: `forward` is up on the picture, `origin` at `anchor`."""

    origin: np.ndarray  # (2,) m
    forward_rad: float
    px_per_m: float
    anchor: tuple[float, float]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Pixels (…, 2) of points (…, 2) in metres."""
        cos, sin = math.cos(self.forward_rad), math.sin(self.forward_rad)
        turn = self.px_per_m * np.array([[sin, -cos], [-cos, -sin]])
        return (points - self.origin) @ turn + np.array(self.anchor)

    def ground(self, pixels: np.ndarray) -> np.ndarray:
        """Points (…, 2) in metres under pixels (…, 2)."""
        cos, sin = math.cos(self.forward_rad), math.sin(self.forward_rad)
        back = np.array([[sin, -cos], [-cos, -sin]]) / self.px_per_m
        return (pixels - np.array(self.anchor)) @ back + self.origin


class View:
    """A picture of one car, and the marks that its tyres have left.

    mode: "rgb_array" or "human"; camera: "follow" or "track"; frames_per_s: pace of the window.
    """

    def __init__(self, mode: str, camera: str, frames_per_s: float):
        self.mode, self.camera, self.frames_per_s = mode, camera, frames_per_s
        pygame.font.init()
        self._fonts = {size: pygame.font.Font(None, size) for size in (20, 26, 64)}
        self._large = pygame.Surface((SMOOTHING * SIZE[0], SMOOTHING * SIZE[1]), 0, 32)
        self._picture = pygame.Surface(SIZE, 0, 32)
        # bytes in the order of an array's, so that copying it is all that is left to do
        self._rgb = pygame.Surface(SIZE, 0, 24, (0xFF, 0xFF00, 0xFF0000, 0))
        self._circuit: Circuit | None = None
        self._window: pygame.Surface | None = None
        self._clock = pygame.time.Clock()
        self.forget_marks()

    def forget_marks(self) -> None:
        """Clear the tyre marks, as a new episode begins."""
        self._marks: list[np.ndarray] = []  # (wheels, 2, 2) m: from, to
        self._wheels_before: np.ndarray | None = None
        self._time_before_s = 0.0

    def draw(self, simulator: Simulator, car: int, circuit: Circuit) -> np.ndarray | None:
        """The picture (height, width, 3) uint8 of a car; in mode "human" it goes to the window."""
        if circuit is not self._circuit:
            self._circuit, self._scene = circuit, _scene(circuit)
            if self.camera == "track":
                self._whole = _whole_track(self._scene)
            else:
                self._map = _small_map(self._scene)
        state = simulator.state[:, car]
        self._remember_marks(simulator, car)
        if self.camera == "track":
            self._draw_whole(state)
        else:
            camera = _follow(simulator, car)
            _draw_ground(self._large, camera)
            _draw_track(self._large, camera, self._scene)
            _draw_marks(self._large, camera, self._marks)
            _draw_car(self._large, camera, state, simulator.vehicle)
            pygame.transform.smoothscale(self._large, SIZE, self._picture)
            self._draw_map(state)
        self._draw_dashboard(simulator, car, circuit)
        return self._show()

    def close(self) -> None:
        """Close the window; the next draw opens it again."""
        if self._window is not None:
            self._window = None
            pygame.display.quit()

    def _show(self) -> np.ndarray | None:
        if self.mode == "rgb_array":
            self._rgb.blit(self._picture, (0, 0))
            return pygame.surfarray.pixels3d(self._rgb).swapaxes(0, 1).copy()
        if self._window is None:
            pygame.display.init()
            self._window = pygame.display.set_mode(SIZE)
            pygame.display.set_caption("racing_env")
        self._window.blit(self._picture, (0, 0))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(self.frames_per_s)
        return None

    def _remember_marks(self, simulator: Simulator, car: int) -> None:
        """Join the wheels' contact points with those of the last draw where tyres slide."""
        vehicle = simulator.vehicle
        wheels = _on_ground(simulator.state[:, car], _wheel_places(vehicle))
        time_s = simulator.cars.time_s[car]
        gap_s = time_s - self._time_before_s
        if self._wheels_before is not None and 0.0 < gap_s < 0.3:
            slips = np.repeat(np.abs(obs.axle_slips(simulator.state, car, vehicle)), 2)
            sliding = slips > PEAK_SLIP_RAD
            segments = np.stack([self._wheels_before, wheels], axis=1)[sliding]
            self._marks = [*self._marks[-MARKS_MAX:], segments]
        self._wheels_before, self._time_before_s = wheels, time_s

    def _draw_whole(self, state: np.ndarray) -> None:
        picture, camera = self._whole
        self._large.blit(picture, (0, 0))
        _draw_marks(self._large, camera, self._marks)
        pygame.transform.smoothscale(self._large, SIZE, self._picture)
        _draw_dot(self._picture, camera(state[[dyn.X, dyn.Y]]) / SMOOTHING, 7)

    def _draw_map(self, state: np.ndarray) -> None:
        picture, camera = self._map
        corner = np.array([SIZE[0] - picture.get_width() - 16, 16])
        self._picture.blit(picture, corner)
        _draw_dot(self._picture, camera(state[[dyn.X, dyn.Y]]) + corner, 4)

    def _text(self, text: str, size: int, colour: tuple, right: int, bottom: int) -> None:
        picture = self._fonts[size].render(text, True, colour)
        self._picture.blit(picture, picture.get_rect(bottomright=(right, bottom)))

    def _draw_dashboard(self, simulator: Simulator, car: int, circuit: Circuit) -> None:
        state, cars, vehicle = simulator.state[:, car], simulator.cars, simulator.vehicle
        left, top = 16, SIZE[1] - 124
        _panel(self._picture, (left, top, 272, 108))
        self._text(f"{max(state[dyn.VX], 0.0) * 3.6:.0f}", 64, TEXT, left + 98, top + 62)
        self._text("km/h", 20, FAINT, left + 97, top + 78)
        drive = state[dyn.DRIVE] / vehicle.drive_force_max_n
        brake = state[dyn.BRAKE] / vehicle.brake_force_max_n
        steer = -state[dyn.STEER] / vehicle.steering_max_rad
        for row, (name, start, end, colour) in enumerate((
            ("drive", 0.0, drive, GREEN), ("brake", 0.0, brake, RED),
            ("steer", 0.5, 0.5 + 0.5 * steer, BLUE),
        )):  # fmt: skip
            y = top + 22 + 26 * row
            self._text(name, 20, FAINT, left + 156, y + 12)
            _bar(self._picture, (left + 164, y, 92, 10), start, end, colour)
        lap_s = cars.time_s[car] - cars.lap_start_s[car]
        _panel(self._picture, (16, 16, 172, 92))
        for row, (name, value) in enumerate((
            ("lap", f"{int(cars.laps[car]) + 1}"),
            ("time", _clock(lap_s)),
            ("last lap", _clock(cars.lap_time_s[car]) if cars.laps[car] else "-"),
        )):  # fmt: skip
            y = 16 + 32 + 24 * row
            self._text(name, 20, FAINT, 84, y)
            self._text(value, 26, TEXT, 176, y + 2)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _scene(circuit: Circuit) -> Scene:
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
    )


def _follow(simulator: Simulator, car: int) -> Camera:
    """Looks along the track from behind the car, from higher up the faster it goes."""
    state, cars, circuits = simulator.state, simulator.cars, simulator.circuits
    c = int(cars.circuit[car])
    row = circuits.first[c] + int(cars.station[car])
    next_row = circuits.first[c] + (int(cars.station[car]) + 1) % int(circuits.count[c])
    share = cars.fraction[car]
    cos, sin = (1.0 - share) * circuits.table[row, [bank.COS, bank.SIN]] + (
        share * circuits.table[next_row, [bank.COS, bank.SIN]]
    )
    px_per_m = 12.0 / (1.0 + max(state[dyn.VX, car], 0.0) / 70.0)
    width, height = SMOOTHING * SIZE[0], SMOOTHING * SIZE[1]
    return Camera(
        origin=state[[dyn.X, dyn.Y], car],
        forward_rad=math.atan2(sin, cos),
        px_per_m=SMOOTHING * px_per_m,
        anchor=(0.5 * width, 0.74 * height),
    )


def _north_up(scene: Scene, corner: np.ndarray, size: np.ndarray) -> Camera:
    """A camera that fits the whole circuit into a rectangle of pixels."""
    low, high = scene.border.min(axis=(0, 1)), scene.border.max(axis=(0, 1))
    anchor_x, anchor_y = (corner + 0.5 * size).tolist()
    return Camera(
        0.5 * (low + high), 0.5 * math.pi, float(np.min(size / (high - low))), (anchor_x, anchor_y)
    )


def _whole_track(scene: Scene) -> tuple[pygame.Surface, Camera]:
    """A large picture of the circuit, which keeps clear of the dashboard on the left."""
    picture = pygame.Surface((SMOOTHING * SIZE[0], SMOOTHING * SIZE[1]), 0, 32)
    corner = np.array([310, 20])
    camera = _north_up(scene, SMOOTHING * corner, SMOOTHING * (SIZE - corner - 20))
    _draw_ground(picture, camera)
    _draw_track(picture, camera, scene)
    return picture, camera


def _small_map(scene: Scene) -> tuple[pygame.Surface, Camera]:
    width, height = 170, 120
    large = pygame.Surface((3 * width, 3 * height), pygame.SRCALPHA, 32)
    pygame.draw.rect(large, PANEL, large.get_rect(), border_radius=30)
    border = np.array([14, 14])
    camera = _north_up(scene, border, np.array([width, height]) - 2 * border)
    pygame.draw.lines(large, FAINT, True, (3 * camera(scene.centre[::4])).tolist(), 7)
    return pygame.transform.smoothscale(large, (width, height)), camera


def _draw_ground(surface: pygame.Surface, camera: Camera) -> None:
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


def _draw_track(surface: pygame.Surface, camera: Camera, scene: Scene) -> None:
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


def _draw_marks(surface: pygame.Surface, camera: Camera, marks: list[np.ndarray]) -> None:
    if not marks:
        return
    thickness = max(round(MARK_M * camera.px_per_m), 1)
    for start, end in camera(np.concatenate(marks)).tolist():
        pygame.draw.line(surface, RUBBER, start, end, thickness)


def _wheel_places(vehicle: Vehicle) -> np.ndarray:
    """Contact points (4, 2) in the car's frame: front left, front right, rear left, rear right."""
    half = 0.5 * vehicle.axle_track_m
    front, rear = vehicle.cog_to_front_m, -vehicle.cog_to_rear_m
    return np.array([[front, half], [front, -half], [rear, half], [rear, -half]])


def _turned(points: np.ndarray, angle_rad: float) -> np.ndarray:
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _on_ground(state: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (…, 2) of the car's frame, on the ground."""
    return _turned(points, state[dyn.PSI]) + state[[dyn.X, dyn.Y]]


def _box(x_low: float, x_high: float, half_width: float) -> np.ndarray:
    return np.array(
        [[x_low, half_width], [x_high, half_width], [x_high, -half_width], [x_low, -half_width]]
    )


def _mirrored(outline: list[tuple[float, float]]) -> np.ndarray:
    """A shape from its left half, nose to tail."""
    left = np.array(outline)
    return np.concatenate([left, left[::-1] * [1.0, -1.0]])


def _draw_car(surface: pygame.Surface, camera: Camera, state: np.ndarray, vehicle: Vehicle) -> None:
    """The car to scale, its front wheels turned."""
    overhang = 0.5 * (vehicle.length_m - vehicle.wheelbase_m)
    nose, tail = vehicle.cog_to_front_m + overhang, -vehicle.cog_to_rear_m - overhang
    half = 0.5 * vehicle.width_m

    def shape(colour: tuple, points: np.ndarray) -> None:
        pygame.draw.polygon(surface, colour, camera(_on_ground(state, points)).tolist())

    body = _mirrored([
        (nose, 0.12), (nose - 0.9, 0.22), (0.9, 0.34), (0.55, 0.62 * half), (-0.5, 0.68 * half),
        (-1.1, 0.42 * half), (tail + 0.2, 0.3 * half),
    ])  # fmt: skip
    for x in (vehicle.cog_to_front_m, -vehicle.cog_to_rear_m):
        shape(BODY_DARK, _box(x - 0.07, x + 0.07, 0.5 * vehicle.axle_track_m))
    tyre = _box(-0.33, 0.33, 0.17)
    for wheel, place in enumerate(_wheel_places(vehicle)):
        angle = state[dyn.STEER] if wheel < 2 else 0.0
        shape(TYRE, _turned(tyre, angle) + place)
    shape(WING, _box(nose - 0.42, nose - 0.05, 0.92 * half))
    shape(BODY, body)
    shape(WING, _box(tail, tail + 0.42, 0.8 * half))
    shape(BODY_DARK, _mirrored([(0.75, 0.16), (0.2, 0.27), (-0.35, 0.22)]))
    shape(VISOR, _mirrored([(0.3, 0.1), (0.12, 0.15), (-0.12, 0.12)]))


def _draw_dot(surface: pygame.Surface, place: np.ndarray, radius: int) -> None:
    pygame.draw.aacircle(surface, TEXT, place.tolist(), radius + 1.5)
    pygame.draw.aacircle(surface, BODY, place.tolist(), radius)


def _panel(surface: pygame.Surface, rectangle: tuple[int, int, int, int]) -> None:
    panel = pygame.Surface(rectangle[2:], pygame.SRCALPHA, 32)
    pygame.draw.rect(panel, PANEL, panel.get_rect(), border_radius=10)
    surface.blit(panel, rectangle[:2])


def _bar(
    surface: pygame.Surface, rectangle: tuple, start: float, end: float, colour: tuple
) -> None:
    """A gauge whose filled part reaches from start to end, shares of its width."""
    x, y, width, height = rectangle
    pygame.draw.rect(surface, (60, 64, 72), rectangle, border_radius=4)
    low, high = sorted((min(max(start, 0.0), 1.0), min(max(end, 0.0), 1.0)))
    filled = max(round((high - low) * width), 2 if start > 0.0 else 0)
    if filled:
        place = (x + round(low * width), y, filled, height)
        pygame.draw.rect(surface, colour, place, border_radius=4)
