"""What is drawn over a picture of a car: gauges, lap times, a small map, who is how far behind."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from racing_env.car import dynamics as dyn
from racing_env.car.vehicle import KPH_PER_MPS, Vehicle
from racing_env.drawing.camera import Camera, camera_above
from racing_env.drawing.pygame_extra import pygame

Colour = tuple[int, int, int]

TEXT, FAINT, PANEL, GAUGE = (244, 244, 240), (168, 172, 178), (18, 20, 26, 190), (60, 64, 72)
GREEN, RED, BLUE = (92, 200, 116), (226, 78, 66), (96, 168, 236)
MARGIN = 16  # pixels between a panel and the picture's edge
MAP_SIZE, MAP_BORDER, MAP_SMOOTHING = (170, 120), 14, 3


class Moment(NamedTuple):
    """A car at one time."""

    state: np.ndarray  # (STATE_SIZE,)
    s_m: float  # place along the centre line
    time_s: float  # since the start of the drive
    lap: int  # the first is 1
    lap_s: float  # since the start of the lap
    last_lap_s: float | None = None
    best_lap_s: float | None = None  # shown where there is one


class Standing(NamedTuple):
    """A driver in the list of those who race."""

    name: str
    colour: Colour
    text: str


class Dashboard:
    """Panels with text, drawn on a picture at its final size."""

    def __init__(self) -> None:
        pygame.font.init()
        self._fonts = {size: pygame.font.Font(None, size) for size in (20, 26, 64)}
        self._top = MARGIN  # of what comes below the lap times

    def draw(self, picture: pygame.Surface, moment: Moment, vehicle: Vehicle) -> None:
        """Speed, pedals and steering below, lap and times above, on the left."""
        self._draw_gauges(picture, moment.state, vehicle)
        last = "-" if moment.last_lap_s is None else clock(moment.last_lap_s)
        rows = [("lap", f"{moment.lap}"), ("time", clock(moment.lap_s)), ("last lap", last)]
        if moment.best_lap_s is not None:
            rows.append(("best lap", clock(moment.best_lap_s)))
        height = 20 + 24 * len(rows)
        panel(picture, (MARGIN, MARGIN, 172, height))
        self._top = MARGIN + height + 12
        for row, (name, value) in enumerate(rows):
            y = MARGIN + 32 + 24 * row
            self._text(picture, name, 20, FAINT, 84, y)
            self._text(picture, value, 26, TEXT, 176, y + 2)

    def draw_standings(self, picture: pygame.Surface, standings: Sequence[Standing]) -> None:
        """The drivers in their colours, a row each, below the lap times."""
        top, names = self._top, [self._fonts[20].render(s.name, True, TEXT) for s in standings]
        width = 116 + max(name.get_width() for name in names)
        panel(picture, (MARGIN, top, width, 20 + 24 * len(standings)))
        for row, (name, standing) in enumerate(zip(names, standings, strict=True)):
            y = top + 10 + 24 * row
            pygame.draw.rect(
                picture, standing.colour, (MARGIN + 12, y + 5, 12, 12), border_radius=3
            )
            picture.blit(name, (MARGIN + 34, y + 4))
            self._text(picture, standing.text, 20, FAINT, MARGIN + width - 12, y + 20)

    def draw_news(self, picture: pygame.Surface, text: str) -> None:
        """A line in the middle above."""
        drawn = self._fonts[26].render(text, True, TEXT)
        left = (picture.get_width() - drawn.get_width()) // 2
        panel(picture, (left - 16, MARGIN, drawn.get_width() + 32, 38))
        picture.blit(drawn, (left, MARGIN + 11))

    def draw_table(self, picture: pygame.Surface, rows: Sequence[tuple[str, str]]) -> None:
        """Names and what belongs to them in the middle, a row each."""
        width, height = 300, 24 + 26 * len(rows)
        left, top = (picture.get_width() - width) // 2, 72
        panel(picture, (left, top, width, height))
        for row, (name, value) in enumerate(rows):
            y = top + 34 + 26 * row
            self._text(picture, name, 20, FAINT, left + 92, y)
            picture.blit(self._fonts[20].render(value, True, TEXT), (left + 108, y - 14))

    def _draw_gauges(self, picture: pygame.Surface, state: np.ndarray, vehicle: Vehicle) -> None:
        left, top = MARGIN, picture.get_height() - 108 - MARGIN
        panel(picture, (left, top, 272, 108))
        kph = max(state[dyn.VX], 0.0) * KPH_PER_MPS
        self._text(picture, f"{kph:.0f}", 64, TEXT, left + 98, top + 62)
        self._text(picture, "km/h", 20, FAINT, left + 97, top + 78)
        drive = state[dyn.DRIVE] / vehicle.drive_force_max_n
        brake = state[dyn.BRAKE] / vehicle.brake_force_max_n
        steer = -state[dyn.STEER] / vehicle.steering_max_rad
        for row, (name, start, end, colour) in enumerate((
            ("drive", 0.0, drive, GREEN), ("brake", 0.0, brake, RED),
            ("steer", 0.5, 0.5 + 0.5 * steer, BLUE),
        )):  # fmt: skip
            y = top + 22 + 26 * row
            self._text(picture, name, 20, FAINT, left + 156, y + 12)
            bar(picture, (left + 164, y, 92, 10), start, end, colour)

    def _text(
        self, picture: pygame.Surface, text: str, size: int, colour: Colour, right: int, bottom: int
    ) -> None:
        drawn = self._fonts[size].render(text, True, colour)
        picture.blit(drawn, drawn.get_rect(bottomright=(right, bottom)))


class SmallMap:
    """The whole circuit in the upper right corner, a dot for each car."""

    def __init__(self, centre: np.ndarray):
        """centre: points (n, 2) of the centre line, in metres."""
        size, border = np.array(MAP_SIZE), np.full(2, MAP_BORDER)
        large = pygame.Surface(MAP_SMOOTHING * size, pygame.SRCALPHA, 32)
        pygame.draw.rect(large, PANEL, large.get_rect(), border_radius=10 * MAP_SMOOTHING)
        self._camera: Camera = camera_above(centre, border, size - 2 * border)
        line = (MAP_SMOOTHING * self._camera(centre[::4])).tolist()
        pygame.draw.lines(large, FAINT, True, line, 7)
        self._picture = pygame.transform.smoothscale(large, MAP_SIZE)

    def draw(self, picture: pygame.Surface, cars: Sequence[tuple[np.ndarray, Colour]]) -> None:
        """cars: place (2,) in metres and colour of each; the last is on top."""
        corner = np.array([picture.get_width() - MAP_SIZE[0] - MARGIN, MARGIN])
        picture.blit(self._picture, corner)
        for place, colour in cars:
            dot(picture, self._camera(place) + corner, 4, colour)


def clock(seconds: float, decimals: int = 1) -> str:
    """A time as `m:ss.s`, with so many decimals."""
    per_s = 10**decimals
    ticks = round(per_s * seconds)
    return f"{ticks // (60 * per_s)}:{ticks // per_s % 60:02d}.{ticks % per_s:0{decimals}d}"


def dot(surface: pygame.Surface, place: np.ndarray, radius: int, colour: Colour) -> None:
    pygame.draw.aacircle(surface, TEXT, place.tolist(), radius + 1.5)
    pygame.draw.aacircle(surface, colour, place.tolist(), radius)


def panel(surface: pygame.Surface, rectangle: tuple[int, int, int, int]) -> None:
    drawn = pygame.Surface(rectangle[2:], pygame.SRCALPHA, 32)
    pygame.draw.rect(drawn, PANEL, drawn.get_rect(), border_radius=10)
    surface.blit(drawn, rectangle[:2])


def bar(
    surface: pygame.Surface,
    rectangle: tuple[int, int, int, int],
    start: float,
    end: float,
    colour: Colour,
) -> None:
    """A gauge whose filled part reaches from start to end, shares of its width."""
    x, y, width, height = rectangle
    pygame.draw.rect(surface, GAUGE, rectangle, border_radius=4)
    low, high = sorted((min(max(start, 0.0), 1.0), min(max(end, 0.0), 1.0)))
    filled = max(round((high - low) * width), 2 if start > 0.0 else 0)
    if filled:
        place = (x + round(low * width), y, filled, height)
        pygame.draw.rect(surface, colour, place, border_radius=4)
