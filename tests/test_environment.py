import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from cars import RACECAR, circuit_named, scaled
from gymnasium.error import ResetNeeded
from hypothesis import given, settings
from hypothesis import strategies as st

import racing_env
from racing_env.car.conditions import LIMITS, NOMINAL, NOMINAL_RANGES, Conditions, Range
from racing_env.car.vehicle_files import SHIPPED
from racing_env.common.errors import InputError
from racing_env.drivers.expert import expert_actions
from racing_env.environment import RaceEnv
from racing_env.simulation.layouts import centre_preview
from racing_env.simulation.layouts.line_preview import LAYOUT
from racing_env.simulation.rewards import REWARD_TERMS
from racing_env.simulation.starts import Starts
from racing_env.simulation.task import CONTROL_STEP_S, on_any_road, practice_task
from racing_env.tracks.generator import built_in_track

ID = "racing_env/Race-v0"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RACING_ENV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def club(cache):
    return circuit_named("club")


def race_env(*arguments, **named) -> RaceEnv:
    return RaceEnv(*arguments, vehicle=RACECAR, **named)


def rollout(env, seed, steps=150):
    observation, info = env.reset(seed=seed)
    env.action_space.seed(seed)
    record = [(observation, info)]
    for _ in range(steps):
        step = env.step(env.action_space.sample())
        record.append(step)
        if step[2] or step[3]:
            record.append(env.reset())
    return record


def test_gymnasiums_checker_has_nothing_to_say(monkeypatch):
    pygame = pytest.importorskip("pygame", reason="rendering needs pygame-ce")
    from gymnasium.utils.env_checker import check_env

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, track="oval").unwrapped)
    pygame.display.quit()


def test_stable_baselines_checker_has_nothing_to_say():
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, track="oval").unwrapped)


def test_registration_is_idempotent_and_light():
    code = (
        "import importlib, sys, warnings; warnings.simplefilter('error');"
        "import racing_env; importlib.reload(racing_env);"
        "assert 'numba' not in sys.modules and 'scipy' not in sys.modules;"
        f"import gymnasium; gymnasium.spec('{ID}')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
    assert racing_env.__version__


def test_seeded_rollouts_repeat_exactly(club):
    first, second = (
        rollout(race_env([club, built_in_track("oval", RACECAR)]), seed=5) for _ in range(2)
    )
    np.testing.assert_equal(first, second)
    assert not np.array_equal(rollout(race_env(club), 6)[0][0], first[0][0])


def test_a_returned_observation_is_never_written_again(club):
    env = race_env(club)
    observation, _ = env.reset(seed=0)
    kept = observation.copy()
    later = env.step(np.zeros(2, dtype=np.float32))[0]
    np.testing.assert_array_equal(observation, kept)
    kept = later.copy()
    env.step(np.ones(2, dtype=np.float32))
    np.testing.assert_array_equal(later, kept)


def test_random_starts_are_spread_over_the_lap_at_a_share_of_profile_speed(club):
    env = race_env(club)
    places, shares = [], []
    for seed in range(60):
        _, info = env.reset(seed=seed)
        places.append(info["s_m"] / club.track.length_m)
        shares.append(info["speed_mps"] / club.line_speed_mps[int(info["s_m"] / club.track.step_m)])
    assert min(places) < 0.1 and max(places) > 0.9
    assert 0.4 - 0.05 < min(shares) < max(shares) < 0.9 + 0.05


def test_start_s_is_a_standing_start_there(club):
    env = race_env(club)
    _, info = env.reset(seed=0, options={"start_s": 321.0})
    assert info["speed_mps"] == 0.0
    assert info["s_m"] == pytest.approx(321.0, abs=1.0)
    assert info["progress"] == info["time_s"] == info["distance_m"] == 0.0


def test_options_track_is_for_one_episode(club):
    env = race_env(club)
    for track in ("oval", built_in_track("oval", RACECAR)):
        _, info = env.reset(seed=0, options={"track": track})
        assert info["track"] == "oval"
        assert env.circuit.track.name == "oval"
        _, info = env.reset()
        assert info["track"] == "club"
    names = {env.reset(options={"track": [club, "oval"]})[1]["track"] for _ in range(20)}
    assert names == {"club", "oval"}


@pytest.mark.parametrize("options, message", [
    ({"trak": "oval"}, "'trak'"),
    ({1: 2}, "'1'"),
    ({"track": "no-such-place"}, "no-such-place"),
    ({"track": 7}, "track 7"),
    ({"track": []}, "at least one"),
    ({"start_s": -1.0}, "-1.0"),
    ({"start_s": 1e9}, "1000000000.0"),
    ({"start_s": float("nan")}, "nan"),
    ({"start_s": "100"}, "'100'"),
    ({"start_s": True}, "True"),
    ({"start_s": 10**400}, "start_s"),
    ({"conditions": 0.9}, "conditions 0.9: must be Conditions"),
    ({"conditions": (0.9,) * 7}, "must be Conditions"),
    ({"conditions": {"grip": 0.9}}, "'grip' is unknown; names are friction"),
    ({"conditions": {"friction": 30}}, "friction 30: a number from 0.1 to 3"),
    ({"conditions": {"mass": "1"}}, "mass '1': a number"),
    ({"conditions": {"mass": True}}, "mass True: a number"),
    ({"conditions": {"noise": float("nan")}}, "noise nan: a number"),
    ({"conditions": {"noise": 10**400}}, "noise "),
    ({"conditions": Conditions(delay_s=0.2)}, "a number from 0 to 0.15 (three control steps"),
])  # fmt: skip
def test_bad_options_are_named(club, options, message):
    with pytest.raises(InputError) as raised:
        race_env(club).reset(options=options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("arguments, message", [
    ({"track": "no-such-place"}, "no-such-place"),
    ({"vehicle": "lorry"}, "'lorry'"),
    ({"vehicle": 7}, "vehicle 7"),
    ({"vehicle": None}, "vehicle None"),
    ({"vehicle": tuple(RACECAR)}, "a Vehicle"),
    ({"time_limit_s": 0.0}, "time_limit_s 0.0"),
    ({"time_limit_s": float("inf")}, "time_limit_s inf"),
    ({"time_limit_s": "100"}, "time_limit_s '100'"),
    ({"task": practice_task(RACECAR, "camera")}, "observation layout 'camera' is unknown"),
    ({"render_mode": "ansi"}, "render_mode 'ansi'"),
    ({"camera": "drone"}, "camera 'drone'"),
])  # fmt: skip
def test_bad_arguments_are_named(club, arguments, message):
    with pytest.raises(InputError) as raised:
        RaceEnv(**{"track": club, "vehicle": RACECAR, **arguments})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_step_needs_an_episode(club):
    env = race_env(club, time_limit_s=0.1)
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(2))
    env.reset(seed=0)
    env.step(np.zeros(2))
    assert env.step(np.zeros(2))[3]
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(2))


