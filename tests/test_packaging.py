"""The package: that it says what it needs, and that it works where only it is installed."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from processes import ROOT

import racing_env

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it there
    import tomli as tomllib

EXTRAS = ("render", "export", "wandb", "cluster")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pinned(name: str) -> list[Requirement]:
    """What a requirements file pins, all of it whatever the version of Python."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_pins_lie_within_the_ranges(extra):
    lines = project()["optional-dependencies"][extra] if extra else project()["dependencies"]
    ranges = {canonicalize_name(each.name): each.specifier for each in map(Requirement, lines)}
    pins = pinned(f"requirements-{extra}.txt" if extra else "requirements.txt")
    assert ranges.keys() == {canonicalize_name(pin.name) for pin in pins}
    for pin in pins:
        (version,) = (part.version for part in pin.specifier if part.operator == "==")
        assert ranges[canonicalize_name(pin.name)].contains(version), pin


def test_every_file_of_extras_is_an_extra():
    files = {path.stem.removeprefix("requirements-") for path in ROOT.glob("requirements-*.txt")}
    assert files - {"dev", "docs"} == project()["optional-dependencies"].keys() == set(EXTRAS)


def test_continuous_integration_covers_the_versions_of_python():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    versions = re.findall(r'"([\d.]+)"', matrix)
    classifiers = " ".join(project()["classifiers"])
    assert versions == re.findall(r"Python :: (3\.\d+)", classifiers)
    assert project()["requires-python"] == f">={versions[0]}"
    assert (
        f"Python {versions[0]} to {versions[-1]} is needed"
        in (ROOT / "scripts" / "bootstrap.sh").read_text()
    )


def test_version_is_in_the_changelog():
    assert f"\n## [{racing_env.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with nothing but the installed package, built without a network."""
    pytest.importorskip("pip")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "racing_env", source / "racing_env", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("train_rl.py", "run_tests.sh"):  # what must not be installed
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = source / "wheels"
    no_network = ["--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *no_network, "--wheel-dir", wheels, source], check=True)
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", *no_network, "--target", target, wheel], check=True)
    return target


def run_installed(installed: Path, code: str, folder: Path) -> str:
    """What code prints that runs in an empty folder, beside what is installed."""
    # Coverage would look for the files of this copy when they are gone.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c",
         f"import site; site.addsitedir({str(installed)!r})\n{code}"],
        cwd=folder, env=environment, text=True, capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_the_environment_is_made_from_any_folder_without_an_import(installed, tmp_path):
    code = (
        "import gymnasium\n"
        "env = gymnasium.make('racing_env:racing_env/Race-v0', track='oval')\n"
        "print(env.reset(seed=0)[0].shape)\n"
        "import racing_env\n"
        "print(racing_env.__file__)\n"
    )
    shape, file = run_installed(installed, code, tmp_path).splitlines()
    assert shape == "(76,)"
    assert Path(file) == installed / "racing_env" / "__init__.py"


@pytest.mark.slow
@pytest.mark.parametrize("first", ["racing_env", "gymnasium"])
def test_the_entry_point_and_the_import_register_once_and_load_nothing(installed, tmp_path, first):
    code = (
        f"import sys, {first}, racing_env\n"
        "from importlib import metadata\n"
        "from gymnasium import registry\n"
        "(point,) = metadata.entry_points(group='gymnasium.envs', name='__root__')\n"
        "before = registry['racing_env/Race-v0']\n"
        "point.load()()\n"
        "assert registry['racing_env/Race-v0'] is before\n"
        "print(sorted({'numba', 'scipy', 'torch', 'stable_baselines3'} & set(sys.modules)))\n"
    )
    assert run_installed(installed, code, tmp_path) == "[]\n"


@pytest.mark.slow
def test_the_files_are_those_of_the_package(installed):
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "racing_env").rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".nbi", ".nbc")
    }
    wheel = next(iter(metadata.distributions(path=[str(installed)])))
    assert wheel.version == racing_env.__version__
    contained = {str(path) for path in wheel.files or [] if path.suffix != ".pyc"}
    assert {name for name in contained if "dist-info" not in name} == files
    assert "racing_env/laps/report_page/page.html" in files
