"""Pictures of cars on their circuit, with pygame-ce: as arrays, or in a window.

Shapes are drawn at twice the size and scaled down, which smooths every edge; text and gauges are
drawn on top. No display is needed for arrays.
"""

from collections.abc import Sequence

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.drawing.camera import Camera, camera_above, camera_behind
from racing_env.drawing.car import TyreMarks, draw_car
from racing_env.drawing.dashboard import MARGIN, Colour, Dashboard, Moment, SmallMap, Standing, dot
from racing_env.drawing.pygame_extra import pygame
from racing_env.drawing.scene import Scene, draw_ground, draw_track, scene_of
from racing_env.simulation.simulator import Simulator
from racing_env.tracks.circuit import Circuit

SIZE = (960, 540)
SMOOTHING = 2  # shapes are drawn this many times as large
BODY = (240, 136, 24)  # of the car that is followed
RIVALS: tuple[Colour, ...] = ((86, 180, 233), (204, 121, 167), (240, 228, 66), (236, 236, 232))
DASHBOARD_PX = 294  # what the dashboard takes on the left


class View:
    """A picture of a car, of its rivals if there are any, and of the marks that its tyres left.

    mode: "rgb_array" or "human"; camera: "follow" or "track"; frames_per_s: pace of the window.
    """

    def __init__(self, mode: str, camera: str, frames_per_s: float):
        self.mode, self.camera, self.frames_per_s = mode, camera, frames_per_s
        self._dashboard = Dashboard()
        self._large = pygame.Surface((SMOOTHING * SIZE[0], SMOOTHING * SIZE[1]), 0, 32)
        self._picture = pygame.Surface(SIZE, 0, 32)
        # bytes in the order of an array's, so that copying it is all that is left to do
        self._rgb = pygame.Surface(SIZE, 0, 24, (0xFF, 0xFF00, 0xFF0000, 0))
        self._circuit: Circuit | None = None
        self._whole: tuple[pygame.Surface, Camera] | None = None  # until it is wanted
        self._window: pygame.Surface | None = None
        self._clock = pygame.time.Clock()
        self.forget_marks()

    def forget_marks(self) -> None:
        """Clear the tyre marks, as a new episode begins."""
        self.marks = TyreMarks()

    def draw(
        self,
        circuit: Circuit,
        moment: Moment,
        rivals: Sequence[Moment] = (),
        standings: Sequence[Standing] = (),
    ) -> np.ndarray | None:
        """The picture (height, width, 3) uint8 of a car; in mode "human" it goes to the window.

        See `paint` for the arguments.
        """
        self.paint(circuit, moment, rivals, standings)
        return self._show()

    def paint(
        self,
        circuit: Circuit,
        moment: Moment,
        rivals: Sequence[Moment] = (),
        standings: Sequence[Standing] = (),
    ) -> pygame.Surface:
        """The picture of a car, in pixels of SIZE, until the next one is painted.

        rivals: other cars, drawn in the colours RIVALS by turns; standings: shown where there are
        any.
        """
        vehicle = circuit.vehicle
        if circuit is not self._circuit:
            self._prepare(circuit)
        self.marks.add(moment.state, moment.time_s, vehicle)
        # rivals first, so that the car that is followed is on top
        cars = [(rival.state, rival_colour(i)) for i, rival in enumerate(rivals)]
        cars.append((moment.state, BODY))
        places = [(state[[dyn.X, dyn.Y]], colour) for state, colour in cars]
        if self.camera == "track":
            if self._whole is None:
                self._whole = _whole_track(self._scene)
            whole, camera = self._whole
            self._large.blit(whole, (0, 0))
            self.marks.draw(self._large, camera, vehicle.width_m)
            pygame.transform.smoothscale(self._large, SIZE, self._picture)
            for place, colour in places:
                dot(self._picture, camera(place) / SMOOTHING, 7, colour)
        else:
            camera = camera_behind(
                moment.state, moment.s_m, circuit.track, self._large.get_size(), SMOOTHING, vehicle
            )
            draw_ground(self._large, camera, vehicle.width_m)
            draw_track(self._large, camera, self._scene)
            self.marks.draw(self._large, camera, vehicle.width_m)
            for state, colour in cars:
                draw_car(self._large, camera, state, vehicle, colour)
            pygame.transform.smoothscale(self._large, SIZE, self._picture)
            self._map.draw(self._picture, places)
        self._dashboard.draw(self._picture, moment, vehicle)
        if standings:
            self._dashboard.draw_standings(self._picture, standings)
        return self._picture

    def close(self) -> None:
        """Close the window; the next draw opens it again."""
        if self._window is not None:
            self._window = None
            pygame.display.quit()

    def _prepare(self, circuit: Circuit) -> None:
        self._circuit, self._scene = circuit, scene_of(circuit)
        self._whole = None
        self._map = SmallMap(self._scene.centre)

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


def moment_of(simulator: Simulator, car: int) -> Moment:
    """A simulator's car as it is now."""
    cars = simulator.cars
    return Moment(
        state=simulator.state[:, car].copy(),
        s_m=float(simulator.place_s_m()[car]),
        time_s=float(cars.time_s[car]),
        lap=int(cars.laps[car]) + 1,
        lap_s=float(cars.time_s[car] - cars.lap_start_s[car]),
        last_lap_s=float(cars.lap_time_s[car]) if cars.laps[car] else None,
    )


def rival_colour(index: int) -> Colour:
    """The colour in which the rival of this index is drawn."""
    return RIVALS[index % len(RIVALS)]


def _whole_track(scene: Scene) -> tuple[pygame.Surface, Camera]:
    """A large picture of the circuit, which keeps clear of the dashboard on the left."""
    picture = pygame.Surface((SMOOTHING * SIZE[0], SMOOTHING * SIZE[1]), 0, 32)
    corner = np.array([MARGIN + DASHBOARD_PX, MARGIN])
    room = np.array(SIZE) - corner - MARGIN
    camera = camera_above(scene.border.reshape(-1, 2), SMOOTHING * corner, SMOOTHING * room)
    draw_ground(picture, camera, scene.car_width_m)
    draw_track(picture, camera, scene)
    return picture, camera
