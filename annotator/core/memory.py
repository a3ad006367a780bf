"""Freed memory: to keep it makes long runs fast, to give it back keeps a window small."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt` (malloc.h)."""
KEPT = 512 << 20
LARGEST = 1 << 30
GROWN = 48 << 20
"""Bytes more than at the last time from which on it pays to look for freed memory."""
LONG, BUSY = 3.0, 0.5
"""Seconds since the last time, and of processor time in them, after which it pays, too."""


def keep_freed_memory() -> None:
    """Have glibc use freed memory again for images and activations, rather than give it back.

    By default every array of more than 32 MiB is mapped anew and its pages are cleared: a sixth of
    the processor time of an encoder, a third of decoding 12 megapixels. Costs about 70 MB; does
    nothing where there is no glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, KEPT)


class FreedMemory:
    """Gives freed memory back to the system.

    What a model and pictures free lies between what is still in use, and glibc keeps it: a third
    of what a window holds after some images. Does nothing where there is no glibc.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(libc, "malloc_trim", None)
        self._least = 0
        self._looked = self._worked = 0.0
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """Give it back if there may be some: takes some milliseconds of a thread of its own."""
        if self._trim is None or (self._thread is not None and self._thread.is_alive()):
            return
        held, now, worked = resident(), time.monotonic(), time.process_time()
        self._least = min(self._least, held)
        has_worked = now > self._looked + LONG and worked > self._worked + BUSY
        if held > self._least + GROWN or has_worked:
            self._looked, self._worked = now, worked
            self._thread = threading.Thread(target=self._give_back, name="memory", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    def _give_back(self) -> None:
        assert self._trim is not None
        self._trim(0)
        self._least = resident()


def resident() -> int:
    """Bytes of memory this process holds (Linux only)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
