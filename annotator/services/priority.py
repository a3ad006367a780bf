"""Background threads that give way."""

from __future__ import annotations

import os
import sys
import threading

_NICENESS = 10


def lower_priority() -> None:
    """Let the calling thread give way to all others, for as long as it lives (Linux only).

    Linux schedules each thread by its own niceness; elsewhere niceness belongs to the process,
    which must not give way.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
