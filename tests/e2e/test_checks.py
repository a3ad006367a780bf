"""A person checks the folder, looks at what was found, and repairs it with a key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.services.document import Document
from tests.e2e.user import Start, User

Key = Qt.Key


@pytest.fixture
def speckled(folder: Path, qapp: object) -> Path:
    """Specks in two images, and an object without a name."""
    document = Document.open(folder)
    document.add_images(["img2.png", "img10.png", "night/img2.png"])
    disk = document.add_category("disk").id
    pixels = np.zeros((240, 320), bool)
    pixels[60:160, 40:120] = True
    clean = raster.from_array(pixels)
    pixels[200:203, 200:203] = True
    for key in ("img2.png", "img10.png"):
        mask = Annotation(document.new_id(), raster.from_array(pixels), disk)
        document.edit(key, (mask,), "Add")
    document.edit("night/img2.png", (Annotation(document.new_id(), clean),), "Add")
    document.close()
    return folder


def test_what_is_found_is_shown_and_repaired_as_one_step(start: Start, speckled: Path) -> None:
    def areas(user: User) -> list[int]:
        document = user.workspace.document
        keys = ("img2.png", "img10.png")
        return [raster.area(document.annotations(key)[0].shape) for key in keys]

    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        panel = user.window.inspecting.panel
        user.presses(Key.Key_F7)
        user.waits_for(lambda: not panel.run.running and len(panel.model.rows) == 3)
        assert [row.key for row in panel.model.rows] == ["img2.png", "img10.png", "night/img2.png"]
        table = panel.table
        table.selectRow(2)
        table.setFocus()
        QTest.keyClick(table, Key.Key_Return)
        user.waits_for_image("night/img2.png")
        user.waits_for(lambda: len(user.workspace.selection) == 1)
        table.setFocus()
        user.presses(Key.Key_F)
        user.waits_for(lambda: "1 without a name that leaves no doubt" in panel.state.text())
        assert len(panel.model.rows) == 3, "only a person knows the name"
        table.selectRow(0)
        user.presses(Key.Key_F)
        user.waits_for(lambda: len(panel.model.rows) == 2)
        assert areas(user) == [8000, 8009]
        panel.kind.setCurrentIndex(panel.kind.findData("specks"))
        panel.kind.activated.emit(panel.kind.currentIndex())
        QTest.mouseClick(panel.all_button, Qt.MouseButton.LeftButton)
        user.waits_for(lambda: areas(user) == [8000, 8000])
        user.waits_for(lambda: "1 repaired" in panel.state.text())
        QTest.mouseClick(panel.back_button, Qt.MouseButton.LeftButton)
        user.waits_for(lambda: areas(user) == [8000, 8009])
        QApplication.processEvents()

    assert start([str(speckled)], script) == 0


def test_a_query_in_the_filter_decides_what_is_listed_and_walked_through(
    start: Start, speckled: Path
) -> None:
    def script(user: User) -> None:
        images = user.window.image_list
        user.waits_for_image("img2.png")
        images.focus_filter()
        user.types("class:none")
        user.waits_for(lambda: images.visible_keys() == ["night/img2.png"])
        user.types(" area:")
        assert images.visible_keys() == ["night/img2.png"], "half a query changes nothing"
        assert "needs a value" in images._query.line.text()
        images.focus_filter()
        user.types("class:disk area:>8005")
        user.waits_for(lambda: images.visible_keys() == ["img2.png", "img10.png"])
        assert images._query.line.isHidden()
        user.presses(Key.Key_Return)
        user.window.canvas.setFocus()
        user.presses(Key.Key_D)
        user.waits_for_image("img10.png")
        document = user.workspace.document
        (mask,) = document.annotations("img10.png")
        document.edit("img10.png", (), "Delete")
        user.waits_for(lambda: images._found[1] == {"img2.png"})
        assert images.visible_keys() == ["img2.png", "img10.png"], "the image shown stays"
        user.presses(Key.Key_A)
        user.waits_for_image("img2.png")
        assert images.visible_keys() == ["img2.png"]
        document.undo("img10.png")
        user.waits_for(lambda: images.visible_keys() == ["img2.png", "img10.png"])
        assert mask in document.annotations("img10.png")
        images.set_filter("")
        assert len(images.visible_keys()) == 3

    assert start([str(speckled)], script) == 0


def test_fields_classes_and_states_are_offered_while_typing(start: Start, speckled: Path) -> None:
    def script(user: User) -> None:
        query = user.window.image_list._query
        user.workspace.document.add_category("big dog")
        assert query.offers("cla") == ["class:"]
        assert query.offers("class:d") == ["class:disk"]
        assert query.offers('x -class:disk,"b') == ['class:disk,"big dog"']
        assert query.offers("state:re") == ["state:reviewed", "state:rejected"]
        assert query.offers("im") == []
        query.show_help()
        assert query._help.isVisible()
        query._help.hide()

    assert start([str(speckled)], script) == 0
