"""Pictures: laps of several drivers on a circuit, and how a driver learned. No display is needed.

Colours are Okabe and Ito's, which stay apart for the colour-blind; speed is a map from dark to
light. Only this module imports matplotlib.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from racing_env.car.vehicle import KPH_PER_MPS
from racing_env.common.files import read_columns, replaced_atomically
from racing_env.laps.evaluation import LapResult, Telemetry
from racing_env.laps.run_table import length, unit_of_length
from racing_env.tracks.circuit import Circuit
from racing_env.tracks.geometry import borders

DRIVER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DRIVER_DASHES = ("-", (0, (6, 1.5)), (0, (3, 1.2)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
SPEED_COLOURS = ("#2a0a5e", "#7b1fa2", "#cc4778", "#f1844b", "#f5c242")  # slow to fast
TRACK_COLOUR, BORDER_COLOUR, TEXT_COLOUR = "#e4e6ea", "#8a909a", "#2b2f36"
CLOSE_UP = 22.5  # half the side of the close-up, in widths of the car
START = 50.0  # of a lap, in widths of the car, in which the slowest corner is not looked for,
START_SHARE_MAX = 0.1  # or this share of a short circuit
LEARNING_COLUMNS = ("wall_s", "finished", "circuits", "lap_ratio")


def plot_circuit(circuit: Circuit, results: Sequence[LapResult], path: str | Path) -> None:
    """Draw results with telemetry on one circuit as PNG: map, close-up, speed, gap to the fastest.

    The map shows the line of the fastest driver, coloured by speed; a cross is where a driver
    ended that did not finish. The close-up is of the tightest corner of that line.
    """
    figure = Figure(figsize=(12, 11), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(3, 2, width_ratios=(1.75, 1), height_ratios=(6, 3, 1.7))
    best = min(range(len(results)), key=lambda i: _rank(results[i]))
    figure.suptitle(
        f"{circuit.track.name}   {length(circuit.track.length_m)}",
        fontsize=17, fontweight="bold", color=TEXT_COLOUR, x=0.01, ha="left",
    )  # fmt: skip
    lap = results[best].required_telemetry()
    vehicle = circuit.vehicle
    slowest = _slowest(lap, min(START * vehicle.width_m, START_SHARE_MAX * circuit.track.length_m))
    side = 2.0 * CLOSE_UP * vehicle.width_m
    corner = lap.x_m[slowest] - 0.5 * side, lap.y_m[slowest] - 0.5 * side
    square = Rectangle(corner, side, side, fill=False, ec=TEXT_COLOUR, lw=1)
    _draw_map(figure, figure.add_subplot(grid[0, 0]), circuit, results, best, square)
    unit_m, unit = unit_of_length(circuit.track.length_m)
    digits = 2 if unit_m > 1.0 else 0
    close_up = figure.add_subplot(grid[0, 1])
    _draw_close_up(close_up, circuit, results, square)
    close_up.set_title(
        f"slowest corner (square on the map), at {lap.s_m[slowest] / unit_m:.{digits}f} {unit}",
        fontsize=10, color=TEXT_COLOUR,
    )  # fmt: skip
    speed = figure.add_subplot(grid[1, :])
    _draw_speed(speed, results)
    _draw_gap(figure.add_subplot(grid[2, :], sharex=speed), results, best)
    speed.tick_params(labelbottom=False)
    speed.set_xlim(0.0, circuit.track.length_m / unit_m)
    _save(figure, path)


def learning_curve(csv_path: str | Path, path: str | Path, practised: str = "") -> None:
    """Draw a training log as PNG: circuits finished and lap ratio over wall-clock minutes.

    practised: the circuit's name, where all that was finished are drives of one.

    The CSV has the columns wall_s, finished, circuits, lap_ratio (empty or nan where no circuit
    was finished), and may have more. Raises InputError for anything else.
    """
    columns = read_columns(csv_path, LEARNING_COLUMNS)
    wall_s, finished, circuits, ratio = np.array([columns[name] for name in LEARNING_COLUMNS])
    minutes = wall_s / 60.0
    figure = Figure(figsize=(9, 6.5), layout="constrained", facecolor="white")
    laps, ratios = figure.subplots(2, 1, sharex=True)
    laps.plot(minutes, finished, color=DRIVER_COLOURS[0], lw=2, marker="o", ms=4)
    laps.axhline(circuits.max(), color=BORDER_COLOUR, lw=1, ls="--")
    laps.set_ylim(0, circuits.max() * 1.08)
    laps.yaxis.set_major_locator(MaxNLocator(integer=True))
    what = "drives" if practised else "circuits"
    laps.set_ylabel(f"{what} finished, of {circuits.max():.0f}")
    ratios.plot(minutes, ratio, color=DRIVER_COLOURS[1], lw=2, marker="o", ms=4)
    ratios.set_ylabel("lap time / speed profile")
    ratios.set_xlabel("wall-clock time [min]")
    for axes in (laps, ratios):
        _style(axes)
    where = "circuits held back from training"
    laps.set_title(f"Learning on {practised or where}", loc="left", color=TEXT_COLOUR)
    _save(figure, path)


def _rank(result: LapResult) -> tuple[bool, float, float]:
    """Finished before failed, fast before slow, far before near."""
    return not result.finished, result.flying_lap_s or math.inf, -result.distance_m


def _label(result: LapResult) -> str:
    lap = "no flying lap" if result.flying_lap_s is None else f"{result.flying_lap_s:.2f} s"
    if result.finished:
        return f"{result.driver}: {lap}"
    end = result.end.replace("_", " ")
    return f"{result.driver}: {lap}, {end} in lap {result.laps + 1}"


def _line_style(i: int) -> dict:
    return {
        "color": DRIVER_COLOURS[i % len(DRIVER_COLOURS)],
        "linestyle": DRIVER_DASHES[i % len(DRIVER_DASHES)],
        "linewidth": 1.8,
    }


def _draw_map(
    figure: Figure,
    axes: Axes,
    circuit: Circuit,
    results: Sequence[LapResult],
    best: int,
    square: Rectangle,
) -> None:
    _draw_track(axes, circuit)
    lap = results[best].required_telemetry()
    points = np.column_stack([lap.x_m, lap.y_m])
    colours = LinearSegmentedColormap.from_list("speed", SPEED_COLOURS)
    line = LineCollection(
        list(np.stack([points[:-1], points[1:]], axis=1)), cmap=colours, lw=2.4, zorder=4
    )
    line.set_array(KPH_PER_MPS * 0.5 * (lap.vx_mps[:-1] + lap.vx_mps[1:]))
    line.set_capstyle("round")
    axes.add_collection(line)
    bar = figure.colorbar(line, ax=axes, location="bottom", shrink=0.6, aspect=40, pad=0.02)
    bar.set_label(f"speed of {results[best].driver} [km/h]", color=TEXT_COLOUR)
    bar.outline.set_visible(False)
    for i, result in enumerate(results):
        if not result.finished and result.laps < 2:
            where = result.required_telemetry()
            axes.plot(
                where.x_m[-1], where.y_m[-1], "X", ms=11, mec="white", zorder=6,
                color=_line_style(i)["color"],
            )  # fmt: skip
    axes.annotate(
        "", points[min(8, len(points) - 1)], points[0], zorder=7,
        arrowprops={"arrowstyle": "-|>", "color": TEXT_COLOUR, "mutation_scale": 16},
    )  # fmt: skip
    axes.add_patch(square)
    axes.set_aspect("equal", "datalim")
    axes.margins(0.04)
    axes.axis("off")
    _draw_scale(axes)


def _draw_track(axes: Axes, circuit: Circuit) -> None:
    """The road with its borders and the start line across it."""
    right, left = (np.vstack([line, line[:1]]) for line in borders(circuit.track))
    quads = np.stack([right[:-1], right[1:], left[1:], left[:-1]], axis=1)
    axes.add_collection(PolyCollection(list(quads), facecolor=TRACK_COLOUR, edgecolor=TRACK_COLOUR))
    for border in (right, left):
        axes.plot(border[:, 0], border[:, 1], color=BORDER_COLOUR, lw=0.8, zorder=3)
    axes.plot(*np.stack([right[0], left[0]]).T, color=TEXT_COLOUR, lw=2.5, zorder=5)


def _draw_scale(axes: Axes) -> None:
    """A bar of a round length in the lower left corner."""
    low, high = axes.get_xlim()
    length = 10.0 ** math.floor(math.log10((high - low) / 4))
    length *= max(k for k in (1, 2, 5) if k * length <= (high - low) / 4)
    x, y = low + 0.02 * (high - low), axes.get_ylim()[0]
    axes.plot([x, x + length], [y, y], color=TEXT_COLOUR, lw=2.5, solid_capstyle="butt")
    axes.annotate(
        f"{length:g} m", (x + 0.5 * length, y), (0, 4), textcoords="offset points",
        ha="center", color=TEXT_COLOUR,
    )  # fmt: skip


def _draw_close_up(
    axes: Axes, circuit: Circuit, results: Sequence[LapResult], square: Rectangle
) -> None:
    _draw_track(axes, circuit)
    for i, result in enumerate(results):
        driven = result.required_telemetry()
        axes.plot(driven.x_m, driven.y_m, zorder=4, **_line_style(i))
    axes.set_xlim(square.get_x(), square.get_x() + square.get_width())
    axes.set_ylim(square.get_y(), square.get_y() + square.get_height())
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(BORDER_COLOUR)


def _slowest(lap: Telemetry, start_m: float) -> int:
    """Index of the slowest moment of a lap, the start from standstill left out."""
    return int(np.argmin(np.where(lap.s_m > start_m, lap.vx_mps, np.inf)))


def _draw_speed(axes: Axes, results: Sequence[LapResult]) -> None:
    for i, result in enumerate(results):
        lap = result.required_telemetry()
        unit_m, _ = unit_of_length(result.length_m)
        speed = KPH_PER_MPS * lap.vx_mps
        axes.plot(lap.s_m / unit_m, speed, label=_label(result), **_line_style(i))
        if not result.finished and result.laps < 2:
            axes.plot(lap.s_m[-1] / unit_m, speed[-1], "X", ms=9, color=_line_style(i)["color"])
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("speed [km/h]")
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3 if len(results) <= 3 else 2,
        frameon=False, fontsize=11, handlelength=3,
    )  # fmt: skip
    _style(axes)


def _draw_gap(axes: Axes, results: Sequence[LapResult], best: int) -> None:
    """Time behind the fastest driver at the same place."""
    fastest = results[best].required_telemetry()
    unit_m, unit = unit_of_length(results[best].length_m)
    for i, result in enumerate(results):
        lap = result.required_telemetry()
        if result.laps > 1:
            reached = np.interp(lap.s_m, fastest.s_m, fastest.time_s)
            axes.plot(lap.s_m / unit_m, lap.time_s - reached, **_line_style(i))
    axes.set_ylabel("behind [s]")
    axes.set_xlabel(f"distance along the centre line [{unit}]")
    _style(axes)


def _style(axes: Axes) -> None:
    axes.grid(color="#d9dce1", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=TEXT_COLOUR)


def _save(figure: Figure, path: str | Path) -> None:
    FigureCanvasAgg(figure)
    with replaced_atomically(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
