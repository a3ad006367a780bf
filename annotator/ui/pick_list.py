"""The list of all objects at one place: small ones under large ones are chosen by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QMenu

if TYPE_CHECKING:
    from PySide6.QtCore import QPoint

    from annotator.ui.canvas import Canvas

MOST = 20
"""Longer lists are cut; what lies on top comes first."""


def open_pick_list(canvas: Canvas, ids: list[int], at: QPoint) -> QMenu | None:
    """Show the objects with these ids, topmost first; the one chosen is selected.

    Args:
        canvas: shows them; the one under the pointer in the list is pointed out.
        ids: objects of the current image.
        at: where, global position.

    Returns:
        The menu, None when there is nothing to choose from.
    """
    from annotator.core.shapes import area

    workspace = canvas.workspace
    known = {a.id: a for a in workspace.annotations}
    chosen = [known[number] for number in ids[:MOST] if number in known]
    if not chosen:
        workspace.noticed.emit("There is no object here.")
        return None
    menu = QMenu(canvas)
    menu.setAccessibleName("Objects here")
    for annotation in chosen:
        name = workspace.name_of(annotation.category_id)
        text = f"{name} · {area(annotation):,} pixels".replace("&", "&&")
        action = menu.addAction(_swatch(canvas.color_of(annotation.category_id)), text)
        action.setData(annotation.id)
        action.setCheckable(True)
        action.setChecked(annotation.id in workspace.selection)
    menu.hovered.connect(lambda action: canvas.highlight(action.data()))
    menu.triggered.connect(lambda action: workspace.select((action.data(),)))
    menu.aboutToHide.connect(lambda: canvas.highlight(None))
    menu.aboutToHide.connect(menu.deleteLater)
    menu.popup(at)
    menu.setActiveAction(menu.actions()[0])
    return menu


def _swatch(color: str) -> QIcon:
    picture = QPixmap(14, 14)
    picture.fill(QColor(color or "#808080"))
    return QIcon(picture)
