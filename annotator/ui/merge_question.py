"""A class gets the name of another one: shall they become one class?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from annotator.core.vocabulary import clean_name

if TYPE_CHECKING:
    from annotator.services.workspace import Workspace


def namesake(workspace: Workspace, category_id: int, name: str) -> int | None:
    """Another class with this name."""
    document, name = workspace.document, clean_name(name)
    for category in document.categories() if document is not None else ():
        if category.id != category_id and clean_name(category.name) == name:
            return category.id
    return None


def ask_merge(workspace: Workspace, old: int, new: int, parent: QWidget) -> QMessageBox | None:
    """Ask, and merge the first class into the second if that is wanted; the open question."""
    document = workspace.document
    if document is None:
        return None
    names = document.category(old).name, document.category(new).name
    users = document.category_users(old) or "no objects"
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Merge classes")
    box.setText("There is already a class “{1}”. Merge “{0}” into it?".format(*names))
    box.setInformativeText(
        f"“{names[0]}” has {users}. In the whole project they become “{names[1]}”, as one step that"
        " can be undone."
    )
    merge = box.addButton("&Merge", QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    merge.clicked.connect(lambda: merge_classes(workspace, old, new))
    box.open()
    return box


def merge_classes(workspace: Workspace, old: int, new: int) -> None:
    """Merge the first class into the second, and say so."""
    from annotator.services.class_merging import ClassMerging

    document = workspace.document
    if document is None:
        return
    names = document.category(old).name, document.category(new).name
    merging = ClassMerging(document)

    def end(images: int) -> None:
        count = f"{images:,} image" if images == 1 else f"{images:,} images"
        workspace.noticed.emit(f"Merged “{names[0]}” into “{names[1]}” in {count}.")
        leave()

    def leave() -> None:
        workspace.project_closing.disconnect(leave)
        merging.close()
        merging.deleteLater()

    merging.finished.connect(end)
    merging.failed.connect(workspace.reported)
    merging.failed.connect(lambda _: leave())
    workspace.project_closing.connect(leave)
    if workspace.active_category == old:
        workspace.set_active_category(new)
    merging.merge(old, new)
