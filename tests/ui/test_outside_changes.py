"""The COCO file changed by another program is merged or kept beside; versions of it are kept."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from annotator.services import coco_backups
from annotator.services.coco_backups import back_up, versions
from annotator.services.workspace import Workspace
from annotator.ui.label_panel import LabelPanel
from annotator.ui.message_bar import MessageBar
from annotator.ui.outside_changes import DAMAGED, KEY, OutsideChanges
from tests.ui.panels import add, opened, square


@pytest.fixture
def workspace(tmp_path: Path, qtbot: QtBot) -> Iterator[Workspace]:
    with opened(tmp_path, qtbot) as found:
        yield found


@pytest.fixture
def messages(workspace: Workspace, qtbot: QtBot) -> Iterator[MessageBar]:
    bar = MessageBar()
    qtbot.addWidget(bar)
    parent = QObject()
    outside = OutsideChanges(workspace, bar, parent)
    assert workspace.document is not None
    outside._follow(workspace.document)
    workspace.reported.connect(outside.tell)
    yield bar
    outside.close()


def save(workspace: Workspace, qtbot: QtBot) -> Path:
    document = workspace.document
    assert document is not None
    document.save()
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)
    return document.coco_path


def change(path: Path, act: Any) -> None:
    """What another program does."""
    value = json.loads(path.read_text())
    act(value["annotations"])
    path.write_text(json.dumps(value))


def press(messages: MessageBar, text: str) -> None:
    banner = messages.banner(KEY)
    assert banner is not None
    next(b for b in banner.findChildren(QPushButton) if b.text() == text).click()


def moved(entries: list[Any]) -> None:
    """The first object is another box, and there is a new one."""
    entries[0] |= {"bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 4, 2, 4, 6, 1, 6]]}
    entries.append({**entries[1], "id": 99, "bbox": [60, 40, 5, 5],
                    "segmentation": [[60, 40, 65, 40, 65, 45, 60, 45]]})  # fmt: skip


def test_changes_of_another_program_are_merged_as_one_step(
    workspace: Workspace, messages: MessageBar, qtbot: QtBot
) -> None:
    document, key = workspace.document, workspace.key
    assert document is not None
    assert key is not None
    add(workspace, "cat", "dog", "cat")
    path = save(workspace, qtbot)
    change(path, moved)
    # Meanwhile somebody works on an object the other program left alone.
    state = document.annotations(key)
    mine = replace(state[2], shape=square(40, 30, 20))
    document.edit(key, (*state[:2], mine), "Brush")
    before = document.annotations(key)
    qtbot.waitUntil(lambda: messages.banner(KEY) is not None, timeout=10_000)
    press(messages, "Merge")
    qtbot.waitUntil(lambda: len(document.annotations(key)) == 4, timeout=10_000)
    after = {a.id: a for a in document.annotations(key)}
    assert after[before[2].id].shape == mine.shape, "the newer one stays"
    assert after[before[0].id].shape != before[0].shape
    assert after[before[1].id] == before[1]
    row = document.history.newest()
    assert row is not None
    assert row.kind == "import"
    with qtbot.waitSignal(document.history.finished):
        document.history.take_back(row.id)
    assert document.annotations(key) == before


def test_another_version_is_kept_beside_and_never_overwritten(
    workspace: Workspace, messages: MessageBar, qtbot: QtBot
) -> None:
    add(workspace, "cat", "dog")
    path = save(workspace, qtbot)
    change(path, moved)
    theirs = path.read_bytes()
    qtbot.waitUntil(lambda: messages.banner(KEY) is not None, timeout=10_000)
    messages.dismiss(KEY)
    add(workspace, "bird")
    save(workspace, qtbot)
    (kept,) = path.parent.glob("annotations (changed outside *).json")
    assert kept.read_bytes() == theirs
    qtbot.waitUntil(lambda: messages.banner(KEY) is not None)
    press(messages, "Merge")
    document, key = workspace.document, workspace.key
    assert document is not None
    assert key is not None
    qtbot.waitUntil(lambda: len(document.annotations(key)) == 4, timeout=10_000)


def test_versions_are_kept_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = tmp_path / "annotations.json", tmp_path / "backups"
    for number in range(12):
        file.write_text(str(number))
        # The clock jumps back now and then; the order stays.
        moment = 1e9 + (400 * number if number % 3 else -5000 * number)
        os.utime(file, (moment, moment))
        back_up(file, folder, 4)
        os.utime(versions(folder)[-1], (moment, moment))
    assert [path.read_text() for path in versions(folder)] == ["8", "9", "10", "11"]
    for number in range(100, 105):
        file.write_text(str(number))
        back_up(file, folder, 4)
    texts = [path.read_text() for path in versions(folder)]
    assert texts[-1] == "104", "the newest is always there"
    assert len(texts) <= 4
    assert "11" in texts, "those of a few minutes do not push the others out"
    back_up(file, folder, 0)
    assert versions(folder) == []
    monkeypatch.setattr(coco_backups, "LARGE", 1)
    back_up(file, folder, 4)
    file.write_text("large, and soon after")
    back_up(file, folder, 4)
    assert len(versions(folder)) == 1


def test_a_backup_that_fails_does_not_stop_saving(
    workspace: Workspace, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    heard: list[str] = []
    workspace.reported.connect(lambda error: heard.append(error.message))
    monkeypatch.setattr(coco_backups.shutil, "copyfile", fail)
    add(workspace, "cat")
    path = save(workspace, qtbot)
    add(workspace, "dog")
    save(workspace, qtbot)
    assert len(json.loads(path.read_text())["annotations"]) == 2
    qtbot.waitUntil(lambda: bool(heard))
    assert len(heard) == 1, "it is told once"
    assert "backups" in heard[0]


def test_renaming_a_class_into_another_merges_them_as_one_step(
    workspace: Workspace, qtbot: QtBot
) -> None:
    document, key = workspace.document, workspace.key
    assert document is not None
    assert key is not None
    add(workspace, "cat", "dog", "cat")
    cat, dog = document.categories()
    before = document.annotations(key)
    panel = LabelPanel(workspace)
    qtbot.addWidget(panel)
    panel._rename(cat.id, "dog")
    (box,) = panel.findChildren(QMessageBox)
    merge = next(b for b in box.buttons() if "Merge" in b.text())
    with qtbot.waitSignal(workspace.noticed) as told:
        merge.click()
    assert told.args == ["Merged “cat” into “dog” in 1 image."]
    assert document.categories() == (dog,)
    assert {a.category_id for a in document.annotations(key)} == {dog.id}
    folder = document.folder
    workspace.close_project()
    workspace.open_folder(folder)
    again = workspace.document
    assert again is not None
    row = again.history.newest()
    assert row is not None
    assert row.text == "Merge cat into dog"
    with qtbot.waitSignal(again.history.finished):
        again.history.take_back(row.id)
    assert again.categories() == (cat, dog)
    assert again.annotations(key) == before


def test_damage_that_does_not_keep_it_from_opening_is_found_and_repaired(
    workspace: Workspace, messages: MessageBar, qtbot: QtBot
) -> None:
    document, key = workspace.document, workspace.key
    assert document is not None
    assert key is not None
    add(workspace, "cat", "dog")
    document.flush()
    expected = document.annotations(key)
    outside = OutsideChanges(workspace, messages, workspace)
    outside.check()
    assert outside._check is not None
    outside._check._thread.join()
    assert messages.banner(DAMAGED) is None, "all is well"
    outside.close()
    db = sqlite3.connect(document.project_dir / "journal.sqlite")
    db.execute("UPDATE images SET count = 77")
    db.execute("DELETE FROM categories WHERE id = 1")
    db.commit()
    db.close()
    outside.check()
    qtbot.waitUntil(lambda: messages.banner(DAMAGED) is not None, timeout=10_000)
    banner = messages.banner(DAMAGED)
    assert banner is not None
    next(b for b in banner.findChildren(QPushButton) if b.text() == "Repair").click()
    qtbot.waitUntil(lambda: workspace.document not in (document, None))
    again = workspace.document
    assert again is not None
    found = tuple(replace(a, polygons=None) for a in again.annotations(key))
    assert found == expected
    assert again.record(key).count == 2
    assert len(again.categories()) == 2
    assert list(again.project_dir.glob("journal.damaged-*.sqlite"))
    outside.close()
