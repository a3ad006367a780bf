"""A real project with real images, for the tests of the panels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.mask import Mask
from annotator.services.workspace import Workspace
from models.api import Point, Prompt
from tests.preferences import quick

WIDTH, HEIGHT = 96, 64
MODEL = Origin(Source.MODEL, "basic", "1", 0.93, Prompt((Point(20, 20),)))


def square(left: int, top: int, side: int = 10) -> Mask:
    """A filled square."""
    return raster.from_crop(raster.Crop(left, top, np.ones((side, side), bool)), WIDTH, HEIGHT)


@contextmanager
def opened(folder: Path, qtbot: QtBot) -> Iterator[Workspace]:
    """A workspace on a folder of two PNG images, the first one shown and read."""
    images = folder / "images"
    images.mkdir()
    pixels = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
    pixels[10:40, 10:50] = (200, 30, 30)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(images / name)
    workspace = Workspace(quick(folder))
    workspace.open_folder(images)
    qtbot.waitUntil(lambda: workspace.image is not None and workspace.image.complete)
    try:
        yield workspace
    finally:
        workspace.close()


def add(workspace: Workspace, *names: str) -> list[int]:
    """One square per class name ("" for none), bottom layer first; returns their ids."""
    document, key = workspace.document, workspace.key
    assert document is not None
    assert key is not None
    made = []
    for place, name in enumerate(names):
        category = document.add_category(name).id if name else None
        origin = MODEL if place % 2 else Origin()
        shape = square(5 * place % 80, 4 * place % 50)
        made.append(Annotation(document.new_id(), shape, category, origin))
    document.edit(key, (*workspace.annotations, *made), "Add")
    return [annotation.id for annotation in made]


def names(workspace: Workspace) -> list[str | None]:
    """Class names of the objects, bottom layer first."""
    document = workspace.document
    assert document is not None
    return [
        None if a.category_id is None else document.category(a.category_id).name
        for a in workspace.annotations
    ]
