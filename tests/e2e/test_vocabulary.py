"""The vocabulary editor in the real window, by keyboard."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.ui.vocabulary_dialog import VocabularyDialog
from tests.e2e.user import CTRL, SHIFT, Start, User


def test_classes_are_edited_as_text(start: Start, folder: Path) -> None:
    reached: list[list[str]] = []

    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        document = user.workspace.document
        assert document is not None
        user.presses(Qt.Key.Key_L, CTRL | SHIFT)
        (dialog,) = user.window.findChildren(VocabularyDialog)
        user.waits_for(lambda: dialog.text.hasFocus())
        user.types("disk, circle")
        user.presses(Qt.Key.Key_Return)
        user.types("ball")
        user.presses(Qt.Key.Key_Return, CTRL)
        user.waits_for(lambda: not user.window.findChildren(VocabularyDialog))
        assert [(c.name, c.synonyms) for c in document.categories()] == [
            ("disk", ("circle",)),
            ("ball", ()),
        ]
        rows = user.window.label_panel.classes.model_.rows
        reached.append([row.name for row in rows])
        # The button at the list opens the same editor, with the classes as they are.
        button = user.window.label_panel.edit_button
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        (dialog,) = user.window.findChildren(VocabularyDialog)
        assert dialog.text.toPlainText() == "disk, circle\nball"
        QTest.keyClick(dialog, Qt.Key.Key_Escape)
        user.waits_for(lambda: not user.window.findChildren(VocabularyDialog))

    assert start([str(folder)], script) == 0
    assert reached == [["disk", "ball"]]
