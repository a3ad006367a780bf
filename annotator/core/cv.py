"""The one place that imports OpenCV: `from annotator.core.cv import cv2`.

opencv-python brings its own Qt 5 and, when imported on Linux, points `QT_QPA_PLATFORM_PLUGIN_PATH`
and `QT_QPA_FONTDIR` at it. A PySide6 application started afterwards, in this process or in a child
process, then looks for its platform plugin there and aborts. This module puts both back.
"""

from __future__ import annotations

import os
from pathlib import Path

_QT_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
_before = {name: os.environ.get(name) for name in _QT_VARIABLES}

import cv2  # noqa: E402 - the environment is remembered before, not after


def _restore_environment() -> None:
    """Undo what the import did; also when somebody else imported cv2 first."""
    own = str(Path(cv2.__file__).parent)
    for name in _QT_VARIABLES:
        if not os.environ.get(name, "").startswith(own):
            continue
        value = _before[name]
        if value is None or value.startswith(own):
            del os.environ[name]
        else:
            os.environ[name] = value


_restore_environment()

__all__ = ["cv2"]
