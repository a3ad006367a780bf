"""A person goes through images and objects and says what they think of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QInputDialog, QLineEdit

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageState, Status
from annotator.services.document import Document
from models.api import Box
from tests.e2e.user import CTRL, SHIFT, Start, User

Key = Qt.Key


@pytest.fixture
def named(folder: Path, qapp: object) -> Path:
    """Two of three images have objects."""
    document = Document.open(folder)
    document.add_images(["img2.png", "img10.png", "night/img2.png"])
    disk = document.add_category("disk").id
    for key in ("img2.png", "night/img2.png"):
        shapes = [raster.from_box(Box(x, 60, x + 90, 160), 320, 240) for x in (20, 180)]
        made = tuple(Annotation(document.new_id(), shape, disk) for shape in shapes)
        document.edit(key, made, "Add")
    document.close()
    return folder


def comments(user: User, text: str) -> None:
    user.presses(Key.Key_M, CTRL)
    dialog = user.window.findChildren(QInputDialog)[-1]
    line = dialog.findChild(QLineEdit)
    line.setText(text)
    QTest.keyClick(line, Key.Key_Return)
    user.waits_for(lambda: not dialog.isVisible())
    user.window.activateWindow()
    user.waits_for(lambda: QApplication.activeWindow() is user.window)


def test_keys_give_images_a_status_and_lead_to_the_next_one_to_review(
    start: Start, named: Path
) -> None:
    def script(user: User) -> None:
        workspace = user.workspace
        document = workspace.document
        user.waits_for_image("img2.png")
        user.presses(Key.Key_M, SHIFT)
        assert document.record("img2.png").state is ImageState.LOOK
        assert user.window.actions_by_id["review.image_look"].isChecked()
        user.presses(Key.Key_D, CTRL | SHIFT)
        user.waits_for_image("night/img2.png")
        user.presses(Key.Key_M)
        assert document.record("night/img2.png").state is ImageState.REVIEWED
        workspace.show("img10.png")
        user.presses(Key.Key_M, CTRL | SHIFT)
        comments(user, "blurred")
        record = document.record("img10.png")
        assert (record.state, record.comment) == (ImageState.REJECTED, "blurred")
        user.presses(Key.Key_M, CTRL | SHIFT)
        assert document.record("img10.png").state is ImageState.UNTOUCHED
        user.presses(Key.Key_M, CTRL | SHIFT)
        label = user.window.image_list._progress._label
        assert label.text() == "2 of 2 annotated · 1 reviewed · 1 to look at again · 1 rejected"
        images = {i["file_name"]: i for i in json.loads(user.saves().read_text())["images"]}
        assert images["img2.png"]["annotator"] == {"status": "look"}
        assert images["night/img2.png"]["annotator"] == {"reviewed": True}
        assert images["img10.png"]["annotator"] == {"status": "rejected", "comment": "blurred"}

    assert start([str(named)], script) == 0
    document = Document.open(named)
    assert document.record("img10.png").status is Status.REJECTED
    assert document.record("img10.png").comment == "blurred"
    document.close()


def test_objects_have_a_status_and_a_comment_that_can_be_undone(start: Start, named: Path) -> None:
    def script(user: User) -> None:
        workspace = user.workspace
        user.waits_for_image("img2.png")
        user.presses(Key.Key_Period)
        user.presses(Key.Key_Y)
        assert [a.status for a in workspace.annotations] == [Status.DONE, Status.TODO]
        comments(user, "a bit large")
        user.presses(Key.Key_Y, CTRL | SHIFT)
        (first, _) = workspace.annotations
        assert (first.status, first.comment) == (Status.REJECTED, "a bit large")
        entry = json.loads(user.saves().read_text())["annotations"][0]
        assert entry["annotator"]["status"] == "rejected"
        assert entry["annotator"]["comment"] == "a bit large"
        for _ in range(3):
            user.presses(Key.Key_Z, CTRL)
        assert [(a.status, a.comment) for a in workspace.annotations] == [(Status.TODO, "")] * 2

    assert start([str(named)], script) == 0
