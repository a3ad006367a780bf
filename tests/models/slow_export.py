"""An export that never ends by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

PROGRAM = "an_export_without_end"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the program where `python -m` finds it.

    Returns:
        A file that appears when it runs; the number of its process is in it.
    """
    begun = folder / "begun"
    code = (
        "import os, pathlib, time\n"
        f"new = pathlib.Path({str(begun)!r} + '.new')\n"
        "new.write_text(str(os.getpid()))\n"
        f"new.rename({str(begun)!r})\n"
        "time.sleep(600)\n"
    )
    (folder / f"{PROGRAM}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return begun
