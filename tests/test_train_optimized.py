"""The shell side: the plan, the limits it heeds, and a whole run with stages that only pretend."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ROOT

from stress.faults import session_of

RESULTS = ROOT / "benchmarks" / "results"
SETTINGS = ("DEMO_WORKERS", "BC_WORKERS", "BC_DRIVE_WORKERS", "RL_ENVS", "SEED", "OMP_NUM_THREADS",
            "OMP_THREAD_LIMIT")  # fmt: skip

STAGE = """
import json, os, sys, time
from pathlib import Path

stage, flags = Path(sys.argv[0]).stem, sys.argv[1:]
out = Path(flags[flags.index("--out") + 1])
print(stage, "at work", *(["again"] if "--resume" in flags else []))
if os.environ.get("FAIL") == stage:
    sys.exit(7)
out.mkdir(parents=True, exist_ok=True)
if os.environ.get("HANG") == stage:
    (out / "hanging").touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("saved")
        sys.exit(130)
summary = {"workers": 1, "envs": 2, "wall_s": 61.0, "transitions_per_s": 1234.0, "speed_up": 0.98}
(out / "summary.json").write_text(json.dumps(summary))
drivers = ("expert", "x/bc/policy.safetensors", "x/rl/policy.safetensors")
laps = [
    {"driver": driver, "track": "a", "finished": True, "flying_lap_s": 100.5, "standing_lap_s": 104}
    for driver in drivers
]
(out / "results.json").write_text(json.dumps(laps))
"""


def environment(**settings: str) -> dict[str, str]:
    """This process's, without what would change the plan; the active environment is this one."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return kept | {"VIRTUAL_ENV": sys.prefix} | settings


