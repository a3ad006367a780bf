"""Background threads and processes that give way."""

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
        thread = threading.get_native_id()
        # Going back up from a lower priority, which the whole program may have, is not permitted.
        if os.getpriority(os.PRIO_PROCESS, thread) < _NICENESS:
            os.setpriority(os.PRIO_PROCESS, thread, _NICENESS)


def give_way() -> None:
    """Let this whole process give way; to be called before it starts threads."""
    if sys.platform == "linux":
        lower_priority()  # threads inherit it
    elif sys.platform == "win32":
        import ctypes

        below_normal = 0x4000
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), below_normal)
    else:
        os.nice(_NICENESS)
