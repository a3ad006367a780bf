"""Freed memory: long runs use it again, windows give it back."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from annotator.core.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(48 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
keep_freed_memory()
np.ones(48 << 20, np.uint8)
print(given_back, faults())
"""


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc only")


def printed(program: str) -> list[int]:
    """The numbers a fresh process prints."""
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return [int(number) for number in answer.stdout.split()]


def test_large_arrays_reuse_their_pages() -> None:
    given_back, kept = printed(PROGRAM)
    assert kept < given_back / 4


GIVEN_BACK = """
import numpy as np
from annotator.core.memory import FreedMemory, resident

freed = FreedMemory()
freed.check()
freed.close()
blocks = [np.ones(100_000, np.uint8) for _ in range(1500)]
del blocks[::2]
kept = resident()
freed.check()
freed.close()
print(kept, resident())
"""


def test_freed_memory_is_given_back() -> None:
    kept, after = printed(GIVEN_BACK)
    assert after < kept - (60 << 20)
