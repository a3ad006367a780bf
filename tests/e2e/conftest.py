from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from tests.e2e.user import Start, draw_disks, starter

RED, BLUE, GREEN = (200, 40, 40), (40, 60, 200), (40, 170, 60)


@pytest.fixture
def start(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Start:
    return starter(qtbot, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, two of them with the same name in different folders."""
    images = tmp_path / "photos ✿"
    draw_disks(images / "img2.png", [(80, 120, 40, RED), (220, 120, 50, BLUE)])
    draw_disks(images / "img10.png", [(160, 120, 60, GREEN)])
    draw_disks(images / "night" / "img2.png", [(100, 100, 45, BLUE)])
    return images
