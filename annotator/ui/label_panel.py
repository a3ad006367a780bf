"""The name panel: suggested names, a field to type one, the classes. Never a dialog."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QToolButton, QVBoxLayout, QWidget

from annotator.core.annotation import IS_THING
from annotator.core.errors import UserError
from annotator.ui.class_list import DIGITS, ClassList, ClassRow
from annotator.ui.icons import icon
from annotator.ui.merge_question import ask_merge, namesake
from annotator.ui.rows import heading
from annotator.ui.suggestion_list import SuggestionList

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.workspace import Workspace
    from models.api import Suggestion

SEARCH_HINT = "Type to search or add a class…"
NAME_HINT = "Name this object: type and press Enter"
RENAME_HINT = "Type another class for the selection…"

_Key = Qt.Key


class SearchField(QLineEdit):
    """A line edit whose arrow keys, Enter and Esc drive the list below it."""

    stepped = Signal(int)
    """The highlight should move by this many rows."""
    submitted = Signal(bool)
    """Enter was pressed; True: with Ctrl, make what is typed a class."""
    dismissed = Signal()
    """Esc was pressed."""
    focus_lost = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(SEARCH_HINT)
        self.setAccessibleName("Search or add a class")
        self.setClearButtonEnabled(True)
        self.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self._page = 8

    def set_page(self, rows: int) -> None:
        """How far Page Up and Page Down go."""
        self._page = rows

    def event(self, event: QEvent) -> bool:
        """Keep the keys of this field from the window's commands."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            own = (_Key.Key_Escape, _Key.Key_Return, _Key.Key_Enter, _Key.Key_Up, _Key.Key_Down)
            shifted = event.modifiers() & Qt.KeyboardModifier.AltModifier
            if event.key() in own and not shifted:
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move, Enter submits, Esc dismisses, everything else is typed."""
        steps = {
            _Key.Key_Up: -1,
            _Key.Key_Down: 1,
            _Key.Key_PageUp: -self._page,
            _Key.Key_PageDown: self._page,
        }
        key = _Key(event.key())
        if key in steps:
            self.stepped.emit(steps[key])
        elif key in (_Key.Key_Return, _Key.Key_Enter):
            self.submitted.emit(bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))
        elif key == _Key.Key_Escape:
            self.dismissed.emit()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Tell the panel, which then takes its hint back."""
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.focus_lost.emit()


