"""`ShortcutSheet`: every key and mouse gesture, searchable, and the place to change the keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QPainter, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from annotator import keymaps
from annotator.actions import plain
from annotator.menus import COMMANDS, command
from annotator.menus.command import Command
from annotator.menus.gestures import GESTURES, RESERVED
from annotator.services.settings import Settings, SettingsStore
from annotator.ui import keycaps
from annotator.ui.icons import icon
from annotator.ui.labels import LevelLabel
from annotator.ui.theme import level_color

ID = Qt.ItemDataRole.UserRole
KEYS = Qt.ItemDataRole.UserRole + 1
ALERT = Qt.ItemDataRole.UserRole + 2
WORDS = Qt.ItemDataRole.UserRole + 3


class ShortcutEditor(QWidget):
    """The sheet itself, for a window of its own and for the settings.

    Args:
        store: key map and the user's own keys live here; changes act at once.
        parent: Qt parent.
    """

    def __init__(self, store: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self.binding = BindingEditor(store, self)
        self.search = QLineEdit(self)
        self.search.setPlaceholderText("Search commands, keys, gestures…")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search shortcuts")
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(self._filter)
        self.search.installEventFilter(self)
        self.keymap = QComboBox(self)
        self.keymap.setAccessibleName("Key map")
        for keymap_id, title in keymaps.TITLES.items():
            self.keymap.addItem(title, keymap_id)
        self.keymap.activated.connect(self._choose_keymap)
        self.tree = _Tree(self)
        self.tree.itemSelectionChanged.connect(self._show_selected)
        self.tree.activated.connect(lambda _: self.binding.begin())
        self.problems = LevelLabel("", "error", self)
        self.binding.finished.connect(self.tree.setFocus)
        self._items: dict[str, QTreeWidgetItem] = {}
        self._build()
        self._fill()
        store.changed.connect(self._follow)
        self._follow(store.settings)

    def _build(self) -> None:
        label = QLabel("Key &map:", self)
        label.setBuddy(self.keymap)
        top = QHBoxLayout()
        top.addWidget(self.search, 1)
        top.addSpacing(8)
        top.addWidget(label)
        top.addWidget(self.keymap)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(top)
        column.addWidget(self.problems)
        column.addWidget(self.tree, 1)
        column.addWidget(self.binding)

    def _fill(self) -> None:
        groups: dict[str, QTreeWidgetItem] = {}
        for row in COMMANDS:
            if row.submenu:
                continue
            item = QTreeWidgetItem(_group(self.tree, groups, row.menu.split("/")[0]))
            item.setText(0, plain(row.text))
            item.setData(0, ID, row.id)
            item.setToolTip(0, row.hint)
            self._items[row.id] = item
        for where, gesture, effect in GESTURES:
            item = QTreeWidgetItem(_group(self.tree, groups, f"Mouse and canvas: {where}"))
            item.setText(0, effect)
            item.setText(1, gesture)
            item.setData(0, WORDS, f"{where} {gesture} {effect} mouse".casefold())
        self.tree.expandAll()

    def _follow(self, settings: Settings) -> None:
        """Show another key map or other keys."""
        current = keymaps.bindings(settings.keymap, settings.key_overrides)
        found = keymaps.conflicts(current)
        clashing = {command_id for conflict in found for command_id in conflict.commands}
        self.keymap.setCurrentIndex(self.keymap.findData(settings.keymap))
        for command_id, item in self._items.items():
            _show_keys(item, command(command_id), current[command_id])
            item.setData(1, ALERT, command_id in clashing)
            font = item.font(0)
            font.setItalic(command_id in settings.key_overrides)
            item.setFont(0, font)
        self.problems.setVisible(bool(found))
        self.problems.setText(" ".join(_sentence(conflict) for conflict in found))
        self.binding.refresh()
        self._filter(self.search.text())

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        for place in range(self.tree.topLevelItemCount()):
            group = self.tree.topLevelItem(place)
            if group is None:
                continue
            shown = 0
            for row in range(group.childCount()):
                item = group.child(row)
                if item is None:
                    continue
                haystack = item.data(0, WORDS) or ""
                fits = all(word in haystack for word in words)
                item.setHidden(not fits)
                shown += fits
            group.setHidden(not shown)
        current = self.tree.currentItem()
        if words and (current is None or current.isHidden() or current.parent() is None):
            self.tree.select_first()

    def _show_selected(self) -> None:
        items = self.tree.selectedItems()
        command_id = items[0].data(0, ID) if items else None
        self.binding.show_command(command(command_id) if command_id else None)

    def _choose_keymap(self, place: int) -> None:
        self._store.update(keymap=self.keymap.itemData(place))

    def select(self, command_id: str) -> None:
        """Show the keys of a command."""
        item = self._items[command_id]
        self.tree.setCurrentItem(item)
        self.tree.scrollToItem(item)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Arrow keys and Enter in the search field drive the list."""
        if watched is self.search and event.type() == QEvent.Type.KeyPress:
            assert isinstance(event, QKeyEvent)
            if event.key() in _LIST_KEYS:
                QApplication.sendEvent(self.tree, event)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.binding.begin()
                return True
        return False


