"""Programs in a copy of the project."""

import pytest

from racing_env.common.project_jobs import files_below, run_program, set_project, write_below

PROGRAM = """
import sys
from pathlib import Path
from part.module import WORD
Path("results/deep").mkdir(parents=True)
Path("results/deep/file").write_text(WORD + sys.argv[1])
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "part" / "__pycache__").mkdir(parents=True)
    (tmp_path / "part" / "module.py").write_text("WORD = 'hello '")
    (tmp_path / "part" / "__pycache__" / "module.pyc").write_bytes(b"")
    (tmp_path / "program.py").write_text(PROGRAM)
    return files_below(tmp_path)


def test_files_are_those_of_the_folder(project, tmp_path):
    assert project.keys() == {"program.py", "part/module.py"}
    write_below(tmp_path / "copy", project)
    assert files_below(tmp_path / "copy") == project
    assert files_below(tmp_path / "copy", "*.py").keys() == {"program.py"}


def test_what_a_program_writes_comes_back(project):
    set_project(project)
    assert run_program(["program.py", "you"]) == {"deep/file": b"hello you"}


def test_a_program_that_fails_says_why(project):
    set_project(project)
    with pytest.raises(ChildProcessError, match=r"exit code 1: .*IndexError"):
        run_program(["-c", "[][1]"])
