"""`CommandPalette`: type what you want to do, to use, or to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QAction, QFont, QKeyEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from annotator.actions import plain
from annotator.menus import COMMANDS
from annotator.menus.command import CONDITIONS, Command
from annotator.ui import icons, keycaps
from annotator.ui.theme import soft_text

Span = tuple[int, int]
SHOWN = 60
"""Rows offered at most."""
FROM_SOURCE = 12
"""Rows of one source among the commands."""
MANY = 4000
"""A source larger than this is searched for exact parts of names only."""
RECENT = 8


@dataclass(frozen=True, slots=True)
class Source:
    """Things other than commands that can be chosen by name.

    Attributes:
        id: for `CommandPalette.open`, for example "images".
        title: what one of them is called, for example "Image".
        names: called when the palette opens; cheap.
        choose: called with the chosen name.
        icon: name of a drawing.
    """

    id: str
    title: str
    names: Callable[[], Sequence[str]]
    choose: Callable[[str], None]
    icon: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list.

    Attributes:
        text: what is matched and shown.
        detail: where it belongs, or why it cannot be used now.
        run: what choosing it does.
        icon: name of a drawing, or "".
        keys: key sequences in portable text.
        enabled: whether it can be chosen.
        spans: characters to emphasise.
        id: command id, "" for names of a source.
    """

    text: str
    detail: str
    run: Callable[[], None]
    icon: str = ""
    keys: tuple[str, ...] = ()
    enabled: bool = True
    spans: tuple[Span, ...] = ()
    id: str = ""


