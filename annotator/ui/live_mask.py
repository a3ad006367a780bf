"""`LiveMask`: an object while its pixels are being changed, and what it looks like meanwhile.

Imported inside functions only: it brings NumPy. Costs follow the part that is touched, or, when the
view changes, the viewport.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QColor, QImage, QPainter

from annotator.core import raster
from annotator.core.cv import cv2
from annotator.core.mask import Mask
from annotator.core.raster import Crop
from annotator.ui import canvas_pixels
from annotator.ui.canvas_view import View
from models.api import Box

_INSIDE_LINE = 0xFFFFFFFF
_OUTSIDE_LINE = 0xB4000000


def _premultiplied(color: QColor, opacity: float) -> int:
    alpha = round(255 * min(max(opacity, 0.0), 1.0))
    r, g, b = (part * alpha // 255 for part in (color.red(), color.green(), color.blue()))
    return alpha << 24 | r << 16 | g << 8 | b


def _in_columns(crop: Crop) -> NDArray[np.bool_]:
    """The pixels of a piece, (w, h), each column in one stretch of memory."""
    if crop.pixels.flags.f_contiguous or not crop.pixels.size:
        return crop.pixels.T
    # Ten times quicker than NumPy's own way from rows to columns.
    rows = np.ascontiguousarray(crop.pixels).view(np.uint8)
    return np.asarray(cv2.transpose(rows), np.uint8).view(np.bool_)


def _in_rows(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose columns lie in one stretch of memory, row by row."""
    return np.asarray(cv2.transpose(pixels.T.view(np.uint8)), np.uint8).view(np.bool_)


