"""Make the README's screenshots with the real program: `python docs/make_screenshots.py`."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
HOME = tempfile.mkdtemp()
for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
    os.environ[name] = HOME
sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from annotator import session
from annotator.app import fill, make_application, make_window
from annotator.core import raster
from annotator.core.annotation import Status
from annotator.samples import sample_folder
from annotator.services.folder_run import Order
from annotator.services.prelabel_sources import KINDS
from annotator.services.tracking_run import Order as TrackOrder
from annotator.session import Player, Scene, wait_until
from annotator.ui.settings_dialog import SettingsDialog
from annotator.ui.vocabulary_dialog import VocabularyDialog

OUT = Path(__file__).parent / "screenshots"
# Machines are sometimes busy.
session.PATIENCE_S = 300.0


def new_window(width: int, height: int):
    """A window as after the start, light."""
    application = QApplication.instance() or make_application()
    window = make_window(application)
    window.show()
    fill(window)
    window.resize(width, height)
    window.settings.update(theme="light")
    return window


def main() -> None:
    OUT.mkdir(exist_ok=True)
    window = new_window(1280, 800)
    window.start(sample_folder(Path(HOME)), None)
    player = Player(window)
    for scene in (
        Scene("cat.jpg", ((0.56, 0.79, True),), None, "nose"),
        Scene("cat.jpg", ((0.375, 0.37, True),), None, "eye"),
        Scene("cat.jpg", ((0.70, 0.46, True),), None, "eye"),
        Scene(
            "coffee.jpg", ((0.47, 0.12, True), (0.6, 0.7, False)), (0.28, 0.03, 0.71, 0.76), "cup"
        ),
        Scene("coins.png", ((0.115, 0.155, True),), None, "coin"),
        Scene("coins.png", ((0.27, 0.155, True),), None, "coin"),
        Scene("coins.png", ((0.42, 0.15, True),), None, "coin"),
    ):
        player.label(scene)
    player.click(0.57, 0.15)
    player.wait_for_mask()
    shoot(window, "main-light")
    QTest.keyClick(window.canvas, Qt.Key.Key_Return)
    window.settings.update(theme="dark")
    QTest.keyClick(window.canvas, Qt.Key.Key_A)
    wait_until(lambda: window.workspace.image is not None and window.workspace.image.complete, "")
    QTest.keyClick(window.canvas, Qt.Key.Key_V)
    player.click(0.5, 0.3)
    shoot(window, "main-dark")
    window.settings.update(theme="light")
    shoot_editing(window)
    window.run("help.shortcuts")
    QApplication.processEvents()
    sheet = next(w for w in QApplication.topLevelWidgets() if "Shortcut" in w.windowTitle())
    shoot(sheet, "shortcuts")
    sheet.close()
    dialog = SettingsDialog.open_over(window.settings, window, "Model")
    shoot(dialog, "models")
    dialog.close()
    window.run("class.vocabulary")
    editor = window.findChild(VocabularyDialog)
    shoot(editor, "vocabulary")
    editor.close()
    shoot_history(window)
    shoot_checks(window)
    shoot_prelabelling(window)
    shoot_tracks(window)
    window.close()


def shoot_history(window) -> None:
    """The steps of the cup, in the middle of them."""
    workspace = window.workspace
    workspace.select([workspace.annotations[0].id])
    for command in ("mask.fill_holes", "mask.grow", "mask.grow", "edit.duplicate", "edit.delete"):
        window.run(command)
        wait_until(lambda: not workspace.document.save_state.pending, "saving")
    window.run("edit.undo")
    window.docks.show("view.history_panel")
    panel = window.docks["view.history_panel"].widget()
    wait_for_pictures(panel, 4)
    window.messages.clear()
    shoot(window, "history")
    window.docks["view.history_panel"].hide()


def wait_for_pictures(panel, rows: int) -> None:
    """Until the history has so many rows and all of their pictures (the last row has none)."""
    model = panel.steps
    wait_until(
        lambda: model.rowCount() >= rows
        and all(panel.history.look(model.number_at(i)) for i in range(model.rowCount() - 1)),
        "the pictures of the history",
    )


def shoot_checks(window) -> None:
    """Coins with what can go wrong: a speck, a hole, one of them twice, one without a name."""
    workspace = window.workspace
    document, inspecting = workspace.document, window.inspecting
    coins = list(document.annotations("coins.png"))
    pixels = [raster.to_array(coin.shape) for coin in coins]
    pixels[0][10:13, 10:13] = True
    middle = raster.box(coins[1].shape)
    pixels[1][int(middle.y0 + middle.y1) // 2, int(middle.x0 + middle.x1) // 2] = False
    made = [replace(c, shape=raster.from_array(p), polygons=None)
            for c, p in zip(coins, pixels, strict=True)]  # fmt: skip
    made.append(replace(coins[-1], id=document.new_id(), category_id=None))
    document.edit("coins.png", tuple(made), "Edit")
    document.set_review("cat.jpg", Status.DONE)
    document.set_review("coffee.jpg", Status.LOOK)
    inspecting.check()
    wait_until(lambda: not inspecting.panel.run.running and inspecting.panel.model.rows, "checks")
    rows = inspecting.panel.model.rows
    inspecting.panel.table.selectRow(next(i for i, r in enumerate(rows) if r.check == "duplicate"))
    QTest.keyClick(inspecting.panel.table, Qt.Key.Key_Return)
    wait_until(lambda: len(workspace.selection) == 1, "the object")
    window.run("view.fit")
    window.messages.clear()
    shoot(window, "checks")
    window.docks["view.checks_panel"].hide()


def shoot_prelabelling(window) -> None:
    """In the middle of a run, with an image that cannot be read."""
    document, run = window.workspace.document, window.prelabelling.run
    (document.folder / "broken.jpg").write_bytes(b"no image")
    document.add_images(["broken.jpg"])
    values = {o.name: o.default for o in KINDS[0].options(window.settings.settings)}
    values["side"] = 6
    seen = []
    run.progressed.connect(lambda p: seen.append(p.done))
    keys = ["broken.jpg", *(key for key in document.keys() if key != "broken.jpg")]
    run.start(Order("everything", values, window.workspace.assistant.model.id), keys)
    wait_until(lambda: 3 in seen, "three images")
    run.pause()
    window.docks.show("view.prelabel_panel")
    window.run("view.fit")
    window.messages.clear()
    shoot(window, "prelabelling")
    run.stop()
    wait_until(lambda: not run.running, "the end of the run")


def shoot_tracks(window) -> None:
    """Coins under a camera that moves: tracked through, partly accepted, one corrected and cut."""
    window.messages.clear()
    window.open_path(film_of_coins(40))
    window.activateWindow()
    window.run("tool.smart")
    workspace, tracking = window.workspace, window.tracking
    player = Player(window)
    for x, y in ((0.54, 0.23), (0.75, 0.22), (0.354, 0.555), (0.715, 0.555)):
        player.label(Scene("0000.png", ((x, y, True),), None, "coin"))
    key = "0000.png"
    tracking.run.start(TrackOrder("motion", key))
    window.docks.show("view.tracks_panel")
    wait_until(lambda: not tracking.run.running, "tracks")
    wait_until(lambda: not tracking.timeline.reading and len(tracking.timeline.rows()) > 2, "rows")
    rows = tracking.timeline.rows()
    workspace.show("0024.png")
    wait_until(lambda: workspace.image is not None and workspace.image.key == "0024.png", "")
    for row in rows[:2]:
        tracking.editing.accept(row.track)
        wait_until(lambda: not tracking.editing.running, "accepted")
    tracking.editing.cut(rows[1].track, "0024.png")
    wait_until(lambda: not tracking.editing.running, "cut")
    tracking.timeline.show(rows[0].track, "0024.png")
    window.docks["view.prelabel_panel"].hide()
    window.messages.clear()
    shoot(window, "tracks")


def film_of_coins(images: int) -> Path:
    """Coins under a camera that moves."""
    folder, picture = Path(HOME) / "film", Image.open(sample_folder(Path(HOME)) / "coins.png")
    width, height = picture.width * 3 // 4, picture.height * 3 // 4
    folder.mkdir(exist_ok=True)
    for time in range(images):
        x, y = int(0.9 * time), int(0.6 * time)
        picture.crop((x, y, x + width, y + height)).save(folder / f"{time:04d}.png")
    return folder


def shoot_editing(window) -> None:
    """In the middle of a stroke of the brush."""
    workspace, canvas = window.workspace, window.canvas
    workspace.show("coffee.jpg")
    wait_until(lambda: workspace.image is not None and workspace.image.complete, "")
    window.settings.update(brush_size=44)
    workspace.select([workspace.annotations[0].id])
    QTest.keyClick(canvas, Qt.Key.Key_B)
    width, height = canvas.image_size()
    spots = [canvas.to_view((0.66 + i * 0.01) * width, (0.3 + i * 0.02) * height) for i in range(9)]
    QTest.mousePress(canvas.viewport(), Qt.MouseButton.LeftButton, pos=spots[0])
    for spot in spots:
        QTest.mouseMove(canvas.viewport(), spot)
        QApplication.processEvents()
    shoot(window, "editing")
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    QTest.mouseRelease(canvas.viewport(), Qt.MouseButton.LeftButton, pos=spots[-1])
    QTest.keyClick(canvas, Qt.Key.Key_V)


def shoot(widget, name: str) -> None:
    for _ in range(40):
        QApplication.processEvents()
        QTest.qWait(10)
    path = OUT / f"{name}.png"
    widget.grab().save(str(path))
    Image.open(path).convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    main()