class CommandPalette(QFrame):
    """A sheet at the top of the window with a search field and a list.

    Args:
        window: the sheet lies on it; it is hidden until `open`.
        actions: command id to action.
        sources: classes, images and so on.
    """

    def __init__(
        self, window: QWidget, actions: Mapping[str, QAction], sources: Sequence[Source] = ()
    ) -> None:
        super().__init__(window)
        self._window = window
        self._actions = actions
        self._sources = tuple(sources)
        self._only = ""
        self._names: dict[str, Sequence[str]] = {}
        self._recent: list[str] = []
        self._before: QWidget | None = None
        self.search = QLineEdit(self)
        self.search.setFrame(False)
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search commands")
        self.search.textChanged.connect(self._find)
        self.search.installEventFilter(self)
        self.rows = _Rows(self)
        self.list = QListView(self)
        self.list.setModel(self.rows)
        self.list.setItemDelegate(_RowPainter(self.list))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName("Results")
        self.list.clicked.connect(lambda index: self.choose(index.row()))
        self._empty = QLabel("Nothing fits.", self)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setContentsMargins(0, 12, 0, 12)
        self._build()
        self.hide()

    def _build(self) -> None:
        font = self.search.font()
        font.setPointSizeF(font.pointSizeF() * 1.15)
        self.search.setFont(font)
        self.search.setTextMargins(6, 6, 6, 6)
        column = QVBoxLayout(self)
        column.setContentsMargins(7, 7, 7, 7)
        column.setSpacing(6)
        column.addWidget(self.search)
        column.addWidget(self.list)
        column.addWidget(self._empty)
        for widget in (self, self.search, self.list):
            widget.setBackgroundRole(QPalette.ColorRole.Base)
        self._window.installEventFilter(self)

    def open(self, only: str = "") -> None:
        """Show the sheet with everything, or with one source (its id) only."""
        focused = QApplication.focusWidget()
        if not self.isVisible():
            self._before = focused
        self._only = only
        self._names = {source.id: source.names() for source in self._sources}
        chosen = next((source for source in self._sources if source.id == only), None)
        self.search.setPlaceholderText(
            f"Go to {chosen.title.lower()}…" if chosen else "What do you want to do?"
        )
        self.search.clear()
        self._find("")
        self.show()
        self.raise_()
        self.search.setFocus(Qt.FocusReason.PopupFocusReason)

    def close_sheet(self) -> None:
        """Hide, and give the focus back to where it was."""
        had_focus = self.isAncestorOf(QApplication.focusWidget() or self._window)
        self.hide()
        if had_focus and self._before is not None:
            self._before.setFocus(Qt.FocusReason.PopupFocusReason)
        self._before = None

    def choose(self, place: int) -> None:
        """Carry out a row; a row that cannot be used now stays and says why."""
        row = self.rows.row(place)
        if row is None or not row.enabled:
            return
        if row.id:
            self._recent = [row.id, *(known for known in self._recent if known != row.id)][:RECENT]
        self.close_sheet()
        row.run()

    # --- Finding ---

    def _find(self, query: str) -> None:
        rows = [] if self._only else self._commands(query)
        for source in self._sources:
            if self._only == source.id:
                rows += self._of_source(source, query, SHOWN)
            elif not self._only and query.strip():
                rows += self._of_source(source, query, FROM_SOURCE)
        self.rows.replace(rows[:SHOWN])
        self.list.setCurrentIndex(self.rows.index(0))
        self.list.setVisible(bool(rows))
        self._empty.setVisible(not rows)
        self._place()

    def _commands(self, query: str) -> list[Row]:
        from annotator.core.fuzzy import complete, fold

        rows = [self._command_row(command) for command in COMMANDS if not command.submenu]
        if not query.strip():
            return self._recent_first(rows)
        found = [
            (rows[hit.index], hit.spans, hit.literal)
            for hit in complete(query, [row.text for row in rows], SHOWN)
        ]
        seen = {row.id for row, *_ in found}
        hints = {command.id: fold(f"{command.menu} {command.hint}") for command in COMMANDS}
        words = fold(query).split()
        also = [
            (row, (), False)
            for row in rows
            # Two letters are in nearly every sentence.
            if row.id not in seen
            and len(query) > 2
            and all(word in hints[row.id] for word in words)
        ]
        # What contains the words, then what its description says, then likely typos.
        literal = [hit for hit in found if hit[2]]
        ranked = [*literal, *also, *(hit for hit in found if not hit[2])]
        return [_emphasised(row, spans) for row, spans, _ in ranked]

    def _recent_first(self, rows: Sequence[Row]) -> list[Row]:
        order = {command_id: place for place, command_id in enumerate(self._recent)}
        return sorted(rows, key=lambda row: (not row.enabled, order.get(row.id, RECENT)))

    def _command_row(self, command: Command) -> Row:
        action = self._actions[command.id]
        enabled = action.isEnabled()
        needs = CONDITIONS.get(command.enabled, "")
        keys = tuple(sequence.toString() for sequence in action.shortcuts()[:2])
        detail = command.menu.replace("/", " › ") if enabled else f"when {needs}"
        return Row(
            plain(action.text()),
            detail,
            action.trigger,
            command.icon,
            keys,
            enabled,
            (),
            command.id,
        )

    def _of_source(self, source: Source, query: str, limit: int) -> list[Row]:
        from annotator.core.fuzzy import complete

        names = self._names.get(source.id, ())
        if len(names) > MANY and query.strip():
            names = _containing(names, query, MANY)
        return [
            Row(
                names[hit.index],
                source.title,
                partial(source.choose, names[hit.index]),
                source.icon,
                spans=hit.spans,
            )
            for hit in complete(query, names[:MANY], limit)
        ]

    # --- Keys and place ---

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the search field that drive the list; the window's size."""
        if watched is self.search and event.type() == QEvent.Type.KeyPress:
            assert isinstance(event, QKeyEvent)
            return self._press(event)
        if watched is self.search and event.type() == QEvent.Type.FocusOut and self.isVisible():
            if QApplication.activePopupWidget() is None:
                self.close_sheet()
        elif watched is self._window and event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return False

    def _press(self, event: QKeyEvent) -> bool:
        key = event.key()
        page = max(1, self.list.height() // max(1, self.list.sizeHintForRow(0)) - 1)
        steps = {
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_Tab: 1,
            Qt.Key.Key_Backtab: -1,
            Qt.Key.Key_PageDown: page,
            Qt.Key.Key_PageUp: -page,
        }
        if key in steps:
            self._move(steps[Qt.Key(key)], wrap=abs(steps[Qt.Key(key)]) == 1)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.choose(self.list.currentIndex().row())
        elif key == Qt.Key.Key_Escape:
            self.close_sheet()
        else:
            return False
        return True

    def _move(self, step: int, *, wrap: bool) -> None:
        count = self.rows.rowCount()
        if not count:
            return
        place = self.list.currentIndex().row() + step
        place = place % count if wrap else min(max(place, 0), count - 1)
        self.list.setCurrentIndex(self.rows.index(place))

    def _place(self) -> None:
        em = self.fontMetrics().height()
        wide = min(40 * em, self._window.width() - 2 * em)
        row = max(1, self.list.sizeHintForRow(0))
        room = int(self._window.height() * 0.62) // row
        high = row * min(self.rows.rowCount(), 12, max(room, 3))
        self.list.setFixedHeight(high)
        layout = self.layout()
        if layout is not None:
            layout.activate()
        left = (self._window.width() - wide) // 2
        self.setGeometry(left, 3 * em, wide, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card above the window."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1.0))
        painter.setBrush(self.palette().color(QPalette.ColorRole.Base))
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(area, 8, 8)
        line = self.search.geometry().bottom() + 3.5
        painter.drawLine(QRectF(1, line, self.width() - 2, 0).topLeft(),
                         QRectF(1, line, self.width() - 2, 0).topRight())  # fmt: skip


def _emphasised(row: Row, spans: tuple[Span, ...]) -> Row:
    return Row(row.text, row.detail, row.run, row.icon, row.keys, row.enabled, spans, row.id)


def _containing(names: Sequence[str], query: str, limit: int) -> list[str]:
    words = query.casefold().split()
    found: list[str] = []
    for name in names:
        lower = name.casefold()
        if all(word in lower for word in words):
            found.append(name)
            if len(found) == limit:
                break
    return found


class _Rows(QAbstractListModel):
    """The rows found."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rows: tuple[Row, ...] = ()

    def replace(self, rows: Sequence[Row]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self._rows = tuple(rows)
        self.endResetModel()

    def row(self, place: int) -> Row | None:
        """The row at a place."""
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        """How many rows there are."""
        return 0 if parent.isValid() else len(self._rows)

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The row itself for the painter, text for screen readers."""
        row = self.row(index.row())
        if row is None:
            return None
        if role == Qt.ItemDataRole.UserRole:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(filter(None, (row.text, row.detail, *row.keys)))
        return None


class _RowPainter(QStyledItemDelegate):
    """Icon, text with what matched in bold, where it belongs, and its keys."""

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """One line with air."""
        return QSize(0, option.fontMetrics.height() + 12)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Draw one row."""
        row: Row = index.data(Qt.ItemDataRole.UserRole)
        area: QRect = option.rect
        palette: QPalette = option.palette
        state: QStyle.StateFlag = option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        group = QPalette.ColorGroup.Active if row.enabled else QPalette.ColorGroup.Disabled
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        ink = palette.color(group, role)
        soft = ink if selected else soft_text(palette)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(palette.color(group, QPalette.ColorRole.Highlight))
            painter.drawRoundedRect(area.adjusted(0, 1, 0, -1), 5, 5)
        side = option.fontMetrics.height()
        x = area.left() + 9
        if row.icon:
            corner = QPoint(x, area.center().y() - side // 2 + 1)
            icons.draw(painter, row.icon, corner, side, ink)
        x += side + 10
        keys = int(keycaps.width(row.keys, painter.font()))
        right = area.right() - 9 - keys
        inner = QRectF(right, area.top(), keys + 1, area.height())
        keycaps.paint(painter, inner, row.keys, palette, selected=selected)
        painter.setPen(ink)
        x = _draw_emphasised(painter, QRect(x, area.top(), right - x - 12, area.height()), row)
        painter.setPen(soft)
        detail = QRect(x + 12, area.top(), right - x - 24, area.height())
        text = painter.fontMetrics().elidedText(
            row.detail, Qt.TextElideMode.ElideRight, detail.width()
        )
        painter.drawText(detail, Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()


def _draw_emphasised(painter: QPainter, area: QRect, row: Row) -> int:
    """Draw text with its spans in bold; returns where it ends."""
    normal, bold = QFont(painter.font()), QFont(painter.font())
    bold.setBold(True)
    pieces: list[tuple[str, QFont]] = []
    at = 0
    for start, end in row.spans:
        pieces += [(row.text[at:start], normal), (row.text[start:end], bold)]
        at = end
    pieces.append((row.text[at:], normal))
    x = area.left()
    for text, font in pieces:
        painter.setFont(font)
        metrics = painter.fontMetrics()
        fitting = metrics.elidedText(text, Qt.TextElideMode.ElideRight, area.right() - x)
        painter.drawText(
            QRect(x, area.top(), max(area.right() - x, 0), area.height()),
            Qt.AlignmentFlag.AlignVCenter,
            fitting,
        )
        x += metrics.horizontalAdvance(fitting)
    painter.setFont(normal)
    return x