_LIST_KEYS = frozenset({Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown})


class BindingEditor(QFrame):
    """Changes the keys of one command: press the new ones, see at once who has them.

    Args:
        store: where the keys live.
        parent: Qt parent.
    """

    finished = Signal()
    """A change was made or given up: the focus may go back to the list."""

    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._store = store
        self._command: Command | None = None
        self._before: Mapping[str, tuple[str, ...]] | None = None
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._title = QLabel(self)
        self._title.setTextFormat(Qt.TextFormat.PlainText)
        self._present = QHBoxLayout()
        self.field = QKeySequenceEdit(self)
        self.field.setMaximumSequenceLength(1)
        self.field.setClearButtonEnabled(True)
        self.field.setAccessibleName("New keys")
        self.field.keySequenceChanged.connect(self._judge)
        self.status = LevelLabel("", "", self)
        self.take = QPushButton(self)
        self.take.clicked.connect(self._take)
        self.swap = QPushButton("S&wap", self)
        self.swap.clicked.connect(self._swap)
        self.add = QPushButton("&Add", self)
        self.add.setToolTip("Keep the present keys as well")
        self.add.clicked.connect(self._add)
        self.reset = QPushButton(icon("reset"), "&Reset", self)
        self.reset.setToolTip("Back to the keys of the key map")
        self.reset.clicked.connect(self._reset)
        self.reset_all = QPushButton("Reset a&ll", self)
        self.reset_all.setToolTip("Forget all your own keys")
        self.reset_all.clicked.connect(self._reset_all)
        self.undo_reset = QPushButton("&Undo", self)
        self.undo_reset.clicked.connect(self._undo_reset)
        for button in self._buttons():
            button.setAutoDefault(False)
        self._build()
        self.show_command(None)

    def _buttons(self) -> tuple[QPushButton, ...]:
        return (
            self.take, self.swap, self.add, self.reset, self.reset_all, self.undo_reset,
        )  # fmt: skip

    def _build(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self._title)
        head.addSpacing(10)
        head.addLayout(self._present)
        head.addStretch(1)
        head.addWidget(self.reset)
        head.addWidget(self.reset_all)
        entry = QHBoxLayout()
        entry.addWidget(self.field)
        entry.addWidget(self.take)
        entry.addWidget(self.swap)
        entry.addWidget(self.add)
        entry.addWidget(self.undo_reset)
        entry.addWidget(self.status, 1)
        column = QVBoxLayout(self)
        column.addLayout(head)
        column.addLayout(entry)
        self.field.setMaximumWidth(14 * self.fontMetrics().height())
        self.status.setMinimumHeight(2 * self.fontMetrics().height())

    # --- What is shown ---

    def show_command(self, row: Command | None) -> None:
        """Offer the keys of a command, or nothing."""
        if row is None or self._command is None or row.id != self._command.id:
            self.field.clear()
        self._command = row
        self.refresh()

    def refresh(self) -> None:
        """Follow the settings."""
        row, settings = self._command, self._store.settings
        while (taken := self._present.takeAt(0)) is not None:
            widget = taken.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._title.setText(plain(row.text) if row else "Choose a command to change its keys.")
        font = self._title.font()
        font.setBold(row is not None)
        self._title.setFont(font)
        self.field.setEnabled(row is not None)
        self.reset.setEnabled(row is not None and row.id in settings.key_overrides)
        self.reset_all.setEnabled(bool(settings.key_overrides))
        self.undo_reset.setVisible(self._before is not None)
        if row is not None:
            for keys in self._current()[row.id]:
                self._present.addWidget(self._chip(keys))
        self._judge()

    def _chip(self, keys: str) -> QToolButton:
        chip = QToolButton(self)
        chip.setText(keymaps.native(keys))
        chip.setIcon(icon("close"))
        side = self.fontMetrics().height() - 4
        chip.setIconSize(QSize(side, side))
        chip.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        chip.setToolTip(f"Take {keymaps.native(keys)} away")
        chip.setAccessibleName(f"Take {keymaps.native(keys)} away")
        chip.clicked.connect(partial(self._remove, keys))
        return chip

    def _current(self) -> dict[str, tuple[str, ...]]:
        settings = self._store.settings
        return keymaps.bindings(settings.keymap, settings.key_overrides)

    def _keys(self) -> str:
        return keymaps.normal(
            self.field.keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        )

    def _losers(self) -> tuple[str, ...]:
        if self._command is None:
            return ()
        return keymaps.claimants(self._current(), self._command.id, self._keys())

    def begin(self) -> None:
        """Wait for the new keys."""
        if self._command is not None:
            self._before = None
            self.field.clear()
            self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.refresh()
            self.status.say("Press the new keys.", "")

    def _judge(self) -> None:
        row, keys, losers = self._command, self._keys(), self._losers()
        mine = self._current()[row.id] if row else ()
        usable = bool(row and keys and keys not in RESERVED and keys not in mine)
        self.take.setVisible(usable)
        self.add.setVisible(usable and not losers and bool(mine))
        self.swap.setVisible(usable and len(losers) == 1 and bool(mine))
        self.take.setText("&Take over" if losers else "&Replace" if mine else "S&et")
        self.take.setToolTip("The other command loses these keys" if losers else "")
        self._say(keys, losers, mine)
        if usable and self.field.hasFocus():
            # The field would swallow Enter as a new key.
            self.take.setFocus(Qt.FocusReason.OtherFocusReason)

    def _say(self, keys: str, losers: tuple[str, ...], mine: tuple[str, ...]) -> None:
        level, text = "", ""
        if keys in RESERVED:
            level, text = "error", f"The canvas needs this key: {RESERVED[keys].lower()}."
        elif keys in mine and keys:
            text = "These keys already do this."
        elif losers:
            names = " and ".join(f"“{plain(command(other).text)}”" for other in losers)
            level, text = "warning", f"{keymaps.native(keys)} is used by {names}."
        elif keys:
            level, text = "success", f"{keymaps.native(keys)} is free."
        elif self._command is not None:
            text = self._command.hint
        self.status.say(text, level)

    # --- Changes ---

    def _change(self, overrides: Mapping[str, tuple[str, ...]]) -> None:
        self._before = None
        self.field.clear()
        self._store.update(key_overrides=overrides)
        self.refresh()
        self.finished.emit()

    def _take(self) -> None:
        if self._command is not None:
            settings = self._store.settings
            self._change(
                keymaps.stolen(
                    settings.keymap, settings.key_overrides, self._command.id, self._keys()
                )
            )

    def _swap(self) -> None:
        if self._command is not None:
            settings = self._store.settings
            self._change(
                keymaps.swapped(
                    settings.keymap, settings.key_overrides, self._command.id, self._keys()
                )
            )

    def _add(self) -> None:
        if self._command is not None:
            self._set((*self._current()[self._command.id], self._keys()))

    def _remove(self, keys: str) -> None:
        if self._command is not None:
            self._set(tuple(own for own in self._current()[self._command.id] if own != keys))

    def _set(self, keys: tuple[str, ...]) -> None:
        if self._command is not None:
            settings = self._store.settings
            self._change(
                keymaps.with_keys(settings.keymap, settings.key_overrides, self._command.id, keys)
            )

    def _reset(self) -> None:
        if self._command is not None:
            overrides = self._store.settings.key_overrides
            self._remember_and_set(
                {key: value for key, value in overrides.items() if key != self._command.id},
                f"“{plain(self._command.text)}” has the keys of its map again.",
            )

    def _reset_all(self) -> None:
        self._remember_and_set({}, "All commands have the keys of the map again.")

    def _remember_and_set(self, overrides: Mapping[str, tuple[str, ...]], text: str) -> None:
        before = self._store.settings.key_overrides
        self._change(overrides)
        self._before = before
        self.refresh()
        self.status.say(text, "success")

    def _undo_reset(self) -> None:
        if self._before is not None:
            self._change(self._before)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc gives up a change that was begun."""
        if event.key() == Qt.Key.Key_Escape and self._keys():
            self.field.clear()
            self.finished.emit()
        else:
            super().keyPressEvent(event)


class ShortcutSheet(QDialog):
    """The shortcut sheet in a window of its own; it does not block the main window."""

    def __init__(self, store: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard Shortcuts")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.editor = ShortcutEditor(store, self)
        column = QVBoxLayout(self)
        column.addWidget(self.editor)
        em = self.fontMetrics().height()
        self.resize(46 * em, 42 * em)
        self.editor.search.setFocus()

    @classmethod
    def open_over(cls, store: SettingsStore, window: QWidget) -> ShortcutSheet:
        """The sheet of a window: the open one brought to the front, or a new one."""
        sheet = window.findChild(cls) or cls(store, window)
        sheet.show()
        sheet.raise_()
        sheet.activateWindow()
        sheet.editor.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        return sheet


class _Tree(QTreeWidget):
    """Commands by group, their keys as key caps."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setColumnCount(2)
        self.setHeaderLabels(["Command", "Keys"])
        self.setRootIsDecorated(False)
        self.setIndentation(14)
        self.setUniformRowHeights(True)
        self.setItemsExpandable(False)
        self.setExpandsOnDoubleClick(False)
        self.setAllColumnsShowFocus(True)
        self.setAccessibleName("Shortcuts")
        self.setItemDelegate(_KeyPainter(self))
        header = self.header()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(False)
        header.hide()

    def select_first(self) -> None:
        """Select the first command that is shown."""
        for place in range(self.topLevelItemCount()):
            group = self.topLevelItem(place)
            for row in range(group.childCount() if group else 0):
                item = group.child(row) if group else None
                if item is not None and not item.isHidden():
                    self.setCurrentItem(item)
                    return
        self.clearSelection()