class LabelPanel(QWidget):
    """Everything about names.

    Args:
        workspace: what is open; this panel calls it and follows its signals.
        parent: Qt parent.
    """

    left = Signal()
    """The user is done here: the canvas should have the keyboard again."""
    vocabulary_wanted = Signal()
    """The user wants to edit all classes as text."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._document: Document | None = None
        self._name_asked = False
        self.suggestions = SuggestionList()
        self.search = SearchField()
        self.classes = ClassList()
        self._total = QLabel()
        self._doubt = QLabel()
        self._doubt.setObjectName("doubt")
        self._doubt.setAccessibleName("How sure the suggestions are")
        self._left, self._looking = 0, ""
        self.edit_button = QToolButton()
        self._build()
        self._wire()
        if workspace.document is not None:
            self._follow_project(workspace.document)
        self._show_suggestions(())

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        column.setSpacing(4)
        title, classes = heading("Suggestions"), heading("Classes")
        above = QHBoxLayout()
        above.setContentsMargins(8, 0, 8, 0)
        above.addWidget(title)
        above.addStretch()
        above.addWidget(self._doubt)
        column.addLayout(above)
        self._doubt.setFont(title.font())
        self._doubt.setForegroundRole(title.foregroundRole())
        column.addWidget(self.suggestions)
        field = QHBoxLayout()
        field.setContentsMargins(6, 4, 6, 2)
        field.addWidget(self.search)
        column.addLayout(field)
        self._total.setFont(classes.font())
        self._total.setForegroundRole(classes.foregroundRole())
        row = QHBoxLayout()
        row.setContentsMargins(8, 0, 8, 0)
        row.addWidget(classes)
        row.addStretch()
        row.addWidget(self._total)
        self.edit_button.setIcon(icon("list"))
        self.edit_button.setAutoRaise(True)
        self.edit_button.setEnabled(False)
        # A click must not take the keyboard away from the canvas.
        self.edit_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.edit_button.setAccessibleName("Edit vocabulary")
        self.edit_button.setToolTip("All classes and synonyms as text; lists to import")
        row.addWidget(self.edit_button)
        column.addLayout(row)
        column.addWidget(self.classes, 1)
        self.setFocusProxy(self.search)
        self.setTabOrder(self.suggestions, self.search)
        self.setTabOrder(self.search, self.classes)

    def _wire(self) -> None:
        workspace, model = self._workspace, self.classes.model_
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closed.connect(self._forget_project)
        workspace.image_shown.connect(self._count)
        workspace.active_category_changed.connect(self._show_active)
        workspace.suggestions_changed.connect(self._show_suggestions)
        workspace.namer.learning.connect(self._show_learning)
        workspace.namer.looking.connect(self._show_looking)
        workspace.name_wanted.connect(self._ask_name)
        self.suggestions.accepted.connect(self._choose_name)
        self.suggestions.left.connect(self._leave)
        self.search.textChanged.connect(self._search)
        self.search.stepped.connect(self._step)
        self.search.submitted.connect(self._submit)
        self.search.dismissed.connect(self._leave)
        self.search.focus_lost.connect(self._forget_question)
        self.edit_button.clicked.connect(self.vocabulary_wanted)
        self.classes.left.connect(self._leave)
        self.classes.chosen.connect(self._choose)
        self.classes.recolored.connect(self._recolor)
        self.classes.counted.connect(self._set_thing)
        self.classes.removed.connect(self._remove)
        self.classes.objects_wanted.connect(self._select_objects)
        # Queued: rows may change only after the view has closed the editor they were typed in.
        queued = Qt.ConnectionType.QueuedConnection
        model.renamed.connect(self._rename, queued)
        model.regrouped.connect(self._regroup, queued)
        model.moved.connect(self._move)

    # --- For the window ---

    def focus_search(self) -> None:
        """Put the keyboard into the field, ready to type a name."""
        renaming = bool(self._workspace.selection) and not self._workspace.draft
        hint = RENAME_HINT if renaming else SEARCH_HINT
        self.search.setPlaceholderText(NAME_HINT if self._name_asked else hint)
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def category_for_digit(self, digit: int) -> int | None:
        """The id of the class with this key (1 to 9), None when there is none."""
        categories = self.classes.model_.categories
        known = 1 <= digit <= min(DIGITS, len(categories))
        return categories[digit - 1].id if known else None

    def suggestion_at(self, place: int) -> str | None:
        """The name suggested at this place (1 to 5), None when there is none."""
        shown = self.suggestions.suggestions
        return shown[place - 1].name if 1 <= place <= len(shown) else None

    # --- Following the workspace ---

    def _follow_project(self, document: Document) -> None:
        self._document = document
        self.edit_button.setEnabled(True)
        document.categories_changed.connect(self._show_categories)
        document.annotations_changed.connect(self._count)
        self._show_categories()
        self._show_active(self._workspace.active_category)

    def _show_active(self, category_id: int | None) -> None:
        self.classes.model_.set_active(category_id)
        if category_id is not None and not self.search.text():
            self.classes.reveal(category_id)

    def _forget_project(self) -> None:
        self._document = None
        self.edit_button.setEnabled(False)
        self.search.clear()
        self._show_categories()
        self._show_suggestions(())

    def _show_categories(self) -> None:
        categories = self._document.categories() if self._document is not None else ()
        current = self.classes.highlighted()
        self.classes.model_.set_categories(categories)
        self._total.setText(f"{len(categories):,}" if len(categories) > DIGITS else "")
        self._count()
        self._highlight_best()
        if current is not None and current.category is not None and not self.search.text():
            self._highlight_category(current.category.id)
        self._show_suggestions(self.suggestions.suggestions)

    def _count(self, _key: str = "") -> None:
        document = self._document
        accepted = (a for a in self._workspace.annotations if not a.proposed)
        here = Counter(a.category_id for a in accepted) if document else {}
        usage = document.category_usage() if document is not None else {}
        self.classes.model_.set_counts(usage, here)

    def _show_suggestions(self, suggestions: tuple[Suggestion, ...]) -> None:
        colors = {category.name: category.color for category in self.classes.model_.categories}
        self.suggestions.show_suggestions(suggestions, colors, self._placeholder())
        self._show_doubt()

    def _show_learning(self, left: int) -> None:
        self._left = left
        self._show_doubt()

    def _show_looking(self, text: str) -> None:
        self._looking = text
        self._show_doubt()

    def _show_doubt(self) -> None:
        shown = self.suggestions.suggestions
        text, tip = "", ""
        if shown:
            from annotator.core.suggestions import unsure

            if unsure(shown):
                text, tip = "unsure", "No name is far ahead of the others: look twice."
        if self._left:
            text = f"learning {self._left:,} name{'' if self._left == 1 else 's'}…"
            tip = "The text model reads the names of your classes once; they are kept on disk."
        elif self._looking:
            text, tip = self._looking, "The model for names sees an image once; then it is quick."
        self._doubt.setText(text)
        self._doubt.setToolTip(tip)

    def _placeholder(self) -> str:
        if len(self._workspace.selection) > 1:
            return "Several objects are selected.\nA class or a digit names them all."
        if self._workspace.draft or self._workspace.selection:
            return "No names yet. Type one below:\nit becomes a class."
        return "Names for the object you click\nor select appear here."

    def _ask_name(self) -> None:
        self._name_asked = True
        self.focus_search()

    def _forget_question(self) -> None:
        self._name_asked = False
        self.search.setPlaceholderText(SEARCH_HINT)

    # --- What the user does ---

    def _search(self, text: str) -> None:
        self.classes.model_.search(text)
        self._highlight_best()
        self.search.set_page(self.classes.page())

    def _highlight_best(self) -> None:
        self.classes.highlight(0 if self.classes.model_.query else -1)

    def _highlight_category(self, category_id: int) -> None:
        self.classes.highlight(self.classes.model_.place(category_id))

    def _step(self, step: int) -> None:
        self.classes.step(step)

    def _submit(self, create: bool) -> None:
        query, row = self.classes.model_.query, self.classes.highlighted()
        if create and query:
            self._choose_name(query)
        elif row is not None:
            self._choose(row)
        else:
            self._workspace.accept()
            self._leave()

    def _choose(self, row: ClassRow) -> None:
        if row.category is None:
            self._choose_name(row.name)
        else:
            self._workspace.choose_category(row.category.id)
            self._leave()

    def _choose_name(self, name: str) -> None:
        try:
            self._workspace.choose_name(name)
        except UserError as error:
            self._workspace.reported.emit(error)
        else:
            self._leave()

    def _leave(self) -> None:
        self.search.clear()
        self.classes.highlight(-1)
        self._forget_question()
        self.left.emit()

    # --- Changing classes ---

    def _rename(self, category_id: int, name: str) -> None:
        if not name:
            error = UserError("A class needs a name.", "The old name was kept.")
            self._workspace.reported.emit(error)
        elif (other := namesake(self._workspace, category_id, name)) is not None:
            ask_merge(self._workspace, category_id, other, self)
        else:
            self._change(category_id, name=name)

    def _regroup(self, category_id: int, name: str) -> None:
        self._change(category_id, supercategory=name)

    def _recolor(self, category_id: int, color: str) -> None:
        self._change(category_id, color=color)

    def _set_thing(self, category_id: int, is_thing: bool) -> None:
        if self._document is not None:
            extra = self._document.category(category_id).extra
            self._change(category_id, extra={**extra, IS_THING: int(is_thing)})

    def _change(self, category_id: int, **changes: Any) -> None:
        document = self._document
        if document is None:
            return
        try:
            document.change_category(replace(document.category(category_id), **changes))
        except UserError as error:
            self._workspace.reported.emit(error)

    def _move(self, category_id: int, position: int) -> None:
        if self._document is not None:
            self._document.move_category(category_id, position)
            self._highlight_category(category_id)

    def _remove(self, category_id: int) -> None:
        if self._document is None:
            return
        try:
            self._document.remove_category(category_id)
        except UserError as error:
            self._workspace.reported.emit(error)

    def _select_objects(self, category_id: int) -> None:
        here = self._workspace.annotations
        self._workspace.select(
            a.id for a in here if a.category_id == category_id and not a.proposed
        )
        self.left.emit()