@pytest.mark.parametrize("action", [[np.nan, 0.0], [0.0, np.inf], [0.0], [[0.0, 0.0]], 0.5])
def test_bad_actions_are_refused_and_change_nothing(club, action):
    env = race_env(club)
    env.reset(seed=0)
    before = env.simulator.state.copy()
    with pytest.raises(InputError, match="action"):
        env.step(np.array(action))
    np.testing.assert_array_equal(env.simulator.state, before)


def test_actions_outside_are_clipped(club):
    results = []
    for action in ([9.0, -9.0], [1.0, -1.0]):
        env = race_env(club)
        env.reset(seed=3)
        results.append(env.step(np.array(action, dtype=np.float32)))
    np.testing.assert_equal(results[0], results[1])


def test_reward_is_the_sum_of_its_terms(club):
    env = race_env(club)
    for step in rollout(env, seed=2):
        if len(step) == 5:
            assert step[1] == pytest.approx(sum(step[4][f"reward_{name}"] for name in REWARD_TERMS))


def test_time_limit_truncates(club):
    env = race_env(club, time_limit_s=2.0)
    env.reset(options={"start_s": 0.0})
    steps = 0
    while True:
        *_, terminated, truncated, info = env.step(np.array([0.0, 0.2]))
        steps += 1
        assert not terminated
        if truncated:
            break
        assert info["end"] == ""
    assert steps == 40
    assert info["end"] == "time_limit"


@pytest.mark.parametrize("action, end", [([1.0, 0.5], "off_track"), ([0.0, -1.0], "standing")])
def test_termination_names_its_reason(club, action, end):
    env = race_env(club)
    env.reset(seed=1, options={"start_s": 0.0})
    terminated = False
    while not terminated:
        *_, terminated, truncated, info = env.step(np.array(action))
        assert not truncated
    assert info["end"] == end
    assert info["reward_end"] < 0.0


def test_a_stricter_border_ends_an_episode_sooner(club):
    ends = []
    for run_off_m in (0.0, -1.0):
        env = race_env(club, task=practice_task(RACECAR)._replace(run_off_m=run_off_m))
        env.reset(seed=1, options={"start_s": 0.0})
        while not env.step(np.array([0.4, 0.5]))[2]:
            pass
        ends.append(abs(env.simulator.cars.offset_m[0]))
    assert ends[1] < ends[0] - 0.5


def test_a_lap_is_reported(club):
    env = race_env(club)
    env.reset(seed=0, options={"start_s": 10.0})
    info = {"laps": 0}
    while info["laps"] < 1:
        *_, terminated, truncated, info = env.step(
            expert_actions(env.simulator, np.array([0.7]))[0]
        )
        assert not terminated and not truncated
    assert info["lap_time_s"] == pytest.approx(info["time_s"], abs=CONTROL_STEP_S)
    assert club.lap_time_s < info["lap_time_s"] < 2.0 * club.lap_time_s
    assert info["progress"] == pytest.approx(1.0, abs=0.01)


