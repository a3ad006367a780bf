"""What an edited vocabulary would change, and what is odd about it, as a short list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QWidget

from annotator.core.vocabulary import Finding
from annotator.core.vocabulary_plan import Plan
from annotator.ui.icons import icon

SHOWN = 100
"""Rows of one kind at most; a number stands for the others."""

_LINE = Qt.ItemDataRole.UserRole

Row = tuple[str, str, int]
"""Drawing, text and line (0: none)."""


class PlanList(QListWidget):
    """Errors first, then what the user should know, then what changes."""

    line_chosen = Signal(int)
    """The user wants to see this line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("What will change")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setWordWrap(True)
        side = self.fontMetrics().height()
        self.setIconSize(QSize(side, side))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemActivated.connect(self._choose)
        self.itemClicked.connect(self._choose)

    def show_plan(self, plan: Plan, findings: Sequence[Finding]) -> None:
        """Show what a text means."""
        self.clear()
        for drawing, text, line in _rows(plan, findings):
            item = QListWidgetItem(icon(drawing), text)
            item.setData(_LINE, line)
            item.setToolTip(f"Go to line {line:,}" if line else "")
            self.addItem(item)

    def texts(self) -> list[str]:
        """What is shown."""
        return [self.item(row).text() for row in range(self.count())]

    def _choose(self, item: QListWidgetItem) -> None:
        if line := item.data(_LINE):
            self.line_chosen.emit(line)


def _rows(plan: Plan, findings: Sequence[Finding]) -> Iterator[Row]:
    lines = {category.name: line for line, category in plan.by_line.items()}
    yield from _few(("error", f"Line {f.line:,}: {f.text}", f.line) for f in findings if f.is_error)
    yield from _few(("lock", f"“{name}” stays: {why}", 0) for name, why in plan.kept)
    yield from _few(
        ("warning", f"Line {f.line:,}: {f.text}", f.line) for f in findings if not f.is_error
    )
    yield from _few(("pencil", f"{old} → {new}", lines.get(new, 0)) for old, new in plan.renamed)
    yield from _few(("trash", f"“{name}” goes", 0) for name in plan.removed)
    yield from _few(("plus", name, lines.get(name, 0)) for name in plan.added)
    yield from _few(("adjust", f"“{name}” changes", lines.get(name, 0)) for name in plan.changed)


def _few(rows: Iterable[Row]) -> Iterator[Row]:
    every = list(rows)
    yield from every[:SHOWN]
    if len(every) > SHOWN:
        yield (every[0][0], f"and {len(every) - SHOWN:,} more", 0)
