"""`Canvas`: the image with everything on it, and the pointer and keys that act on it.

It holds no truth: it draws what the `Workspace` says and turns gestures (`annotator.ui.tools`) into
calls of the workspace. Three kinds of coordinates: image pixels, viewport pixels (Qt's logical
pixels) and device pixels (`View` works in these, so that 100 % means one image pixel per screen
pixel on every screen).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QToolTip, QWidget

from annotator.ui import canvas_view as views
from annotator.ui import items
from annotator.ui.canvas_layers import ImageLayer, MaskLayer
from annotator.ui.canvas_overlay import CandidateItems, Frame, Overlay
from annotator.ui.canvas_preview import Previewer
from annotator.ui.canvas_view import Adjustment, View
from annotator.ui.items import AnnotationItem
from annotator.ui.tools import (
    DRAG,
    NEAR,
    TOOLS,
    Gesture,
    GestureEvent,
    Ghost,
    Grip,
    Resizing,
    Sketch,
    Tool,
)
from models.api import Box, MaskCandidate, Point, Prompt

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation
    from annotator.core.errors import UserError
    from annotator.core.images import LoadedImage
    from annotator.services.document import Document
    from annotator.services.settings import Settings, SettingsStore
    from annotator.services.workspace import Workspace

FRAME_MS = 16
HOLD_MS = 150
"""The last image stays this long while the next one is read: no grey flash between images."""
SPINNER_DELAY_MS = 150
SPINNER_MS = 50
SCROLL = 64
"""Viewport pixels per arrow key or wheel notch."""
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
_RESIZE_CURSORS = {
    (0, 1): Qt.CursorShape.SizeVerCursor,
    (1, 0): Qt.CursorShape.SizeHorCursor,
    (1, 1): Qt.CursorShape.SizeFDiagCursor,
    (1, -1): Qt.CursorShape.SizeBDiagCursor,
}
_MARK_HINT = "Drag to move. Right click, Alt+click or Delete removes it."
_BUTTONS = {Qt.MouseButton.LeftButton: "left", Qt.MouseButton.RightButton: "right"}


class Canvas(QAbstractScrollArea):
    """Shows the current image of a workspace and edits it with the current tool.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        parent: Qt parent.
    """

    pointer_moved = Signal(object)
    """QPointF under the pointer in image pixels, or None outside; at most once per frame."""
    zoom_changed = Signal(float)
    """Device pixels per image pixel."""
    shape_changed = Signal()
    """`drawing` may have changed."""
    context_menu_requested = Signal(QPoint, object)
    """Global position and the id of the annotation meant, or None."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._settings = settings
        self.last_pick: tuple[float, float] | None = None
        self._tool_id = workspace.tool
        self._view = View()
        self._fit = True
        self._scale = 1.0
        self._shown_key: str | None = None
        self._stale = False
        self._message = ""
        self._views: dict[str, dict[str, float | bool]] = {}
        self._adjustment = Adjustment()
        self._image = ImageLayer()
        self._masks = MaskLayer()
        self._overlay = Overlay()
        self._candidates = CandidateItems()
        self._colors: dict[int, str] = {}
        self._finishing_colors: dict[int, str] = {}
        self._masks_hidden = False
        self._gesture: Gesture | None = None
        self._parked: dict[tuple[str | None, str], tuple[Gesture, Sketch | None]] = {}
        self._button = ""
        self._panning: QPointF | None = None
        self._space_down = False
        self._space_used = False
        self._nudge: Ghost | None = None
        self._arrows_down: set[int] = set()
        self._pointer: QPointF | None = None
        self._anchor: tuple[QPointF, tuple[float, float]] | None = None
        self._wheel_rest = 0
        self._preview = Previewer(workspace, self)
        self._timers()
        self._dress()
        self._wire()

    def _timers(self) -> None:
        self._pointer_timer = self._timer(FRAME_MS, self._emit_pointer)
        self._hold_timer = self._timer(HOLD_MS, self._drop_stale)
        self._grow_timer = self._timer(0, self._grow)
        self._refine_timer = self._timer(0, self.viewport().update)
        self._spinner_timer = self._timer(SPINNER_DELAY_MS, self._spin)

    def _timer(self, interval: int, slot: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.timeout.connect(slot)
        return timer

    def _dress(self) -> None:
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(160, 120)
        self.setAccessibleName("Image canvas")
        self.setAccessibleDescription(
            "Shows the image and its objects. Arrow keys scroll or move selected objects; "
            "Enter or Space accepts a proposal; Escape cancels."
        )
        self.viewport().setMouseTracking(True)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._show_cursor()

    def _wire(self) -> None:
        workspace = self._workspace
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closed.connect(self._forget_project)
        workspace.image_shown.connect(self._follow_image)
        workspace.image_ready.connect(self._show_image)
        workspace.image_failed.connect(self._show_failure)
        workspace.selection_changed.connect(self._follow_selection)
        workspace.tool_changed.connect(self._follow_tool)
        workspace.draft_changed.connect(self._follow_draft)
        workspace.candidates_changed.connect(self._follow_candidates)
        workspace.preview_changed.connect(self._follow_preview)
        workspace.working_changed.connect(self._follow_working)
        workspace.finishing_changed.connect(self._follow_finishing)
        workspace.active_category_changed.connect(self._follow_active)
        self._settings.changed.connect(self._follow_settings)
        self._follow_settings(self._settings.settings)
        if workspace.document is not None:
            self._follow_project(workspace.document)
        if workspace.key is not None:
            self._follow_image(workspace.key)
        if workspace.image is not None:
            self._show_image(workspace.image)

    # --- Following the workspace ---

    def _follow_project(self, document: Document) -> None:
        document.annotations_changed.connect(self._follow_annotations)
        document.categories_changed.connect(self._follow_categories)
        self._follow_categories()

    def _forget_project(self) -> None:
        self._drop_gesture()
        self._parked.clear()
        self._views.clear()
        self._shown_key = None
        self._clear_pixels()

    def _clear_pixels(self) -> None:
        self._stale = False
        self._hold_timer.stop()
        self._grow_timer.stop()
        self._image.set_image(None)
        self._masks.replace_all(())
        self._overlay.selected, self._overlay.hovered = (), None
        self.viewport().update()

    def _follow_image(self, key: str) -> None:
        self._park_gesture()
        self._preview.end()
        if self._shown_key is not None and not self._stale and self._image.pyramid is not None:
            self._views[self._shown_key] = self.view_state()
        self._shown_key = key
        self._stale = True
        self._message = ""
        self._overlay.hovered = None
        self._overlay.mark_hovered = self._overlay.handle_hovered = None
        self.last_pick = None
        self._hold_timer.start()

    def _drop_stale(self) -> None:
        if self._stale:
            self._clear_pixels()
            self._stale = True
            self._message = "Reading the image…"

    def _show_image(self, image: LoadedImage) -> None:
        from annotator.ui.canvas_pixels import Pyramid

        known = None if self._stale else self._image.pyramid
        size = (image.width, image.height)
        if known is not None and (known.width, known.height) != size:
            known = None
        self._image.set_image(Pyramid(image.pixels, *size, before=known))
        self._message = ""
        self._grow_timer.start()
        if known is None:
            self._stale = False
            self._hold_timer.stop()
            self._sync_size()
            self.restore_view(self._views.get(image.key, {"fit": True}))
            self._masks.replace_all(self._make_items())
            self._follow_selection(self._workspace.selection)
            self._follow_finishing_again()
            self._unpark_gesture()
        self.viewport().update()

    def _show_failure(self, _key: str, error: UserError) -> None:
        self._clear_pixels()
        self._message = f"{error.message}\n{error.remedy}".strip()

    def _make_items(self) -> list[AnnotationItem]:
        known = {item.annotation.id: item for item in self._masks.items}
        return [self._item(annotation, known) for annotation in self._workspace.annotations]

    def _item(self, annotation: Annotation, known: dict[int, AnnotationItem]) -> AnnotationItem:
        color = self._color(annotation.category_id)
        item = known.get(annotation.id)
        same = item is not None and (item.annotation is annotation or item.annotation == annotation)
        return item if item and same and item.color == color else AnnotationItem(annotation, color)

    def _color(self, category_id: int | None) -> str:
        return "" if category_id is None else self._colors.get(category_id, "")

    def _follow_annotations(self, key: str) -> None:
        if key != self._workspace.key or self._stale or self._image.pyramid is None:
            return
        self._masks.set_items(self._make_items())
        self._overlay.hovered = None
        self._follow_selection(self._workspace.selection)

    def _follow_categories(self) -> None:
        document = self._workspace.document
        categories = document.categories() if document is not None else ()
        self._colors = {category.id: category.color for category in categories}
        self._overlay.names = {category.id: category.name for category in categories}
        self._follow_active(self._workspace.active_category)
        if self._workspace.key is not None:
            self._follow_annotations(self._workspace.key)

    def _follow_active(self, category_id: int | None) -> None:
        self._overlay.color = self._color(category_id)
        self.viewport().update()

    def _follow_selection(self, ids: frozenset[int]) -> None:
        if self._stale:
            return
        self._commit_nudge_of(ids)
        self._masks.set_selection(ids)
        self._overlay.selected = tuple(
            item for item in self._masks.items if item.annotation.id in ids
        )
        self.viewport().update()

    def _follow_tool(self, tool: str) -> None:
        self._park_gesture()
        self._tool_id = tool
        self._overlay.mark_hovered = self._overlay.handle_hovered = self._overlay.hovered = None
        self._unpark_gesture()
        self._show_hovered()
        self.viewport().update()

    def _follow_draft(self, draft: Any) -> None:
        self._overlay.marks = draft.marks
        hovered = self._overlay.mark_hovered
        if hovered is not None and hovered.target >= len(draft.marks):
            self._overlay.mark_hovered = None
        self._show_candidate()

    def _follow_candidates(self, _candidates: object) -> None:
        self._overlay.preview = None
        self._show_candidate()

    def _show_candidate(self) -> None:
        candidate = self._workspace.candidate
        shown = None if candidate is None else self._candidates.item(candidate)
        self._overlay.candidate = shown
        self._candidates.keep(self._workspace.candidates)
        self.viewport().update()

    def _follow_preview(self, candidate: MaskCandidate | None) -> None:
        if candidate is None and self._workspace.working:
            # The click was made on what the preview shows: it stays until the answer is there.
            return
        self._overlay.preview = None if candidate is None else self._candidates.item(candidate)
        self.viewport().update()

    def _follow_working(self, working: bool) -> None:
        self._spinner_timer.stop()
        self._overlay.turn = None
        if working:
            self._spinner_timer.start(SPINNER_DELAY_MS)
        elif self._overlay.preview is not None and not self._hovering():
            self._overlay.preview = None
        self.viewport().update()

    def _spin(self) -> None:
        self._overlay.turn = time.monotonic() % 1.0
        self._spinner_timer.start(SPINNER_MS)
        self.viewport().update()

    def _follow_finishing(self, entries: tuple[tuple[str, MaskCandidate], ...]) -> None:
        color = self._overlay.color
        self._finishing_colors = {
            id(candidate): self._finishing_colors.get(id(candidate), color)
            for _, candidate in entries
        }
        self._overlay.finishing = tuple(
            (self._candidates.item(candidate), self._finishing_colors[id(candidate)])
            for key, candidate in entries
            if key == self._shown_key
        )
        self._finishing_entries = entries
        self.viewport().update()

    def _follow_finishing_again(self) -> None:
        self._follow_finishing(getattr(self, "_finishing_entries", ()))

    def _follow_settings(self, settings: Settings) -> None:
        self._overlay.opacity = settings.mask_opacity
        self._masks.set_opacity(settings.mask_opacity)
        self._image.set_grid(settings.pixel_grid)
        if not settings.hover_preview:
            self._preview.end()
        self._show_crosshair()
        self.viewport().update()

    # --- The view ---

    def zoom_in(self) -> None:
        """One step closer, at the middle of the viewport."""
        self._zoom_to(views.stepped(self._view.zoom, 1))

    def zoom_out(self) -> None:
        """One step farther away."""
        self._zoom_to(views.stepped(self._view.zoom, -1))

    def actual_size(self) -> None:
        """One image pixel per screen pixel."""
        self._zoom_to(1.0)

    def fit(self) -> None:
        """The whole image, also when the window changes its size."""
        if self._image.pyramid is not None:
            self._set_view(views.fitted(self._size(), self._device_size()), fit=True)

    def center_on(self, ids: Iterable[int]) -> None:
        """Bring these annotations into view; zooms out where they do not fit."""
        wanted = frozenset(ids)
        boxes = [item.bounds for item in self._masks.items if item.annotation.id in wanted]
        if not boxes:
            return
        box = Box(
            min(b.x0 for b in boxes), min(b.y0 for b in boxes),
            max(b.x1 for b in boxes), max(b.y1 for b in boxes),
        )  # fmt: skip
        self._set_view(views.framed(box, self._device_size(), self._view.zoom))

    def zoom(self) -> float:
        """Device pixels per image pixel."""
        return self._view.zoom

    def view_state(self) -> dict[str, float | bool]:
        """What is seen of the current image, as JSON values for `restore_view`."""
        if self._fit:
            return {"fit": True}
        width, height = self._device_size()
        x, y = self._view.to_image(width / 2, height / 2)
        return {"zoom": self._view.zoom / self._scale, "x": x, "y": y}

    def restore_view(self, state: object) -> None:
        """Show what `view_state` described; anything else fits the image."""
        if self._image.pyramid is None:
            return
        values = state if isinstance(state, dict) else {}
        numbers = [values.get(name) for name in ("zoom", "x", "y")]
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
            self.fit()
            return
        zoom, x, y = (float(v) for v in numbers if v is not None)
        width, height = self._device_size()
        zoom = views.limited(zoom * self._scale, self._size(), (width, height))
        self._set_view(views.anchored(zoom, x, y, width / 2, height / 2))

    def set_masks_hidden(self, hidden: bool) -> None:
        """Show the bare image while a key is held."""
        self._masks_hidden = hidden
        self.viewport().update()

    def set_adjustment(self, adjustment: Adjustment) -> None:
        """Brightness, contrast and gamma, for viewing only."""
        if adjustment == self._adjustment:
            return
        self._adjustment = adjustment
        self._image.adjust(adjustment)
        self.viewport().update()

    def auto_adjustment(self) -> Adjustment | None:
        """The adjustment that spreads what is seen over the whole range; None without an image."""
        if self._image.pyramid is None:
            return None
        from annotator.ui import canvas_pixels

        width, height = self._size()
        area = self._frame().area.clipped(width, height)
        low, high = canvas_pixels.percentiles(self._image.pyramid, area, 1, 99)
        contrast = min(1 / max(high - low, 0.05), 20.0)
        return Adjustment(0.5 - (low + high) / 2, contrast, 1.0)

    def highlight(self, annotation_id: int | None) -> None:
        """Point out one object, as a list does for the row under the pointer."""
        self._overlay.hovered = next(
            (item for item in self._masks.items if item.annotation.id == annotation_id), None
        )
        self.viewport().update()

    def to_view(self, x: float, y: float) -> QPoint:
        """The viewport position of an image position."""
        point = self._frame().point(x, y)
        return QPoint(round(point.x() - 0.499), round(point.y() - 0.499))

    def to_image(self, point: QPoint | QPointF) -> QPointF:
        """The image position at the middle of a viewport pixel."""
        half = 0.5 if isinstance(point, QPoint) else 0.0
        x, y = (point.x() + half) * self._scale, (point.y() + half) * self._scale
        return QPointF(*self._view.to_image(x, y))

    def _frame(self) -> Frame:
        viewport = self.viewport()
        return Frame(self._view, self._scale, viewport.width(), viewport.height())

    def _size(self) -> tuple[int, int]:
        pyramid = self._image.pyramid
        return (pyramid.width, pyramid.height) if pyramid is not None else (1, 1)

    def _device_size(self) -> tuple[int, int]:
        viewport = self.viewport()
        return (
            max(round(viewport.width() * self._scale), 1),
            max(round(viewport.height() * self._scale), 1),
        )

    def _set_view(self, view: View, *, fit: bool = False) -> None:
        size, viewport = self._size(), self._device_size()
        view = views.kept_near(view, size, viewport)
        zoomed = view.zoom != self._view.zoom
        self._fit = fit
        self._anchor = None
        self._view = view
        if zoomed:
            self.zoom_changed.emit(view.zoom)
        self._pointer_timer.isActive() or self._pointer_timer.start()
        self.viewport().update()

    def _zoom_to(self, zoom: float, at: QPointF | None = None) -> None:
        """Change the zoom; the image position at `at` (viewport pixels) stays where it is."""
        if self._image.pyramid is None:
            return
        viewport = self._device_size()
        zoom = views.limited(zoom, self._size(), viewport)
        if at is None:
            x, y = viewport[0] / 2, viewport[1] / 2
            self._set_view(views.anchored(zoom, *self._view.to_image(x, y), x, y))
            return
        # Turning the wheel over one spot must not creep: whole device pixels would add up.
        x, y = at.x() * self._scale, at.y() * self._scale
        kept = self._anchor is not None and self._anchor[0] == at
        spot = self._anchor[1] if kept and self._anchor is not None else self._view.to_image(x, y)
        self._set_view(views.anchored(zoom, *spot, x, y))
        self._anchor = (at, spot)

    def pan(self, dx: float, dy: float) -> None:
        """Move the image by viewport pixels."""
        if self._image.pyramid is not None and (dx or dy):
            moved = self._view.panned(round(dx * self._scale), round(dy * self._scale))
            self._set_view(moved)

    def _sync_size(self) -> None:
        """Follow the size and the pixel ratio of the viewport."""
        scale = self.viewport().devicePixelRatioF()
        if scale != self._scale:
            ratio, self._scale = scale / self._scale, scale
            self._view = View(
                self._view.zoom * ratio,
                round(self._view.left * ratio),
                round(self._view.top * ratio),
            )
            self._masks.set_scale(scale)
        self._image.set_around(self._around())

    def _around(self) -> Any:
        window = self.palette().color(QPalette.ColorRole.Window)
        return window.darker(112) if window.lightness() > 127 else window.darker(135)

    # --- Painting ---

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Two kept pictures, then what is drawn fresh."""
        self._sync_size()
        painter = QPainter(self.viewport())
        if self._image.pyramid is None:
            self._paint_empty(painter)
        else:
            self._paint_image(painter)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), 1))
            painter.drawRect(self.viewport().rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _paint_empty(self, painter: QPainter) -> None:
        area = self.viewport().rect()
        painter.fillRect(area, self._around())
        painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(area.adjusted(32, 32, -32, -32), flags, self._message)

    def _paint_image(self, painter: QPainter) -> None:
        frame, size = self._frame(), QSize(*self._device_size())
        self._image.show(self._view, size)
        self._masks.show(self._view, size)
        painter.save()
        painter.scale(1 / self._scale, 1 / self._scale)
        self._image.paint(painter)
        shown = not self._masks_hidden and not self._stale
        more = self._masks.paint(painter) if shown else False
        painter.restore()
        if shown:
            self._overlay.paint(painter, frame)
        elif self._overlay.pointer is not None:
            items.draw_crosshair(painter, self._overlay.pointer, frame.width, frame.height)
        if more:
            self._refine_timer.start()

    def _grow(self) -> None:
        """One step of making the reduced levels; the better picture is shown when it is there."""
        pyramid = self._image.pyramid
        if pyramid is None:
            return
        before = pyramid.level(self._view.zoom)
        if pyramid.grow():
            self._grow_timer.start()
        after = pyramid.level(self._view.zoom)
        if after.pixels is not before.pixels and after.sx != before.sx:
            self._image.invalidate()
            self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the image fitted, or its middle in the middle."""
        super().resizeEvent(event)
        self._sync_size()
        if self._image.pyramid is None:
            return
        if self._fit:
            self.fit()
        elif event.oldSize().isValid():
            delta = (event.size() - event.oldSize()) / 2
            moved = self._view.panned(
                round(delta.width() * self._scale), round(delta.height() * self._scale)
            )
            self._set_view(moved)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the palette."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self.viewport().update()

    # --- Gestures ---

    @property
    def workspace(self) -> Workspace:
        """What is open (for gestures)."""
        return self._workspace

    @property
    def drawing(self) -> bool:
        """Whether a shape is being drawn: Enter, Escape and Backspace belong to it."""
        return self._gesture is not None and self._tool_id in ("box", "polygon")

    @property
    def _tool(self) -> Tool:
        return TOOLS.get(self._tool_id, TOOLS["pan"])

    def escape(self) -> None:
        """Cancel the running gesture, else the open prompt, else the selection."""
        if self._gesture is not None or self._nudge is not None:
            self._drop_gesture()
        elif self._workspace.draft:
            self._workspace.clear_draft()
        else:
            self._workspace.select(())

    def accept(self) -> None:
        """Finish the polygon being drawn, else accept the proposal."""
        if self.drawing:
            self._send(GestureEvent("accept"))
        else:
            self._workspace.accept_or_ask()

    def take_back(self) -> None:
        """Remove the last corner of the polygon being drawn, else the last mark."""
        if not self.undo():
            self._workspace.take_back()

    def undo(self) -> bool:
        """Take back a step of the shape being drawn; False when there is none."""
        if not self.drawing:
            return False
        if self._tool_id == "polygon":
            self._send(GestureEvent("take_back"))
        else:
            self._drop_gesture()
        return True

    def _send(self, event: GestureEvent) -> None:
        """Start a gesture, or tell the running one what happened."""
        try:
            if self._gesture is not None:
                self._gesture.send(event)
            elif event.kind in ("press", "double"):
                self._preview.end()
                pressed = event if event.kind == "press" else _as_press(event)
                self._gesture = self._tool.gesture(self, pressed)
                next(self._gesture)
                self.shape_changed.emit()
        except StopIteration:
            self._gesture = None
            self.shape_changed.emit()
            self._show_hovered()

    def _drop_gesture(self) -> None:
        gesture, self._gesture = self._gesture, None
        self._nudge = None
        self._arrows_down.clear()
        if gesture is not None:
            gesture.close()
        self.sketch(None)
        self._preview.end()
        self.shape_changed.emit()

    def _park_gesture(self) -> None:
        """Before another tool or image: an unfinished polygon waits, anything else is cancelled."""
        self._commit_nudge()
        if self._gesture is not None and self._tool.kept:
            place = (self._shown_key, self._tool_id)
            self._parked[place] = (self._gesture, self._overlay.sketch)
            self._gesture = None
            self.sketch(None)
            self.shape_changed.emit()
        elif self._gesture is not None:
            self._drop_gesture()
        self._button = ""

    def _unpark_gesture(self) -> None:
        kept = self._parked.pop((self._shown_key, self._tool_id), None)
        if kept is not None and not self._stale:
            self._gesture, sketch = kept
            self.sketch(sketch)
            self.shape_changed.emit()

    def image_size(self) -> tuple[int, int]:
        """Width and height of the current image."""
        return self._size()

    def reach(self, pixels: float) -> float:
        """Viewport pixels in image pixels."""
        return pixels * self._scale / self._view.zoom

    def sketch(self, sketch: Sketch | None) -> None:
        """Show an unfinished shape."""
        self._overlay.sketch = sketch
        if isinstance(sketch, Ghost):
            movable = (i.annotation for i in self._overlay.selected)
            self._masks.lift(frozenset(a.id for a in movable if not a.locked))
        elif isinstance(sketch, Resizing):
            self._masks.lift(frozenset((sketch.annotation_id,)))
        else:
            self._masks.lift(frozenset())
        self.viewport().update()

    def ask_preview(self, prompt: Prompt) -> None:
        """Show what a prompt would give."""
        self._preview.ask(prompt)

    def mark_at(self, x: float, y: float) -> Grip | None:
        """The prompt mark at an image position: points before boxes, newest first."""
        reach = self.reach(items.MARK_RADIUS + 3)
        marks = list(enumerate(self._overlay.marks))
        for place, mark in reversed(marks):
            if isinstance(mark, Point) and _within(mark.x - x, mark.y - y, reach):
                return Grip(place)
        for place, mark in reversed(marks):
            side = self._side_at(mark, x, y) if isinstance(mark, Box) else None
            if side is not None:
                return Grip(place, side)
        return None

    def _side_at(self, box: Box, x: float, y: float) -> tuple[int, int] | None:
        """The handle or edge of a box at an image position."""
        reach = self.reach(NEAR * 0.75)
        frame = QRectF(box.x0, box.y0, box.width, box.height)
        handles = sorted(items.handle_points(frame).items(), key=lambda h: 0 in h[0])
        for side, at in handles:
            if max(abs(at.x() - x), abs(at.y() - y)) <= reach:
                return side
        edge = self.reach(DRAG)
        if box.y0 <= y <= box.y1 and min(abs(x - box.x0), abs(x - box.x1)) <= edge:
            return (-1 if abs(x - box.x0) < abs(x - box.x1) else 1, 0)
        if box.x0 <= x <= box.x1 and min(abs(y - box.y0), abs(y - box.y1)) <= edge:
            return (0, -1 if abs(y - box.y0) < abs(y - box.y1) else 1)
        return None

    def handle_at(self, x: float, y: float) -> Grip | None:
        """The handle of a selected box annotation at an image position."""
        for item in reversed(self._overlay.selected):
            annotation = item.annotation
            if isinstance(annotation.shape, Box) and not annotation.locked:
                side = self._side_at(annotation.shape, x, y)
                if side is not None:
                    return Grip(annotation.id, side)
        return None

    def objects_at(self, x: float, y: float) -> list[int]:
        """Ids of the objects at an image position that can be selected, topmost first."""
        return [item.annotation.id for item in self._items_at(x, y)]

    def _items_at(self, x: float, y: float) -> list[AnnotationItem]:
        if self._masks_hidden:
            return []
        slack = self.reach(3)
        return [
            item
            for item in reversed(self._masks.items)
            if not item.annotation.hidden and not item.annotation.locked and item.hit(x, y, slack)
        ]

    def objects_in(self, box: Box) -> list[int]:
        """Ids of the objects that lie in a box and can be selected."""
        return [
            item.annotation.id
            for item in self._masks.items
            if not item.annotation.hidden
            and not item.annotation.locked
            and box.contains(item.bounds.x0, item.bounds.y0)
            and box.contains(item.bounds.x1, item.bounds.y1)
        ]

    def open_menu(self, event: GestureEvent, annotation_id: int | None) -> None:
        """Ask the window for the context menu."""
        at = self.viewport().mapToGlobal(QPoint(round(event.view_x), round(event.view_y)))
        self.context_menu_requested.emit(at, annotation_id)

    # --- Mouse ---

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Start panning or a gesture."""
        self._press(event, "press")

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """The second press of a double click; most tools take it as a press, so none is lost."""
        self._press(event, "double")

    def _press(self, event: QMouseEvent, kind: str) -> None:
        self._commit_nudge()
        self._follow_pointer(event.position())
        button = event.button()
        left = button == Qt.MouseButton.LeftButton
        if button == Qt.MouseButton.MiddleButton or (left and self._space_down):
            self._panning = event.position()
            self._space_used = self._space_used or self._space_down
            self._show_cursor()
        elif button in _BUTTONS and not self._button and self._ready:
            self._button = _BUTTONS[button]
            self._send(self._event(kind, event))
        event.accept()

    @property
    def _ready(self) -> bool:
        return self._image.pyramid is not None and not self._stale

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pan, go on with the gesture, or show what is under the pointer."""
        if self._panning is not None:
            delta = event.position() - self._panning
            self.pan(delta.x(), delta.y())
            self._panning = event.position()
            self._follow_pointer(event.position())
            return
        self._follow_pointer(event.position())
        if self._gesture is not None:
            self._send(self._event("move", event))
        elif self._ready:
            self._show_hovered()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End panning or tell the gesture."""
        if self._panning is not None and event.button() in (
            Qt.MouseButton.MiddleButton,
            Qt.MouseButton.LeftButton,
        ):
            self._panning = None
            self._show_cursor()
        elif _BUTTONS.get(event.button()) == self._button and self._button:
            self._button = ""
            if self._gesture is not None:
                self._send(self._event("release", event))
        event.accept()

    def _event(self, kind: str, event: QMouseEvent) -> GestureEvent:
        at, held = event.position(), event.modifiers()
        where = self.to_image(at)
        return GestureEvent(
            kind,
            where.x(),
            where.y(),
            at.x(),
            at.y(),
            self._button or "left",
            shift=bool(held & Qt.KeyboardModifier.ShiftModifier),
            ctrl=bool(held & Qt.KeyboardModifier.ControlModifier),
            alt=bool(held & Qt.KeyboardModifier.AltModifier),
        )

    def _follow_pointer(self, at: QPointF | None) -> None:
        self._pointer = at
        if not self._pointer_timer.isActive():
            self._pointer_timer.start()
        self._show_crosshair()

    def _show_crosshair(self) -> None:
        shown = self._settings.settings.crosshair and self._tool.precise and self._ready
        pointer = self._pointer if shown and self._panning is None else None
        if pointer is not None or self._overlay.pointer is not None:
            self.viewport().update()
        self._overlay.pointer = pointer

    def _emit_pointer(self) -> None:
        if self._pointer is None or self._image.pyramid is None:
            self.pointer_moved.emit(None)
            return
        where = self.to_image(self._pointer)
        width, height = self._size()
        inside = 0 <= where.x() < width and 0 <= where.y() < height
        self.pointer_moved.emit(where if inside else None)

    def _hovering(self) -> bool:
        """Whether the pointer rests on the image with a tool that shows what a click would give."""
        if self._pointer is None or not self._ready or self._gesture is not None:
            return False
        where = self.to_image(self._pointer)
        inside = Box(0, 0, *self._size()).contains(where.x(), where.y())
        return inside and self._tool.hovers and not self._workspace.draft

    def _show_hovered(self) -> None:
        """Find out what is under the pointer: marks, handles, objects, or a proposal."""
        overlay, at = self._overlay, self._pointer
        before = (overlay.mark_hovered, overlay.handle_hovered, overlay.hovered)
        overlay.mark_hovered = overlay.handle_hovered = None
        if at is not None and self._ready and self._gesture is None and self._panning is None:
            where = self.to_image(at)
            x, y = where.x(), where.y()
            if self._tool_id == "smart":
                overlay.mark_hovered = self.mark_at(x, y)
            if self._tool_id == "select":
                overlay.handle_hovered = self.handle_at(x, y)
                overlay.hovered = next(iter(self._items_at(x, y)), None)
            if overlay.mark_hovered is None and self._hovering():
                self._preview.ask(Prompt((Point(x, y),)))
            else:
                self._preview.end()
        if before != (overlay.mark_hovered, overlay.handle_hovered, overlay.hovered):
            self.viewport().update()
        self._show_cursor()

    def _show_cursor(self) -> None:
        shape = self._cursor(self._overlay)
        if self.viewport().cursor().shape() != shape:
            self.viewport().setCursor(shape)

    def _cursor(self, overlay: Overlay) -> Qt.CursorShape:
        if self._panning is not None or (self._button and self._tool_id == "pan"):
            return Qt.CursorShape.ClosedHandCursor
        if self._space_down:
            return Qt.CursorShape.OpenHandCursor
        grip = overlay.mark_hovered or overlay.handle_hovered
        if grip is not None:
            return _grip_cursor(grip)
        hovered = overlay.hovered
        if self._tool_id == "select" and hovered in overlay.selected and hovered is not None:
            return Qt.CursorShape.SizeAllCursor
        return self._tool.cursor if self._ready else Qt.CursorShape.ArrowCursor

    def viewportEvent(self, event: QEvent) -> bool:
        """Leaving, tooltips of marks, pinching."""
        if event.type() == QEvent.Type.Leave:
            self._follow_pointer(None)
            self._preview.end()
            self._overlay.hovered = self._overlay.mark_hovered = None
            self.viewport().update()
        elif isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            text = _MARK_HINT if self._overlay.mark_hovered is not None else ""
            QToolTip.showText(event.globalPos(), text, self.viewport())
            return True
        elif isinstance(event, QNativeGestureEvent):
            if event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
                self._zoom_to(self._view.zoom * (1 + event.value()), event.position())
            return True
        return super().viewportEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the pointer or scroll, as the settings say; Alt cycles the candidates."""
        held = event.modifiers()
        angle, pixels = event.angleDelta(), event.pixelDelta()
        event.accept()
        if held & Qt.KeyboardModifier.AltModifier:
            # With Alt, Qt turns the wheel sideways.
            self._cycle(angle.y() or angle.x())
            return
        zooms = self._settings.settings.wheel == "zoom"
        if held & Qt.KeyboardModifier.ShiftModifier:
            self.pan((angle.y() or angle.x()) * SCROLL / 120, 0)
        elif zooms or held & Qt.KeyboardModifier.ControlModifier:
            turn = angle.y() / 360 if pixels.isNull() else pixels.y() / 240
            if turn:
                self._zoom_to(self._view.zoom * 2**turn, event.position())
        elif not pixels.isNull():
            self.pan(pixels.x(), pixels.y())
        else:
            self.pan(angle.x() * SCROLL / 120, angle.y() * SCROLL / 120)

    def _cycle(self, angle: int) -> None:
        self._wheel_rest += angle
        steps = int(self._wheel_rest / 120)
        self._wheel_rest -= steps * 120
        if steps and len(self._workspace.candidates) > 1:
            self._workspace.cycle_candidate(-steps)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The menu key; with the mouse, the select tool asks for the menu itself."""
        event.accept()
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            return
        chosen = self._overlay.selected
        middle = self.viewport().rect().center()
        if chosen:
            frame = self._frame().rect(chosen[-1].bounds)
            middle = frame.intersected(QRectF(self.viewport().rect())).center().toPoint()
        number = chosen[-1].annotation.id if chosen else None
        self.context_menu_requested.emit(self.viewport().mapToGlobal(middle), number)

    # --- Keys ---

    def event(self, event: QEvent) -> bool:
        """Claim the keys that mean something here and now before a shortcut takes them."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and self._claims(event)
        ):
            event.accept()
            return True
        return super().event(event)

    def _claims(self, event: QKeyEvent) -> bool:
        plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        none = plain == Qt.KeyboardModifier.NoModifier
        key = event.key()
        if key in _ARROWS:
            return none or plain == Qt.KeyboardModifier.ShiftModifier
        if key == Qt.Key.Key_Delete:
            return none and self._overlay.mark_hovered is not None
        if key == Qt.Key.Key_Escape:
            return none and (self._gesture is not None or self._nudge is not None)
        return none and key == Qt.Key.Key_Space

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space, arrow keys, and Delete and Escape while they mean something here."""
        key = event.key()
        if not self._claims(event):
            super().keyPressEvent(event)
            return
        event.accept()
        if key in _ARROWS:
            self._arrow(event, *_ARROWS[Qt.Key(key)])
        elif key == Qt.Key.Key_Delete:
            self._delete_hovered_mark()
        elif key == Qt.Key.Key_Escape:
            self.escape()
        elif key == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space_down, self._space_used = True, False
            self._show_cursor()

    def _delete_hovered_mark(self) -> None:
        grip, self._overlay.mark_hovered = self._overlay.mark_hovered, None
        if grip is not None:
            self._workspace.set_draft(self._workspace.draft.without(grip.target))

    def _arrow(self, event: QKeyEvent, dx: int, dy: int) -> None:
        large = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        movable = [item for item in self._overlay.selected if not item.annotation.locked]
        if not movable or self._gesture is not None or self._workspace.draft:
            step = SCROLL * (6 if large else 1)
            self.pan(-dx * step, -dy * step)
            return
        step = 10 if large else 1
        self._arrows_down.add(event.key())
        so_far = self._nudge or Ghost(0, 0)
        self._nudge = Ghost(so_far.dx + dx * step, so_far.dy + dy * step)
        self.sketch(self._nudge)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """A short tap of Space accepts; letting go of the arrows keeps the new place."""
        if event.isAutoRepeat():
            return
        if event.key() == Qt.Key.Key_Space and self._space_down:
            used, self._space_down = self._space_used or bool(self._button), False
            self._show_cursor()
            if not used:
                self.accept()
        elif event.key() in self._arrows_down:
            self._arrows_down.discard(event.key())
            if not self._arrows_down:
                self._commit_nudge()
        else:
            super().keyReleaseEvent(event)

    def _commit_nudge(self) -> None:
        """All arrow keys of one go are one step."""
        nudge, self._nudge = self._nudge, None
        self._arrows_down.clear()
        if nudge is not None:
            self.sketch(None)
            self._workspace.move_selected(nudge.dx, nudge.dy)

    def _commit_nudge_of(self, ids: frozenset[int]) -> None:
        """The selection changed under a move that was not finished: it no longer applies."""
        if self._nudge is not None and ids != frozenset(
            item.annotation.id for item in self._overlay.selected
        ):
            self._nudge = None
            self.sketch(None)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the focus."""
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Keys may be released elsewhere."""
        super().focusOutEvent(event)
        self._space_down = False
        self._commit_nudge()
        self._show_cursor()
        self.viewport().update()


def _as_press(event: GestureEvent) -> GestureEvent:
    from dataclasses import replace

    return replace(event, kind="press")


def _within(dx: float, dy: float, reach: float) -> bool:
    return dx * dx + dy * dy <= reach * reach


def _grip_cursor(grip: Grip) -> Qt.CursorShape:
    if grip.side == (0, 0):
        return Qt.CursorShape.PointingHandCursor
    x, y = grip.side
    return _RESIZE_CURSORS.get((x, y)) or _RESIZE_CURSORS[(-x, -y)]
