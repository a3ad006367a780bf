"""The export dialog on a real project."""

import json

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QDialogButtonBox

from annotator.core.annotation import Annotation
from annotator.services.document import Document
from annotator.ui.export_dialog import ExportDialog
from models.api import Box


@pytest.fixture
def document(qapp, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    keys = [f"{i}.png" for i in range(10)]
    for key in keys:
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / key)
    document = Document.open(folder)
    document.add_images(keys)
    cat = document.add_category("cat").id
    for key in keys:
        document.edit(key, (Annotation(document.new_id(), Box(1, 1, 9, 9), cat),), "add")
    yield document
    document.close()


@pytest.fixture
def dialog(qtbot, document):
    dialog = ExportDialog(document)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def choose(combo, value):
    combo.setCurrentIndex(combo.findData(value))


def test_exporting_in_parts(qtbot, dialog, document, tmp_path):
    choose(dialog.format, "yolo")
    assert "Boxes" in dialog.about.text()
    assert dialog.place.text() == str(tmp_path / "photos yolo")
    choose(dialog.images, "copy")
    dialog.split.setChecked(True)
    dialog.start.click()
    assert not dialog.start.isEnabled()
    qtbot.waitUntil(dialog.report.isVisible)
    assert "10 objects in 10 images" in dialog.report.text()
    assert "train 8, val 1, test 1" in dialog.report.text()
    assert len(list((tmp_path / "photos yolo" / "images" / "train").iterdir())) == 8
    assert dialog.start.text() == "Show Folder"
    again = ExportDialog(document)
    qtbot.addWidget(again)
    assert again.format.currentData() == "yolo"
    assert again.split.isChecked()


def test_what_goes_wrong_is_said(qtbot, dialog, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").write_text("x")
    dialog.place.setText(str(tmp_path / "mine"))
    dialog.start.click()
    qtbot.waitUntil(dialog.report.isVisible)
    assert "there already" in dialog.report.text()
    assert dialog.start.isEnabled()
    dialog.split.setChecked(True)
    dialog.ratios.setText("nonsense")
    dialog.start.click()
    assert "80/10/10" in dialog.report.text()


def test_stopping_leaves_nothing(qtbot, dialog, tmp_path):
    dialog.start.click()
    dialog.buttons.button(QDialogButtonBox.StandardButton.Cancel).click()
    qtbot.waitUntil(dialog.start.isEnabled)
    assert dialog.isVisible()
    out = tmp_path / "photos coco"
    # It may have been too late to stop; then everything is there.
    if out.exists():
        assert len(json.loads((out / "annotations.json").read_text())["annotations"]) == 10
    assert not list(tmp_path.glob(".*writing"))
    dialog.reject()
    assert not dialog.isVisible()
