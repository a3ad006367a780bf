"""How many processors a network gets, and which."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


def thread_count() -> int:
    """Threads for one network: all cores of a small machine, the real ones of a large one.

    Never more than OMP_NUM_THREADS, by which Ray and batch systems say how many cores are ours.
    """
    told = os.environ.get("OMP_NUM_THREADS", "")
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    threads = cores if cores <= 4 else min(8, max(4, cores // 2))
    return min(threads, int(told)) if told.isdecimal() and int(told) else threads


_SHARERS: ContextVar[int] = ContextVar("sharers", default=1)


@contextmanager
def shared(count: int) -> Iterator[None]:
    """Networks opened inside are run by so many threads at once, which share the processors."""
    token = _SHARERS.set(count)
    try:
        yield
    finally:
        _SHARERS.reset(token)


def sharers() -> int:
    """How many threads run a network that is being opened at once."""
    return _SHARERS.get()


def threads_each() -> int:
    """Threads for one run of a network that is being opened."""
    return max(1, thread_count() // sharers())


def gives_way() -> bool:
    """Whether the calling thread has a lower priority than the program (Linux only)."""
    if sys.platform != "linux":
        return False
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    return own > os.getpriority(os.PRIO_PROCESS, os.getpid())


@dataclass(frozen=True, slots=True)
class Division:
    """Which processors a network's threads keep to while it answers.

    Attributes:
        asking: of the thread that asks.
        helping: of the threads that help it.
    """

    asking: frozenset[int]
    helping: frozenset[int]


@functools.cache
def division() -> Division | None:
    """Processors for short work, by number; None: the system knows best.

    A virtual machine under Linux needs it: there an idle processor that the host has put to sleep
    counts as taken, so helpers wake up on the processor of the thread that woke them and wait for
    it, until the load is balanced some milliseconds later. A click is answered by then.
    """
    if sys.platform != "linux" or not _virtual():
        return None
    every = sorted(os.sched_getaffinity(0))
    helpers = thread_count() - 1
    if helpers < 1 or len(every) <= helpers:
        return None
    return Division(frozenset(every[:-helpers]), frozenset(every[-helpers:]))


def _virtual() -> bool:
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        return any(
            line.startswith("flags") and "hypervisor" in line.split() for line in text.splitlines()
        )
    return False


@contextmanager
def apart() -> Iterator[None]:
    """Meanwhile the calling thread leaves the processors of its helpers alone."""
    parts = division()
    if parts is None:
        yield
        return
    before = os.sched_getaffinity(0)
    # Processors can be taken away from a program at any time.
    with suppress(OSError):
        os.sched_setaffinity(0, parts.asking)
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)