def train(
    *flags: str, root: Path = ROOT, cwd: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """cwd: the folder that it is started in, by default the root."""
    return subprocess.run(
        ["bash", str(root / "train_optimized.sh"), *flags],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd or root,
    )


def shell(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run code with the functions of the shell parts."""
    sourced = "source scripts/bootstrap.sh; source scripts/machine.sh; set -euo pipefail; "
    return subprocess.run(
        ["bash", "-c", sourced + code],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )


def one_error_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts with stages that only pretend."""
    root = tmp_path / "check out"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    (root / "racing_env").symlink_to(ROOT / "racing_env")
    for name in ("train_optimized.sh", "requirements.txt"):
        shutil.copy(ROOT / name, root)
    for name in ("collect_demonstrations", "train_bc", "train_rl", "evaluate"):
        (root / f"{name}.py").write_text(STAGE)
    return root


# ---- the plan


def test_dry_run_prints_the_plan_and_runs_nothing(checkout: Path) -> None:
    before = sorted(checkout.rglob("*"))
    result = train("--dry-run", root=checkout)
    lines = result.stdout.splitlines()
    assert result.returncode == 0
    assert [line.split(":")[0] for line in lines[:3]] == ["demo workers", "bc workers", "rl envs"]
    scripts = [line.split()[1] for line in lines[3:]]
    assert scripts == ["collect_demonstrations.py", "train_bc.py", *["train_rl.py"] * 2]
    assert "--conditions road" in lines[-1] and "rl/policy.safetensors" in lines[-1]
    assert sorted(checkout.rglob("*")) == before


def test_environment_overrides(tmp_path: Path) -> None:
    settings = {"DEMO_WORKERS": "3", "BC_WORKERS": "0", "RL_ENVS": "2", "SEED": "17"}
    result = train("--dry-run", "--out", str(tmp_path), root=ROOT, **settings)
    lines = result.stdout.splitlines()
    assert lines[:3] == ["demo workers: 3", "bc workers: 0", "rl envs: 2"]
    assert f"--workers 3 --seed 17 --out {tmp_path}/demonstrations" in lines[3]
    assert f"--drive-workers 1 --workers 0 --seed 17 --out {tmp_path}/bc" in lines[4]
    assert f"--envs 2 --seed 17 --out {tmp_path}/rl" in lines[5]
    assert f"--envs 2 --seed 17 --out {tmp_path}/road" in lines[6]


@pytest.mark.parametrize(
    ("flags", "road"),
    [([], True), (["--conditions", "nominal"], False), (["--quick"], False),
     (["--quick", "--conditions", "road"], True)],
    ids=str,
)  # fmt: skip
def test_the_last_stage_is_left_out_where_nobody_is_to_adapt(tmp_path, flags, road) -> None:
    result = train("--dry-run", "--out", str(tmp_path), *flags, root=ROOT)
    assert (f"--out {tmp_path}/road" in result.stdout) == road
    assert ("--conditions road" in result.stdout) == road


def test_thread_limits_in_the_environment_do_not_change_the_counts() -> None:
    limited = train("--dry-run", OMP_NUM_THREADS="1", OMP_THREAD_LIMIT="1")
    assert limited.stdout == train("--dry-run").stdout


@pytest.mark.parametrize(
    ("cores", "plan"),
    [
        (1, "1 1 1"),
        (2, "1 1 1"),
        (3, "2 1 2"),
        (8, "7 4 7"),
        (12, "11 6 8"),
    ],
)
def test_default_counts_follow_the_cores(tmp_path: Path, cores: int, plan: str) -> None:
    nproc = tmp_path / "nproc"
    nproc.write_text(f"#!/bin/sh\necho {cores}\n")
    nproc.chmod(0o755)
    # A machine with memory to spare, however small the one that runs the test is.
    result = shell(
        "sed 's/^source scripts.machine.sh/&; available_memory_mb() { echo 999999; }/' "
        "train_optimized.sh | bash -s -- --dry-run",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    counts = [line.split(": ")[1] for line in result.stdout.splitlines()[:3]]
    assert " ".join(counts) == plan
    assert f" --drive-workers {max(cores - 1, 1)} --workers {counts[1]} " in result.stdout


def test_driving_in_cloning_has_a_count_of_its_own() -> None:
    settings = {"BC_WORKERS": "0", "BC_DRIVE_WORKERS": "3"}
    assert " --drive-workers 3 --workers 0 " in train("--dry-run", root=ROOT, **settings).stdout


@pytest.mark.parametrize("stage", ["demonstrations", "bc", "rl"])
def test_counts_that_need_more_memory_than_there_is_are_lowered(stage: str) -> None:
    measured = json.loads((RESULTS / "memory.json").read_text())["stages"][stage]
    assert planned(stage, 3, int(measured["tree_with_3_mb"])) < 3


def test_what_the_published_run_took_is_not_too_little_for_it() -> None:
    peak_bytes = json.loads((RESULTS / "cars/racecar/memory.json").read_text())["peak_bytes"]
    envs = json.loads((RESULTS / "cars/racecar/rl.json").read_text())["envs"]
    assert planned("rl", envs + 1, peak_bytes // 10**6) <= envs


def planned(stage: str, count: int, memory_mb: int) -> int:
    """How many of `count` workers the stage gets where so much memory is available."""
    result = shell(
        f"sed 's/^source scripts.machine.sh/&; available_memory_mb() {{ echo {memory_mb}; }}/' "
        "train_optimized.sh | bash -s -- --dry-run",
        **dict.fromkeys(("DEMO_WORKERS", "BC_WORKERS", "RL_ENVS"), str(count)),
    )
    counts = dict(zip(("demonstrations", "bc", "rl"), result.stdout.splitlines(), strict=False))
    return int(counts[stage].split(": ")[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEMO_WORKERS", "0"),
        ("RL_ENVS", "two"),
        ("BC_WORKERS", "-1"),
        ("BC_DRIVE_WORKERS", "0"),
        ("DEMO_WORKERS", "1.5"),
        ("SEED", "08"),
        ("SEED", "1 2"),
        ("RL_ENVS", "99999999999999999999"),
    ],
)
def test_bad_settings_are_refused(name: str, value: str) -> None:
    line = one_error_line(train("--dry-run", root=ROOT, **{name: value}))
    assert name in line
    assert value in line


@pytest.mark.parametrize(
    "flags",
    [
        ["--fast"], ["runs/x"], [""],
        ["--out"], ["--out", "--quick"],
        ["--vehicle"], ["--vehicle", "--quick"], ["--vehicle", ""],
    ],
)  # fmt: skip
def test_bad_flags_are_refused(flags: list[str]) -> None:
    one_error_line(train(*flags))


def test_an_out_that_is_a_file_is_refused(checkout: Path) -> None:
    (checkout / "taken").touch()
    result = train("--out", "taken", root=checkout)
    assert result.returncode == 2
    assert result.stderr == "error: --out taken cannot be made a folder\n"


# ---- the car


def planned_car(*flags: str, cwd: Path) -> str | None:
    """The car that a dry run, started in this folder, has the demonstrations driven with."""
    result = train(*flags, "--dry-run", cwd=cwd)
    assert result.returncode == 0, result.stderr
    demonstrations, *later = result.stdout.splitlines()[3:]
    assert not any("--vehicle" in line for line in later)  # they take it from what they are given
    _, script, *arguments = shlex.split(demonstrations)
    assert script == "collect_demonstrations.py"
    return arguments[arguments.index("--vehicle") + 1] if "--vehicle" in arguments else None


def test_the_demonstrations_are_driven_with_the_car_that_is_named(tmp_path: Path) -> None:
    assert planned_car(cwd=ROOT) is None
    assert planned_car("--quick", "--vehicle", "racecar", cwd=tmp_path) == "racecar"


def test_a_file_of_a_car_is_looked_for_where_the_user_stands(tmp_path: Path) -> None:
    folder = tmp_path / "my cars"
    folder.mkdir()
    (folder / "mine.toml").touch()
    (folder / "racecar").touch()
    assert planned_car("--vehicle", "mine.toml", cwd=folder) == f"{folder}/mine.toml"
    assert planned_car("--vehicle", f"{folder}/mine.toml", cwd=ROOT) == f"{folder}/mine.toml"
    assert planned_car("--vehicle", "racecar", cwd=folder) == "racecar"  # names go first
    assert planned_car("--vehicle", "./racecar", cwd=folder) == f"{folder}/./racecar"


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ([], "default"),
        (["--quick"], "quick"),
        (["--vehicle", "f1tenth"], "f1tenth"),
        (["--vehicle", "f1tenth", "--quick"], "f1tenth-quick"),
        (["--vehicle", "cars/mine.v2.toml"], "mine.v2"),
        (["--vehicle", "f1tenth", "--out", "runs/other"], "other"),
    ],
)
def test_a_car_of_its_own_has_a_folder_of_its_own(tmp_path: Path, flags, folder) -> None:
    (tmp_path / "cars").mkdir()
    (tmp_path / "cars" / "mine.v2.toml").touch()
    result = train("--dry-run", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"runs/{folder}/demonstrations" in result.stdout


@pytest.mark.parametrize("vehicle", ["lorry", "racing_env", "../racecar", "/nowhere/car.toml"])
def test_a_car_that_is_not_there_is_refused_before_anything_is_made(
    checkout: Path, vehicle: str
) -> None:
    before = sorted(checkout.rglob("*"))
    line = one_error_line(train("--vehicle", vehicle, root=checkout))
    assert vehicle in line and "no such car or file" in line
    assert sorted(checkout.rglob("*")) == before


def test_a_run_is_not_gone_on_with_in_another_car(checkout: Path) -> None:
    mine, out = checkout / "mine.toml", ("--out", "runs/mine")
    mine.touch()
    first = train("--vehicle", "mine.toml", *out, root=checkout, FAIL="train_bc")
    assert first.returncode == 7
    for flags in ((), ("--vehicle", "racecar")):
        other = train(*flags, *out, root=checkout)
        assert other.returncode == 2 and "at work" not in other.stdout
        assert "mine.toml" in other.stderr and "give another --out" in other.stderr
    mine.write_text("# edited\n")
    edited = train("--vehicle", "mine.toml", *out, root=checkout)
    assert edited.returncode == 2 and "give another --out" in edited.stderr
    mine.write_text("")
    resumed = train("--vehicle", "mine.toml", *out, root=checkout)
    assert resumed.returncode == 0, resumed.stderr


# ---- what the machine holds


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


QUOTAS = {
    "none": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 16),
    "own group": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}, 3),
    "a group above": (
        {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            "sys/fs/cgroup/a/cpu.max": "300000 100000",
        },
        3,
    ),
    "less than one core": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "5 100"}, 1),
    "version 1": (
        {
            "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/docker/1\n0::/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        4,
    ),
    "version 1, none": (
        {
            "proc/self/cgroup": "3:cpu:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        16,
    ),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_core_count_heeds_the_cpu_quota(tmp_path: Path, case: str) -> None:
    files, cores = QUOTAS[case]
    root = machine(tmp_path, files)
    result = shell(f"env() {{ echo 16; }}; core_count '{root}'")
    assert result.stdout == f"{cores}\n", result.stderr


MEMORY = {
    "no group": ({}, 8000),
    "version 2": (
        {
            "proc/self/cgroup": "0::/job",
            "sys/fs/cgroup/job/memory.max": "3000000000",
            "sys/fs/cgroup/job/memory.current": "1500000000",
            "sys/fs/cgroup/job/memory.stat": "anon 5\ninactive_file 500000000",
        },
        2000,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "4:memory:/docker/1",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "400000000",
            "sys/fs/cgroup/memory/memory.stat": "inactive_file 9\ntotal_inactive_file 0",
        },
        600,
    ),
    "used up": (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": "1000",
            "sys/fs/cgroup/memory.current": "99999999",
            "sys/fs/cgroup/memory.stat": "inactive_file 0",
        },
        0,
    ),
}


