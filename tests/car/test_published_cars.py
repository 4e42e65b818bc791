"""Cars as TU Munich, F1TENTH and CommonRoad publish them."""

import json
import math

import pytest
import yaml
from cars import RACECAR
from hypothesis import given
from hypothesis import strategies as st

from racing_env.car import published_cars as pc
from racing_env.car.tyre import axle_tyres, side_force_n, slip_stiffness_n_per_rad
from racing_env.car.vehicle import GRAVITY_MPS2, vehicle_from_record
from racing_env.car.vehicle_files import read_vehicle
from racing_env.common.errors import InputError

# The published one-to-ten car, and records of TU Munich's file that give the racecar.
ONE_TO_TEN = {
    "mu": 1.0489, "C_Sf": 4.718, "C_Sr": 5.4562, "lf": 0.15875, "lr": 0.17145, "h": 0.074,
    "m": 3.74, "I": 0.04712, "s_min": -0.4189, "s_max": 0.4189, "sv_min": -3.2, "sv_max": 3.2,
    "v_switch": 7.319, "a_max": 9.51, "v_min": -5.0, "v_max": 20.0, "width": 0.31, "length": 0.58,
}  # fmt: skip


def ini_records() -> dict[str, dict[str, float]]:
    """TU Munich's records, of the racecar."""
    records: dict[str, dict[str, float]] = {name: {} for name in pc.INI_SECTIONS}
    whole = RACECAR._asdict() | {"friction": RACECAR.friction_front}
    for name, (group, key) in pc.INI_KEYS.items():
        records[group][key] = whole[name]
    for key in ("track_width_front", "track_width_rear"):
        records["vehicle_params_mintime"][key] = RACECAR.axle_track_m
    return records


def ini_text(records: dict, comment: str = "# mass: [kg]") -> str:
    """The records as such a file has them: JSON over several lines, comments between."""
    lines: list[str] = []
    for section in dict.fromkeys(pc.INI_SECTIONS.values()):
        lines.append(f"[{section}]")
        for name, record in records.items():
            if pc.INI_SECTIONS[name] == section:
                value = json.dumps(record, indent=14) if isinstance(record, dict) else str(record)
                lines += [
                    comment,
                    f"{name} = {value.rstrip('}').rstrip()}" + "}" * (value[-1] == "}"),
                ]
    return "\n".join(["# a car", *lines, ""])


def refused(reader, text: str) -> str:
    """The one line with which a text is refused, by the reader or as no car."""
    with pytest.raises(InputError) as caught:
        car = reader(text, "car.file")
        vehicle_from_record(car.record, "car.file", car.known_as)
    message = str(caught.value)
    assert message.startswith("car.file: ") and len(message.splitlines()) == 1
    assert len(message) < 700
    return message


# --- TU Munich's racecar.ini ----------------------------------------------------------------------


def test_the_racecar_from_its_own_file():
    car = pc.car_of_ini(ini_text(ini_records()), "racecar.ini")
    assert vehicle_from_record(car.record, "racecar.ini") == RACECAR
    assert car.taken == ("load_filter_s",)  # which that model does not have


MUNICH = """\ufeff# a comment
[GENERAL_OPTIONS]
ggv_file="ggv.csv"
stepsize_opts={"stepsize_prep": 1.0,
               "stepsize_reg": 3.0}
# v_max: [m/s] maximum vehicle speed
veh_params = {"v_max": 70.0,
              "length": 4.7,
              "width": 2.0,
              "mass": 1200.0,
              "dragcoeff": 0.75,
              "curvlim": 0.12,
              "g": 9.81}

[OPTIMIZATION_OPTIONS]
optim_opts_mintime={"width_opt": 3.4,
                    "mue": 1.0,
                    "limit_energy": false,
                    "ax_pos_safe": null}
vehicle_params_mintime = {"wheelbase_front": 1.6,
                          "wheelbase_rear": 1.4,
                          "track_width_front": 1.6,
                          "track_width_rear": 1.6,
                          "cog_z": 0.38,
                          "I_z": 1200.0,
                          "liftcoeff_front": 0.45,
                          "liftcoeff_rear": 0.75,
                          "k_brake_front": 0.6,
                          "k_drive_front": 0.0,
                          "k_roll": 0.5,
                          "t_delta": 0.2,
                          "t_drive": 0.05,
                          "t_brake": 0.05,
                          "power_max": 230000.0,
                          "f_drive_max": 7000.0,
                          "f_brake_max": 20000.0,
                          "delta_max": 0.35}
# tyres
tire_params_mintime = {"c_roll": 0.013, "f_z0": 3000.0,
                       "B_front": 10.0, "C_front": 2.5, "eps_front": -0.1, "E_front": 1.0,
                       "B_rear": 10.0, "C_rear": 2.5, "eps_rear": -0.1, "E_rear": 1.0}
"""


