"""`ObjectCrops`: small pictures of objects for the rows of lists, made in the background."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from annotator.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.annotation import Annotation
    from annotator.core.mask import Mask
    from annotator.services.looks import Looks
    from annotator.services.workspace import Workspace
    from models.api import Box

SLOT = "object crops"
SIDE = 112
"""Longest side in pixels: 56 on a screen with two device pixels per pixel."""
MARGIN = 0.2
DIMMED = 0.55
"""How much is left of the light of what does not belong to the object."""
KEPT = 600
WAITING = 64
"""Older wishes are dropped: those rows have scrolled away and ask again when they come back."""


@dataclass(frozen=True, slots=True)
class _Wish:
    key: str
    path: Path
    shape: Mask | Box


class ObjectCrops(QObject):
    """The crop around an object, with what does not belong to it in the shade.

    Args:
        workspace: what is open.
        looks: its thread makes them.
        parent: Qt parent.
    """

    ready = Signal(int)
    """The picture of the object with this id is there."""

    def __init__(self, workspace: Workspace, looks: Looks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._looks = looks
        self._kept: OrderedDict[int, tuple[Mask | Box, QImage]] = OrderedDict()
        self._wishes: OrderedDict[int, _Wish] = OrderedDict()
        self._busy = False
        workspace.project_closing.connect(self._forget)

    def _forget(self) -> None:
        self._kept.clear()
        self._wishes.clear()
        self._busy = False
        self._looks.cancel(SLOT)

    def get(self, key: str, annotation: Annotation) -> QImage | None:
        """The picture; a null one if it cannot be made, None while it is: `ready` follows."""
        known = self._kept.get(annotation.id)
        if known is not None and known[0] == annotation.shape:
            self._kept.move_to_end(annotation.id)
            return known[1]
        document = self._workspace.document
        if document is not None:
            self._wishes.pop(annotation.id, None)
            self._wishes[annotation.id] = _Wish(key, document.path(key), annotation.shape)
            while len(self._wishes) > WAITING:
                self._wishes.popitem(last=False)
            self._work()
        # An old picture is better than none while the new one is made.
        return None if known is None else known[1]

    def _work(self) -> None:
        if self._busy or not self._wishes:
            return
        self._busy = True
        newest = next(reversed(self._wishes.values()))
        same = {i: wish for i, wish in self._wishes.items() if wish.key == newest.key}
        for number in same:
            del self._wishes[number]
        shapes = {number: wish.shape for number, wish in same.items()}
        self._looks.submit(SLOT, lambda _: tuple(_crops(newest.path, shapes)), self._keep)

    def _keep(self, made: tuple[tuple[int, Mask | Box, QImage], ...]) -> None:
        self._busy = False
        for number, shape, image in made:
            self._kept[number] = shape, image
            self._kept.move_to_end(number)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        for number, _, _ in made:
            self.ready.emit(number)
        self._work()


def _crops(path: Path, shapes: dict[int, Mask | Box]) -> Iterator[tuple[int, Mask | Box, QImage]]:
    """On the thread: the pictures of some objects of one image."""
    from annotator.core import images

    try:
        pixels = images.load("", path).pixels
    except UserError:
        make = partial(_empty)
    else:
        make = partial(_crop, pixels)
    for number, shape in shapes.items():
        yield number, shape, make(shape)


def _empty(_: Mask | Box) -> QImage:
    return QImage()


def _crop(pixels: NDArray[np.uint8], shape: Mask | Box) -> QImage:
    import numpy as np

    from annotator.core import raster, views
    from models.api import Box, CropFrame

    height, width = pixels.shape[:2]
    mask = raster.from_box(shape, width, height) if isinstance(shape, Box) else shape
    view = views.of_mask(pixels, mask, CropFrame(SIDE, MARGIN))
    if view is None:
        return QImage()
    crop, inside, _ = view
    shown = np.where(inside[..., None], crop, crop * DIMMED).astype(np.uint8)
    shown = np.ascontiguousarray(shown)
    rows, columns = inside.shape
    # copy() because QImage does not keep the array alive.
    return QImage(shown.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
