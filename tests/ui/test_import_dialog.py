"""The import dialog on a real project: what would happen, doing it, taking it back."""

import json

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QDialogButtonBox

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord, Origin
from annotator.core.formats.api import Content, LabelledImage
from annotator.core.formats.exporting import export
from annotator.core.formats.registry import format_spec
from annotator.core.propagation import root_of
from annotator.services import import_run
from annotator.services.document import Document
from annotator.services.importing import last_import
from annotator.ui.import_dialog import ImportDialog
from models.api import Box

SIZE = (30, 20)
KEYS = [f"{i}.png" for i in range(6)]


def mask(*edges):
    return raster.from_box(Box(*edges), *SIZE)


@pytest.fixture
def document(qapp, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for key in KEYS:
        Image.fromarray(np.zeros((SIZE[1], SIZE[0], 3), np.uint8)).save(folder / key)
    document = Document.open(folder)
    document.add_images(KEYS)
    cat = document.add_category("cat").id
    for key in KEYS:
        document.set_size(key, *SIZE, 1)
    document.edit("0.png", (Annotation(document.new_id(), mask(2, 2, 12, 12), cat),), "add")
    yield document
    document.close()


@pytest.fixture
def dialog(qtbot, document):
    dialog = ImportDialog(document)
    qtbot.addWidget(dialog)
    dialog.show()
    yield dialog
    dialog.done(0)


@pytest.fixture
def labels(tmp_path):
    """CVAT's XML: a dog in every image, and in the first one nearly the cat that is there."""
    images = []
    for number, key in enumerate(KEYS):
        dog = Annotation(10 + number, mask(15, 2, 25, 9), 2)
        nearly = Annotation(100, mask(2, 2, 12, 11), 1)
        found = (nearly, dog) if number == 0 else (dog,)
        images.append(LabelledImage(ImageRecord(key, number + 1, *SIZE), found))
    gone = Annotation(200, mask(1, 1, 5, 5), 2)
    images.append(LabelledImage(ImageRecord("gone.png", 9, *SIZE), (gone,)))
    classes = (Category(1, "cat", "#112233"), Category(2, "Hund", "#445566"))
    content = Content(classes, lambda: iter(images), len(images))
    export(content, format_spec("cvat"), tmp_path / "cvat")
    return tmp_path / "cvat" / "annotations.xml"


def planned(qtbot, dialog):
    qtbot.waitUntil(dialog.progress.isHidden)
    return dialog.report.toPlainText()


def row_of(dialog, name):
    return next(
        r for r in range(dialog.classes.rowCount()) if dialog.classes.item(r, 0).text() == name
    )


def names(document, key):
    return [
        document.category(a.category_id).name if a.category_id else ""
        for a in document.annotations(key)
    ]


def test_import_and_back(qtbot, dialog, document, labels):
    before = {key: document.annotations(key) for key in KEYS}
    dialog.choose(labels)
    text = planned(qtbot, dialog)
    assert dialog.format.currentText() == "Find out: CVAT for images 1.1"
    assert "7 new objects" in text
    assert "1 objects that lie on one of the same class, which is kept" in text
    assert "1 images with objects that are not in the project yet" in text
    row = row_of(dialog, "Hund")
    assert dialog.classes.item(row, 1).text() == "7"
    assert dialog.classes.item(row, 2).toolTip() == "A new class"
    assert {key: document.annotations(key) for key in KEYS} == before
    dialog.existing.setChecked(True)
    qtbot.waitUntil(lambda: "6 new objects" in dialog.report.toPlainText())
    dialog.classes.item(row, 2).setText("dog")
    assert not dialog.start.isEnabled()
    planned(qtbot, dialog)
    dialog.start.click()
    with qtbot.waitSignal(dialog.imported) as told:
        pass
    assert told.args == ["Imported 6 objects in 6 images."]
    assert names(document, "0.png") == ["cat", "dog"]
    assert names(document, "3.png") == ["dog"]
    assert document.annotations("3.png")[0].shape == mask(15, 2, 25, 9)
    assert not document.has_image("gone.png")
    assert last_import(document) == "annotations.xml"
    assert not dialog.start.isEnabled()
    dialog.back.click()
    qtbot.waitUntil(lambda: "Took the import back in 6 images" in dialog.report.toPlainText())
    assert {key: document.annotations(key) for key in KEYS} == before
    assert [category.name for category in document.categories()] == ["cat"]
    assert not dialog.back.isVisible()


def test_the_window_has_its_turn_between_slices(qtbot, dialog, labels, monkeypatch):
    monkeypatch.setattr(import_run, "SLICE", -1.0)
    dialog.choose(labels)
    planned(qtbot, dialog)
    passes = 0

    def count():
        nonlocal passes
        passes += 1

    turns = QTimer(interval=0)
    turns.timeout.connect(count)
    # Everything is there before the first slice.
    monkeypatch.setattr(import_run._Feed, "is_ready", lambda feed: not feed.thread.is_alive())
    merged = []
    monkeypatch.setattr(import_run.ImportRun, "_step", stepped(merged, lambda: passes))
    turns.start()
    with qtbot.waitSignal(dialog._run.planned):
        dialog._run.plan(dialog._content, dialog.rules(), "again")
        dialog._run._feed.thread.join()
    assert len(merged) > len(KEYS)
    assert len(set(merged)) == len(merged), "two slices without a turn in between"


def stepped(merged, passes):
    original = import_run.ImportRun._step

    def step(run):
        merged.append(passes())
        original(run)

    return step


def test_rules_decide(qtbot, dialog, document, labels):
    dialog.choose(labels)
    planned(qtbot, dialog)
    dialog.overlap.setCurrentIndex(dialog.overlap.findData("replace"))
    dialog.classes.item(row_of(dialog, "Hund"), 2).setText("")
    qtbot.waitUntil(lambda: "which they replace" in dialog.report.toPlainText())
    planned(qtbot, dialog)
    dialog.start.click()
    qtbot.waitUntil(dialog.back.isVisible)
    assert names(document, "0.png") == ["cat", ""]
    assert document.annotations("0.png")[0].shape == mask(2, 2, 12, 11)
    dialog.choose(labels)
    planned(qtbot, dialog)
    dialog.classes.item(row_of(dialog, "Hund"), 2).setText("")
    text = planned(qtbot, dialog)
    assert text.startswith("There is nothing to import.")
    assert "8 objects that are there already, exactly the same" in text
    assert not dialog.start.isEnabled()


def test_what_goes_wrong_is_said(qtbot, dialog, document, tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<annotations><image")
    dialog.choose(path)
    qtbot.waitUntil(lambda: "in no format" in dialog.report.toPlainText())
    dialog.format.setCurrentIndex(dialog.format.findData("cvat"))
    dialog.read()
    qtbot.waitUntil(lambda: "damaged" in dialog.report.toPlainText())
    assert not dialog.start.isEnabled()
    assert not dialog.progress.isVisible()
    dialog.choose(tmp_path / "nowhere")
    qtbot.waitUntil(lambda: "does not exist" in dialog.report.toPlainText())


def test_closing_while_it_reads(qtbot, document, labels):
    for _ in range(5):
        dialog = ImportDialog(document)
        qtbot.addWidget(dialog)
        dialog.show()
        dialog.choose(labels)
        dialog.buttons.button(QDialogButtonBox.StandardButton.Cancel).click()
        qtbot.waitUntil(lambda shown=dialog: not shown.isVisible())
    assert not document.annotations("3.png")


def test_stopping_keeps_what_was_done_as_one_import(qtbot, dialog, document, labels):
    dialog.choose(labels)
    planned(qtbot, dialog)
    dialog.start.click()
    dialog.reject()
    assert dialog.isVisible()
    qtbot.waitUntil(dialog.back.isVisible)
    if last_import(document):
        dialog.back.click()
        qtbot.waitUntil(lambda: "Took the import back" in dialog.report.toPlainText())
    assert not any(document.annotations(key) for key in KEYS[1:])


def test_followed_objects_follow_objects_of_the_project(qtbot, dialog, document, tmp_path):
    """Ids of a file mean nothing in the project, and other objects have them there."""
    one = Annotation(1, mask(1, 1, 6, 6), 1)
    images = [
        LabelledImage(ImageRecord("1.png", 1, *SIZE), (one,)),
        LabelledImage(
            ImageRecord("2.png", 2, *SIZE),
            (Annotation(2, mask(2, 1, 7, 6), 1, Origin(follows=1)),),
        ),
    ]
    content = Content((Category(1, "cat", "#112233"),), lambda: iter(images), 2)
    export(content, format_spec("youtube-vis"), tmp_path / "vis")
    dialog.choose(tmp_path / "vis")
    planned(qtbot, dialog)
    dialog.start.click()
    qtbot.waitUntil(dialog.back.isVisible)
    first, second = document.annotations("1.png")[0], document.annotations("2.png")[0]
    assert first.id != 1
    assert root_of(second) == first.id


def test_x_anylabeling_beside_the_images(qtbot, dialog, document):
    shape = {"label": "cat", "shape_type": "rectangle", "points": [[1, 1], [5, 5]],
             "direction": 0.5}  # fmt: skip
    for key in KEYS[:2]:
        value = {"version": "4.0.2", "shapes": [shape], "imagePath": key}
        (document.folder / key).with_suffix(".json").write_text(json.dumps(value))
    dialog.choose(document.folder)
    text = planned(qtbot, dialog)
    assert "2 new objects" in text
    assert "Not kept: 2 values of “direction”" in text
