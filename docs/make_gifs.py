"""Make the moving pictures of README and docs with the real program: `python docs/make_gifs.py`.

Every frame is a grab of the real window, which gets real mouse and keyboard events; only the
pointer and the names of keys are drawn onto it. Sample images only (resources/samples/SOURCES.md).
Names of single pictures may be given: `python docs/make_gifs.py click tracks`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from make_screenshots import HOME, film_of_coins, new_window, wait_for_pictures  # sets the environment first
from PIL import Image, ImageDraw, ImageFont
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from annotator.core import raster
from annotator.samples import sample_folder
from annotator.services.tracking_run import Order as TrackOrder
from annotator.session import Player, Scene, wait_until
from annotator.ui.timeline import TimelineView

OUT = Path(__file__).parent / "gifs"
SIZES = {"proposals": (960, 660), "tracks": (1080, 660)}
SIZE = (960, 600)
SCALE = 1.25
COLORS = 120
MOST_BYTES, MOST_MS = 600_000, 8000
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT, CTRL = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
)
ARROW = ((0, 0), (0, 19), (4.4, 15), (7.6, 22), (10.6, 20.7), (7.4, 13.8), (13.4, 13.6))
CUP = Scene(
    "coffee.jpg", ((0.47, 0.12, True), (0.6, 0.7, False)), (0.28, 0.03, 0.71, 0.76), "cup"
)


class Film(Player):
    """A person whose pointer and keys are recorded with the window."""

    def __init__(self, window) -> None:
        super().__init__(window)
        self.window, self.canvas = window, window.canvas
        self.size = (window.width(), window.height())
        self.frames: list[Image.Image] = []
        self.times: list[int] = []
        self.pointer = QPoint(self.size[0] * 2 // 3, self.size[1] * 2 // 3)
        self.pressed = ""
        self.badge = ""
        self.font = ImageFont.load_default(17)

    def hold(self, ms: int) -> None:
        """Add what is seen now, for some time."""
        settle(60)
        if not ms:
            return
        image = self.window.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        size = (image.width(), image.height())
        raw = Image.frombuffer("RGB", size, image.constBits(), "raw", "RGB", image.bytesPerLine())
        assert size == self.size, f"the window has grown to {size}"
        frame = raw.copy()
        self._draw(ImageDraw.Draw(frame, "RGBA"))
        self.frames.append(frame)
        self.times.append(ms)

    def _draw(self, pen: ImageDraw.ImageDraw) -> None:
        x, y = self.pointer.x(), self.pointer.y()
        if self.pressed:
            color = (30, 120, 255, 150) if self.pressed == "left" else (230, 60, 40, 150)
            pen.ellipse((x - 13, y - 13, x + 13, y + 13), outline=color, width=4)
        shape = [(x + dx * SCALE, y + dy * SCALE) for dx, dy in ARROW]
        pen.polygon(shape, fill=(255, 255, 255, 255), outline=(0, 0, 0, 255), width=2)
        if self.badge:
            width = pen.textlength(self.badge, self.font)
            spot = self.canvas.mapTo(self.window, QPoint(14, self.canvas.height() - 46))
            left, top = spot.x(), spot.y()
            box = (left, top, left + width + 24, top + 32)
            pen.rounded_rectangle(box, 7, fill=(25, 25, 28, 255), outline=(255, 255, 255, 255))
            pen.text((left + 12, top + 5), self.badge, font=self.font, fill=(255, 255, 255, 255))

    def glide(self, target: QPoint, widget: QWidget | None = None, steps: int = 5) -> None:
        """Move the pointer to a place of a widget (the canvas' viewport)."""
        widget = widget or self.canvas.viewport()
        start, end = self.pointer, widget.mapTo(self.window, target)
        for step in range(1, steps + 1):
            self.pointer = start + (end - start) * step / steps
            QTest.mouseMove(widget, widget.mapFrom(self.window, self.pointer))
            self.hold(70)

    def taps(self, x: float, y: float, button=LEFT, note: str = "", widget=None) -> None:
        """Glide and click; fractions of the image, or pixels of another widget."""
        target = QPoint(int(x), int(y)) if widget else self.at(x, y)
        self.glide(target, widget)
        self.badge = note or ("Click" if button == LEFT else "Right click")
        self.pressed = "left" if button == LEFT else "right"
        self.hold(200)
        QTest.mouseClick(widget or self.canvas.viewport(), button, NONE, target)
        self.pressed = ""

    def strokes(self, *places: tuple[float, float], note: str = "Drag") -> None:
        """Drag through places, fractions of the image."""
        spots = [self.at(x, y) for x, y in places]
        viewport = self.canvas.viewport()
        self.glide(spots[0])
        self.badge, self.pressed = note, "left"
        QTest.mousePress(viewport, LEFT, NONE, spots[0])
        for start, end in zip(spots, spots[1:], strict=False):
            for step in range(1, 4):
                spot = start + (end - start) * step / 3
                self.pointer = viewport.mapTo(self.window, spot)
                QTest.mouseMove(viewport, spot)
                self.hold(70)
        self.pressed = ""
        QTest.mouseRelease(viewport, LEFT, NONE, spots[-1])
        self.hold(300)

    def key(self, key: Qt.Key, label: str, keys=NONE, ms: int = 500, widget=None) -> None:
        """Press a key, whose name is shown."""
        self.badge = label
        QTest.keyClick(widget or QApplication.focusWidget() or self.canvas, key, keys)
        self.hold(ms)

    def types(self, text: str) -> None:
        """Letter by letter."""
        for letter in text:
            QTest.keyClicks(QApplication.focusWidget(), letter)
            self.badge += letter
            self.hold(90)

    def mask(self) -> None:
        self.wait_for_mask()
        settle(80)

    def pick(self, key: str) -> None:
        """Show an image, with everything there is about it."""
        self._workspace.show(key)
        wait_until(self._image_complete, key)
        settle(200)
        self.canvas.setFocus()

    def objects(self, count: int) -> None:
        """Until the image has so many."""
        wait_until(lambda: len(self._workspace.annotations) == count, f"{count} objects")

    def choose_first(self) -> int:
        """Select the first object."""
        number = self._workspace.annotations[0].id
        self._workspace.select([number])
        return number

    def fraction(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of the image as fractions."""
        return x / self._workspace.image.width, y / self._workspace.image.height

    def save(self, name: str) -> None:
        """Write the picture; refuses one that is too long or too large."""
        self.times[-1] += 900
        path, long = OUT / f"{name}.gif", sum(self.times)
        width, height = self.size
        sample = Image.new("RGB", (width, height * 3))
        for place, frame in enumerate((self.frames[0], self.frames[len(self.frames) // 2],
                                       self.frames[-1])):  # fmt: skip
            sample.paste(frame, (0, place * height))
        palette = sample.quantize(COLORS, Image.Quantize.MEDIANCUT, kmeans=1)
        made = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in self.frames]
        made[0].save(path, save_all=True, append_images=made[1:], duration=self.times, loop=0,
                     optimize=True, disposal=1)  # fmt: skip
        size = path.stat().st_size
        print(f"{name}: {len(made)} frames, {long / 1000:.1f} s, {size / 1000:.0f} kB")
        if size > MOST_BYTES or long > MOST_MS:
            raise SystemExit(f"{name}.gif is too large or too long.")


def settle(ms: int) -> None:
    """Let the window finish what it is at."""
    QTest.qWait(ms)
    QApplication.processEvents()


def click(film: Film) -> None:
    """Coins: click, name, click, digit."""
    film.pick("coins.png")
    film.hold(400)
    film.glide(film.at(0.15, 0.24), steps=4)
    film.taps(0.115, 0.155)
    film.mask()
    film.hold(700)
    film.badge = ""
    film.key(Qt.Key.Key_L, "L  ", ms=350)
    film.types("coin")
    film.key(Qt.Key.Key_Return, "L  coin  Enter", ms=600)
    for count, x in ((2, 0.27), (3, 0.42)):
        film.taps(x, 0.155)
        film.mask()
        film.hold(300)
        film.key(Qt.Key.Key_1, "1", ms=0)
        film.objects(count)
        film.hold(500)


def editing(film: Film) -> None:
    """The cup: brush, eraser, and a vertex that is dragged."""
    film.label(CUP)
    film.choose_first()
    film.window.settings.update(brush_size=34)
    film.hold(400)
    film.key(Qt.Key.Key_B, "B", ms=250)
    film.strokes((0.62, 0.18), (0.69, 0.30), (0.70, 0.42), note="B  Drag")
    film.key(Qt.Key.Key_B, "Shift+B", SHIFT, ms=250)
    film.strokes((0.74, 0.24), (0.74, 0.44), note="Shift+B  Drag")
    film.key(Qt.Key.Key_Z, "Z", ms=0)
    vertices = film.canvas.vertices
    wait_until(lambda: bool(vertices.rings), "vertices")
    film.hold(500)
    points = max((r.vertices for r in vertices.rings), key=len).tolist()
    x, y = min(points, key=lambda p: p[0])
    at = film.fraction(x, y)
    film.strokes(at, (at[0] - 0.05, at[1] + 0.04), note="Z  Drag a vertex")
    film.key(Qt.Key.Key_Z, "Ctrl+Z", CTRL, ms=500)


def refine(film: Film) -> None:
    """A coin of which a piece is missing, and to which a piece of the ground was added."""
    film.label(Scene("coins.png", ((0.87, 0.14, True),), None, "coin"))
    number = film.choose_first()
    document, coin = film._workspace.document, film._workspace.annotations[0]
    pixels, box = raster.to_array(coin.shape), raster.box(coin.shape)
    x, y = int(box.x0 + box.x1) // 2, int(box.y0 + box.y1) // 2
    pixels[y + 6 :, x:] = False
    pixels[y - 6 : y + 8, x - 48 : x] = True
    shape = raster.from_array(pixels)
    document.edit("coins.png", (replace(coin, shape=shape, polygons=None),), "Edit")
    film._workspace.select([number])
    film.window.run("view.selection")
    film.hold(900)
    film.key(Qt.Key.Key_Q, "Shift+Q", SHIFT, ms=0)
    film.mask()
    film.hold(500)
    film.taps(*film.fraction(x + 12, y + 14))
    film.mask()
    film.hold(700)
    film.taps(*film.fraction(x - 42, y + 1), RIGHT)
    film.mask()
    film.hold(700)
    film.key(Qt.Key.Key_Return, "Enter", ms=500)


def history(film: Film) -> None:
    """Steps of the cup; an earlier one is gone to, and undone steps come back."""
    film.label(CUP)
    film.choose_first()
    film.window.settings.update(brush_size=60)
    film.key(Qt.Key.Key_B, "", ms=0)
    film.strokes((0.30, 0.72), (0.50, 0.55), (0.64, 0.70))
    film.key(Qt.Key.Key_V, "", ms=0)
    film.key(Qt.Key.Key_Delete, "", ms=0)
    film.objects(0)
    film.frames.clear(), film.times.clear()
    film.window.docks["view.names_panel"].hide()
    film.window.docks["view.objects_panel"].hide()
    film.badge = ""
    film.hold(500)
    panel = film.window.docks["view.history_panel"].widget()
    film.key(Qt.Key.Key_H, "Shift+H", SHIFT, ms=0)
    wait_for_pictures(panel, 3)
    settle(400)
    film.hold(900)
    rows = panel.list.model().rowCount()
    for row in (2, 0, 1):
        place = panel.list.visualRect(panel.list.model().index(min(row, rows - 1), 0)).center()
        film.taps(place.x(), place.y(), widget=panel.list.viewport(), note="Click")
        film.key(Qt.Key.Key_Return, "Enter", ms=0, widget=panel.list)
        wait_until(lambda row=row: panel.steps.current() == row, "the step")
        settle(200)
        film.hold(700)


def proposals(film: Film) -> None:
    """Everything is proposed; some are named, one is rejected, the rest accepted."""
    film.label(Scene("coins.png", ((0.115, 0.155, True),), None, "coin"))
    workspace = film._workspace
    film.window.settings.update(propose_side=10)
    film.hold(500)
    film.key(Qt.Key.Key_E, "E", ms=400)
    wait_until(lambda: len(workspace.annotations) > 5, "proposals")
    settle(400)
    film.hold(900)
    film.key(Qt.Key.Key_J, "J", ms=500)
    image, accepted = workspace.image, 0
    while any(o.proposed and touches(o, image) for o in workspace.annotations) or accepted < 2:
        (chosen,) = [o for o in workspace.annotations if o.id in workspace.selection]
        if touches(chosen, image):
            film.key(Qt.Key.Key_Delete, "Delete", ms=330)
        else:
            film.key(Qt.Key.Key_Return, "Enter", ms=220)
            accepted += 1
    film.key(Qt.Key.Key_Return, "Ctrl+Enter", CTRL, ms=0)
    settle(300)
    film.hold(900)


def touches(annotation, image) -> bool:
    """Whether it is a piece of the ground, which reaches the border."""
    box = raster.box(annotation.shape)
    return not (0 < box.x0 and 0 < box.y0 and box.x1 < image.width and box.y1 < image.height)


def tracks(film: Film) -> None:
    """Coins are tracked; the timeline fills, is gone through, and a track is accepted."""
    window, tracking = film.window, film.window.tracking
    window.open_path(film_of_coins(24))
    for x, y in ((0.54, 0.23), (0.354, 0.555), (0.715, 0.555)):
        film.label(Scene("0000.png", ((x, y, True),), None, "coin"))
    window.docks["view.objects_panel"].hide()
    window.docks["view.names_panel"].hide()
    window.docks.show("view.tracks_panel")
    settle(400)
    film.hold(400)
    tracking.run.start(TrackOrder("motion", "0000.png"))
    film.badge = "Ctrl+Shift+W  Track Through…"
    timeline = tracking.timeline
    while tracking.run.running and len(film.frames) < 12:
        settle(80)
        film.hold(150)
    wait_until(lambda: not tracking.run.running, "tracks")
    wait_until(lambda: not timeline.reading and len(timeline.rows()) > 2, "rows")
    settle(300)
    view = window.docks["view.tracks_panel"].findChild(TimelineView)
    view.zoom(6)
    film.hold(600)
    window.messages.clear()
    cells = [view.cell_rect(1, place).center() for place in (4, 10, 16, 21)]
    for spot in cells:
        film.taps(spot.x(), spot.y(), widget=view.viewport(), note="Click")
        settle(250)
        film.hold(350)
    film.badge = "Accept Whole Track"
    film.glide(QPoint(0, 0), view, steps=2)
    window.run("track.accept")
    wait_until(lambda: not tracking.editing.running, "accepted")
    settle(300)
    film.hold(600)


SCENES: dict[str, Callable[[Film], None]] = {
    scene.__name__: scene for scene in (click, editing, refine, history, proposals, tracks)
}


def main(names: list[str]) -> None:
    OUT.mkdir(exist_ok=True)
    for name in names or SCENES:
        window = new_window(*SIZES.get(name, SIZE))
        window.start(sample_folder(Path(HOME) / name), None)
        window.docks["view.images_panel"].hide()
        film = Film(window)
        settle(300)
        SCENES[name](film)
        film.save(name)
        window.close()


if __name__ == "__main__":
    main(sys.argv[1:])
