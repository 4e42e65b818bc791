"""Cars that the tests drive, and how they come onto circuits."""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from racing_env.car import conditions
from racing_env.car.scales import scales_of
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import read_vehicle
from racing_env.simulation.simulator import Simulator
from racing_env.simulation.task import Task, racing_task
from racing_env.tracks import bank
from racing_env.tracks.bank import CircuitBank, pack_circuits
from racing_env.tracks.circuit import Circuit, prepare_circuit
from racing_env.tracks.generator import BUILT_IN, built_in_track, generate_track
from racing_env.tracks.geometry import scaled_track

RACECAR = read_vehicle("racecar")


def _later_vehicle() -> Any:
    """Within a function, so that what numba compiles for it is kept on disk with the class itself:
    by a name in the tests, no program that meets the same cache could find it.
    """

    class LaterVehicle(
        namedtuple("LaterVehicle", (*Vehicle._fields, "wet_friction"), defaults=(1.0,))
    ):
        """The record of a car with one field more, whose default leaves every car as it was."""

        wheelbase_m = Vehicle.wheelbase_m

    return LaterVehicle


LaterVehicle = _later_vehicle()


# How a parameter grows with the size of a car whose motion stays similar, at the same grip: weights
# grow with the cube, the squares of speeds and of times with the size.
SIMILARITY_EXPONENTS = {
    "mass_kg": 3.0, "yaw_inertia_kgm2": 5.0, "cog_to_front_m": 1.0, "cog_to_rear_m": 1.0,
    "axle_track_m": 1.0, "cog_height_m": 1.0, "length_m": 1.0, "width_m": 1.0,
    "drag_kgpm": 2.0, "lift_front_kgpm": 2.0, "lift_rear_kgpm": 2.0,
    "roll_share_front": 0.0, "rolling_resistance": 0.0,
    "brake_share_front": 0.0, "drive_share_front": 0.0, "power_max_w": 3.5, "top_speed_mps": 0.5,
    "drive_force_max_n": 3.0, "brake_force_max_n": 3.0, "steering_max_rad": 0.0,
    "friction_front": 0.0, "friction_rear": 0.0, "tyre_b_front": 0.0, "tyre_b_rear": 0.0,
    "tyre_c_front": 0.0, "tyre_c_rear": 0.0, "tyre_e_front": 0.0, "tyre_e_rear": 0.0,
    "tyre_load_sensitivity_front": 0.0, "tyre_load_sensitivity_rear": 0.0,
    "tyre_nominal_load_n": 3.0,
    "steering_full_s": 0.5, "drive_full_s": 0.5, "brake_full_s": 0.5, "load_filter_s": 0.5,
}  # fmt: skip


def nominal(cars: int) -> np.ndarray:
    """Conditions (cars, SIZE) of cars as they are in their file."""
    return np.zeros((cars, conditions.SIZE))


def on_both_axles(**tyre: float) -> dict[str, float]:
    """Parameters of a tyre by their names without the axle, as those of both: for `_replace`."""
    return {f"{name}_{axle}": value for name, value in tyre.items() for axle in ("front", "rear")}


def scaled(vehicle: Vehicle, size: float) -> Vehicle:
    """The dynamically similar car, so many times as large: it moves the same in scaled time."""
    return Vehicle(
        *(value * size ** SIMILARITY_EXPONENTS[name] for name, value in vehicle._asdict().items())
    )


def circuit_named(name: str | int, vehicle: Vehicle = RACECAR) -> Circuit:
    """A built-in circuit by its name, or one generated for the racecar by its seed, to the car's
    scale, ready to drive on.
    """
    if name in BUILT_IN:
        return prepare_circuit(built_in_track(str(name), vehicle), vehicle)
    track = scaled_track(generate_track(int(name), RACECAR), scales_of(vehicle).length)
    return prepare_circuit(track, vehicle)


def simulator_on(
    circuits: CircuitBank | Sequence[Circuit | str | int], n: int = 1, task: Task | None = None
) -> Simulator:
    """A simulator of n cars on these circuits, at the racing task where none is given."""
    if not isinstance(circuits, CircuitBank):
        ready = [c if isinstance(c, Circuit) else circuit_named(c) for c in circuits]
        circuits = pack_circuits(ready)
    return Simulator(circuits, n, task or racing_task(circuits.vehicle))


def scatter(simulator: Simulator, seed: int) -> None:
    """Put cars all over the circuits, beside the line and at odds with it."""
    rng = np.random.default_rng(seed)
    lengths = simulator.circuits.count * simulator.circuits.step_m
    for car in range(simulator.n):
        circuit = car % len(lengths)
        simulator.place(
            car, circuit, rng.uniform(0.0, lengths[circuit]), rng.uniform(-2.0, 2.0),
            rng.uniform(-0.2, 0.2), rng.uniform(0.0, 40.0),
        )  # fmt: skip


def stations(circuits: CircuitBank) -> np.ndarray:
    """The table of a bank in double precision, with places in the plane."""
    table = circuits.table.astype(np.float64)
    origins = np.repeat(circuits.origin_m, circuits.count, axis=0)
    table[:, [bank.X, bank.Y]] += origins
    table[:, [bank.LINE_X, bank.LINE_Y]] += origins
    return table
