from __future__ import annotations

import sys
import threading

import pytest
from pytestqt.qtbot import QtBot

from annotator import bugs


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_errors_of_every_thread_are_told_and_logged(
    qtbot: QtBot, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (sys.excepthook, threading.excepthook)
    told: list[tuple[str, str]] = []
    handler = bugs.BugHandler(lambda summary, details: told.append((summary, details)))
    handler.install()
    try:
        thread = threading.Thread(target=lambda: [][1])  # type: ignore[index]
        thread.start()
        thread.join()
        sys.excepthook(ValueError, ValueError("boom"), None)
        qtbot.waitUntil(lambda: len(told) == 2)
    finally:
        handler.uninstall()
    assert told[0][0].startswith("IndexError")
    assert told[1][0] == "ValueError: boom"
    assert "IndexError" in bugs.log_path().read_text("utf-8")
    assert "boom" in capsys.readouterr().err
    assert (sys.excepthook, threading.excepthook) == before
