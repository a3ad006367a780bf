"""`NumberedText`: plain text with line numbers that remembers what every line was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPalette, QResizeEvent, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from annotator.ui.rows import GAP, paint_ring, paint_swatch
from annotator.ui.theme import level_color, mixed, soft_text

Key = int | None
"""What a line is about; None for nothing known."""


class NumberedText(QPlainTextEdit):
    """Lines with numbers, swatches and marks beside them; nothing is made per line.

    Every line may have a key. It stays with its line while the user types in it, and other lines
    come and go around it.

    Args:
        parent: Qt parent.
        swatches: leave room for colours.
    """

    def __init__(self, parent: QWidget | None = None, *, swatches: bool = False) -> None:
        super().__init__(parent)
        self._with_swatches = swatches
        self._keys: list[Key] = [None]
        self._levels: Mapping[int, str] = {}
        self._colors: Mapping[int, str] = {}
        self._margin = _Margin(self)
        self.setTabChangesFocus(True)
        self.document().contentsChange.connect(self._follow_lines)
        self.blockCountChanged.connect(self._fit_margin)
        self.updateRequest.connect(self._scroll_margin)
        self.cursorPositionChanged.connect(self._margin.update)
        self._fit_margin()

    # --- Lines ---

    @property
    def line(self) -> int:
        """The line of the cursor, from 1."""
        return self.textCursor().blockNumber() + 1

    def go_to(self, line: int) -> None:
        """Put the cursor at the beginning of a line, in the middle of the view."""
        self.setTextCursor(QTextCursor(self.document().findBlockByNumber(line - 1)))
        self.centerCursor()
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def key_at(self, line: int) -> Key:
        """What a line is about."""
        return self._keys[line - 1]

    def set_key(self, line: int, key: Key) -> None:
        """Say what a line is about."""
        self._keys[line - 1] = key

    def keys(self) -> dict[int, int]:
        """Lines with a key."""
        return {line: key for line, key in enumerate(self._keys, 1) if key is not None}

    def rewrite(self, text: str) -> None:
        """Show another text with as many lines, which keep their keys; undo takes it back."""
        self.replace_text(text, list(self._keys))

    def load(self, text: str, keys: Sequence[Key]) -> None:
        """Show another text, without a way back; one key for each line."""
        self.setPlainText(text)
        self._set_keys(0, keys)

    def append_lines(self, text: str, keys: Sequence[Key]) -> None:
        """Add lines at the end, as one step the user can undo; one key for each line."""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        if not cursor.atBlockStart():
            cursor.insertBlock()
        first = cursor.blockNumber()
        cursor.insertText(text)
        cursor.endEditBlock()
        self._set_keys(first, keys)

    def replace_text(self, text: str, keys: Sequence[Key]) -> None:
        """Show another text, as one step the user can undo; one key for each line."""
        cursor = QTextCursor(self.document())
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.insertText(text)
        self._set_keys(0, keys)

    def _set_keys(self, first: int, keys: Sequence[Key]) -> None:
        self._keys[first : first + len(keys)] = keys

    def _follow_lines(self, position: int, _removed: int, _added: int) -> None:
        """Keep keys beside their lines when lines come or go."""
        more = self.blockCount() - len(self._keys)
        if not more:
            return
        block = self.document().findBlock(position)
        # What begins or ends at the very beginning of a line leaves the rest of it alone.
        place = block.blockNumber() + (position != block.position())
        if more > 0:
            self._keys[place:place] = [None] * more
        else:
            place = min(place, len(self._keys) + more)
            del self._keys[place : place - more]

    # --- The margin ---

    def mark(self, levels: Mapping[int, str], colors: Mapping[int, str]) -> None:
        """Show marks and colours beside the lines.

        Args:
            levels: line to "error" or "warning".
            colors: line to "#rrggbb", or to "" for a colour that is not known yet.
        """
        self._levels, self._colors = levels, colors
        self._margin.update()

    def margin_width(self) -> int:
        """Room for numbers and swatches, device-independent pixels."""
        metrics = self.fontMetrics()
        digits = max(len(str(self.blockCount())), 2)
        width = metrics.horizontalAdvance("9") * digits + 2 * GAP
        return width + (_side(metrics) + GAP if self._with_swatches else 0)

    def paint_margin(self, event: QPaintEvent) -> None:
        """Numbers, marks and colours of the lines in view."""
        painter = QPainter(self._margin)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        base = palette.color(QPalette.ColorRole.Base)
        painter.fillRect(event.rect(), mixed(palette.color(QPalette.ColorRole.Window), base, 0.6))
        block = self.firstVisibleBlock()
        top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
        while block.isValid() and top <= event.rect().bottom():
            height = self.blockBoundingRect(block).height()
            if top + height >= event.rect().top():
                self._paint_line(painter, block.blockNumber() + 1, round(top))
            top += height
            block = block.next()
        painter.end()

    def _paint_line(self, painter: QPainter, line: int, top: int) -> None:
        palette, metrics = self.palette(), self.fontMetrics()
        side = _side(metrics)
        right = self._margin.width() - GAP - (side + GAP if self._with_swatches else 0)
        level = self._levels.get(line, "")
        if level:
            color = level_color(palette, level)
            painter.fillRect(0, top, 3, metrics.lineSpacing(), color)
        else:
            color = soft_text(palette)
            if line == self.line:
                color = palette.color(QPalette.ColorRole.Text)
        painter.setPen(color)
        area = QRect(0, top, right, metrics.lineSpacing())
        painter.drawText(area, int(Qt.AlignmentFlag.AlignRight), str(line))
        if self._with_swatches and line in self._colors:
            middle = top + (metrics.lineSpacing() - side) // 2
            swatch = QRect(right + GAP, middle, side, side)
            if color_name := self._colors[line]:
                paint_swatch(painter, swatch, color_name, palette)
            else:
                paint_ring(painter, swatch, soft_text(palette).name(), palette)

    def _fit_margin(self, _count: int = 0) -> None:
        self.setViewportMargins(self.margin_width(), 0, 0, 0)
        self._place_margin()

    def _place_margin(self) -> None:
        area = self.contentsRect()
        self._margin.setGeometry(area.left(), area.top(), self.margin_width(), area.height())

    def _scroll_margin(self, area: QRect, pixels: int) -> None:
        if pixels:
            self._margin.scroll(0, pixels)
        else:
            self._margin.update(0, area.y(), self._margin.width(), area.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the margin beside the text."""
        super().resizeEvent(event)
        self._place_margin()


def _side(metrics: QFontMetrics) -> int:
    return min(metrics.height() - 4, 14)


class _Margin(QWidget):
    """Where the numbers are."""

    def __init__(self, text: NumberedText) -> None:
        super().__init__(text)
        self._text = text

    def sizeHint(self) -> QSize:
        """As wide as the numbers."""
        return QSize(self._text.margin_width(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The text knows its lines."""
        self._text.paint_margin(event)
