"""The room embeddings take: shown, bounded and cleared in the settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from annotator.services.cache_keeper import GB
from annotator.ui.cache_row import CacheRow
from models import embedding_cache
from models.api import Embedding
from models.embedding_cache import DISK_BYTES, DiskCache, EmbeddingKey


@pytest.fixture
def row(qtbot: QtBot) -> CacheRow:
    made = CacheRow()
    qtbot.addWidget(made)
    return made


def fill(count: int, nbytes: int = 100_000) -> list[EmbeddingKey]:
    keys = [EmbeddingKey(str(number), "m", "1") for number in range(count)]
    for key in keys:
        made = Embedding("m", 4, 4, {"image": np.zeros(nbytes, np.uint8)})
        assert DiskCache().put(key, made)
    return keys


def show(qtbot: QtBot, row: CacheRow) -> None:
    with qtbot.waitSignal(row._keeper.measured):
        row.show()


def test_it_says_how_much_is_in_use_and_clears_it(qtbot: QtBot, row: CacheRow) -> None:
    keys = fill(3)
    show(qtbot, row)
    assert row.text.startswith("301 kB in use.")
    assert row.limit.value() == round(DISK_BYTES / GB)
    with qtbot.waitSignal(row._keeper.measured):
        qtbot.mouseClick(row.clear_button, Qt.MouseButton.LeftButton)
    assert row.text.startswith("0 B in use.")
    assert not row.clear_button.isEnabled()
    assert not any(DiskCache().contains(key) for key in keys)


def test_a_new_limit_holds_for_all_programs_and_deletes_what_is_too_much(
    qtbot: QtBot, row: CacheRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotator.services.cache_keeper.GB", 100_000)
    monkeypatch.setattr("annotator.ui.cache_row.GB", 100_000)
    keys = fill(5)
    show(qtbot, row)
    with qtbot.waitSignal(row._keeper.measured):
        row.limit.setValue(3)
    assert DiskCache().max_bytes == 300_000
    assert sum(bool(DiskCache().contains(key)) for key in keys) == 2
    assert row.limit.value() == 3


def test_a_limit_typed_last_holds_when_the_page_is_left(qtbot: QtBot, row: CacheRow) -> None:
    show(qtbot, row)
    row.limit.setValue(7)
    row.hide()
    assert DiskCache().max_bytes == 7 * GB
    show(qtbot, row)
    assert row.limit.value() == 7


def test_a_small_disk_is_told(qtbot: QtBot, row: CacheRow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_cache, "DISK_SHARE", 1e-9)
    show(qtbot, row)
    assert "The disk has room for" in row.text


def test_a_folder_that_cannot_be_written_is_told(
    qtbot: QtBot, row: CacheRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(embedding_cache, "default_folder", lambda: file)
    show(qtbot, row)
    row.limit.setValue(5)
    row.hide()
    assert "cannot be written" in row.text
