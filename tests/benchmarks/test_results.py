"""What is committed of results."""

import re

import pytest

from benchmarks.measuring import RESULTS

FILES = sorted(RESULTS.rglob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(RESULTS)) for path in FILES])
def test_no_result_names_a_folder_of_one_machine(path):
    """Its command is to be run anywhere, and its drivers and circuits are named by the checkout."""
    assert not re.findall(r'(?:^|[" =])/\w+/[^" ]*', path.read_text())
