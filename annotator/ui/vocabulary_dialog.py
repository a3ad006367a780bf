"""`VocabularyDialog`: the classes of a project as text, with lists to import, and the sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QMessageBox,
    QPushButton,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.core.files import explain, write_atomic
from annotator.core.vocabulary import (
    Entry,
    Finding,
    Vocabulary,
    clean_name,
    parse,
    same_name,
    tidy,
    to_text,
    twins,
)
from annotator.core.vocabulary_files import read_vocabulary, shipped
from annotator.core.vocabulary_plan import NEW, Plan, plan
from annotator.services.document import Document
from annotator.ui.class_look import ClassLook
from annotator.ui.icons import icon
from annotator.ui.labels import LevelLabel, soft_label
from annotator.ui.numbered_text import NumberedText
from annotator.ui.plan_list import PlanList
from annotator.ui.rows import heading
from annotator.ui.templates_page import TemplatesPage

PAUSE_MS = 150
"""Typing stops for this long before the text is read again."""
EXPLANATION = (
    "One class per line, synonyms after commas. Editing a line renames its class, and its objects "
    "with it; moving lines changes the order. “#” begins a comment; “~” before a name marks stuff, "
    "which cannot be counted: ~sky."
)
HINT = "dog, puppy, hound\ncat, kitten\nbicycle, bike"
FILES = "Lists of classes (*.txt *.csv *.json);;All files (*)"

_Split = Qt.Orientation.Horizontal


@dataclass(frozen=True, slots=True)
class Look:
    """What the user chose for a line; None for whatever its class has."""

    color: str | None = None
    supercategory: str | None = None


class VocabularyDialog(QDialog):
    """The vocabulary of a project; nothing changes before “Apply”.

    Args:
        document: the project.
        parent: the window.
    """

    def __init__(self, document: Document, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document = document
        present = document.categories()
        self._known = {category.id for category in present}
        self._names = {same_name(clean_name(category.name)) for category in present}
        self._distinct = twins(category.name for category in present)
        self._looks: dict[int, Look] = {}
        self._next_key = NEW - 1
        self._vocabulary = Vocabulary(())
        self.plan = Plan((), {})
        self._timer = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._timer.timeout.connect(self.check)
        self.setWindowTitle("Vocabulary")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.text = NumberedText(self, swatches=True)
        self.text.setAccessibleName("Classes, one per line")
        self.text.setPlaceholderText(HINT)
        self.search = QLineEdit(self)
        groups = sorted({category.supercategory for category in present} - {""})
        self.look = ClassLook(groups, self)
        self.changes = PlanList(self)
        self.sentences = TemplatesPage(document.templates(), self)
        self.message = LevelLabel("", "", self)
        self._build()
        self._wire()
        self.text.load(
            to_text(
                ((category.name, category.synonyms) for category in present),
                {category.name for category in present if not category.is_thing},
            ),
            [category.id for category in present],
        )
        self._timer.stop()
        self.check()

    @classmethod
    def open_over(cls, document: Document, window: QWidget) -> VocabularyDialog:
        """The editor over a window, which waits for it."""
        dialog = window.findChild(cls) or cls(document, window)
        dialog.setWindowModality(Qt.WindowModality.WindowModal)
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()
        return dialog

    # --- Building ---

    def _build(self) -> None:
        em = self.fontMetrics().height()
        tabs = QTabWidget(self)
        tabs.setDocumentMode(True)
        tabs.addTab(self._build_classes(), icon("tag"), "&Classes")
        tabs.addTab(self.sentences, icon("sparkle"), "&Sentences for text models")
        self.tabs = tabs
        self.buttons = QDialogButtonBox(self)
        self.apply_button = self.buttons.addButton("&Apply", QDialogButtonBox.ButtonRole.AcceptRole)
        self.apply_button.setToolTip("Change the classes of the project as listed (Ctrl+Enter)")
        cancel = self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        for button in (self.apply_button, cancel):
            button.setAutoDefault(False)
            button.setDefault(False)
        bottom = QHBoxLayout()
        bottom.addWidget(self.message, 1)
        bottom.addWidget(self.buttons)
        column = QVBoxLayout(self)
        column.addWidget(tabs, 1)
        column.addLayout(bottom)
        self.resize(60 * em, 42 * em)
        self.text.setFocus()

    def _build_classes(self) -> QWidget:
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.addWidget(soft_label(EXPLANATION, page))
        column.addLayout(self._build_tools(page))
        side = QWidget(page)
        right = QVBoxLayout(side)
        right.setContentsMargins(8, 0, 0, 0)
        right.addWidget(heading("Class in this line"))
        right.addWidget(self.look)
        right.addSpacing(8)
        right.addWidget(heading("What will change, and what to look at"))
        right.addWidget(self.changes, 1)
        split = QSplitter(_Split, page)
        split.addWidget(self.text)
        split.addWidget(side)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 2)
        split.setChildrenCollapsible(False)
        column.addWidget(split, 1)
        return page

    def _build_tools(self, page: QWidget) -> QHBoxLayout:
        row = QHBoxLayout()
        self.import_menu = QMenu(self)
        self._fill_import_menu(self.import_menu)
        for text, drawing, tip, act in (
            ("&Import", "import", "Add classes of a file, or of a list that ships", None),
            ("&Export…", "save", "Write the list as text", self._choose_export),
            (
                "&Tidy",
                "sparkle",
                "Names as LVIS writes them: blanks for underscores, “_or_” and “/” between "
                "synonyms",
                self._tidy,
            ),
        ):
            button = QPushButton(icon(drawing), text, page)
            button.setAutoDefault(False)
            button.setToolTip(tip)
            if act is None:
                button.setMenu(self.import_menu)
            else:
                button.clicked.connect(act)
            row.addWidget(button)
        row.addStretch(1)
        self.search.setPlaceholderText("Find")
        self.search.setAccessibleName("Find in the list")
        self.search.setToolTip("Find in the list (Ctrl+F); Enter goes on to the next place")
        self.search.setClearButtonEnabled(True)
        row.addWidget(self.search)
        return row

    def _fill_import_menu(self, menu: QMenu) -> None:
        file = menu.addAction(icon("folder-open"), "File: text, COCO or LVIS…")
        file.triggered.connect(self._choose_import)
        menu.addSeparator()
        for entry in shipped():
            action = menu.addAction(entry.title)
            action.triggered.connect(
                lambda _=False, entry=entry: self.take(entry.read(), entry.title)
            )
        menu.addSeparator()
        self.replaces = menu.addAction("Replace the list instead of adding to it")
        self.replaces.setCheckable(True)

    def _wire(self) -> None:
        self.text.textChanged.connect(self._timer.start)
        self.text.cursorPositionChanged.connect(self._show_line)
        self.search.textEdited.connect(partial(self._find, True))
        self.search.returnPressed.connect(partial(self._find, False))
        self.look.recolored.connect(lambda color: self._set_look(color=color))
        self.look.regrouped.connect(lambda group: self._set_look(supercategory=group))
        self.changes.line_chosen.connect(self._go_to)
        self.sentences.changed.connect(self._show_state)
        self.buttons.accepted.connect(self.apply)
        self.buttons.rejected.connect(self.reject)
        for keys, act in (
            ("Ctrl+F", self._focus_find),
            ("Ctrl+Return", self.apply),
            ("Ctrl+Enter", self.apply),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    # --- Reading the text ---

    def check(self) -> None:
        """Read the text and show what it would change."""
        self._timer.stop()
        self._vocabulary = parse(self.text.toPlainText(), self._distinct)
        keys = self.text.keys()
        entries = [self._with_look(entry, keys) for entry in self._vocabulary.entries]
        self.plan = plan(self._document.categories(), entries, keys, self._reason_to_stay)
        findings = self._vocabulary.findings
        levels = {f.line: "error" if f.is_error else "warning" for f in reversed(findings)}
        colors = {line: category.color for line, category in self.plan.by_line.items()}
        self.text.mark(levels, colors)
        self.changes.show_plan(self.plan, findings)
        if entries:
            self.sentences.set_example(entries[0].name)
        self._show_line()
        self._show_state()

    def _with_look(self, entry: Entry, keys: dict[int, int]) -> Entry:
        look = self._looks.get(keys.get(entry.line, NEW))
        if look is None:
            return entry
        return replace(entry, color=look.color or "", supercategory=look.supercategory)

    def _reason_to_stay(self, category_id: int) -> str:
        if category_id not in self._known:
            return "It was added meanwhile."
        users = self._document.category_users(category_id)
        if not users:
            return ""
        have = "has" if users.startswith("1 ") else "have"
        return f"{users} {have} it. Give them another class first."

    @property
    def _has_errors(self) -> bool:
        found = self._vocabulary.findings
        return any(finding.is_error for finding in found) or self.sentences.has_errors

    @property
    def _is_changed(self) -> bool:
        return not self.plan.is_empty or self._has_new_sentences

    @property
    def _has_new_sentences(self) -> bool:
        return self.sentences.templates != self._document.templates()

    def _show_state(self) -> None:
        count = len(self._vocabulary.entries)
        total = "1 class" if count == 1 else f"{count:,} classes"
        parts = [total, self.plan.summary]
        if self._has_new_sentences:
            parts.append(f"{len(self.sentences.templates)} sentences")
        errors = self._has_errors
        level = "error" if errors else "warning" if self.plan.kept else ""
        if errors:
            parts.append("see what is marked red")
        self.message.say(": ".join(parts[:2]) + "".join(f"; {part}" for part in parts[2:]), level)
        self.apply_button.setEnabled(self._is_changed and not errors)

    # --- One line ---

    def _show_line(self) -> None:
        category = self.plan.by_line.get(self.text.line)
        users = "" if category is None else self._document.category_users(category.id)
        if category is None:
            uses = ""
        elif category.id == NEW:
            uses = "A new class."
        else:
            uses = f"Class of {users}." if users else "No object has it yet."
        self.look.show_class(category, uses)

    def _set_look(self, color: str | None = None, supercategory: str | None = None) -> None:
        line = self.text.line
        category = self.plan.by_line.get(line)
        if category is None:
            return
        key = self.text.key_at(line)
        if key is None:
            key = category.id if category.id != NEW else self._new_key()
            self.text.set_key(line, key)
        old = self._looks.get(key, Look())
        self._looks[key] = Look(
            color or old.color, old.supercategory if supercategory is None else supercategory
        )
        self.check()

    def _new_key(self) -> int:
        self._next_key -= 1
        return self._next_key

    def _go_to(self, line: int) -> None:
        self.tabs.setCurrentIndex(0)
        self.text.go_to(line)

    def _focus_find(self) -> None:
        self.tabs.setCurrentIndex(0)
        self.search.setFocus()
        self.search.selectAll()

    def _find(self, from_here: bool, _text: str = "") -> None:
        """Select the next place that fits, after the last line from the first again."""
        wanted, cursor = self.search.text(), self.text.textCursor()
        if not wanted:
            return
        if from_here:
            cursor.setPosition(cursor.selectionStart())
        found = self.text.document().find(wanted, cursor)
        if found.isNull():
            found = self.text.document().find(wanted, 0)
        if not found.isNull():
            self.text.setTextCursor(found)
            self.text.centerCursor()

    # --- Lists ---

    def take(self, vocabulary: Vocabulary, source: str) -> None:
        """Put classes behind the ones that are there, or in their place; undo takes them back.

        Args:
            vocabulary: with at least one class.
            source: what people call it.
        """
        entries = vocabulary.entries
        keys = [self._key_of(entry) for entry in entries]
        stuff = {entry.name for entry in entries if entry.is_thing is False}
        text = to_text(((entry.name, entry.synonyms) for entry in entries), stuff)
        if self.replaces.isChecked():
            self.text.replace_text(text, keys)
        else:
            self.text.append_lines(text, keys)
        self.check()
        notes = "".join(f" {_sentence(finding.line, finding.text)}" for finding in _few(vocabulary))
        more = len(vocabulary.findings) - len(_few(vocabulary))
        notes += f" And {more:,} more." if more > 0 else ""
        count = "1 class" if len(entries) == 1 else f"{len(entries):,} classes"
        level = "warning" if notes or self.plan.kept else "success"
        self.message.say(f"{count} of {source}; {self.plan.summary}.{notes}", level)

    def _key_of(self, entry: Entry) -> int | None:
        # Classes of the project keep the looks they have.
        known = same_name(entry.name) in self._names
        if known or (not entry.color and entry.supercategory is None):
            return None
        key = self._new_key()
        self._looks[key] = Look(entry.color or None, entry.supercategory)
        return key

    def import_file(self, path: Path) -> None:
        """Take the classes of a file, or say why not; then nothing changes."""
        self._try(lambda: self.take(read_vocabulary(path), f"“{path.name}”"))

    def export_file(self, path: Path) -> None:
        """Write the text."""

        def write() -> None:
            try:
                write_atomic(path, [self.text.toPlainText().encode("utf-8", "replace"), b"\n"])
            except OSError as error:
                raise explain(error, path) from error
            self.message.say(f"Written to “{path.name}”.", "success")

        self._try(write)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except UserError as error:
            self.message.say(f"{error.message} {error.remedy}".strip(), "error")

    def _choose_import(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Import classes", "", FILES)
        if name:
            self.import_file(Path(name))

    def _choose_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export classes", "classes.txt", "Text (*.txt)")
        if name:
            self.export_file(Path(name))

    def _tidy(self) -> None:
        before = self.text.toPlainText()
        after = tidy(before)
        if after != before:
            self.text.rewrite(after)

    # --- The end ---

    def apply(self) -> None:
        """Change the project and close, unless something is wrong."""
        self.check()
        if self._has_errors or not self._is_changed:
            return
        new = self.sentences.templates if self._has_new_sentences else None
        self._try(lambda: self._apply(new))

    def _apply(self, templates: Sequence[str] | None) -> None:
        self._document.set_vocabulary(self.plan.categories, templates)
        self.accept()

    def reject(self) -> None:
        """Close; ask first if something would be lost."""
        self.check()
        if not self._is_changed:
            super().reject()
            return
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Vocabulary")
        box.setText("Discard what you changed?")
        box.setInformativeText(self.plan.summary)
        discard = box.addButton("&Discard", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton("&Go on editing", QMessageBox.ButtonRole.RejectRole)
        # The slot by its name would be this method again.
        discard.clicked.connect(lambda: self.done(QDialog.DialogCode.Rejected.value))
        box.open()


def _few(vocabulary: Vocabulary) -> Sequence[Finding]:
    return vocabulary.findings[:2]


def _sentence(line: int, text: str) -> str:
    return f"Line {line:,}: {text}" if line else text
