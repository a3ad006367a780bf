"""`SettingsDialog`: everything the user can prefer; every change acts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QRadioButton,
    QSlider,
    QSpinBox,
    QStackedWidget,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from annotator.services.settings import Settings, SettingsStore
from annotator.ui.icons import icon
from annotator.ui.labels import soft_label

if TYPE_CHECKING:
    from annotator.services.assistant import Assistant
    from annotator.ui.models_page import ModelsPage, Offer

Choice = tuple[str, str, str]
"""Value, text and explanation of one choice."""

DEVICES: tuple[Choice, ...] = (
    (
        "auto",
        "the fastest there is",
        "A graphics processor when one works, else the processor, with numbers of 16 bits "
        "where OpenVINO is installed.",
    ),
    ("processor", "the processor", "No graphics processor."),
    (
        "exact",
        "the processor, 32 bit",
        "The same masks on every computer: no graphics processor, no OpenVINO.",
    ),
)


class SettingsDialog(QDialog):
    """Pages of settings; it does not block the main window.

    Args:
        store: read and written.
        parent: the window.
    """

    def __init__(self, store: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self.setWindowTitle("Settings")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.pages = QListWidget(self)
        self.pages.setAccessibleName("Pages")
        self.pages.setItemDelegate(_Tall(self.pages))
        self.pages.setFrameShape(QFrame.Shape.NoFrame)
        self._stack = QStackedWidget(self)
        self._model = _Model(store, self)
        for title, drawing, page in (
            ("Appearance", "theme", _Appearance(store, self)),
            ("Keyboard", "keyboard", _Keyboard(store, self)),
            ("Canvas", "image", _Canvas(store, self)),
            ("Model", "model", self._model),
            ("Names", "tag", _Names(store, self)),
            ("Proposals", "everything", _Proposals(store, self)),
            ("Saving", "save", _Saving(store, self)),
        ):
            self.pages.addItem(QListWidgetItem(icon(drawing), title))
            self._stack.addWidget(page)
        self.pages.currentRowChanged.connect(self._stack.setCurrentIndex)
        self._build()
        self.pages.setCurrentRow(0)

    def _build(self) -> None:
        em = self.fontMetrics().height()
        self.pages.setFixedWidth(11 * em)
        self.pages.setIconSize(QSize(em + 4, em + 4))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.close)
        line = QFrame(self)
        line.setFrameShape(QFrame.Shape.VLine)
        line.setForegroundRole(QPalette.ColorRole.Mid)
        middle = QHBoxLayout()
        middle.addWidget(self.pages)
        middle.addWidget(line)
        middle.addWidget(self._stack, 1)
        column = QVBoxLayout(self)
        column.addLayout(middle, 1)
        column.addWidget(buttons)
        self.resize(62 * em, 42 * em)

    def show_page(self, title: str) -> None:
        """Turn to the page with this title."""
        for item in self.pages.findItems(title, Qt.MatchFlag.MatchExactly):
            self.pages.setCurrentItem(item)

    def show_device(self, model_id: str, text: str) -> None:
        """Say on which device a model really runs, and why."""
        self._model.show_device(model_id, text)

    def follow(self, assistant: Assistant) -> None:
        """Say on which devices models run, and go on saying it."""
        for model_id, text in assistant.devices.items():
            self.show_device(model_id, text)
        assistant.device_changed.connect(self.show_device)

    def show_models(self) -> None:
        """Models came or went."""
        self._model.show_models()

    @classmethod
    def open_over(
        cls,
        store: SettingsStore,
        window: QWidget,
        page: str = "",
        assistant: Assistant | None = None,
    ) -> SettingsDialog:
        """The settings of a window: the open ones brought to the front, or new ones.

        Args:
            store: read and written.
            window: they belong to.
            page: title of the one to turn to.
            assistant: says on which devices models really run.
        """
        dialog = window.findChild(cls)
        if dialog is None:
            dialog = cls(store, window)
            if assistant is not None:
                dialog.follow(assistant)
        if page:
            dialog.show_page(page)
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()
        return dialog


class _Page(QWidget):
    """A column of settings that follows the store."""

    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(parent)
        self.store = store
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(14, 6, 6, 6)
        self._followers: list[Callable[[Settings], None]] = []
        self._following = False
        store.changed.connect(self._follow)

    def _follow(self, settings: Settings) -> None:
        self._following = True
        for follower in self._followers:
            follower(settings)
        self._following = False

    def change(self, name: str, value: object) -> None:
        """Write what the user chose; showing what is chosen already writes nothing."""
        if not self._following:
            self.store.update(**{name: value})

    def heading(self, text: str, explanation: str = "") -> None:
        """A bold line, and what it is about."""
        if self.column.count():
            self.column.addSpacing(self.fontMetrics().height())
        label = QLabel(text, self)
        font = label.font()
        font.setBold(True)
        label.setFont(font)
        self.column.addWidget(label)
        if explanation:
            self.column.addWidget(soft_label(explanation, self))

    def form(self) -> None:
        """Rows of `_spin` follow."""
        self._form = QFormLayout()
        self.column.addLayout(self._form)

    def _spin(
        self, name: str, title: str, least: int, most: int, suffix: str = "", factor: int = 1
    ) -> QSpinBox:
        """A row with a whole number; the setting is the number divided by `factor`."""
        box = QSpinBox(self)
        box.setObjectName(name)
        box.setRange(least, most)
        box.setSuffix(suffix)
        box.setMinimumWidth(11 * self.fontMetrics().height())
        box.setKeyboardTracking(False)
        self._form.addRow(title, box)
        box.valueChanged.connect(
            lambda value: self.change(name, value / factor if factor > 1 else value)
        )
        self.follow(lambda settings: box.setValue(round(getattr(settings, name) * factor)))
        return box

    def _percent(self, name: str, title: str, explanation: str, *, automatic: bool = True) -> None:
        box = self._spin(name, title, -1 if automatic else 0, 100, " %", 100)
        if automatic:
            box.setSpecialValueText("As suits the model")
        box.setToolTip(explanation)
        box.setAccessibleDescription(explanation)

    def choice(self, name: str, title: str, choices: Sequence[Choice]) -> None:
        """Radio buttons for a field with a few values."""
        group = QButtonGroup(self)
        buttons: dict[str, QRadioButton] = {}
        for value, text, explanation in choices:
            button = QRadioButton(text, self)
            button.setAccessibleDescription(f"{title}. {explanation}")
            button.setObjectName(f"{name}.{value}")
            button.toggled.connect(lambda on, value=value: self.change(name, value) if on else None)
            group.addButton(button)
            buttons[value] = button
            self.column.addWidget(button)
            if explanation:
                self.column.addWidget(soft_label(explanation, self, indented=True))

        def follow(settings: Settings) -> None:
            buttons[getattr(settings, name)].setChecked(True)

        self.follow(follow)

    def toggle(self, name: str, text: str, explanation: str = "") -> None:
        """A check box for a true-or-false field."""
        box = QCheckBox(text, self)
        box.setObjectName(name)
        box.setAccessibleDescription(explanation)
        box.toggled.connect(lambda on: self.change(name, on))
        self.column.addWidget(box)
        if explanation:
            self.column.addWidget(soft_label(explanation, self, indented=True))
        self.follow(lambda settings: box.setChecked(getattr(settings, name)))

    def follow(self, follower: Callable[[Settings], None]) -> None:
        """Call now and after every change."""
        self._followers.append(follower)
        self._following = True
        follower(self.store.settings)
        self._following = False


class _Appearance(_Page):
    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(store, parent)
        self.heading("Theme")
        self.choice(
            "theme",
            "Theme",
            (
                ("system", "Like the &system", "Light or dark together with your desktop."),
                ("light", "&Light", ""),
                ("dark", "&Dark", "Easier on the eyes beside dark photographs."),
            ),
        )
        self.heading("Start")
        self.toggle("reopen_last", "&Open the last folder when the program starts")
        self.column.addStretch(1)


class _Keyboard(_Page):
    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(store, parent)
        self.heading(
            "Keys", "Choose a command and press Enter to change its keys; changes act at once."
        )
        self._filled = False

    def showEvent(self, event: object) -> None:
        """Build the long list only when somebody looks at it."""
        if not self._filled:
            from annotator.ui.shortcut_sheet import ShortcutEditor

            self._filled = True
            self.column.addWidget(ShortcutEditor(self.store, self), 1)


class _Canvas(_Page):
    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(store, parent)
        self.heading("Mouse wheel")
        self.choice(
            "wheel",
            "Mouse wheel",
            (
                ("zoom", "The wheel &zooms at the pointer", "Middle drag or Space-drag pans."),
                ("scroll", "The wheel &scrolls, Ctrl+wheel zooms", "As in labelme."),
            ),
        )
        self.heading("Under the pointer")
        self.toggle(
            "hover_preview", "&Preview what a click would give", "Never slows down the pointer."
        )
        self.toggle("crosshair", "&Crosshair through the whole image")
        self.toggle("pixel_grid", "Pixel &grid when you are close")
        self.heading("Rotated views")
        self.toggle(
            "turn_alike",
            "&Rotate all images of a project alike",
            "For scans or films that lie on their side. Otherwise every image has its own.",
        )
        self.heading("Masks")
        self._opacity()
        self.column.addStretch(1)

    def _opacity(self) -> None:
        label = QLabel("Mask &opacity:", self)
        slider = QSlider(Qt.Orientation.Horizontal, self)
        slider.setRange(5, 100)
        slider.setPageStep(10)
        slider.setObjectName("mask_opacity")
        slider.setAccessibleName("Mask opacity in percent")
        slider.setMaximumWidth(18 * self.fontMetrics().height())
        label.setBuddy(slider)
        value = QLabel(self)
        value.setMinimumWidth(3 * self.fontMetrics().height())
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(slider, 1)
        row.addWidget(value)
        row.addStretch(1)
        self.column.addLayout(row)
        slider.valueChanged.connect(lambda percent: self.change("mask_opacity", percent / 100))

        def follow(settings: Settings) -> None:
            percent = round(settings.mask_opacity * 100)
            slider.setValue(percent)
            value.setText(f"{percent} %")

        self.follow(follow)


class _Model(_Page):
    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(store, parent)
        self.heading("Segmentation model", "What turns your clicks into masks.")
        # Downloads belong to the window, not to the dialog: they go on when this is closed.
        self._owner = parent.parentWidget() or parent
        self._devices: dict[str, str] = {}
        self._list: ModelsPage | None = None
        self._choose_device()

    def _choose_device(self) -> None:
        choice = QComboBox(self)
        choice.setObjectName("device")
        for value, text, explanation in DEVICES:
            choice.addItem(text, value)
            choice.setItemData(choice.count() - 1, explanation, Qt.ItemDataRole.ToolTipRole)
        choice.setToolTip("\n".join(f"{text}: {why}" for _, text, why in DEVICES))
        choice.activated.connect(lambda index: self.change("device", choice.itemData(index)))
        label = QLabel("&Run models on:", self)
        label.setBuddy(choice)
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(choice)
        row.addStretch(1)
        self.column.addLayout(row)
        self.follow(lambda settings: choice.setCurrentIndex(choice.findData(settings.device)))

    def show_device(self, model_id: str, text: str) -> None:
        """Say on which device a model really runs."""
        self._devices[model_id] = text
        if self._list is not None:
            self._list.show_device(model_id, text)

    def show_models(self) -> None:
        """Models came or went."""
        if self._list is not None:
            from models.registry import segmenters

            self._list.show_models(segmenters())

    def showEvent(self, event: object) -> None:
        """Ask the models about themselves only when somebody looks."""
        if self._list is not None:
            self.show_models()
            return
        from annotator.services.downloads import Downloads
        from annotator.ui.cache_row import CacheRow
        from annotator.ui.models_page import ModelsPage
        from models.registry import DEFAULT_SEGMENTER, segmenters

        downloads = Downloads.of(self._owner)
        self._list = ModelsPage(self.store, downloads, segmenters(), DEFAULT_SEGMENTER, self)
        for model_id, text in self._devices.items():
            self._list.show_device(model_id, text)
        self.column.addWidget(self._list, 1)
        self.column.addWidget(CacheRow(self))


class _Names(_Page):
    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(store, parent)
        self.heading(
            "Names",
            "Names are suggested from objects of this project that look alike. A text model knows "
            "the words of your classes too, before any object has one.",
        )
        self._owner = parent.parentWidget() or parent
        self._list: ModelsPage | None = None

    def showEvent(self, event: object) -> None:
        """Ask the models about themselves only when somebody looks."""
        if self._list is not None:
            return
        from annotator.services.downloads import Downloads
        from annotator.ui.models_page import ModelsPage
        from models.catalog import needs
        from models.naming.sight import SEGMENTERS
        from models.naming.towers import NO_TOWER, TOWERS
        from models.registry import segmenter_spec

        whole = [segmenter_spec(name) for name in SEGMENTERS]
        models: list[Offer] = [NO_TOWER, *TOWERS, *whole]
        files = {tower.id: ((tower.file,),) for tower in TOWERS}
        self._list = ModelsPage(
            self.store,
            Downloads.of(self._owner),
            {model.id: model for model in models},
            NO_TOWER.id,
            self,
            needs=lambda model_id: files.get(model_id) or needs(model_id),
            field="names",
        )
        self.column.addWidget(self._list, 1)


class _Proposals(_Page):
    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(store, parent)
        self.heading(
            "Propose everything in an image",
            "The model is asked about a grid of points. Twice as many along each side find smaller "
            "objects and take four times as long; you can go on working meanwhile.",
        )
        self.form()
        self._spin("propose_side", "&Points along each side:", 2, 64)
        self.heading("Which masks are proposed")
        self._form = QFormLayout()
        self.column.addLayout(self._form)
        self._percent("propose_score", "Least &confidence:", "How good the model thinks a mask is.")
        self._percent(
            "propose_stability",
            "Least &stability:",
            "How little a mask changes when the model is a little more or less strict.",
        )
        self._percent(
            "propose_overlap",
            "Same object from an &overlap of:",
            "Of masks that overlap more only the best is proposed, and none where you have an "
            "object already.",
            automatic=False,
        )
        self._spin("propose_area", "S&mallest object:", 0, 1_000_000, " px²")
        self.column.addStretch(1)


class _Saving(_Page):
    def __init__(self, store: SettingsStore, parent: QWidget) -> None:
        super().__init__(store, parent)
        self.heading(
            "Every object you accept is saved at once",
            "The journal beside your images takes every step as you make it and keeps undo; "
            "the COCO file follows within seconds, and at once when you save.",
        )
        self.heading("Masks in the COCO file")
        self.choice(
            "segmentation",
            "Masks in the COCO file",
            (
                (
                    "polygons",
                    "&Polygons where they are exact, RLE elsewhere",
                    "A polygon is written only if it rasterises to the very same pixels.",
                ),
                ("rle", "&RLE everywhere", "Compressed run lengths, as pycocotools writes them."),
            ),
        )
        self.heading("Earlier versions of the COCO file")
        self.form()
        self._spin("coco_versions", "&Versions kept in the project:", 0, 1000)
        self.heading("Recent folders")
        clear = QPushButton("&Forget recent folders", self)
        clear.setAutoDefault(False)
        clear.clicked.connect(store.forget_folders)
        self.follow(lambda settings: clear.setEnabled(bool(settings.recent_folders)))
        row = QHBoxLayout()
        row.addWidget(clear)
        row.addStretch(1)
        self.column.addLayout(row)
        self.heading("Settings file")
        where = soft_label(str(store.path), self)
        where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.column.addWidget(where)
        self.column.addStretch(1)


class _Tall(QStyledItemDelegate):
    """Rows of the list of pages with air."""

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """Twice the height of the text."""
        return QSize(0, 2 * option.fontMetrics.height())
