import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import adaptation
from benchmarks.measuring import ROOT
from racing_env.common.errors import InputError
from racing_env.common.project_jobs import files_below, write_below

CHANGES = [change for changes in adaptation.VARIANTS.values() for change in changes]
ADAPTING = [name for name, changes in adaptation.VARIANTS.items()
            if any(change.file == adaptation.KERNELS for change in changes)]  # fmt: skip
PARITY = ("tests/*.py", "tests/simulation/*.py")


@pytest.mark.parametrize("change", CHANGES)
def test_each_variant_changes_lines_that_are_there(change):
    source = (ROOT / change.file).read_text()
    found = adaptation.changed(source, change)
    assert found != source and change.instead in found
    compile(found, change.file, "exec")


def test_a_line_that_is_gone_is_named():
    with pytest.raises(ValueError, match=r"task\.py: has 'x = 1' 0 times"):
        adaptation.changed("x = 2\n", adaptation.Change("task.py", "x = 1", "x = 3"))


def test_a_variant_is_a_copy_of_the_project_made_once(tmp_path):
    change = CHANGES[0]
    adaptation.copy_project(tmp_path / "copy", [change])
    copied = (tmp_path / "copy" / change.file).read_text()
    assert copied == adaptation.changed((ROOT / change.file).read_text(), change)
    assert (tmp_path / "copy" / "train_rl.py").exists()
    (tmp_path / "copy" / "notes.txt").write_text("mine")
    adaptation.copy_project(tmp_path / "copy", [change])
    assert (tmp_path / "copy" / "notes.txt").read_text() == "mine"


def remove(folder: Path) -> None:
    (folder / "train_rl.py").unlink()


def change(folder: Path) -> None:
    (folder / "train_rl.py").write_text("other")


def add(folder: Path) -> None:
    (folder / "racing_env" / "gone.py").write_text("other")


def remove_all_but_a_run(folder: Path) -> None:
    folder.rename(folder.with_name("copy-0"))


@pytest.mark.parametrize("differ", [remove, change, add, remove_all_but_a_run])
def test_a_copy_of_other_code_is_not_taken_for_the_variant(differ, tmp_path):
    adaptation.copy_project(tmp_path / "copy", [])
    differ(tmp_path / "copy")
    with pytest.raises(InputError, match=r"copy/.*\.py: is not as the project has it now"):
        adaptation.copy_project(tmp_path / "copy", [])


def run_in_copy(name, tmp_path, script) -> None:
    copy = tmp_path / "copy"
    adaptation.copy_project(copy, adaptation.VARIANTS[name])
    write_below(copy, {k: v for p in PARITY for k, v in files_below(ROOT, p).items()})
    script = f"import sys; sys.path.insert(0, 'tests')\n{script}"
    environment = os.environ | {"PYTHONPATH": "", "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    subprocess.run([sys.executable, "-c", script], cwd=copy, env=environment, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ADAPTING)
def test_a_variant_is_judged_as_it_has_learnt(name, tmp_path):
    """Its kernels, in which it learns, do as its numpy does, with which it is judged; and what they
    pull back is the gradient of what they do.
    """
    run_in_copy(
        name,
        tmp_path,
        "from tests.simulation import test_adaptation as t\n"
        "t.test_kernels_do_as_numpy_does()\n"
        "t.test_gradient_under_conditions_is_the_difference_of_driving_again(True)\n",
    )


TOLD = """
import numpy as np
from racing_env.drivers.guessing import guesses
from racing_env.laps.evaluation import tell
from racing_env.simulation import adaptation as ad
from racing_env.simulation.adaptation_adjoint import truth
from tests.simulation import test_adaptation as t

start, adaptation = t.on_the_road(), t.guessing()
conditions = start.cars.conditions
truths = [[truth.py_func(adaptation, own, k) for k in range(ad.GUESSES)] for own in conditions]
parameters = t.driver_parameters(start.layout.size + ad.EXTRA_INPUTS)
driven = t.drive(start, parameters, t.NUMBERS, t.STEPS, adaptation=adaptation)
for step in range(t.STEPS):
    given = driven.tape.inputs[step, :, -2 * ad.GUESSES : -ad.GUESSES]
    np.testing.assert_allclose(given, truths, atol=0.02)
tell(adaptation, start)
np.testing.assert_allclose(guesses(start.memory)[0], truths, atol=0.002)
"""


@pytest.mark.slow
def test_who_is_told_the_conditions_guesses_them(tmp_path):
    """In the kernels and with numpy."""
    run_in_copy("told the conditions", tmp_path, TOLD)


def lap(row: str, ratio: float | None) -> dict[str, object]:
    return {"row": row, "finished": ratio is not None, "ratio": ratio}


def test_rows_are_judged_by_laps_finished_and_their_mean(tmp_path, monkeypatch):
    """What is there is not trained nor driven again."""
    monkeypatch.setattr(adaptation, "run_command", None)
    for seed in (0, 1):
        out = tmp_path / f"without-memory-{seed}"
        out.mkdir()
        (out / "summary.json").write_text(json.dumps({"wall_s": 90.0}))
        laps = [lap("nominal", 1.02), lap("friction=0.8", None), lap("5 draws", 1.04)]
        (out / "laps.json").write_text(json.dumps(laps))
    runs = [adaptation.ablate(tmp_path, "without memory", seed, adaptation.TINY) for seed in (0, 1)]
    assert runs[0]["all"] == {"finished": 2, "drives": 3, "ratio": pytest.approx(1.03)}
    assert runs[0]["minutes"] == 1.5
    row = adaptation.report({"without memory": runs}).splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "without memory", "1 / 1 of 1", "1.020 / 1.020", "1 / 1 of 1", "1.040 / 1.040",
        "2 / 2 of 3", "1.030 / 1.030",
    ]  # fmt: skip


def test_where_nothing_finishes_there_is_no_ratio():
    assert adaptation.judged([lap("nominal", None)])["ratio"] is None