@pytest.mark.parametrize("case", MEMORY)
def test_memory_is_what_the_machine_and_its_groups_leave(tmp_path: Path, case: str) -> None:
    files, free_mb = MEMORY[case]
    meminfo = "MemTotal: 9000000 kB\nMemAvailable: 7812500 kB"  # kB of /proc are of 1024 bytes
    root = machine(tmp_path, {"proc/meminfo": meminfo} | files)
    result = shell(f"available_memory_mb '{root}'")
    assert result.stdout == f"{free_mb}\n", result.stderr


@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [(4, 9, 4), (4, 4, 4), (4, 3, 3), (4, -2, 1), (0, 5, 0), (1, 0, 1)],
)
def test_counts_are_lowered_with_a_line_that_says_so(count: int, limit: int, expected: int) -> None:
    result = shell(f"lowered 'rl envs' {count} {limit} 'little is left'")
    assert result.stdout == f"{expected}\n"
    line = f"rl envs lowered from {count} to {expected}: little is left\n"
    assert result.stderr == (line if expected < count else "")


def test_the_soft_limit_on_open_files_is_raised_first() -> None:
    code = "ulimit -Sn 200; ulimit -Hn 900; "
    assert shell(code + "raise_open_files 700; ulimit -Sn").stdout == "700\n"
    assert shell(code + "raise_open_files 5000; echo $OPEN_FILES").stdout == "900\n"
    assert shell(code + "raise_open_files 100; echo $OPEN_FILES").stdout == "200\n"


