"""A car as it is drawn, and the marks that its tyres leave on the ground."""

import math
from collections import deque

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.vehicle import Vehicle
from racing_env.drawing.camera import Camera
from racing_env.drawing.pygame_extra import pygame
from racing_env.simulation import observation as obs
from racing_env.simulation.simulator import PEAK_SLIP_RAD

RUBBER = (34, 34, 38)
TYRE, WING, BODY_DARK, VISOR = (22, 22, 24), (214, 216, 220), (44, 46, 54), (150, 205, 225)
MARK_M = 0.28
MARKS_S = 20.0  # simulated time for which they stay
GAP_MAX_S = 0.3  # between draws that a mark may join


class TyreMarks:
    """Where a car's tyres slid in the last MARKS_S, as segments between its wheels' places."""

    def __init__(self) -> None:
        self.segments: deque[tuple[float, np.ndarray]] = deque()  # time (s), (wheels, 2, 2) m
        self._before: tuple[float, np.ndarray] | None = None

    def add(self, state: np.ndarray, time_s: float, vehicle: Vehicle) -> None:
        """Join the wheels' places with those before, where the tyres are past their peak."""
        wheels = on_ground(state, wheel_places(vehicle))
        if self._before is not None and 0.0 < time_s - self._before[0] < GAP_MAX_S:
            slips = np.repeat(np.abs(obs.axle_slips(state[:, None], 0, vehicle)), 2)
            sliding = slips > PEAK_SLIP_RAD
            if sliding.any():
                segments = np.stack([self._before[1], wheels], axis=1)[sliding]
                self.segments.append((time_s, segments))
        self._before = time_s, wheels
        while self.segments and self.segments[0][0] < time_s - MARKS_S:
            self.segments.popleft()

    def draw(self, surface: pygame.Surface, camera: Camera) -> None:
        if not self.segments:
            return
        thickness = max(round(MARK_M * camera.px_per_m), 1)
        for start, end in camera(np.concatenate([s for _, s in self.segments])).tolist():
            pygame.draw.line(surface, RUBBER, start, end, thickness)


def draw_car(
    surface: pygame.Surface,
    camera: Camera,
    state: np.ndarray,
    vehicle: Vehicle,
    colour: tuple[int, int, int],
) -> None:
    """A car to scale in this colour, its front wheels turned; state: (STATE_SIZE,)."""
    overhang = 0.5 * (vehicle.length_m - vehicle.wheelbase_m)
    nose, tail = vehicle.cog_to_front_m + overhang, -vehicle.cog_to_rear_m - overhang
    half = 0.5 * vehicle.width_m

    def shape(paint: tuple[int, int, int], points: np.ndarray) -> None:
        pygame.draw.polygon(surface, paint, camera(on_ground(state, points)).tolist())

    body = _mirrored([
        (nose, 0.12), (nose - 0.9, 0.22), (0.9, 0.34), (0.55, 0.62 * half), (-0.5, 0.68 * half),
        (-1.1, 0.42 * half), (tail + 0.2, 0.3 * half),
    ])  # fmt: skip
    for x in (vehicle.cog_to_front_m, -vehicle.cog_to_rear_m):
        shape(BODY_DARK, _box(x - 0.07, x + 0.07, 0.5 * vehicle.axle_track_m))
    tyre = _box(-0.33, 0.33, 0.17)
    for wheel, place in enumerate(wheel_places(vehicle)):
        angle = state[dyn.STEER] if wheel < 2 else 0.0
        shape(TYRE, _turned(tyre, angle) + place)
    shape(WING, _box(nose - 0.42, nose - 0.05, 0.92 * half))
    shape(colour, body)
    shape(WING, _box(tail, tail + 0.42, 0.8 * half))
    shape(BODY_DARK, _mirrored([(0.75, 0.16), (0.2, 0.27), (-0.35, 0.22)]))
    shape(VISOR, _mirrored([(0.3, 0.1), (0.12, 0.15), (-0.12, 0.12)]))


def wheel_places(vehicle: Vehicle) -> np.ndarray:
    """Contact points (4, 2) in the car's frame: front left, front right, rear left, rear right."""
    half = 0.5 * vehicle.axle_track_m
    front, rear = vehicle.cog_to_front_m, -vehicle.cog_to_rear_m
    return np.array([[front, half], [front, -half], [rear, half], [rear, -half]])


def on_ground(state: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (…, 2) of the car's frame, on the ground."""
    return _turned(points, state[dyn.PSI]) + state[[dyn.X, dyn.Y]]


def _turned(points: np.ndarray, angle_rad: float) -> np.ndarray:
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _box(x_low: float, x_high: float, half_width: float) -> np.ndarray:
    return np.array(
        [[x_low, half_width], [x_high, half_width], [x_high, -half_width], [x_low, -half_width]]
    )


def _mirrored(outline: list[tuple[float, float]]) -> np.ndarray:
    """A shape from its left half, nose to tail."""
    left = np.array(outline)
    return np.concatenate([left, left[::-1] * [1.0, -1.0]])
