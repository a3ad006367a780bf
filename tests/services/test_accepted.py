"""What is learned from: the accepted masks of a journal or a COCO file, read without a trace."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.services.accepted import read_accepted
from annotator.services.document import Document
from models.api import Box, ModelError

WIDTH, HEIGHT = 40, 30


def a_mask(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


FIRST, SECOND = a_mask(2, 3, 12, 9), a_mask(20, 10, 33, 28)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "photos ✿"
    (images / "inner").mkdir(parents=True)
    for number, key in enumerate(("a.png", "inner/b.png", "c.png")):
        pixels = np.full((HEIGHT, WIDTH, 3), (10 * number, 200, 30), np.uint8)
        Image.fromarray(pixels).save(images / key)
    return images


def fill(folder: Path) -> Document:
    """Two accepted masks, one in each of two images; the rest does not count."""
    document = Document.open(folder)
    document.add_images(["a.png", "inner/b.png", "c.png"])

    def annotation(shape: np.ndarray | Box, **fields: object) -> Annotation:
        known = shape if isinstance(shape, Box) else raster.from_array(shape)
        return replace(Annotation(document.new_id(), known), **fields)  # type: ignore[arg-type]

    accepted = annotation(FIRST)
    proposal = annotation(SECOND, proposed=True)
    document.edit("a.png", (accepted, proposal, annotation(Box(1, 1, 9, 9))), "Add")
    other = Annotation(document.new_id(), raster.from_array(np.ones((5, 5), np.bool_)))
    crowd = annotation(FIRST, is_crowd=True)
    document.edit("inner/b.png", (annotation(SECOND), crowd, other), "Add")
    document.edit("c.png", (annotation(SECOND, proposed=True),), "Propose")
    assert document.flush(5)
    return document


def state(folder: Path) -> dict[str, bytes]:
    """Every file but SQLite's own side files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_accepted_masks_are_read_while_the_window_has_the_project_open(folder: Path) -> None:
    document = fill(folder)
    try:
        before = state(folder)
        found = read_accepted(folder)
        assert state(folder) == before
        assert document.annotations("a.png")[0].shape == raster.from_array(FIRST)
    finally:
        document.close()
    assert found.name == "photos ✿"
    assert [image.name for image in found.images] == ["a.png", "inner/b.png"]
    assert found.left_out == 3
    for image, mask in zip(found.images, (FIRST, SECOND), strict=True):
        assert len(image.masks) == 1
        assert (image.mask(0) > 0).tolist() == mask.tolist()
        ys, xs = np.nonzero(mask)
        assert image.boxes.tolist() == [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]
    pixels = found.images[1].pixels()
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels[0, 0].tolist() == [10, 200, 30]


def test_a_journal_elsewhere_is_read(folder: Path, tmp_path: Path) -> None:
    fill(folder).close()
    shutil.move(folder / ".annotator", tmp_path / "journal")
    (folder / "annotations.json").unlink()
    found = read_accepted(folder, tmp_path / "journal")
    assert len(found.images) == 2
    with pytest.raises(UserError, match="is no project"):
        read_accepted(folder)


def test_the_coco_file_stands_in_for_the_journal(folder: Path) -> None:
    fill(folder).close()
    shutil.rmtree(folder / ".annotator")
    before = state(folder)
    for project in (folder, folder / "annotations.json"):
        found = read_accepted(project)
        assert found.name == "photos ✿"
        assert [image.name for image in found.images] == ["a.png", "inner/b.png"]
        assert coco_mask.area(found.images[0].masks[0]) == FIRST.sum()
    assert state(folder) == before, "no project was made"


def test_a_project_nobody_may_write_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the question is answered for it."""
    fill(folder).close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    before = sorted(path.name for path in (folder / ".annotator").iterdir())
    assert len(read_accepted(folder).images) == 2
    assert sorted(path.name for path in (folder / ".annotator").iterdir()) == before


def test_no_project_is_named_and_none_is_made(folder: Path) -> None:
    with pytest.raises(UserError, match="is no project"):
        read_accepted(folder)
    assert not (folder / ".annotator").exists()


def test_a_damaged_journal_is_named(folder: Path) -> None:
    fill(folder).close()
    journal = folder / ".annotator" / "journal.sqlite"
    journal.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(UserError, match=r"journal\.sqlite” is damaged"):
        read_accepted(folder)


def test_a_journal_of_another_version_is_left_alone(folder: Path) -> None:
    fill(folder).close()
    db = sqlite3.connect(folder / ".annotator" / "journal.sqlite")
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(UserError, match="another version"):
        read_accepted(folder)


def test_images_that_are_gone_or_changed_say_so_when_they_are_read(folder: Path) -> None:
    fill(folder).close()
    first, second = read_accepted(folder).images
    (folder / "a.png").unlink()
    with pytest.raises(ModelError, match=r"a\.png"):
        first.pixels()
    Image.new("RGB", (8, 9)).save(folder / "inner" / "b.png")
    with pytest.raises(ModelError, match="labelled as 40 × 30"):
        second.pixels()