def test_no_car_is_the_environments_own_but_the_registered_id_names_one(club):
    with pytest.raises(TypeError, match="vehicle"):
        RaceEnv(club)
    assert gymnasium.make(ID, track=club).unwrapped.vehicle == RACECAR


def test_a_car_is_given_by_name_by_file_or_ready_made(tmp_path):
    model = scaled(RACECAR, 0.25)
    path = tmp_path / "model.toml"
    path.write_text("\n".join(f"{name} = {value!r}" for name, value in model._asdict().items()))
    for vehicle, expected in (
        ("racecar", RACECAR), (SHIPPED / "racecar.toml", RACECAR), (RACECAR, RACECAR),
        (path, model), (str(path), model), (model, model),
    ):  # fmt: skip
        env = RaceEnv("oval", vehicle=vehicle)
        assert env.vehicle == env.simulator.vehicle == env.circuit.vehicle == expected


def test_another_cars_episodes_are_to_its_scale():
    model = scaled(RACECAR, 0.25)
    env = RaceEnv("oval", vehicle=model)
    assert env.metadata["render_fps"] == 40 and RaceEnv.metadata["render_fps"] == 20
    env.reset(seed=0)
    *_, info = env.step(np.zeros(2))
    assert info["time_s"] == 0.5 * CONTROL_STEP_S
    length_m = circuit_named("oval").track.length_m
    assert env.circuit.track.length_m == pytest.approx(0.25 * length_m)


def test_a_circuit_prepared_for_another_car_is_refused(club):
    model = scaled(RACECAR, 0.25)
    with pytest.raises(InputError, match="track club: was prepared for another car"):
        RaceEnv([circuit_named("oval", model), club], vehicle=model)
    env = RaceEnv("oval", vehicle=model)
    with pytest.raises(InputError, match="track club: was prepared for another car"):
        env.reset(options={"track": club})


def test_a_task_is_followed(club):
    starts = Starts(at_the_line=True, standing_share=1.0)
    task = practice_task(RACECAR, "centre-preview-1")._replace(starts=starts, time_limit_s=0.2)
    env = race_env(club, task=task)
    assert env.simulator.layout is centre_preview.LAYOUT
    _, info = env.reset(seed=0)
    assert min(info["s_m"], club.track.length_m - info["s_m"]) < 1e-6
    assert info["speed_mps"] == 0.0
    assert [env.step(np.zeros(2))[3] for _ in range(4)] == [False, False, False, True]
    assert race_env(club, task=task, time_limit_s=7.0).task == task._replace(time_limit_s=7.0)
    assert race_env(club).task == practice_task(RACECAR)


def test_a_task_may_have_no_time_limit(club):
    env = race_env(club, task=practice_task(RACECAR)._replace(time_limit_s=None))
    env.reset(options={"start_s": 0.0})
    env.simulator.cars.time_s[0] = 1e9
    assert not env.step(np.array([0.0, 0.2]))[3]


def test_the_observation_space_is_the_layouts(club):
    space = race_env(club).observation_space
    low, high = LAYOUT.bounds()
    np.testing.assert_array_equal(space.low, low)
    np.testing.assert_array_equal(space.high, high)
    assert space.dtype == np.float32


def test_the_documentation_has_a_row_for_each_quantity_and_each_term():
    rows = [line.strip() for line in RaceEnv.__doc__.splitlines()]
    assert "{" not in RaceEnv.__doc__ and "}" not in RaceEnv.__doc__
    for row in LAYOUT.documentation().splitlines():
        assert row in rows
    for term in REWARD_TERMS:
        assert sum(row.startswith(f"| {term} |") for row in rows) == 1
    assert f"({LAYOUT.size},)" in RaceEnv.__doc__ and LAYOUT.name in RaceEnv.__doc__


def test_conditions_are_drawn_an_episode_and_told_in_the_information(club):
    env = race_env(club, task=on_any_road(practice_task(RACECAR)))
    found = []
    for seed in range(8):
        _, info = env.reset(seed=seed)
        found.append(Conditions(**info["conditions"]))
        assert env.conditions == found[-1]
        assert env.step(np.zeros(2))[4]["conditions"] == info["conditions"]
    assert len(set(found)) == 8
    assert env.reset(seed=3)[1]["conditions"] == found[3]._asdict()
    assert Conditions(**env.reset()[1]["conditions"]) not in found


