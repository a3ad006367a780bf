"""`StatisticsDialog`: plots of the project, drawn in the background; saved as PNG and CSV."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QImage, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.services.store import Courier, explain_failure
from annotator.ui.labels import LevelLabel
from annotator.ui.theme import is_dark

if TYPE_CHECKING:
    from annotator.core.charts import Colors
    from annotator.core.statistics import Statistics
    from annotator.services.document import Document

TITLES = {
    "classes": "Objects by class",
    "sizes": "Sizes of objects",
    "positions": "Where objects are",
    "progress": "Progress per day",
}
SETTLE_S = 5.0


class StatisticsDialog(QDialog):
    """Shows what there is, as of the moment it was opened.

    Args:
        document: the project.
        parent: the window.
    """

    def __init__(self, document: Document, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Statistics")
        self._document = document
        self._courier = Courier(self)
        self._asked = threading.Event()
        self.found: Statistics | None = None
        self.plots = {name: _Plot(title, self) for name, title in TITLES.items()}
        self.state = LevelLabel("Reading the project…", "", self)
        close = QDialogButtonBox.StandardButton.Close
        self.buttons = QDialogButtonBox(close, self)
        self.save_button = self.buttons.addButton(
            "&Save PNG and CSV…", QDialogButtonBox.ButtonRole.ActionRole
        )
        self.save_button.setEnabled(False)
        self._arrange()
        self.buttons.rejected.connect(self.reject)
        self.save_button.clicked.connect(self._choose)
        self.finished.connect(lambda _: self._end())
        colors = self._colors()
        self._thread = threading.Thread(
            target=self._read, args=(colors,), name="statistics", daemon=True
        )
        self._thread.start()

    def _arrange(self) -> None:
        grid = QGridLayout()
        for place, plot in enumerate(self.plots.values()):
            grid.addWidget(plot, place // 2, place % 2)
        column = QVBoxLayout(self)
        column.addLayout(grid, 1)
        column.addWidget(self.state)
        column.addWidget(self.buttons)
        self.resize(1080, 760)

    def _colors(self) -> Colors:
        from annotator.core.charts import DARK, LIGHT

        return DARK if is_dark(self.palette()) else LIGHT

    # --- On the thread ---

    def _read(self, colors: Colors) -> None:
        from annotator.core.charts import plots
        from annotator.services.checking import journal_of
        from annotator.services.journal import connect_beside
        from annotator.services.project_facts import read_statistics

        document = self._document
        try:
            document.flush(SETTLE_S)
            db = connect_beside(journal_of(document.folder, document.project_dir))
            try:
                found = read_statistics(db, self._advance)
            finally:
                db.close()
            made = {
                name: (image.tobytes(), image.width, image.height)
                for name, image in plots(found, colors).items()
            }
        except _ClosedError:
            return
        except UserError as error:
            self._post_failure(error)
        except sqlite3.Error as error:
            self._post_failure(explain_failure(error, document.folder))
        else:
            self._courier.post(lambda: self._show(found, made))

    def _post_failure(self, error: UserError) -> None:
        self._courier.post(lambda: self.state.say(str(error), "error"))

    def _advance(self, done: int, count: int) -> None:
        if self._asked.is_set():
            raise _ClosedError
        if done % 16_384 == 0:
            self._courier.post(
                lambda: self.state.say(f"Reading {done:,} of {count:,} objects…", "")
            )

    # --- On the GUI thread ---

    def _show(self, found: Statistics, made: dict[str, tuple[bytes, int, int]]) -> None:
        self.found = found
        for name, (pixels, width, height) in made.items():
            image = QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888)
            self.plots[name].show_picture(QPixmap.fromImage(image))
        words = {"look": "to look at again", "proposals": "with proposals"}
        states = found.states.items()
        images = ", ".join(f"{count:,} {words.get(name, name)}" for name, count in states if count)
        text = f"{found.objects:,} objects of {len(found.classes):,} classes. Images: {images}."
        self.state.say(text, "")
        self.plots["classes"].setAccessibleDescription(text)
        self.save_button.setEnabled(True)

    def _choose(self) -> None:
        start = str(self._document.folder.parent)
        folder = QFileDialog.getExistingDirectory(self, "Folder for plots and tables", start)
        if folder:
            self.save(Path(folder))

    def save(self, folder: Path) -> None:
        """Write all plots and tables into a folder."""
        from annotator.core.charts import write_png
        from annotator.core.files import explain
        from annotator.core.statistics import write_csv

        if self.found is None:
            return
        try:
            files = [*write_png(self.found, folder), *write_csv(self.found, folder)]
        except OSError as error:
            self.state.say(str(explain(error, folder)), "error")
            return
        self.state.say(f"{len(files)} files written to “{folder}”.", "success")
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _end(self) -> None:
        self._asked.set()
        self._thread.join()


class _ClosedError(Exception):
    """The dialog is gone."""


class _Plot(QLabel):
    """A picture that keeps its shape."""

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._picture = QPixmap()
        self.setAccessibleName(title)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(QSize(240, 150))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def show_picture(self, picture: QPixmap) -> None:
        """Show this from now on."""
        self._picture = picture
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As large as there is room."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self._picture.isNull():
            return
        ratio = self.devicePixelRatioF()
        scaled = self._picture.scaled(
            self.size() * ratio, Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )  # fmt: skip
        scaled.setDevicePixelRatio(ratio)
        self.setPixmap(scaled)
