"""Watching the COCO file ends for good."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from annotator.services import coco_watch
from annotator.services.coco_watch import CocoWatch
from annotator.services.document import Document


def test_a_change_told_late_does_not_begin_it_again(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco_watch, "QUIET_MS", 1)
    document = Document.open(tmp_path)
    watch = CocoWatch(document)
    (tmp_path / "annotations.json").write_text("{}", encoding="utf-8")
    watch.close()
    # The system's message is still on its way.
    qtbot.wait(100)
    assert watch._queue is None
    document.close()