def test_a_nominal_task_draws_nothing_and_says_nothing(club):
    """The same episodes as where the conditions are fixed by option."""
    env, other = race_env(club), race_env(club)
    _, info = env.reset(seed=4)
    assert "conditions" not in info and "conditions" not in env.step(np.zeros(2))[4]
    for conditions in ({}, NOMINAL, {"friction": 1}):
        observation, info = other.reset(seed=4, options={"conditions": conditions})
        assert "conditions" not in info
        np.testing.assert_array_equal(observation, env.reset(seed=4)[0])
    assert env.np_random.random() == other.np_random.random()


def test_conditions_by_option_are_of_one_episode(club):
    env = race_env(club)
    speeds = []
    for options in ({}, {"conditions": {"mass": 1.5}}, {"conditions": Conditions(mass=1.5)}, {}):
        _, info = env.reset(seed=1, options={"start_s": 0.0, **options})
        assert info.get("conditions", NOMINAL._asdict())["mass"] == (1.5 if options else 1.0)
        for _ in range(20):
            *_, info = env.step(np.array([0.0, 0.5]))
        speeds.append(info["speed_mps"])
    assert speeds[0] == speeds[3] > 1.3 * speeds[1] and speeds[1] == speeds[2]


def test_a_delay_is_felt(club):
    env = race_env(club)
    speeds = []
    env.reset(options={"start_s": 0.0, "conditions": {"delay_s": 0.1}})
    for _ in range(4):
        speeds.append(env.step(np.array([0.0, 1.0]))[4]["speed_mps"])
    assert speeds[0] == speeds[1] == 0.0 < speeds[2] < speeds[3]


def test_noise_is_drawn_from_the_environments_own_stream(club):
    """Of the first observation, too; the motion is the same."""
    env, clean = race_env(club), race_env(club)
    rollouts = []
    for _ in range(2):
        seen = [env.reset(seed=2, options={"conditions": {"noise": 1.0}})[0]]
        seen += [env.step(np.array([0.0, 0.3]))[0] for _ in range(10)]
        rollouts.append(seen)
    np.testing.assert_array_equal(*rollouts)
    exact = [clean.reset(seed=2)[0], *(clean.step(np.array([0.0, 0.3]))[0] for _ in range(10))]
    np.testing.assert_array_equal(env.simulator.state, clean.simulator.state)
    errors = (np.array(rollouts[0]) - np.array(exact))[:, 0]
    assert (errors != 0.0).all() and len(np.unique(errors)) == len(errors)
    task = practice_task(RACECAR)
    noisy = task._replace(conditions=NOMINAL_RANGES._replace(noise=Range(1.0, 1.0)))
    by_task = race_env(club, task=noisy).reset(seed=2)
    assert by_task[1]["conditions"]["noise"] == 1.0
    np.testing.assert_array_equal(by_task[0], rollouts[0][0])


@given(
    st.dictionaries(
        st.sampled_from(Conditions._fields) | st.text(max_size=5),
        st.floats() | st.integers() | st.text(max_size=5) | st.none() | st.booleans(),
    )
)
def test_any_conditions_are_within_the_limits_or_refused_in_one_line(conditions):
    if not _ENVS:
        _ENVS.append(race_env("hairpins"))
    try:
        _ENVS[0].reset(seed=0, options={"conditions": conditions})
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        for value, limits in zip(_ENVS[0].conditions, LIMITS, strict=True):
            assert limits.least <= value <= limits.most


_ENVS: list[RaceEnv] = []


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    actions=st.lists(
        st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2)
        | st.tuples(*[st.floats(-1.0, 1.0)] * 2)
        | st.tuples(*[st.sampled_from([-1.0, 0.0, 1.0])] * 2),
        min_size=1, max_size=30,
    ),
    hold=st.integers(1, 10),
)  # fmt: skip
def test_any_actions_keep_observations_in_bounds_and_the_state_finite(seed, actions, hold):
    if not _ENVS:
        _ENVS.append(race_env("hairpins"))
    env = _ENVS[0]
    observation, _ = env.reset(seed=seed)
    assert env.observation_space.contains(observation)
    for action in actions:
        for _ in range(hold):
            observation, reward, terminated, truncated, _ = env.step(np.array(action))
            assert env.observation_space.contains(observation)
            assert np.isfinite(reward)
            assert np.isfinite(env.simulator.state).all()
            if terminated or truncated:
                env.reset()


def test_a_circuit_given_ready_made_that_the_car_cannot_get_round_is_refused():
    wooden = RACECAR._replace(steering_max_rad=0.05)
    for track in (built_in_track("hairpins", wooden), circuit_named("hairpins", wooden)):
        with pytest.raises(InputError, match=r"hairpins: the corner at .* is too tight"):
            RaceEnv(track, vehicle=wooden)


def test_a_task_of_another_car_is_refused(club):
    with pytest.raises(InputError, match="task: was made for another car"):
        race_env(club, task=practice_task(scaled(RACECAR, 0.25)))