class LiveMask:
    """The pixels of one object that is being painted.

    Args:
        mask: what it was before; None for a new object.
        size: width and height of the image.
        color: of its class.
        opacity: of its fill, 0 to 1.
    """

    def __init__(
        self, mask: Mask | None, size: tuple[int, int], color: QColor, opacity: float
    ) -> None:
        self.width, self.height = size
        self.before = mask or raster.empty(*size)
        # Pages of this array exist only where something is written; columns lie in one piece, as
        # in the masks.
        self._pixels: NDArray[np.bool_] = np.zeros((self.width, self.height), bool).T
        if mask is not None:
            self._write(raster.crop(mask))
        self._touched: tuple[int, int, int, int] | None = None
        self._restored = (0, 0, 0, 0), Crop(0, 0, np.zeros((0, 0), bool))
        fill = _premultiplied(color, opacity)
        self._colors = np.array([0, fill, _OUTSIDE_LINE, _INSIDE_LINE], np.uint32)
        self._view = View()
        self._picture: NDArray[np.uint32] = np.zeros((0, 0), np.uint32)
        self._dirty: QRect | None = None

    def _write(self, crop: Crop) -> None:
        self._columns(crop)[:] = _in_columns(crop)

    def add(self, crop: Crop) -> Box:
        """Add pixels; returns the part of the image that may have changed."""
        part = self._columns(crop)
        part |= _in_columns(crop)
        return self._touch(crop)

    def remove(self, crop: Crop) -> Box:
        """Take pixels away."""
        part = self._columns(crop)
        part &= ~_in_columns(crop)
        return self._touch(crop)

    def restore(self) -> Box | None:
        """As it was before anything was touched."""
        if self._touched is None:
            return None
        x0, y0, x1, y1 = touched = self._touched
        if self._restored[0] != touched:
            # A gesture that begins anew at every move does so with the same part of the image.
            self._restored = touched, raster.crop_at(self.before, x0, y0, x1, y1)
        self._write(self._restored[1])
        self._touched = None
        box = Box(x0, y0, x1, y1)
        self._renew(box)
        return box

    def _columns(self, crop: Crop) -> NDArray[np.bool_]:
        """The pixels where a piece lies, (w, h)."""
        h, w = crop.pixels.shape
        return self._pixels.T[crop.x : crop.x + w, crop.y : crop.y + h]

    def _touch(self, crop: Crop) -> Box:
        h, w = crop.pixels.shape
        new = (crop.x, crop.y, crop.x + w, crop.y + h)
        old = self._touched or new
        self._touched = (
            min(old[0], new[0]), min(old[1], new[1]), max(old[2], new[2]), max(old[3], new[3]),
        )  # fmt: skip
        box = Box(*new)
        self._renew(box)
        return box

    def result(self) -> Mask:
        """The mask now; outside what was touched it is the one before, bit for bit."""
        if self._touched is None:
            return self.before
        x0, y0, x1, y1 = self._touched
        return raster.patched(self.before, Crop(x0, y0, self._pixels[y0:y1, x0:x1]))

    # --- Its picture ---

    def _device_rect(self, box: Box) -> QRect:
        """The device pixels a part of the image may change, outline included."""
        seen = self._view.device_box(box)
        left, top = math.floor(seen.x0) - 3, math.floor(seen.y0) - 3
        return QRect(left, top, math.ceil(seen.x1) + 3 - left, math.ceil(seen.y1) + 3 - top)

    def _renew(self, box: Box) -> None:
        rect = self._device_rect(box)
        self._dirty = rect if self._dirty is None else self._dirty.united(rect)

    def paint(self, painter: QPainter, view: View, size: QSize) -> None:
        """Draw it; the painter counts device pixels of the viewport."""
        if view != self._view or self._picture.shape != (size.height(), size.width()):
            self._view = view
            self._picture = np.zeros((size.height(), size.width()), np.uint32)
            self._dirty = QRect(0, 0, size.width(), size.height())
        height, width = self._picture.shape
        if self._dirty is not None:
            self._render(self._dirty.intersected(QRect(0, 0, width, height)))
            self._dirty = None
        image = QImage(
            self._picture.data, width, height, 4 * width,
            QImage.Format.Format_ARGB32_Premultiplied,
        )  # fmt: skip
        painter.drawImage(0, 0, image)

    def _render(self, rect: QRect) -> None:
        if rect.isEmpty():
            return
        x, y, w, h = rect.x(), rect.y(), rect.width(), rect.height()
        # One pixel more on all sides, for the outline.
        inside = self._seen(self._view, x - 1, y - 1, w + 2, h + 2)
        middle = inside[1:-1, 1:-1]
        # A pixel of the outline differs from one of its four neighbours.
        edge = inside[:-2, 1:-1] ^ middle
        for other in (inside[2:, 1:-1], inside[1:-1, :-2], inside[1:-1, 2:]):
            edge |= other ^ middle
        kinds = middle.view(np.uint8) + 2 * edge.view(np.uint8)
        np.take(self._colors, kinds, out=self._picture[y : y + h, x : x + w], mode="clip")

    def _seen(self, view: View, x: int, y: int, w: int, h: int) -> NDArray[np.bool_]:
        """The mask at the middle of every device pixel of a rectangle; outside the image False."""
        if view.turn:
            flat = self._seen(View(view.zoom), *view.upright(x, y, w, h))
            return canvas_pixels.turned(flat.view(np.uint8), view.turn).view(np.bool_)
        columns = np.floor((np.arange(x, x + w) + 0.5 + view.left) / view.zoom).astype(np.int64)
        rows = np.floor((np.arange(y, y + h) + 0.5 + view.top) / view.zoom).astype(np.int64)
        seen = np.zeros((h, w), bool)
        across = np.flatnonzero((columns >= 0) & (columns < self.width))
        down = np.flatnonzero((rows >= 0) & (rows < self.height))
        if across.size and down.size:
            left, top = columns[across[0]], rows[down[0]]
            piece = self._pixels[top : rows[down[-1]] + 1, left : columns[across[-1]] + 1]
            if view.zoom >= 1:
                found = _in_rows(piece)
                if view.zoom > 1:
                    # Single pixels are repeated while there are few, then whole rows.
                    wide = found.take(columns[across] - left, axis=1)
                    found = wide.take(rows[down] - top, axis=0)
            else:
                found = (
                    piece.T.take(columns[across] - left, axis=0).take(rows[down] - top, axis=1).T
                )
            seen[down[0] : down[-1] + 1, across[0] : across[-1] + 1] = found
        return seen