def test_a_file_as_munich_writes_them(tmp_path):
    """Keys as they stand in such files, not as this project's table has them."""
    path = tmp_path / "racecar.ini"
    path.write_text(MUNICH, encoding="utf-8")
    with pytest.warns(UserWarning, match="does not say load_filter_s; "):
        assert read_vehicle(path) == RACECAR


def test_tyres_front_and_rear_are_their_own():
    records = ini_records()
    records["tire_params_mintime"] |= {"B_rear": 11.0, "eps_rear": -0.05}
    vehicle = vehicle_from_record(pc.car_of_ini(ini_text(records), "x").record, "x")
    assert (vehicle.tyre_b_front, vehicle.tyre_b_rear) == (10.0, 11.0)
    assert vehicle.tyre_load_sensitivity_rear == -0.05


def test_two_axle_tracks_become_their_mean_and_it_is_said():
    records = ini_records()
    records["vehicle_params_mintime"] |= {"track_width_front": 1.6, "track_width_rear": 1.5}
    car = pc.car_of_ini(ini_text(records), "x")
    assert car.record["axle_track_m"] == pytest.approx(1.55)
    assert any("axle_track_m" in name for name in car.taken)


@pytest.mark.parametrize(
    ("group", "key"), [*pc.INI_KEYS.values(), ("vehicle_params_mintime", "track_width_rear")]
)
def test_each_key_of_the_ini_is_needed(group, key):
    records = ini_records()
    del records[group][key]
    assert f"{group}: {key} is missing" in refused(pc.car_of_ini, ini_text(records))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"veh_params": {"mass": -1.0}}, "veh_params: mass is -1; it must be from"),
        ({"veh_params": {"mass": "heavy"}}, "veh_params: mass is 'heavy'"),
        ({"vehicle_params_mintime": {"track_width_front": -1.6}}, "track_width_front is -1.6"),
        ({"optim_opts_mintime": {"mue": 0}}, "friction must be above 0"),
        ({"optim_opts_mintime": {"mue": None}}, "mue is None"),
        ({"vehicle_params_mintime": {"track_width_front": []}}, "track_width_front is a list"),
    ],
)
def test_values_of_the_ini_out_of_range(change, message):
    records = ini_records()
    for group, values in change.items():
        records[group] |= values
    assert message in refused(pc.car_of_ini, ini_text(records))


