import ast
import re

from processes import ROOT, run, run_module

EXAMPLE = ROOT / "examples" / "gymnasium_only.py"


def test_the_example_laps_its_circuit():
    done = run_module("examples.gymnasium_only")
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"random-7-0: lap (\d+\.\d) s, 100% of a lap\n", done.stdout)
    assert found and 100.0 < float(found[1]) < 200.0


def test_it_needs_nothing_but_gymnasium_and_numpy():
    tree = ast.parse(EXAMPLE.read_text())
    names = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    assert names == {"gymnasium", "numpy", "racing_env"}
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert len(EXAMPLE.read_text().splitlines()) <= 22


def test_an_algorithm_of_sb3_drives_many_cars_and_its_file_laps(tmp_path):
    learning = run_module("examples.many_cars", 65536, cwd=tmp_path)
    assert learning.returncode == 0, learning.stderr
    done = run("evaluate.py", "--driver", "many_cars.safetensors", "--track", "oval", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "many_cars" in done.stdout and "oval" in done.stdout
