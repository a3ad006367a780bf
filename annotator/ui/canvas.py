"""`Canvas`: the image with everything on it, and the pointer and keys that act on it.

It holds no truth: it draws what the `Workspace` says and turns gestures (`annotator.ui.tools`) into
calls of the workspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from annotator.services.workspace import EDITING_TOOLS
from annotator.ui import canvas_hits as hits
from annotator.ui import canvas_view as views
from annotator.ui import items
from annotator.ui.canvas_answers import Answers
from annotator.ui.canvas_gestures import Gestures
from annotator.ui.canvas_image import ImageView, spot
from annotator.ui.canvas_keys import CanvasKeys
from annotator.ui.canvas_layers import MaskLayer
from annotator.ui.canvas_overlay import Overlay
from annotator.ui.canvas_painting import Painting
from annotator.ui.canvas_preview import Previewer
from annotator.ui.canvas_turning import Turning
from annotator.ui.canvas_view import Frame
from annotator.ui.gestures import GestureEvent, Ghost, Grip, Notches, Resizing, Sketch
from annotator.ui.items import AnnotationItem
from annotator.ui.pick_list import open_pick_list
from annotator.ui.tools import TOOLS, Tool
from annotator.ui.vertex_editing import VertexEditor
from annotator.ui.wires import Wires
from models.api import Box, Point, Prompt

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation
    from annotator.core.errors import UserError
    from annotator.core.images import LoadedImage
    from annotator.core.mask import Mask
    from annotator.core.prompting import PromptDraft
    from annotator.services.document import Document
    from annotator.services.settings import Settings, SettingsStore
    from annotator.services.workspace import Workspace

HOLD_MS = 150
"""The last image stays this long while the next one is read: no grey flash between images."""
_MARK_HINT = "Drag to move. Right click, Alt+click or Delete removes it."
_BUTTONS = {Qt.MouseButton.LeftButton: "left", Qt.MouseButton.RightButton: "right"}


class Canvas(ImageView):
    """Shows the current image of a workspace and edits it with the current tool.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        parent: Qt parent.
    """

    shape_changed = Signal()
    """`drawing` may have changed."""
    context_menu_requested = Signal(QPoint, object)
    """Global position and the id of the annotation meant, or None."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, parent: QWidget | None = None
    ) -> None:
        super().__init__(settings, parent)
        self._workspace = workspace
        self.last_pick: tuple[float, float] | None = None
        self._tool_id = workspace.tool
        self._shown_key: str | None = None
        self._stale = False
        self._views: dict[str, dict[str, float | bool]] = {}
        self._masks = MaskLayer()
        self._masks_hidden = False
        self._overlay = Overlay(handles=workspace.tool == "select")
        self._colors: dict[int, str] = {}
        self._gestures = Gestures(self)
        self._gestures.changed.connect(self.shape_changed)
        self._button = ""
        self._keys = CanvasKeys(self)
        self._notches = Notches()
        self._preview = Previewer(workspace, self)
        self._answers = Answers(self, self._overlay)
        self.turning = Turning(self, settings)
        self.painting = Painting(self)
        self.vertices = VertexEditor(self)
        self._instead: dict[int, Mask] = {}
        self._hold_timer = self._timer(HOLD_MS, self._drop_stale)
        self._refine_timer = self._timer(0, self.viewport().update)
        self.setAccessibleName("Image canvas")
        self.setAccessibleDescription(
            "Shows the image and its objects. Arrow keys scroll or move selected objects; "
            "Enter or Space accepts the mask shown or the selected proposals; Escape cancels."
        )
        self._wire()
        self.show_cursor()

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
        workspace.active_category_changed.connect(self._follow_active)
        workspace.proposals.filter_changed.connect(self._follow_filter)
        workspace.proposals.revealed.connect(self.reveal)
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
        self._gestures.forget()
        self._views.clear()
        self._shown_key = None
        self._clear_pixels()
        self.vertices.follow()

    def _clear_pixels(self, message: str = "") -> None:
        self._stale = False
        self._hold_timer.stop()
        self._masks.replace_all(())
        self._overlay.selected, self._overlay.hovered = (), None
        self.show_message(message)

    def _follow_image(self, key: str) -> None:
        self._park_gesture()
        self._preview.end()
        if self._shown_key is not None and self._ready:
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
            self._clear_pixels("Reading the image…")
            self._stale = True

    def _show_image(self, image: LoadedImage) -> None:
        again = self.has_image and not self._stale
        again = again and self.image_size() == (image.width, image.height)
        self.show_pixels(image, again=again)
        if again:
            return
        self._stale = False
        self._hold_timer.stop()
        self._sync_size()
        self.show_turned(self.turning.of(image.key))
        self.restore_view(self._views.get(image.key, {"fit": True}))
        self._masks.replace_all(self._make_items())
        self._follow_selection(self._workspace.selection)
        self._answers.show_finishing()
        self._unpark_gesture()

    def _show_failure(self, _key: str, error: UserError) -> None:
        self._clear_pixels(f"{error.message}\n{error.remedy}".strip())

    def _make_items(self) -> list[AnnotationItem]:
        known = {item.annotation.id: item for item in self._masks.items}
        return [self._item(annotation, known) for annotation in self._workspace.visible]

    def show_instead(self, shapes: Mapping[int, Mask]) -> None:
        """Show these objects with other shapes, for a preview; {} shows all as they are."""
        self._instead = dict(shapes)
        if self._workspace.key is not None:
            self._follow_annotations(self._workspace.key)

    def _item(self, annotation: Annotation, known: dict[int, AnnotationItem]) -> AnnotationItem:
        if annotation.id in self._instead:
            annotation = replace(annotation, shape=self._instead[annotation.id], polygons=None)
        color = self.color_of(annotation.category_id)
        item = known.get(annotation.id)
        same = item is not None and (item.annotation is annotation or item.annotation == annotation)
        if item and same and item.color == color:
            return item
        return AnnotationItem(annotation, color, item)

    def color_of(self, category_id: int | None) -> str:
        """Of a class as "#rrggbb", "" without one."""
        return "" if category_id is None else self._colors.get(category_id, "")

    def _follow_annotations(self, key: str) -> None:
        if key != self._workspace.key or not self._ready:
            return
        self._masks.set_items(self._make_items())
        self._overlay.hovered = None
        self._follow_selection(self._workspace.selection)

    def _follow_filter(self, _filter: object) -> None:
        if self._workspace.key is not None:
            self._follow_annotations(self._workspace.key)

    def _follow_categories(self) -> None:
        document = self._workspace.document
        categories = document.categories() if document is not None else ()
        self._colors = {category.id: category.color for category in categories}
        self._overlay.names = {category.id: category.name for category in categories}
        self._follow_active(self._workspace.active_category)
        if self._workspace.key is not None:
            self._follow_annotations(self._workspace.key)

    def _follow_active(self, category_id: int | None) -> None:
        self._overlay.color = self.color_of(category_id)
        self.viewport().update()

    def _follow_selection(self, ids: frozenset[int]) -> None:
        if self._stale:
            return
        self._keys.nudging.follow_selection(ids)
        self._masks.set_selection(ids)
        self._overlay.selected = tuple(
            item for item in self._masks.items if item.annotation.id in ids
        )
        self.vertices.follow()
        self.viewport().update()

    def _follow_tool(self, tool: str) -> None:
        self._park_gesture()
        self._tool_id = tool
        self._overlay.handles = tool == "select"
        self.painting.show_ring(tool == "eraser")
        self._overlay.mark_hovered = self._overlay.handle_hovered = self._overlay.hovered = None
        self._unpark_gesture()
        self.vertices.follow()
        self._show_hovered()
        self.viewport().update()

    def _follow_draft(self, draft: PromptDraft) -> None:
        self._overlay.marks = draft.marks
        self._masks.lift(self._lifted)
        hovered = self._overlay.mark_hovered
        if hovered is not None and hovered.target >= len(draft.marks):
            self._overlay.mark_hovered = None
        self._answers.show_candidate()

    def _follow_settings(self, settings: Settings) -> None:
        self._overlay.opacity = settings.mask_opacity
        self._masks.set_opacity(settings.mask_opacity)
        self._image.set_grid(settings.pixel_grid)
        if not settings.hover_preview:
            self._preview.end()
        if self._ready and self._shown_key is not None:
            self.show_turned(self.turning.of(self._shown_key))
        self._show_crosshair()
        self.viewport().update()

    # --- What is shown ---

    def center_on(self, ids: Iterable[int], *, closer: bool = False) -> None:
        """Bring these annotations into view; zooms out where they do not fit.

        Args:
            ids: which.
            closer: zoom in, too, until they fill the view.
        """
        wanted = frozenset(ids)
        boxes = [item.bounds for item in self._masks.items if item.annotation.id in wanted]
        if boxes:
            zoom = max(self._view.zoom, views.CLOSE) if closer else self._view.zoom
            around = views.enclosing(boxes)
            self._set_view(views.framed(around, self._device_size(), zoom, self._view.turn))

    def keep_in_view(self) -> None:
        """Follow the selected objects when nothing is seen of them any more."""
        area, chosen = self.frame().area, self._overlay.selected
        if not any(views.overlap(item.bounds, area) for item in chosen):
            self.center_on(item.annotation.id for item in chosen)

    def reveal(self, annotation_id: int) -> None:
        """Bring an object into view unless all of it is seen already."""
        area = self.frame().area
        for item in self._overlay.selected:
            box = item.bounds
            if item.annotation.id == annotation_id and not (
                area.contains(box.x0, box.y0) and area.contains(box.x1, box.y1)
            ):
                self.center_on((annotation_id,))

    def set_masks_hidden(self, hidden: bool) -> None:
        """Show the bare image while a key is held."""
        self._masks_hidden = hidden
        self.viewport().update()

    def highlight(self, annotation_id: int | None) -> None:
        """Point out one object, as a list does for the row under the pointer."""
        self._overlay.hovered = next(
            (item for item in self._masks.items if item.annotation.id == annotation_id), None
        )
        self.viewport().update()

    def _sync_size(self) -> None:
        super()._sync_size()
        self._masks.set_scale(self._scale)

    def paint_over(self, painter: QPainter, frame: Frame) -> None:
        """The kept picture of the objects, then what is drawn fresh."""
        if self._masks_hidden or self._stale:
            if self._overlay.pointer is not None:
                items.draw_crosshair(painter, self._overlay.pointer, frame.width, frame.height)
            return
        self._masks.show(self._view, QSize(*self._device_size()))
        painter.save()
        painter.scale(1 / self._scale, 1 / self._scale)
        pending = self._masks.paint(painter)
        if pending:
            self._refine_timer.start()
        painter.restore()
        size = QSize(*self._device_size())
        self.painting.paint_live(painter, frame, size, drawn=not pending)
        self._overlay.paint(painter, frame)
        self.vertices.paint(painter, frame)
        self.painting.paint_ring(painter)

    # --- Gestures ---

    @property
    def busy(self) -> bool:
        """Whether a gesture is running."""
        return bool(self._gestures)

    @property
    def button_down(self) -> bool:
        """Whether a button is held."""
        return bool(self._button)

    @property
    def mark_hovered(self) -> bool:
        """Whether the pointer is over a mark of the prompt."""
        return self._overlay.mark_hovered is not None

    def remove_hovered_mark(self) -> None:
        """Take the mark under the pointer out of the prompt."""
        grip, self._overlay.mark_hovered = self._overlay.mark_hovered, None
        if grip is not None:
            self._workspace.set_draft(self._workspace.draft.without(grip.target))

    def new_wires(self) -> Wires:
        """Lines that follow the edges of the image."""
        return Wires(self)

    @property
    def shown_key(self) -> str | None:
        """The image that is shown, or about to be."""
        return self._shown_key

    def repeat_move(self) -> None:
        """Tell the running gesture once more where the pointer is."""
        if self._gestures and self._pointer is not None:
            at = self._pointer
            where = self.to_image(at)
            self._send(GestureEvent("move", where.x(), where.y(), at.x(), at.y()))

    @property
    def workspace(self) -> Workspace:
        """What is open (for gestures)."""
        return self._workspace

    @property
    def drawing(self) -> bool:
        """Whether a shape is being drawn: Enter, Escape and Backspace belong to it."""
        return bool(self._gestures) and self._tool.draws

    @property
    def _tool(self) -> Tool:
        return TOOLS.get(self._tool_id, TOOLS["pan"])

    def escape(self) -> None:
        """Cancel the running gesture, else the open prompt, else the selection."""
        if self._gestures or self._keys.nudging:
            self._drop_gesture()
        elif self._workspace.draft:
            self._workspace.clear_draft()
        else:
            self._workspace.select(())

    def accept(self) -> None:
        """Finish the polygon being drawn, else accept the candidate, or the selected proposals.

        While pixels are changed: let go of the object, so that the next stroke begins another.
        """
        if self.drawing:
            self._send(GestureEvent("accept"))
        elif self._tool_id in EDITING_TOOLS and not self._workspace.draft:
            self._workspace.select(())
        else:
            self._workspace.accept_or_ask()

    def take_back(self) -> None:
        """Remove the last corner of the polygon being drawn, else the last mark."""
        if not self.undo():
            self._workspace.take_back()

    def undo(self) -> bool:
        """Take back a step of the shape being drawn; False when there is none."""
        self._keys.finish()
        if self.drawing and self._tool_id != "box":
            self._send(GestureEvent("take_back"))
            return True
        if self.drawing or (self._gestures and self._tool_id in EDITING_TOOLS):
            self._drop_gesture()
            return True
        return False

    def _send(self, event: GestureEvent) -> None:
        """Start a gesture, or tell the running one what happened."""
        if self._gestures.send(event, self._tool, self._preview.end):
            self._show_hovered()

    def _drop_gesture(self) -> None:
        self._keys.nudging.drop()
        self._gestures.drop()
        self._preview.end()

    def _park_gesture(self) -> None:
        """Before another tool or image: an unfinished polygon waits, anything else is cancelled."""
        self._keys.nudging.commit()
        if self._tool.kept:
            self._gestures.park((self._shown_key, self._tool_id), self._overlay.sketch)
        elif self._gestures:
            self._drop_gesture()
        self._button = ""

    def _unpark_gesture(self) -> None:
        self._gestures.unpark((self._shown_key, self._tool_id), usable=not self._stale)

    def sketch(self, sketch: Sketch | None) -> None:
        """Show an unfinished shape."""
        self._overlay.sketch = sketch
        if isinstance(sketch, Ghost):
            movable = (i.annotation for i in self._overlay.selected)
            self._masks.lift(frozenset(a.id for a in movable if not a.locked))
        elif isinstance(sketch, Resizing):
            self._masks.lift(frozenset((sketch.annotation_id,)))
        else:
            self._masks.lift(self._lifted)
        self.viewport().update()

    @property
    def _lifted(self) -> frozenset[int]:
        """Objects that are not drawn where they are: painted on, or refined."""
        target = self._workspace.draft.target
        return self.painting.lifted | (frozenset() if target is None else {target})

    @property
    def mask_opacity(self) -> float:
        """Of mask fills, 0 to 1."""
        return self._overlay.opacity

    @property
    def brush_size(self) -> float:
        """Diameter of the brush, image pixels."""
        return self._settings.settings.brush_size

    def set_brush_size(self, size: float) -> None:
        """Change the diameter of the brush."""
        self._settings.update(brush_size=size)

    def brush_pointer(self) -> QPointF | None:
        """Where the brush is shown (viewport pixels), or None."""
        shown = self._tool.paints and self._ready and self._panning is None
        return self._pointer if shown else None

    def ask_preview(self, prompt: Prompt) -> None:
        """Show what a prompt would give."""
        self._preview.ask(prompt)

    def mark_at(self, x: float, y: float) -> Grip | None:
        """The prompt mark at an image position."""
        return hits.mark_at(self._overlay.marks, x, y, self.reach(1))

    def handle_at(self, x: float, y: float) -> Grip | None:
        """The handle of a selected box annotation at an image position."""
        return hits.handle_at(self._overlay.selected, x, y, self.reach(1))

    def _items_at(self, x: float, y: float) -> list[AnnotationItem]:
        return [] if self._masks_hidden else hits.items_at(self._masks.items, x, y, self.reach(1))

    def objects_at(self, x: float, y: float) -> list[int]:
        """Ids of the objects at an image position that can be selected, topmost first."""
        return [item.annotation.id for item in self._items_at(x, y)]

    def objects_in(self, box: Box) -> list[int]:
        """Ids of the objects that lie in a box and can be selected."""
        return [item.annotation.id for item in hits.items_in(self._masks.items, box)]

    def open_pick_list(self, event: GestureEvent | None = None) -> None:
        """Let the user choose among all objects at a place, else under the pointer."""
        at = self._pointer if event is None else QPointF(event.view_x, event.view_y)
        if at is None or not self._ready:
            self._workspace.noticed.emit("Point at objects first.")
            return
        where = self.to_image(at)
        ids = self.objects_at(where.x(), where.y())
        open_pick_list(self, ids, self.viewport().mapToGlobal(at.toPoint()))

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
        self._keys.finish()
        self._keys.nudging.commit()
        self.follow_pointer(spot(event))
        button = event.button()
        left = button == Qt.MouseButton.LeftButton
        if button == Qt.MouseButton.MiddleButton or (left and self._keys.space_down):
            self.start_panning(event)
            self._keys.use_space()
            self.show_cursor()
        elif button in _BUTTONS and self._ready:
            if _BUTTONS[button] == self._button and self._gestures:
                # Its release went elsewhere (a window that opened, say).
                self._send(self._event("release", event))
            elif self._button and self._gestures:
                event.accept()
                return
            self._button = _BUTTONS[button]
            self._send(self._event(kind, event))
        event.accept()

    @property
    def _ready(self) -> bool:
        return self.has_image and not self._stale

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pan, go on with the gesture, or show what is under the pointer."""
        super().mouseMoveEvent(event)
        self.follow_pointer(spot(event))
        if self._panning is not None:
            return
        if self._gestures:
            self._send(self._event("move", event))
        elif self._ready:
            self._show_hovered()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End panning or tell the gesture."""
        panned = self._panning is not None
        super().mouseReleaseEvent(event)
        if not panned and self._button and _BUTTONS.get(event.button()) == self._button:
            self._button = ""
            if self._gestures:
                self._send(self._event("release", event))
        self.show_cursor()
        event.accept()

    def _event(self, kind: str, event: QMouseEvent) -> GestureEvent:
        at, held = spot(event), event.modifiers()
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
            pressure=self.painting.pressure,
        )

    def follow_pointer(self, at: QPointF | None) -> None:
        """The pointer is here (viewport pixels), or nowhere."""
        super().follow_pointer(at)
        self._show_crosshair()
        self.painting.show_ring()

    def _show_crosshair(self) -> None:
        shown = self._settings.settings.crosshair and self._tool.precise and self._ready
        pointer = self._pointer if shown and self._panning is None else None
        if pointer is not None or self._overlay.pointer is not None:
            self.viewport().update()
        self._overlay.pointer = pointer

    def hovering(self) -> bool:
        """Whether the pointer rests on the image with a tool that shows what a click would give."""
        if self._pointer is None or not self._ready or self._gestures:
            return False
        where = self.to_image(self._pointer)
        inside = Box(0, 0, *self.image_size()).contains(where.x(), where.y())
        return inside and self._tool.hovers and not self._workspace.draft

    def _show_hovered(self) -> None:
        """Find out what is under the pointer: marks, handles, objects."""
        overlay, at = self._overlay, self._pointer
        before = (overlay.mark_hovered, overlay.handle_hovered, overlay.hovered)
        overlay.mark_hovered = overlay.handle_hovered = None
        if at is not None and self._ready and not self._gestures and self._panning is None:
            where = self.to_image(at)
            x, y = where.x(), where.y()
            if self._tool_id == "smart":
                overlay.mark_hovered = self.mark_at(x, y)
            if self._tool_id == "select":
                overlay.handle_hovered = self.handle_at(x, y)
                overlay.hovered = next(iter(self._items_at(x, y)), None)
            self.vertices.hover(x, y)
            if overlay.mark_hovered is None and self.hovering():
                self._preview.ask(Prompt((Point(x, y),)))
            else:
                self._preview.end()
        if before != (overlay.mark_hovered, overlay.handle_hovered, overlay.hovered):
            self.viewport().update()
        self.show_cursor()

    def show_cursor(self) -> None:
        """The pointer says what a press would do here."""
        shape = self._cursor(self._overlay)
        if self.viewport().cursor().shape() != shape:
            self.viewport().setCursor(shape)

    def _cursor(self, overlay: Overlay) -> Qt.CursorShape:
        if self._panning is not None or (self._button and self._tool_id == "pan"):
            return Qt.CursorShape.ClosedHandCursor
        if self._keys.space_down:
            return Qt.CursorShape.OpenHandCursor
        grip = overlay.mark_hovered or overlay.handle_hovered
        if grip is not None:
            return hits.grip_cursor(grip, self._view)
        hovered = overlay.hovered
        if self._tool_id == "select" and hovered in overlay.selected and hovered is not None:
            return Qt.CursorShape.SizeAllCursor
        return self._tool.cursor if self._ready else Qt.CursorShape.ArrowCursor

    def viewportEvent(self, event: QEvent) -> bool:
        """Leaving, and tooltips of marks."""
        if event.type() == QEvent.Type.Leave:
            self.follow_pointer(None)
            self._preview.end()
            self._overlay.hovered = self._overlay.mark_hovered = None
            self.viewport().update()
        elif isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            text = _MARK_HINT if self._overlay.mark_hovered is not None else ""
            QToolTip.showText(event.globalPos(), text, self.viewport())
            return True
        elif isinstance(event, QTabletEvent):
            self.painting.tablet(event)
            return False
        return super().viewportEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Alt sizes the brush or cycles the candidates; otherwise zoom or scroll."""
        if not event.modifiers() & Qt.KeyboardModifier.AltModifier:
            super().wheelEvent(event)
            return
        event.accept()
        # With Alt, Qt turns the wheel sideways.
        angle = event.angleDelta().y() or event.angleDelta().x()
        if self._tool.paints:
            self.painting.wheel(angle)
        elif self.vertices.target() is not None:
            self.vertices.wheel(angle)
        elif (steps := self._notches.turn(angle)) and len(self._workspace.candidates) > 1:
            self._workspace.cycle_candidate(-steps)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The menu key; with the mouse, the select tool asks for the menu itself."""
        event.accept()
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            return
        chosen = self._overlay.selected
        middle = self.viewport().rect().center()
        if chosen:
            frame = self.frame().rect(chosen[-1].bounds)
            middle = frame.intersected(QRectF(self.viewport().rect())).center().toPoint()
        number = chosen[-1].annotation.id if chosen else None
        self.context_menu_requested.emit(self.viewport().mapToGlobal(middle), number)

    # --- Keys ---

    def event(self, event: QEvent) -> bool:
        """Claim the keys that mean something here and now before a shortcut takes them."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and self._keys.claims(event)
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that mean something here and now."""
        if not self._keys.claims(event):
            super().keyPressEvent(event)
            return
        event.accept()
        self._keys.press(event)
        self.show_cursor()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """A short tap of Space accepts; letting go of the arrows keeps the new place."""
        if not event.isAutoRepeat() and not self._keys.release(event):
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Keys may be released elsewhere."""
        super().focusOutEvent(event)
        self._keys.lose()
        self.show_cursor()