def test_open_files_lower_the_plan() -> None:
    result = shell("ulimit -n 300; DEMO_WORKERS=50 ./train_optimized.sh --dry-run")
    assert result.returncode == 0
    assert "demo workers lowered from 50 to 5: only 300 files may be open" in result.stderr
    assert "demo workers: 5" in result.stdout


# ---- a whole run


def test_a_run_ends_with_the_table_and_a_second_start_runs_no_stage(checkout: Path) -> None:
    first = train("--out", "runs/a b", root=checkout)
    assert first.returncode == 0, first.stderr
    for text in ("1,234 transitions/s", "0.98", "1:01", "clone", "RL driver", "100.5", "peak mem"):
        assert text in first.stdout
    second = train("--out", "runs/a b", root=checkout)
    assert second.returncode == 0, second.stderr
    assert "at work" not in second.stdout
    assert first.stdout.split("stage ")[1].split("peak")[0] in second.stdout


def test_a_stage_that_ends_at_once_is_not_taken_for_finished(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    result = shell(
        "source scripts/stages.sh; out=$OUT dry_run='' PYTHON=false; "
        'kill() { sleep 0.3; builtin kill "$@"; }; stage short any.py',
        OUT=str(tmp_path),
    )
    assert result.returncode == 1 and "stage short failed with exit code 1" in result.stderr
    assert not (tmp_path / "logs/short.finished").exists()


def test_a_stage_waits_for_what_is_prepared_and_for_no_more(tmp_path: Path) -> None:
    result = preparing(
        tmp_path,
        "await_prepared driving; echo nothing; "
        "prepare_beside -c 'until [[ -e $OUT/go ]]; do sleep 0.1; done; echo driving; sleep 60'; "
        "(sleep 0.5; touch $OUT/go) & await_prepared driving; cat $OUT/logs/ahead.log; ls $OUT/go; "
        "kill -KILL $(<$OUT/logs/preparing); await_prepared learning; echo ended; end_preparing",
    )
    assert result.stdout.split() == ["nothing", "driving", str(tmp_path / "go"), "ended"]


def test_what_prepares_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    result = preparing(
        tmp_path,
        "prepare_beside -c 'sleep 60 & echo $! >$OUT/child; wait'; "
        "until [[ -s $OUT/child ]]; do sleep 0.1; done; end_preparing; "
        "for i in {1..50}; do kill -0 $(<$OUT/child) 2>/dev/null || break; sleep 0.1; done; "
        "kill -0 $(<$OUT/child) 2>/dev/null || echo ended",
    )
    assert result.stdout.split() == ["ended"]


def preparing(out: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code with the functions of stages, where what prepares beside is bash."""
    (out / "logs").mkdir()
    return shell(f"set -m; source scripts/stages.sh; out=$OUT PYTHON=bash; {code}", OUT=str(out))


def test_a_failing_stage_stops_the_run_which_goes_on_there(checkout: Path) -> None:
    failed = train("--quick", root=checkout, FAIL="train_bc")
    assert failed.returncode == 7
    assert "train_rl" not in failed.stdout
    assert "stage bc failed with exit code 7" in failed.stderr
    assert "runs/quick/logs/bc.log" in failed.stderr
    assert "train_bc at work" in (checkout / "runs/quick/logs/bc.log").read_text()
    other = train("--quick", root=checkout, SEED="3")
    assert "runs/quick" in other.stderr.splitlines()[-1]
    assert other.returncode == 2
    resumed = train("--quick", root=checkout)
    assert resumed.returncode == 0, resumed.stderr
    assert "collect_demonstrations" not in resumed.stdout
    assert "train_bc at work again" in resumed.stdout
    assert "train_rl at work\n" in resumed.stdout


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_reaches_the_stage(checkout: Path, sent: signal.Signals, code: int) -> None:
    run = subprocess.Popen(
        ["bash", str(checkout / "train_optimized.sh")],
        env=environment(HANG="train_bc"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 50
    hanging = checkout / "runs/default/bc/hanging"
    while run.poll() is None and not hanging.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(sent)
    stdout, stderr = run.communicate(timeout=300)
    assert run.returncode == code
    assert "saved" in stdout
    assert "interrupted in stage bc" in stderr
    assert not (checkout / "runs/default/logs/bc.finished").exists()


def test_a_killed_run_leaves_no_stage_at_work(checkout: Path) -> None:
    run = subprocess.Popen(
        ["bash", str(checkout / "train_optimized.sh")],
        env=environment(HANG="train_bc"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    hanging = checkout / "runs/default/bc/hanging"
    deadline = time.monotonic() + 50
    while run.poll() is None and not hanging.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(session_of(run.pid)) > 1
    run.kill()
    run.wait()
    deadline = time.monotonic() + 30
    while session_of(run.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not session_of(run.pid)
    assert "saved" in (checkout / "runs/default/logs/bc.log").read_text()
    result = train(root=checkout)
    assert result.returncode == 0 and "train_bc at work again" in result.stdout


# ---- the interpreter


def test_requirements_that_are_met(tmp_path: Path) -> None:
    def missing(text: str) -> str:
        file = tmp_path / "some.txt"
        file.write_text(text)
        return shell(f"'{sys.executable}' scripts/requirements_met.py '{file}' 2>&1 || true").stdout

    assert missing("# nothing\n-r " + str(ROOT / "requirements.txt")) == ""
    assert missing('numpy==1.0; python_version < "3.0"') == ""
    assert missing("numpy==1.0\ntqdm") == "missing: numpy==1.0\n"
    assert missing("no-such-package-here>=1") == "missing: no-such-package-here>=1\n"


@pytest.mark.parametrize(
    ("python3", "said"),
    [
        (None, "Python 3.10 to 3.14 is needed; python3 is not installed"),
        ("3.9.18", "Python 3.10 to 3.14 is needed; python3 is Python 3.9.18"),
    ],
)
def test_a_python_that_is_absent_or_old_is_named(
    tmp_path: Path, python3: str | None, said: str
) -> None:
    if python3:
        fake = tmp_path / "python3"
        fake.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo Python {python3}\n')
        fake.chmod(0o755)
    result = subprocess.run(
        [shutil.which("bash") or "bash", "-c", "source scripts/bootstrap.sh; base_python"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 1
    assert result.stderr == f"error: {said}\n"


VENV_PYTHON = """#!/bin/sh
echo "$*" >>calls.txt
case "$*" in
*--editable*)
    package=.venv/lib/python3.12/site-packages/racing_env-0.2.0.dist-info
    mkdir -p "$package"
    touch "$package/RECORD"
    ;;
esac
"""


def test_the_venv_gets_this_package_once(checkout: Path) -> None:
    """Also one that an earlier version made, with all requirements but without the package."""
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(VENV_PYTHON)
    python.chmod(0o755)

    def calls() -> list[str]:
        """What the interpreter was started for by a bootstrap."""
        (checkout / "calls.txt").unlink(missing_ok=True)
        code = "source scripts/bootstrap.sh; bootstrap requirements.txt; echo $PYTHON"
        result = subprocess.run(
            ["bash", "-euc", code],
            env=environment(VIRTUAL_ENV="", CONDA_PREFIX=""),
            capture_output=True,
            text=True,
            cwd=checkout,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1] == ".venv/bin/python"
        return (checkout / "calls.txt").read_text().splitlines()

    (installed,) = (call for call in calls() if "--editable" in call)
    assert installed.endswith("--no-deps --no-build-isolation --editable .")
    assert calls() == ["scripts/requirements_met.py requirements.txt"]
    assert not (checkout / ".venv" / "unfinished").exists()