@pytest.mark.parametrize(
    "text",
    ["", "mass = 1", "[GENERAL_OPTIONS]\nveh_params = {\n", "[a]\n[a]\n", "\0",
     "[GENERAL_OPTIONS]\nveh_params = " + "[" * 100_000],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_is_no_such_ini(text):
    assert "is not a car as TU Munich's racecar.ini" in refused(pc.car_of_ini, text)


def test_a_record_of_the_ini_that_is_no_record():
    text = ini_text(ini_records() | {"veh_params": [1, 2]})
    assert "veh_params: mass is missing" in refused(pc.car_of_ini, text)


# --- F1TENTH's and CommonRoad's flat YAML ---------------------------------------------------------


def one_to_ten(**changes):
    return vehicle_from_record(
        pc.car_of_yaml(yaml.safe_dump(ONE_TO_TEN | changes), "x").record, "x"
    )


def test_the_published_one_to_ten_car():
    vehicle = one_to_ten()
    shipped = read_vehicle("f1tenth")
    same = ("mass_kg", "yaw_inertia_kgm2", "cog_to_front_m", "cog_to_rear_m", "cog_height_m",
            "length_m", "width_m", "top_speed_mps", "steering_max_rad",
            "friction_front")  # fmt: skip
    for name in same:
        assert getattr(vehicle, name) == getattr(shipped, name), name
    for name in ("power_max_w", "drive_force_max_n", "steering_full_s", "brake_share_front",
                 "drive_share_front", "axle_track_m"):  # fmt: skip
        assert getattr(vehicle, name) == pytest.approx(getattr(shipped, name), rel=0.01), name


def test_the_tyre_begins_as_steep_as_the_single_track_models():
    """F_y = mu C_S F_z alpha for small angles."""
    vehicle = one_to_ten()
    for tyre, stiffness in zip(axle_tyres(vehicle), (4.718, 5.4562), strict=True):
        expected = 1.0489 * stiffness * 9.0
        assert slip_stiffness_n_per_rad(9.0, tyre) == pytest.approx(expected)
        assert side_force_n(math.tan(1e-4), 9.0, tyre) == pytest.approx(1e-4 * expected, rel=1e-3)


def test_power_is_constant_above_the_switching_speed():
    vehicle = one_to_ten()
    assert vehicle.power_max_w / 7.319 == pytest.approx(vehicle.drive_force_max_n)
    assert vehicle.drive_force_max_n == pytest.approx(3.74 * 9.51)


def test_drive_and_brakes_go_where_the_load_is():
    vehicle = one_to_ten()
    wheelbase = 0.15875 + 0.17145
    transfer = 0.074 / wheelbase * 9.51 / GRAVITY_MPS2
    assert vehicle.brake_share_front == pytest.approx(0.17145 / wheelbase + transfer)
    assert vehicle.drive_share_front == pytest.approx(0.17145 / wheelbase - transfer)
    assert one_to_ten(h=1.0).brake_share_front == 1.0 and one_to_ten(h=1.0).drive_share_front == 0.0


def test_commonroads_own_keys_are_taken_where_they_are_there():
    vehicle = one_to_ten(T_f=0.2, T_r=0.3, T_sb=0.76, T_se=1)
    assert vehicle.axle_track_m == pytest.approx(0.25)
    assert (vehicle.brake_share_front, vehicle.drive_share_front) == (0.76, 1.0)


def test_the_yaw_inertia_has_two_names_and_planners_limits_are_left_alone():
    given_ = {key: value for key, value in ONE_TO_TEN.items() if key != "I"}
    text = yaml.safe_dump(given_ | {"I_z": 0.04712, "kappa_dot_max": 0.4})
    assert (
        pc.car_of_yaml(text, "x").record == pc.car_of_yaml(yaml.safe_dump(ONE_TO_TEN), "x").record
    )


@pytest.mark.parametrize("key", pc.YAML_NEEDED)
def test_each_key_of_the_yaml_is_needed(key):
    text = yaml.safe_dump({name: value for name, value in ONE_TO_TEN.items() if name != key})
    assert f"{key} is missing" in refused(pc.car_of_yaml, text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "'colour' is no parameter"),
        ({"m": "heavy"}, "m is 'heavy'; a finite number"),
        ({"m": True}, "m is True"),
        ({"m": math.nan}, "m is nan"),
        ({"m": -1.0}, "m is -1; it must be above 0"),
        ({"mu": 0.0}, "mu is 0; it must be above 0"),
        ({"a_max": -9.51}, "a_max is -9.51; it must be above 0"),
        ({"lf": -0.1}, "lf is -0.1; it must be above 0"),
        ({"I_z": 0.04712}, "has both I and I_z"),
        ({"m": [1.0]}, "m is a list; a finite number"),
        ({"m": 1e8}, "m is 1e+08; it must be from 0.001 to 100000"),
        ({"s_min": -0.3}, "s_min is -0.3 and s_max is 0.4189"),
        ({"sv_min": 3.2, "sv_max": -3.2}, "sv_min is 3.2"),
        ({"width": 0.0}, "width is 0; it must be above 0"),
        ({"T_se": 2.0}, "T_se is 2; it must be from 0 to 1"),
    ],
)
def test_values_of_the_yaml_out_of_range(changes, message):
    assert message in refused(pc.car_of_yaml, yaml.safe_dump(ONE_TO_TEN | changes))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "mu", "a: [", "!!python/object/apply:os.system ['true']", "a: &a [*a]",
     "[" * 100_000, "{[1]: 2}"],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_is_no_such_yaml(text):
    refused(pc.car_of_yaml, text)


def test_a_key_given_twice_is_refused_and_not_chosen_from():
    text = yaml.safe_dump(ONE_TO_TEN) + "m: 99\n"
    assert "m is given twice" in refused(pc.car_of_yaml, text)


@pytest.mark.parametrize("number", ["0x" + "f" * 5000, "9" * 5000, "0b" + "1" * 20_000])
def test_a_number_of_thousands_of_digits(number):
    text = yaml.safe_dump({k: v for k, v in ONE_TO_TEN.items() if k != "m"}) + f"m: {number}\n"
    refused(pc.car_of_yaml, text)


def test_anchors_that_multiply_are_not_written_out():
    levels = ["h: [&a0 [x]"] + [f"&a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    text = yaml.safe_dump({k: v for k, v in ONE_TO_TEN.items() if k not in ("h", "m")})
    message = refused(pc.car_of_yaml, text + ", ".join(levels) + "]\nm: *a8\n")
    assert "is a list; a finite number is needed" in message


@given(st.text(max_size=60))
def test_any_text_is_a_car_or_refused(text):
    for reader in (pc.car_of_ini, pc.car_of_yaml):
        with pytest.raises(InputError):
            reader(text, "x")


def test_what_a_file_does_not_say_is_named(tmp_path):
    path = tmp_path / "car.yaml"
    path.write_text(yaml.safe_dump(ONE_TO_TEN))
    with pytest.warns(UserWarning, match="does not say axle_track_m, drag_kgpm") as caught:
        assert read_vehicle(path) == one_to_ten()
    assert len(caught) == 1 and "export.py vehicle" in str(caught[0].message)
    path = tmp_path / "car.INI"
    path.write_text(ini_text(ini_records()))
    with pytest.warns(UserWarning, match="does not say load_filter_s; "):
        assert read_vehicle(path) == RACECAR
