"""Every tool that changes pixels, with the mouse and the keys, through the real window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QPointingDevice, QTabletEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator.core import raster
from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.mask import Mask
from models.api import Box
from tests.e2e.user import ALT, CTRL, NONE, SHIFT, Start, User

WIDTH, HEIGHT = 320, 240
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
Spots = list[tuple[float, float]]


def disk(x: float, y: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.hypot(xx - x, yy - y) < radius


def square(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    image = np.zeros((HEIGHT, WIDTH), bool)
    image[y0:y1, x0:x1] = True
    return image


class Editor(User):
    """Draws with the mouse."""

    def draws(
        self, spots: Spots, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE
    ) -> None:
        viewport = self.window.canvas.viewport()
        QTest.mouseMove(viewport, self.view(*spots[0]))
        QTest.mousePress(viewport, button, keys, self.view(*spots[0]))
        before = spots[0]
        for spot in spots[1:]:
            for part in range(1, 5):
                step = [a + (b - a) * part / 4 for a, b in zip(before, spot, strict=True)]
                self._moves(step[0], step[1], button, keys)
            before = spot
        QTest.mouseRelease(viewport, button, keys, self.view(*spots[-1]))
        QApplication.processEvents()

    def _moves(self, x: float, y: float, button: Qt.MouseButton, keys: Qt.KeyboardModifier) -> None:
        # QTest.mouseMove knows no modifier keys.
        from PySide6.QtGui import QMouseEvent

        viewport, at = self.window.canvas.viewport(), QPointF(self.view(x, y))
        event = QMouseEvent(
            QEvent.Type.MouseMove, at, QPointF(viewport.mapToGlobal(at)), Qt.MouseButton.NoButton,
            button, keys,
        )  # fmt: skip
        QApplication.sendEvent(viewport, event)
        QApplication.processEvents()

    def turns_wheel(self, x: float, y: float, notches: int, keys: Qt.KeyboardModifier) -> None:
        viewport, at = self.window.canvas.viewport(), QPointF(self.view(x, y))
        event = QWheelEvent(
            at, QPointF(viewport.mapToGlobal(at)), QPoint(), QPoint(0, 120 * notches),
            Qt.MouseButton.NoButton, keys, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(viewport, event)

    def has(self, *images: np.ndarray, name: str = "dog", select: bool = True, **more) -> list[int]:
        """Put objects into the image."""
        document, key = self.workspace.document, self.workspace.key
        assert document is not None
        assert key is not None
        category = document.add_category(name).id
        made = [
            Annotation(document.new_id(), raster.from_array(image), category, **more)
            for image in images
        ]
        document.edit(key, (*self.workspace.annotations, *made), "Add")
        if select:
            self.workspace.select(a.id for a in made)
        return [a.id for a in made]

    def pixels(self, place: int = 0) -> np.ndarray:
        shape = self.workspace.annotations[place].shape
        assert isinstance(shape, Mask)
        return raster.to_array(shape)

    @property
    def undo_text(self) -> str | None:
        document, key = self.workspace.document, self.workspace.key
        assert document is not None
        assert key is not None
        return document.undo_text(key)

    @property
    def message(self) -> str:
        return self.window.status.currentMessage()

    def banner(self) -> str:
        from PySide6.QtWidgets import QLabel

        return " ".join(label.text() for label in self.window.messages.findChildren(QLabel))


@pytest.fixture
def edits(start: Start, folder: Path):
    """Run a script with an `Editor` on the first image."""

    def run(script, brush: float = 20.0) -> None:
        def with_editor(user: User) -> None:
            editor = Editor(user.window, user._bot)
            editor.waits_for_image()
            editor.window.settings.update(brush_size=brush)
            script(editor)

        start([str(folder)], with_editor)

    return run


# --- Brush and eraser ---


def test_a_stroke_on_nothing_begins_an_object_and_the_next_goes_on_with_it(edits):
    def script(user: Editor) -> None:
        user.presses(Qt.Key.Key_B)
        user.draws([(60, 60), (120, 60)])
        assert len(user.workspace.annotations) == 1
        assert user.workspace.selection == {user.workspace.annotations[0].id}
        image = user.pixels()
        assert image[60, 58:122].all()
        assert image[52:68, 90].all()
        assert not image[:48].any()
        user.draws([(90, 60), (90, 120)])
        assert len(user.workspace.annotations) == 1
        assert user.pixels()[120, 90]
        assert user.undo_text == "Paint on object"
        user.presses(Qt.Key.Key_Z, CTRL)
        assert np.array_equal(user.pixels(), image)
        user.presses(Qt.Key.Key_Space)
        user.waits_for(lambda: not user.workspace.selection)
        user.draws([(200, 200), (220, 200)])
        assert len(user.workspace.annotations) == 2

    edits(script)


def test_painting_changes_the_selected_object_only_where_it_is_touched(edits):
    def script(user: Editor) -> None:
        before = disk(100, 100, 40.3)
        origin = Origin(Source.MODEL, "loupe", "1", 0.9)
        (number,) = user.has(before, origin=origin, proposed=True)
        user.presses(Qt.Key.Key_B)
        user.draws([(150, 100), (180, 100)])
        (dog,) = user.workspace.annotations
        after = user.pixels()
        near = square(136, 86, 196, 115)
        assert np.array_equal(after[~near], before[~near])
        assert after[100, 140:188].all()
        assert dog.id == number
        assert not dog.proposed
        assert dog.origin == Origin(Source.MODEL, "loupe", "1", 0.9, edited=True)
        assert user.undo_text == "Paint on dog"

    edits(script)


@pytest.mark.parametrize(
    ("key", "button", "keys"),
    [
        ((Qt.Key.Key_B, SHIFT), LEFT, NONE),
        ((Qt.Key.Key_B, NONE), RIGHT, NONE),
        ((Qt.Key.Key_B, NONE), LEFT, CTRL),
        ((Qt.Key.Key_B, NONE), LEFT, ALT),
    ],
)
def test_erasing_in_every_way(edits, key, button, keys):
    def script(user: Editor) -> None:
        before = disk(100, 100, 40.3)
        user.has(before)
        user.presses(*key)
        user.draws([(40, 100), (160, 100)], button, keys)
        after = user.pixels()
        assert not after[92:108].any()
        assert np.array_equal(after[:88], before[:88])
        assert np.array_equal(after[113:], before[113:])
        assert user.undo_text == "Erase from dog"

    edits(script)


def test_erasing_everything_deletes_says_so_and_can_be_undone(edits):
    def script(user: Editor) -> None:
        user.has(disk(100, 100, 12))
        user.presses(Qt.Key.Key_B, SHIFT)
        user.draws([(100, 90), (100, 110)])
        assert user.workspace.annotations == ()
        assert "Nothing is left of dog" in user.message
        user.presses(Qt.Key.Key_Z, CTRL)
        assert len(user.workspace.annotations) == 1

    edits(script, brush=60)


def test_shift_joins_strokes_in_straight_lines(edits):
    def script(user: Editor) -> None:
        user.presses(Qt.Key.Key_B)
        user.draws([(40, 40), (50, 40)])
        user.draws([(250, 190)], keys=SHIFT)
        image = user.pixels()
        for share in np.linspace(0, 1, 30):
            assert image[int(40 + 150 * share), int(50 + 200 * share)]
        user.draws([(40, 200), (120, 150), (150, 220)], keys=SHIFT)
        assert not user.pixels()[150, 120]

    edits(script, brush=8)


def test_the_wheel_with_alt_and_the_brackets_change_the_size(edits):
    def script(user: Editor) -> None:
        user.presses(Qt.Key.Key_B)
        user.points_at(100, 100)
        zoom = user.window.canvas.zoom()
        size = user.window.settings.settings.brush_size
        user.turns_wheel(100, 100, 3, ALT)
        larger = user.window.settings.settings.brush_size
        assert larger > size
        assert user.message == f"Brush: {larger:g} pixels"
        assert user.window.canvas.zoom() == zoom
        user.presses(Qt.Key.Key_BracketLeft)
        assert user.window.settings.settings.brush_size < larger
        for _ in range(80):
            user.presses(Qt.Key.Key_BracketLeft)
        assert user.window.settings.settings.brush_size == 1
        user.draws([(100, 100)])
        assert raster.area(user.workspace.annotations[0].shape) == 1

    edits(script)


def test_a_pen_paints_as_wide_as_it_is_pressed(edits):
    def script(user: Editor) -> None:
        user.presses(Qt.Key.Key_B)
        viewport = user.window.canvas.viewport()
        pen = QPointingDevice(
            "pen", 7, QPointingDevice.DeviceType.Stylus, QPointingDevice.PointerType.Pen,
            QPointingDevice.Capability.Pressure, 1, 1,
        )  # fmt: skip

        def tells(kind: QEvent.Type, x: float, y: float, pressure: float) -> None:
            at = QPointF(user.view(x, y))
            event = QTabletEvent(
                kind, pen, at, QPointF(viewport.mapToGlobal(at)), pressure, 0, 0, 0, 0, 0,
                NONE, LEFT, LEFT,
            )  # fmt: skip
            QApplication.sendEvent(viewport, event)

        tells(QEvent.Type.TabletPress, 60, 100, 0.2)
        QTest.mousePress(viewport, LEFT, NONE, user.view(60, 100))
        tells(QEvent.Type.TabletMove, 200, 100, 1.0)
        QTest.mouseMove(viewport, user.view(200, 100))
        tells(QEvent.Type.TabletRelease, 200, 100, 0.0)
        QTest.mouseRelease(viewport, LEFT, NONE, user.view(200, 100))
        image = user.pixels()
        assert image[:, 64].sum() < 20
        assert image[:, 198].sum() > 34
        assert user.window.canvas.painting.pressure == 1.0

    edits(script, brush=40)


def test_escape_and_undo_leave_a_stroke(edits):
    def script(user: Editor) -> None:
        before = disk(100, 100, 40)
        user.has(before)
        steps = user.undo_text
        user.presses(Qt.Key.Key_B)
        viewport = user.window.canvas.viewport()
        for key in ((Qt.Key.Key_Escape, NONE), (Qt.Key.Key_Z, CTRL)):
            QTest.mousePress(viewport, LEFT, NONE, user.view(150, 100))
            QTest.mouseMove(viewport, user.view(200, 100))
            user.presses(*key)
            QTest.mouseRelease(viewport, LEFT, NONE, user.view(200, 100))
            assert np.array_equal(user.pixels(), before)
            assert user.undo_text == steps

    edits(script)


def test_painting_on_several_or_locked_objects_is_refused(edits):
    def script(user: Editor) -> None:
        first, _ = user.has(disk(80, 100, 30), disk(200, 100, 30))
        user.presses(Qt.Key.Key_B)
        user.draws([(80, 100), (120, 100)])
        assert "Several objects are selected" in user.banner()
        user.workspace.set_flag((first,), "locked", True)
        user.workspace.select((first,))
        user.draws([(80, 100), (120, 100)])
        assert "locked" in user.banner()
        assert np.array_equal(user.pixels(0), disk(80, 100, 30))

    edits(script)


def test_a_stroke_is_seen_while_it_is_made(edits):
    def script(user: Editor) -> None:
        user.has(disk(100, 100, 40), name="dog")
        user.presses(Qt.Key.Key_B)
        canvas = user.window.canvas
        viewport = canvas.viewport()

        def color(x: float, y: float) -> tuple[int, int, int]:
            user.waits_for(lambda: not canvas._masks.pending or not viewport.grab())
            shown = viewport.grab().toImage().pixelColor(user.view(x, y))
            return shown.red(), shown.green(), shown.blue()

        bare, inside = color(200, 160), color(100, 100)
        QTest.mousePress(viewport, LEFT, NONE, user.view(180, 160))
        QTest.mouseMove(viewport, user.view(230, 160))
        assert color(200, 160) != bare
        QTest.mouseRelease(viewport, LEFT, NONE, user.view(230, 160))
        QTest.mousePress(viewport, RIGHT, NONE, user.view(90, 100))
        QTest.mouseMove(viewport, user.view(120, 100))
        assert color(100, 100) != inside
        QTest.mouseRelease(viewport, RIGHT, NONE, user.view(120, 100))

    edits(script)


def test_a_brush_chosen_over_an_open_prompt_goes_on_with_its_object(edits):
    def script(user: Editor) -> None:
        user.clicks(80, 120)
        user.waits_for(lambda: user.workspace.candidate is not None)
        user.presses(Qt.Key.Key_B)
        user.waits_for_objects(1)
        user.waits_for(lambda: len(user.workspace.selection) == 1)
        user.draws([(30, 30), (50, 30)])
        assert len(user.workspace.annotations) == 1
        assert user.pixels()[30, 40]
        assert user.workspace.annotations[0].origin.edited

    edits(script)


def test_a_rectangle_that_is_painted_becomes_a_mask(edits):
    def script(user: Editor) -> None:
        document, key = user.workspace.document, user.workspace.key
        made = Annotation(document.new_id(), Box(50, 50, 100, 90))
        document.edit(key, (made,), "Add")
        user.workspace.select((made.id,))
        user.presses(Qt.Key.Key_B)
        user.draws([(100, 70), (110, 70)])
        assert user.pixels()[50:90, 50:100].all()
        assert user.pixels()[70, 112]

    edits(script)


# --- Lasso, outline, fill, knife ---


@pytest.mark.parametrize("large", [False, True])
def test_the_lasso_adds_and_removes(edits, monkeypatch, *, large: bool):
    """Also as on 12 megapixels, where a thread works out what is enclosed."""
    if large:
        monkeypatch.setattr("annotator.services.mask_work.LARGE", 1)

    def script(user: Editor) -> None:
        before = disk(100, 100, 40.3)
        user.has(before)
        user.presses(Qt.Key.Key_O)
        user.draws([(120, 60), (200, 60), (200, 140), (120, 140)])
        user.waits_for(lambda: user.undo_text == "Add to dog")
        added = user.pixels()
        assert added[64:136, 124:196].all()
        assert np.array_equal(added[:, :119], before[:, :119])
        user.draws([(60, 95), (240, 95), (240, 105), (60, 105)], RIGHT)
        user.waits_for(lambda: user.undo_text == "Erase from dog")
        assert not user.pixels()[97:103, 64:].any()
        user.presses(Qt.Key.Key_Escape)
        user.draws([(220, 180), (260, 180), (240, 220)])
        user.waits_for_objects(2)

    edits(script)


def test_a_stretch_of_the_outline_is_drawn_anew(edits):
    def script(user: Editor) -> None:
        before = disk(100, 100, 40.3)
        user.has(before)
        user.presses(Qt.Key.Key_U)
        user.draws([(100, 60), (130, 50), (150, 80), (140, 100)])
        after = user.pixels()
        assert after[65, 130]
        assert np.array_equal(after[:, :95], before[:, :95])
        assert np.array_equal(after[105:], before[105:])
        assert user.undo_text == "Redraw dog"
        user.draws([(200, 200), (220, 200), (220, 220)])
        assert "does not begin and end at the outline" in user.banner()

    edits(script)


def test_fill_takes_a_hole_or_a_colour(edits):
    def script(user: Editor) -> None:
        user.has(disk(200, 60, 40) & ~disk(200, 60, 15))
        user.presses(Qt.Key.Key_I)
        user.clicks(200, 60)
        assert np.array_equal(user.pixels(), disk(200, 60, 40))
        assert user.undo_text == "Fill dog"
        user.presses(Qt.Key.Key_Escape)
        user.clicks(80, 120)
        assert raster.iou(user.workspace.annotations[1].shape,
                          raster.from_array(disk(80, 120, 40))) > 0.98  # fmt: skip

    edits(script)


def test_dragging_sideways_fills_more_colours(edits):
    def script(user: Editor) -> None:
        user.presses(Qt.Key.Key_I)
        user.draws([(80, 120), (300, 120)])
        wide = raster.area(user.workspace.annotations[0].shape)
        assert wide > 2 * np.pi * 40**2

    edits(script)


def test_the_knife_cuts_in_two(edits):
    def script(user: Editor) -> None:
        user.has(disk(100, 100, 40.3), select=False)
        user.presses(Qt.Key.Key_C)
        user.draws([(110, 40), (110, 160)])
        assert len(user.workspace.annotations) == 2
        assert len(user.workspace.selection) == 2
        assert np.array_equal(user.pixels(0) | user.pixels(1), disk(100, 100, 40.3))
        assert not (user.pixels(0) & user.pixels(1)).any()
        names = {a.category_id for a in user.workspace.annotations}
        assert len(names) == 1
        assert user.undo_text == "Cut dog"
        user.presses(Qt.Key.Key_Z, CTRL)
        assert len(user.workspace.annotations) == 1
        user.draws([(100, 40), (100, 100)])
        assert "does not divide" in user.banner()

    edits(script)


# --- Commands ---


def test_commands_on_the_selection_are_one_step_each(edits):
    def script(user: Editor) -> None:
        holed = disk(100, 100, 40) & ~disk(100, 100, 10)
        user.has(holed | disk(200, 60, 3), disk(220, 180, 30) & ~disk(220, 180, 9))
        user.presses(Qt.Key.Key_I, SHIFT)
        assert user.undo_text == "Fill holes of 2 objects"
        assert user.pixels(0)[100, 100]
        assert user.pixels(1)[180, 220]
        user.presses(Qt.Key.Key_Z, CTRL)
        assert np.array_equal(user.pixels(0), holed | disk(200, 60, 3))
        user.workspace.select([user.workspace.annotations[0].id])
        user.presses(Qt.Key.Key_G, SHIFT)
        assert user.pixels(0)[100, 140]
        user.presses(Qt.Key.Key_G, CTRL | SHIFT)
        assert user.undo_text == "Shrink dog"
        user.presses(Qt.Key.Key_P, SHIFT)
        assert len(user.workspace.annotations) == 3
        assert user.undo_text == "Split dog"
        user.presses(Qt.Key.Key_Z, CTRL)
        user.workspace.select([user.workspace.annotations[0].id])
        user.presses(Qt.Key.Key_K, SHIFT)
        assert not user.pixels(0)[60, 200]
        assert user.undo_text == "Keep largest piece of dog"

    edits(script)


@pytest.mark.parametrize(
    ("key", "keys", "left"),
    [
        (Qt.Key.Key_J, CTRL, 1),
        (Qt.Key.Key_J, CTRL | SHIFT, 2),
        (Qt.Key.Key_K, CTRL, 1),
        (Qt.Key.Key_K, CTRL | SHIFT, 1),
    ],
)
def test_selected_objects_are_combined(edits, key, keys, left):
    def script(user: Editor) -> None:
        one, two = disk(100, 100, 40), disk(140, 100, 30)
        number, _ = user.has(one, two)
        user.presses(key, keys)
        wanted = {
            (Qt.Key.Key_J, CTRL): one | two, (Qt.Key.Key_J, CTRL | SHIFT): one & ~two,
            (Qt.Key.Key_K, CTRL): one & two, (Qt.Key.Key_K, CTRL | SHIFT): one ^ two,
        }  # fmt: skip
        assert len(user.workspace.annotations) == left
        assert user.workspace.annotations[0].id == number
        assert np.array_equal(user.pixels(), wanted[key, keys])

    edits(script)


def test_smoothing_is_previewed_applied_and_left(edits):
    def script(user: Editor) -> None:
        rough = disk(100, 100, 40)
        rough[::2, 100:] = False
        user.has(rough | disk(100, 100, 20))
        before = user.pixels()
        canvas = user.window.canvas

        def shown() -> object:
            return canvas._masks.items[0].annotation.shape

        user.presses(Qt.Key.Key_U, SHIFT)
        user.waits_for(lambda: shown() != user.workspace.annotations[0].shape)
        user.presses(Qt.Key.Key_Escape)
        assert shown() == user.workspace.annotations[0].shape
        assert np.array_equal(user.pixels(), before)
        assert user.workspace.selection
        user.presses(Qt.Key.Key_U, SHIFT)
        user.presses(Qt.Key.Key_Right)
        user.waits_for(lambda: shown() != user.workspace.annotations[0].shape)
        user.presses(Qt.Key.Key_Return)
        assert user.undo_text == "Smooth dog"
        assert not np.array_equal(user.pixels(), before)
        assert QApplication.focusWidget() is canvas

    edits(script)


def test_specks_below_a_size_go(edits):
    def script(user: Editor) -> None:
        user.has(disk(100, 100, 40) | disk(200, 60, 1.2))
        user.presses(Qt.Key.Key_X, SHIFT)
        user.presses(Qt.Key.Key_Return)
        assert not user.pixels()[55:65, 190:210].any()
        assert user.undo_text == "Remove specks of dog"

    edits(script)


def test_new_objects_take_pixels_or_leave_them(edits, folder: Path, start: Start):
    def script(user: Editor) -> None:
        old = disk(100, 100, 40)
        user.has(old, select=False)
        user.presses(Qt.Key.Key_O, SHIFT)
        assert "◨ No overlap: new on top" in user.status()
        user.presses(Qt.Key.Key_B)
        user.draws([(100, 100), (200, 100)])
        low, high = user.pixels(0), user.pixels(1)
        assert not (low & high).any()
        assert high[100, 100:200].all()
        assert np.array_equal(low | high, old | high)
        user.presses(Qt.Key.Key_Z, CTRL)
        assert np.array_equal(user.pixels(), old)
        user.window.run("overlap.leaves")
        user.draws([(100, 100), (200, 100)])
        low, high = user.pixels(0), user.pixels(1)
        assert np.array_equal(high, old)
        assert low[100, 150:200].all()
        assert not (low & high).any()

    edits(script)

    def again(user: User) -> None:
        user.waits_for_image()
        assert "◧ No overlap: new below" in user.status()
        assert user.window.actions_by_id["overlap.leaves"].isChecked()

    start([str(folder)], again)


# --- Large masks ---


def test_work_on_large_masks_is_done_in_order_and_belongs_to_its_image(edits, monkeypatch):
    """On a thread, as on 12 megapixels."""
    monkeypatch.setattr("annotator.services.mask_work.LARGE", 1)

    def script(user: Editor) -> None:
        user.has(square(60, 60, 100, 100) & ~square(70, 70, 80, 80))
        first = user.workspace.key
        user.presses(Qt.Key.Key_I, SHIFT)
        user.presses(Qt.Key.Key_G, SHIFT)
        user.presses(Qt.Key.Key_G, SHIFT)
        user.presses(Qt.Key.Key_Z, CTRL)
        user.waits_for(lambda: user.undo_text == "Grow dog")
        assert raster.to_array(user.workspace.annotations[0].shape)[59:101, 62:98].all()
        assert not user.pixels()[:59].any()
        user.presses(Qt.Key.Key_G, SHIFT)
        user.presses(Qt.Key.Key_D)
        assert user.workspace.key != first
        document = user.workspace.document
        assert document is not None
        (dog,) = document.annotations(str(first))
        assert raster.to_array(dog.shape)[58:102, 64:96].all()
        assert not user.workspace.annotations

    edits(script)
