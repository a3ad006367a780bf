"""Statistics count what is there, and are drawn and written."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator import commands
from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.services.document import Document
from annotator.ui.statistics_dialog import StatisticsDialog
from models.api import Box


@pytest.fixture
def document(tmp_path: Path, qapp: object):
    """Three cats at the left, a dog at the right, a proposal, an empty image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    made = Document.open(folder)
    made.add_images(["a.png", "b.png", "c.png"])
    cat, dog = (made.add_category(name).id for name in ("cat", "dog"))
    made.add_category("bird")

    def one(x: int, side: int, name: int, *, proposed: bool = False) -> Annotation:
        shape = raster.from_box(Box(x, 0, x + side, side), 320, 320)
        return Annotation(made.new_id(), shape, name, proposed=proposed)

    made.edit("a.png", (one(0, 10, cat), one(0, 10, cat), one(300, 20, dog)), "Add")
    made.edit("b.png", (one(0, 40, cat), one(0, 10, dog, proposed=True)), "Add")
    made.flush()
    yield made
    made.close()


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_command_writes_plots_and_tables(document: Document, tmp_path: Path, capsys) -> None:
    out = tmp_path / "made" / "here"
    assert commands.run(["statistics", str(document.folder), "--out", str(out)]) == 0
    assert "4 objects, 3 classes" in capsys.readouterr().err
    assert rows(out / "classes.csv")[1:] == [
        ["cat", "3", "2", "100"],
        ["dog", "1", "1", "400"],
        ["bird", "0", "0", "0"],
    ]
    assert ["annotated", "2"] in rows(out / "images.csv")
    sizes = {row[0]: row[2] for row in rows(out / "sizes.csv")[1:]}
    assert (sizes["8.0"], sizes["16.0"], sizes["32.0"]) == ("2", "1", "1")
    positions = np.array(rows(out / "positions.csv")[1:], int)[:, 1:]
    assert positions.sum() == 4
    assert positions[0, 0] == 2
    assert positions[1, 31] == 1
    assert rows(out / "progress.csv")[1:] == [[date.today().isoformat(), "2", "2"]]
    for name in ("classes", "sizes", "positions", "progress"):
        picture = np.asarray(Image.open(out / f"{name}.png"))
        assert picture.shape == (800, 1280, 3)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_a_project_without_objects_says_so(tmp_path: Path, qapp: object) -> None:
    made = Document.open(tmp_path)
    made.close()
    out = tmp_path / "out"
    assert commands.run(["statistics", str(tmp_path), "--out", str(out)]) == 0
    assert rows(out / "classes.csv") == [["class", "objects", "images", "median area"]]
    assert (out / "progress.png").is_file()


def test_the_dialog_shows_and_saves_them(document: Document, tmp_path: Path, qtbot, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "annotator.ui.statistics_dialog.QDesktopServices.openUrl", lambda url: opened.append(url)
    )
    dialog = StatisticsDialog(document)
    dialog.show()
    qtbot.waitUntil(lambda: dialog.found is not None)
    assert all(not plot.pixmap().isNull() for plot in dialog.plots.values())
    assert dialog.state.text().startswith("4 objects of 3 classes.")
    dialog.save(tmp_path)
    assert (tmp_path / "sizes.png").is_file()
    assert opened
    dialog.save(tmp_path / "missing")
    assert "missing" in dialog.state.text()
    dialog.close()
