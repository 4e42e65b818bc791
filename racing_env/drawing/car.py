"""A car as it is drawn, and the marks that its tyres leave on the ground."""

import math
from collections import deque

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.drawing.camera import Camera
from racing_env.drawing.pygame_extra import pygame
from racing_env.simulation.rewards import reward_weights

RUBBER = (34, 34, 38)
TYRE, WING, BODY_DARK, VISOR = (22, 22, 24), (214, 216, 220), (44, 46, 54), (150, 205, 225)
MARK = 0.14  # in widths of the car
MARKS_S = 20.0  # simulated time for which they stay
GAP_MAX_S = 0.3  # between draws that a mark may join


class TyreMarks:
    """Where a car's tyres slid in the last MARKS_S, as segments between its wheels' places."""

    def __init__(self) -> None:
        self.segments: deque[tuple[float, np.ndarray]] = deque()  # time (s), (wheels, 2, 2) m
        self._before: tuple[float, np.ndarray] | None = None

    def add(self, state: np.ndarray, time_s: float, vehicle: Vehicle) -> None:
        """Join the wheels' places with those before, where slip is paid for."""
        wheels = on_ground(state, wheel_places(vehicle))
        if self._before is not None and 0.0 < time_s - self._before[0] < GAP_MAX_S:
            weights = reward_weights(scales_of(vehicle))
            limits = weights.front_slip_rad, weights.rear_slip_rad
            slips = np.abs(dyn.axle_slips(state[:, None], 0, vehicle))
            sliding = np.repeat(slips > np.array(limits), 2)
            if sliding.any():
                segments = np.stack([self._before[1], wheels], axis=1)[sliding]
                self.segments.append((time_s, segments))
        self._before = time_s, wheels
        while self.segments and self.segments[0][0] < time_s - MARKS_S:
            self.segments.popleft()

    def draw(self, surface: pygame.Surface, camera: Camera, car_width_m: float) -> None:
        if not self.segments:
            return
        thickness = max(round(MARK * car_width_m * camera.px_per_m), 1)
        for start, end in camera(np.concatenate([s for _, s in self.segments])).tolist():
            pygame.draw.line(surface, RUBBER, start, end, thickness)


def draw_car(
    surface: pygame.Surface,
    camera: Camera,
    state: np.ndarray,
    vehicle: Vehicle,
    colour: tuple[int, int, int],
) -> None:
    """A car to scale in this colour, its front wheels turned; state: (STATE_SIZE,).

    What is drawn on it is placed by shares of its length, from the centre of gravity, and of half
    its width.
    """
    length, half = vehicle.length_m, 0.5 * vehicle.width_m
    overhang = 0.5 * (length - vehicle.wheelbase_m)
    nose, tail = vehicle.cog_to_front_m + overhang, -vehicle.cog_to_rear_m - overhang
    size = np.array([length, half])

    def shape(paint: tuple[int, int, int], points: np.ndarray) -> None:
        pygame.draw.polygon(surface, paint, camera(on_ground(state, points)).tolist())

    front, rear = nose / length, tail / length
    body = size * _mirrored([
        (front, 0.12), (front - 0.19149, 0.22), (0.19149, 0.34), (0.11702, 0.62), (-0.10638, 0.68),
        (-0.23404, 0.42), (rear + 0.04255, 0.3),
    ])  # fmt: skip
    axle = 0.01489 * length
    for x in (vehicle.cog_to_front_m, -vehicle.cog_to_rear_m):
        shape(BODY_DARK, _box(x - axle, x + axle, 0.5 * vehicle.axle_track_m))
    tyre = size * _box(-0.07021, 0.07021, 0.17)
    for wheel, place in enumerate(wheel_places(vehicle)):
        angle = state[dyn.STEER] if wheel < 2 else 0.0
        shape(TYRE, _turned(tyre, angle) + place)
    shape(WING, size * _box(front - 0.08936, front - 0.01064, 0.92))
    shape(colour, body)
    shape(WING, size * _box(rear, rear + 0.08936, 0.8))
    shape(BODY_DARK, size * _mirrored([(0.15957, 0.16), (0.04255, 0.27), (-0.07447, 0.22)]))
    shape(VISOR, size * _mirrored([(0.06383, 0.1), (0.02553, 0.15), (-0.02553, 0.12)]))


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
