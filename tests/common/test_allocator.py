import platform
import subprocess
import sys

import pytest
from processes import ROOT

# Prints how many pages came anew from the system while memory was taken and freed again and again.
FAULTS = """
import resource, sys
from racing_env.common.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for round in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"x" * (20 << 20) for _ in range(4)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again():
    faults = [
        int(subprocess.check_output([sys.executable, "-c", FAULTS, how], cwd=ROOT))
        for how in ("keep", "return")
    ]
    assert faults[0] < 0.1 * faults[1]
