"""The line at the bottom: where the pointer is, what the model does, whether the work is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt, QTimer
from PySide6.QtWidgets import QLabel, QStatusBar, QWidget

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.services.answering import Encoding, Loading
    from annotator.services.document import SaveState
    from annotator.services.workspace import Workspace
    from models.api import SegmenterSpec

NOTICE_MS = 6000
SLOW_MS = 150
"""Answers that come sooner are not announced: it would only flicker."""


class StatusBar(QStatusBar):
    """Follows a workspace.

    Args:
        workspace: what is open.
        parent: Qt parent.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(SLOW_MS)
        self._slow.timeout.connect(self._say_working)
        self._working = self._field("Model activity", 14)
        self._size = self._field("Image size", 14)
        self._pointer = self._field("Pointer position and pixel value", 34)
        self._zoom = self._field("Zoom", 7)
        self._turn = self._field("Rotation of the view; image and objects stay as they are", 0)
        self._turn.hide()
        self._model = self._field("Model in use", 20)
        self._saved = self._field("State of saving", 16)
        self._overlap = self._field("Whether objects may overlap", 0)
        workspace.masks.overlap_changed.connect(self._show_overlap)
        workspace.noticed.connect(lambda text: self.showMessage(text, NOTICE_MS))
        workspace.working_changed.connect(self._show_working)
        workspace.assistant.loading_changed.connect(self._show_loading)
        workspace.assistant.encoding_changed.connect(self._show_encoding)
        workspace.image_shown.connect(lambda _: self._size.setText("Loading…"))
        workspace.image_ready.connect(self._show_size)
        workspace.image_failed.connect(lambda *_: self._size.setText("Unreadable"))
        workspace.project_closed.connect(self._clear)
        workspace.model_changed.connect(self.show_model)
        workspace.assistant.resolution_changed.connect(self._show_again)
        workspace.assistant.device_changed.connect(self._show_again)
        self.show_model(workspace.assistant.model)

    def _field(self, meaning: str, characters: int) -> QLabel:
        label = QLabel(self)
        label.setAccessibleName(meaning)
        label.setToolTip(meaning)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setMinimumWidth(self.fontMetrics().averageCharWidth() * characters)
        self.addPermanentWidget(label)
        return label

    def show_pointer(self, position: QPointF | None) -> None:
        """Show the image position and pixel value under the pointer."""
        image = self._workspace.image
        if position is None or image is None:
            self._pointer.setText("")
            return
        x, y = int(position.x()), int(position.y())
        inside = 0 <= position.x() < image.width and 0 <= position.y() < image.height
        value = image.value_text(x, y) if inside else ""
        text = f"x {x}  y {y}   {value}"
        self._make_room(self._pointer, text)
        self._pointer.setText(text)

    def _make_room(self, label: QLabel, text: str) -> None:
        """Of a fixed size, which only grows: else every movement would lay out the window anew."""
        metrics = label.fontMetrics()
        width = metrics.horizontalAdvance(text) + metrics.averageCharWidth()
        if width > label.width() or label.minimumHeight() != metrics.height():
            label.setFixedSize(max(width, label.width()), metrics.height())

    def show_zoom(self, zoom: float) -> None:
        """Show the zoom, 1.0 meaning one image pixel per screen pixel."""
        percent = zoom * 100
        self._zoom.setText(f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %")

    def show_turn(self, turn: int) -> None:
        """Say that the view is turned by this many quarter turns clockwise."""
        self._turn.setText(f"⟳ {90 * turn}°" if turn else "")
        self._turn.setVisible(turn != 0)

    def show_model(self, spec: SegmenterSpec) -> None:
        """Name the model honestly; say where it runs and how much of the detail it sees."""
        resolution = self._workspace.assistant.resolution
        self._model.setText(f"{spec.title} · {resolution}" if resolution else spec.title)
        lines = [spec.summary, f"Version {spec.version}, {spec.licence}"]
        if device := self._workspace.assistant.devices.get(spec.id):
            lines.append(f"Runs on: {device}")
        if resolution:
            lines.append(
                "1:4 means that the model sees every fourth pixel. Zoom in on a large image, and "
                "the visible part is looked at in detail."
            )
        self._model.setToolTip("\n".join(lines))

    def _show_again(self) -> None:
        self.show_model(self._workspace.assistant.model)

    def show_saving(self, state: SaveState) -> None:
        """Say whether everything accepted is safe."""
        if state.error is not None:
            self._saved.setText("⚠ Not saved, retrying")
            self._saved.setToolTip(str(state.error))
            return
        if state.pending:
            self._saved.setText("Saving…")
        else:
            self._saved.setText("Saved · COCO follows" if state.coco_pending else "✓ Saved")
        self._saved.setToolTip("Every accepted object is in the journal; the COCO file follows.")

    def _show_working(self, working: bool) -> None:
        if working:
            self._slow.start()
        else:
            self._slow.stop()
            self._working.setText("")

    def _say_working(self) -> None:
        self._working.setText("● Segmenting…")

    def _show_loading(self, loading: Loading | None) -> None:
        if loading is None:
            self._show_working(self._workspace.working)
        else:
            self._slow.stop()
            doing = "Preparing" if loading.first else "Loading"
            self._working.setText(f"● {doing} {loading.title}…")

    def _show_encoding(self, encoding: Encoding | None) -> None:
        self._show_working(self._workspace.working)
        self._working.setToolTip("Model activity")
        if encoding is not None:
            self._slow.stop()
            self._working.setText(f"● Encoding, {encoding.share:.0%}")
            self._working.setToolTip(
                f"{encoding.title} is looking at the image; done so far: {encoding.part}."
            )

    def _show_size(self, image: LoadedImage) -> None:
        depth = "" if image.bit_depth == 8 else f", {image.bit_depth} bit"
        self._size.setText(f"{image.width} × {image.height}{depth}")

    def _show_overlap(self, overlap: str) -> None:
        texts = {"takes": "◨ No overlap: new on top", "leaves": "◧ No overlap: new below"}
        self._overlap.setText(texts.get(overlap, ""))
        self._overlap.setVisible(overlap in texts)
        self._overlap.setToolTip(
            "A pixel belongs to the object of the highest layer (menu Objects, Overlap)."
        )

    def _clear(self) -> None:
        self._show_overlap("allowed")
        for label in (self._size, self._pointer, self._saved, self._working):
            label.setText("")
