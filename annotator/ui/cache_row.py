"""`CacheRow`: how much disk the prepared images take, a limit for it, and a way to clear it."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from annotator.core.errors import UserError
from annotator.services.cache_keeper import GB, CacheKeeper, CacheUse
from annotator.ui.labels import LevelLabel
from models.weight_files import size_text

MOST_GB = 1000
WAIT_MS = 400
"""How long a new limit has to rest before entries are deleted for it."""


class CacheRow(QWidget):
    """Follows a `CacheKeeper` while it is visible.

    Args:
        parent: Qt parent.
        keeper: works on the cache; by default one of its own.
    """

    def __init__(self, parent: QWidget | None = None, keeper: CacheKeeper | None = None) -> None:
        super().__init__(parent)
        self._keeper = keeper or CacheKeeper(self)
        self._keeper.measured.connect(self._show)
        self._keeper.failed.connect(self._tell)
        self._use = LevelLabel("", "", self)
        self.limit = QSpinBox(self)
        self.limit.setRange(0, MOST_GB)
        self.limit.setSuffix(" GB")
        self.limit.setAccessibleName("Most room for prepared images on the disk, in gigabytes")
        self.limit.setToolTip("0 keeps none: every image is then prepared again each time.")
        self.limit.setEnabled(False)
        self._rest = QTimer(self, singleShot=True, interval=WAIT_MS)
        self._rest.timeout.connect(self._grant)
        self.limit.valueChanged.connect(lambda _: self._rest.start())
        self.clear_button = QPushButton("C&lear", self)
        self.clear_button.setAutoDefault(False)
        self.clear_button.setToolTip("Delete all prepared images. Your objects are not touched.")
        self.clear_button.clicked.connect(self._clear)
        self._build()

    def _build(self) -> None:
        title = QLabel("Prepared images: at &most", self)
        title.setBuddy(self.limit)
        row = QHBoxLayout()
        row.addWidget(title)
        row.addWidget(self.limit)
        row.addWidget(self.clear_button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._use)

    @property
    def text(self) -> str:
        """What is said about the room in use."""
        return self._use.text()

    def _clear(self) -> None:
        self.clear_button.setEnabled(False)
        self._keeper.clear()

    def _grant(self) -> None:
        self._rest.stop()
        self._keeper.grant(self.limit.value())

    def _show(self, use: CacheUse) -> None:
        if not self._rest.isActive():
            self.limit.blockSignals(True)
            self.limit.setValue(round(use.granted / GB))
            self.limit.blockSignals(False)
        self.limit.setEnabled(True)
        self.clear_button.setEnabled(use.used > 0)
        text = f"{size_text(use.used)} in use. An image seen before can be clicked at once."
        if use.limit < use.granted:
            text += f" The disk has room for {size_text(use.limit)}."
        self._use.say(text, "")

    def _tell(self, error: UserError) -> None:
        self._use.say(str(error), "error")
        self.clear_button.setEnabled(True)

    def showEvent(self, event: QShowEvent) -> None:
        """Look how much there is."""
        super().showEvent(event)
        self._keeper.measure()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks: what was typed last holds, and the thread ends."""
        if self._rest.isActive():
            self._grant()
        self._keeper.close()
        super().hideEvent(event)
