"""Small good files of cars in every format, to be damaged."""

import json
from pathlib import Path

from racing_env.car.published_cars import INI_KEYS, INI_SECTIONS
from racing_env.car.vehicle import Vehicle
from racing_env.car.vehicle_files import write_vehicle

YAML = """mu: 1.0489
C_Sf: 4.718
C_Sr: 5.4562
lf: 0.15875
lr: 0.17145
h: 0.074
m: 3.74
I: 0.04712
s_min: -0.4189
s_max: 0.4189
sv_min: -3.2
sv_max: 3.2
v_switch: 7.319
a_max: 9.51
v_min: -5.0
v_max: 20.0
width: 0.31
length: 0.58
"""


def car_seeds(folder: Path, vehicle: Vehicle) -> list[tuple[Path, bytes]]:
    """Files and their contents."""
    path = folder / "car.toml"
    write_vehicle(vehicle, path, "to be damaged")
    texts = {"car.yaml": YAML, "car.ini": _ini(vehicle)}
    seeds = [(folder / name, text.encode()) for name, text in texts.items()]
    return [(path, path.read_bytes()), *seeds]


def _ini(vehicle: Vehicle) -> str:
    whole = vehicle._asdict() | {"friction": vehicle.friction_front}
    records: dict[str, dict[str, float]] = {name: {} for name in INI_SECTIONS}
    for name, (group, key) in INI_KEYS.items():
        records[group][key] = whole[name]
    tracks = ("track_width_front", "track_width_rear")
    records["vehicle_params_mintime"] |= dict.fromkeys(tracks, vehicle.axle_track_m)
    sections: dict[str, list[str]] = {}
    for name, section in INI_SECTIONS.items():
        sections.setdefault(section, []).append(f"{name} = {json.dumps(records[name])}")
    return "".join(f"[{name}]\n# of a car\n" + "\n".join(lines) + "\n"
                   for name, lines in sections.items())  # fmt: skip