class _KeyPainter(QStyledItemDelegate):
    """Draws keys as key caps in the second column, and headings of groups."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Headings in the colour of links, in any theme."""
        super().initStyleOption(option, index)
        if not index.parent().isValid():
            color = option.palette.color(QPalette.ColorRole.Link)
            option.palette.setColor(QPalette.ColorRole.Text, color)

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """Room for key caps."""
        size = super().sizeHint(option, index)
        sequences = index.data(KEYS)
        wide = int(keycaps.width(sequences, option.font)) + 16 if sequences else size.width() + 12
        return QSize(wide, option.fontMetrics.height() + 10)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Draw one cell."""
        super().paint(painter, option, index)
        sequences = index.data(KEYS)
        if not sequences:
            return
        alert = level_color(option.palette, "error") if index.data(ALERT) else None
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        area = QRectF(option.rect).adjusted(4, 0, -6, 0)
        keycaps.paint(
            painter, area, sequences, option.palette, selected=selected, alert=alert, right=True
        )


def _group(tree: QTreeWidget, groups: dict[str, QTreeWidgetItem], title: str) -> QTreeWidgetItem:
    if title not in groups:
        item = QTreeWidgetItem(tree)
        item.setText(0, title)
        item.setFirstColumnSpanned(True)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        font = item.font(0)
        font.setBold(True)
        item.setFont(0, font)
        groups[title] = item
    return groups[title]


def _show_keys(item: QTreeWidgetItem, row: Command, keys: tuple[str, ...]) -> None:
    item.setData(1, KEYS, list(keys))
    written = " ".join((*keys, *map(keymaps.native, keys)))
    item.setData(0, WORDS, f"{plain(row.text)} {row.hint} {row.menu} {written}".casefold())
    spoken = ", ".join(map(keymaps.native, keys)) or "no keys"
    item.setData(1, Qt.ItemDataRole.AccessibleTextRole, spoken)
    item.setToolTip(1, f"{row.hint}\nEnter or double click changes the keys")


def _sentence(conflict: keymaps.Conflict) -> str:
    keys = keymaps.native(conflict.keys)
    names = " and ".join(f"“{plain(command(other).text)}”" for other in conflict.commands)
    if conflict.reserved:
        return f"{keys} belongs to the canvas but is given to {names}."
    return f"{keys} is given to {names}: neither will work."
