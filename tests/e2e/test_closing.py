"""Closing the window while the model works: at once, and nothing accepted is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from annotator.core.annotation import Source
from annotator.services.document import Document

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys, threading, time
from dataclasses import replace
sys.path.insert(0, {root!r})
from PySide6.QtCore import QTimer
from annotator import app
from annotator.services.settings import SettingsStore
from models import registry
from models.api import Box

encoding = threading.Event()

class Slow:
    def encode(self, image):
        encoding.set()
        threading.Event().wait(600)

Slow.spec = replace(registry.segmenters()["basic"], id="slow", load=Slow)
known = {{**registry.segmenters(), "slow": Slow.spec}}
registry.segmenters = lambda: known
store = SettingsStore()
store.update(model="slow")
store.save()
make, windows = app.make_window, []
app.make_window = lambda application: windows.append(make(application)) or windows[-1]

def act():
    if windows and windows[-1].started and encoding.is_set():
        window = windows[-1]
        timer.stop()
        window.workspace.add_shape(Box(10, 10, 60, 50))
        open({closed!r}, "w").write(str(time.time()))
        window.close()

application = app.make_application()
timer = QTimer()
timer.timeout.connect(act)
timer.start(10)
sys.argv = ["annotator", {folder!r}]
sys.exit(app.main())
"""


def test_the_window_closes_while_an_image_is_encoded(folder: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    code = SCRIPT.format(root=str(ROOT), folder=str(folder), closed=str(closed))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    took = time.time() - float(closed.read_text())
    assert done.returncode == 0, done.stderr
    assert took < 10
    document = Document.open(folder)
    (annotation,) = (a for key in document.keys() for a in document.annotations(key))  # noqa: SIM118
    document.close()
    assert annotation.origin.source is Source.PERSON
