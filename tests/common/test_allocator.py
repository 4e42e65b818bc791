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


KEPT = """
import psutil
from racing_env.common.allocator import keep_freed_memory, return_freed_memory
keep_freed_memory()
blocks = [bytearray(b"x") * 4096 for _ in range(20000)]
del blocks
kept = psutil.Process().memory_info().rss
return_freed_memory()
print(kept - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_what_was_kept_can_be_given_back():
    given_back = int(subprocess.check_output([sys.executable, "-c", KEPT], cwd=ROOT))
    assert given_back > 40e6  # of eighty million bytes
