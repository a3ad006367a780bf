"""Arrays behind the canvas: reduced levels of the image, what the viewport shows, contours.

Imported inside functions only: it brings NumPy and OpenCV. All work here is bounded by the size of
the viewport, or done in short steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.cv import cv2
from annotator.core.mask import Mask
from annotator.ui.canvas_view import Adjustment, View
from models.api import Box, MaskCandidate

Pixels = NDArray[np.uint8]
Lut = NDArray[np.uint8]
Rings = list[NDArray[np.float32]]
"""Closed rings, (n, 2) float32 each, x then y, image pixels."""

NEAREST_FROM = 2.0
"""Zoom (device pixels per image pixel) from which pixels are shown as squares."""
GRID_FROM = 12.0
"""Zoom from which the pixel grid is drawn."""
STEP_PIXELS = 1 << 20
"""Pixels one step of building a level reads: about a millisecond."""
SMALLEST_LEVEL = 256
CONTOUR_GRID = 1024
"""Finest grid on which the contour of a candidate is traced."""
MOST_RINGS = 400
"""Of a mask in more pieces, specks are not outlined."""

_DECODE_WHOLE = 1 << 20
_COVERED = 96


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A picture of the whole image.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        sx: level pixels per image pixel, horizontally.
        sy: the same, vertically.
    """

    pixels: Pixels
    sx: float
    sy: float


def _small(level: Level) -> bool:
    h, w = level.pixels.shape[:2]
    return bool(max(h, w) <= SMALLEST_LEVEL or min(h, w) < 2)


class Pyramid:
    """One image at several sizes, each half the one before, made step by step.

    Args:
        pixels: (h, w, 3) uint8 RGB; never copied as a whole.
        width: of the full image in pixels (`pixels` may be a reduced preview).
        height: of the full image in pixels.
        before: the pyramid shown until now of the same image (its preview); stands in until the
            new levels are made.
    """

    def __init__(
        self, pixels: Pixels, width: int, height: int, before: Pyramid | None = None
    ) -> None:
        self.width, self.height = width, height
        h, w = pixels.shape[:2]
        self._levels = [Level(pixels, w / width, h / height)]
        self._stand_ins = before._levels if before is not None else []
        self._growing: Pixels | None = None
        self._row = 0

    @property
    def complete(self) -> bool:
        """Whether all levels are made."""
        return _small(self._levels[-1])

    @property
    def nbytes(self) -> int:
        """Memory of the levels made here (without the image itself)."""
        return sum(level.pixels.nbytes for level in self._levels[1:])

    def grow(self) -> bool:
        """Do one short step of work; True when levels are still missing."""
        source = self._levels[-1]
        if _small(source):
            return False
        h, w = source.pixels.shape[0] // 2, source.pixels.shape[1] // 2
        if self._growing is None:
            self._growing, self._row = np.empty((h, w, 3), np.uint8), 0
        rows = max(STEP_PIXELS // (4 * w), 1)
        end = min(self._row + rows, h)
        piece = source.pixels[2 * self._row : 2 * end, : 2 * w]
        cv2.resize(
            piece, (w, end - self._row), self._growing[self._row : end], 0, 0, cv2.INTER_AREA
        )
        self._row = end
        if end == h:
            self._levels.append(Level(self._growing, source.sx / 2, source.sy / 2))
            self._growing = None
        if self.complete:
            self._stand_ins = []
        return not self.complete

    def level(self, zoom: float) -> Level:
        """The coarsest level that still has a pixel for every device pixel, as far as made."""
        fine = [lv for lv in (*self._levels, *self._stand_ins) if lv.sx >= zoom * 0.999]
        if not fine:
            return max((*self._levels, *self._stand_ins), key=lambda lv: lv.sx)
        best = min(fine, key=lambda lv: lv.sx)
        skip = int(best.sx / zoom)
        if skip < 3:
            return best
        # The fitting level is not made yet: every n-th pixel of a finer one, for a moment.
        return Level(best.pixels[::skip, ::skip], best.sx / skip, best.sy / skip)


def lut(adjustment: Adjustment) -> Lut | None:
    """The 256-entry table of an adjustment, None when it changes nothing."""
    if adjustment.neutral:
        return None
    values = np.arange(256) / 255.0
    values = (values + adjustment.brightness - 0.5) * adjustment.contrast + 0.5
    values = np.clip(values, 0.0, 1.0) ** (1.0 / adjustment.gamma)
    return np.round(values * 255).astype(np.uint8)


def render(
    pyramid: Pyramid,
    view: View,
    x: int,
    y: int,
    width: int,
    height: int,
    table: Lut | None,
    *,
    grid: bool = False,
) -> Pixels:
    """The image as seen in a rectangle of the viewport.

    Args:
        pyramid: the image.
        view: image to device pixels.
        x: left edge of the rectangle, which must lie on the image; device pixels of the viewport.
        y: top edge.
        width: of the rectangle.
        height: of the rectangle.
        table: from `lut`.
        grid: draw lines between pixels that are `GRID_FROM` device pixels large.

    Returns:
        (height, width, 4) uint8 in the memory order of `QImage.Format_RGB32`.
    """
    if view.turn:
        part = view.upright(x, y, width, height)
        return turned(render(pyramid, View(view.zoom), *part, table, grid=grid), view.turn)
    level = pyramid.level(view.zoom)
    if view.zoom >= NEAREST_FROM:
        shown = _nearest(level, view, x, y, width, height, table)
        if grid and view.zoom >= GRID_FROM:
            _draw_grid(shown, view, x, y)
        return shown
    return _display(_smooth(level, view, x, y, width, height), table)


def turned(pixels: Pixels, turn: int) -> Pixels:
    """(h, w) or (h, w, n) uint8 after this many quarter turns clockwise, 1 to 3."""
    codes = (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return cv2.rotate(pixels, codes[turn - 1]).astype(np.uint8, copy=False)


def _display(pixels: Pixels, table: Lut | None) -> Pixels:
    """(h, w, 3) RGB to (h, w, 4) in Qt's order, adjusted."""
    if table is not None:
        pixels = cv2.LUT(pixels, table).astype(np.uint8, copy=False)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA).astype(np.uint8, copy=False)


def _nearest(
    level: Level, view: View, x: int, y: int, width: int, height: int, table: Lut | None
) -> Pixels:
    h, w = level.pixels.shape[:2]
    columns = (np.arange(x, x + width) + 0.5 + view.left) * (level.sx / view.zoom)
    rows = (np.arange(y, y + height) + 0.5 + view.top) * (level.sy / view.zoom)
    columns = np.clip(columns.astype(np.intp), 0, w - 1)
    rows = np.clip(rows.astype(np.intp), 0, h - 1)
    seen = level.pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Four bytes per pixel are copied as one number, a hundred times quicker than three.
    piece = _display(np.ascontiguousarray(seen), table).view(np.uint32)[..., 0]
    shown = piece.take(columns - columns[0], axis=1).take(rows - rows[0], axis=0)
    result: Pixels = shown.view(np.uint8).reshape(height, width, 4)
    return result


def _draw_grid(shown: Pixels, view: View, x: int, y: int) -> None:
    """Mix grey into the first row and column of every pixel; reads on light and on dark ones."""
    height, width = shown.shape[:2]
    columns = np.floor((np.arange(x - 1, x + width) + 0.5 + view.left) / view.zoom)
    rows = np.floor((np.arange(y - 1, y + height) + 0.5 + view.top) / view.zoom)
    across, down = np.flatnonzero(np.diff(columns)), np.flatnonzero(np.diff(rows))
    shown[:, across] = shown[:, across] // 8 * 5 + 48
    shown[down] = shown[down] // 8 * 5 + 48


def _smooth(level: Level, view: View, x: int, y: int, width: int, height: int) -> Pixels:
    h, w = level.pixels.shape[:2]
    x0, skip_x, end_x = _cut(x + view.left, width, level.sx / view.zoom, w)
    y0, skip_y, end_y = _cut(y + view.top, height, level.sy / view.zoom, h)
    piece = np.ascontiguousarray(level.pixels[y0:end_y, x0:end_x])
    fx, fy = view.zoom / level.sx, view.zoom / level.sy
    if round(piece.shape[1] * fx) <= skip_x or round(piece.shape[0] * fy) <= skip_y:
        # The last device pixel lies beyond the middle of the last level pixel.
        piece = _extended(piece, math.ceil(1 / fy) + 1, math.ceil(1 / fx) + 1)
    # Not warpAffine: it takes three times as long.
    shown = cv2.resize(piece, (0, 0), fx=fx, fy=fy, interpolation=cv2.INTER_LINEAR)
    shown = shown[skip_y : skip_y + height, skip_x : skip_x + width]
    missing = (height - shown.shape[0], width - shown.shape[1])
    if any(missing):
        shown = _extended(np.ascontiguousarray(shown, np.uint8), *missing)
    return shown.astype(np.uint8, copy=False)


def _extended(pixels: Pixels, rows: int, columns: int) -> Pixels:
    """The last row and column repeated."""
    wider = cv2.copyMakeBorder(pixels, 0, rows, 0, columns, cv2.BORDER_REPLICATE)
    return wider.astype(np.uint8, copy=False)


def _cut(first: int, count: int, step: float, size: int) -> tuple[int, int, int]:
    """Which level pixels to resize so that the result lies on the grid of the whole picture.

    Args:
        first: first device pixel wanted, counted from the image's edge.
        count: device pixels wanted.
        step: level pixels per device pixel.
        size: level pixels there are.

    Returns:
        Begin of the level pixels, how many leading device pixels of the result to leave out, and
        the end. The begin is the one of several whose place on the device grid is most nearly a
        whole number; the rest (below 1/30 of a device pixel, mostly 0) cannot be seen.
    """
    latest = max(int(first * step) - 2, 0)
    tries = range(latest, max(latest - 32, -1), -1)
    begin = min(tries, key=lambda place: abs(place / step - round(place / step)))
    end = min(math.ceil((first + count) * step) + 3, size)
    return begin, first - round(begin / step), end


def percentiles(pyramid: Pyramid, box: Box, low: float, high: float) -> tuple[float, float]:
    """Two percentiles (0 to 100) of the values (0 to 1) in a part of the image."""
    zoom = min(1.0, 700 / max(box.width, box.height, 1))
    level = pyramid.level(zoom)
    h, w = level.pixels.shape[:2]
    x0, y0 = int(box.x0 * level.sx), int(box.y0 * level.sy)
    x1, y1 = math.ceil(box.x1 * level.sx), math.ceil(box.y1 * level.sy)
    piece = level.pixels[max(y0, 0) : min(y1, h), max(x0, 0) : min(x1, w)]
    if piece.size == 0:
        return 0.0, 1.0
    found = np.percentile(piece, (low, high)) / 255.0
    return float(found[0]), float(found[1])


# --- Contours ---


def candidate_rings(candidate: MaskCandidate) -> Rings:
    """The zero level of the logits, traced on a refined grid."""
    logits, extent = candidate.logits, candidate.extent
    h, w = logits.shape
    factor = min(max(CONTOUR_GRID // max(h, w, 1), 1), 4)
    box = cv2.boundingRect((logits > 0).view(np.uint8))
    # Only where it lies; one more on each side has a part in the edge.
    x0, y0 = max(box[0] - 1, 0), max(box[1] - 1, 0)
    logits = logits[y0 : box[1] + box[3] + 1, x0 : box[0] + box[2] + 1]
    inside = logits > 0
    if factor > 1:
        size = (inside.shape[1] * factor, inside.shape[0] * factor)
        inside = cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR) > 0
    across, down = extent.width / w, extent.height / h
    return _traced(
        inside,
        extent.x0 + x0 * across,
        extent.y0 + y0 * down,
        across / factor,
        down / factor,
        tolerance=0.6,
    )


def piece_rings(piece: raster.Crop, shrink: int) -> Rings:
    """A smoothed outline of some mask pixels for display, `shrink` times coarser than the image.

    Exact to about half a pixel of that coarser grid; small parts and holes may be left out.
    """
    pixels = piece.pixels.view(np.uint8)
    h, w = pixels.shape
    if 0 in (h, w):
        return []
    if shrink == 1:
        big = cv2.resize(
            np.pad(pixels * 255, 1), (2 * w + 4, 2 * h + 4), interpolation=cv2.INTER_LINEAR
        )
        return _traced(big > 127, piece.x - 1, piece.y - 1, 0.5, 0.5, tolerance=0.9)
    small_w, small_h = max(-(-w // shrink), 1), max(-(-h // shrink), 1)
    padded = np.pad(pixels * 255, ((0, small_h * shrink - h), (0, small_w * shrink - w)))
    small = cv2.resize(padded, (small_w, small_h), interpolation=cv2.INTER_AREA)
    inside = np.pad(small >= _COVERED, 1)
    return _traced(inside, piece.x - shrink, piece.y - shrink, shrink, shrink, tolerance=0.4)


def _traced(
    inside: NDArray[np.bool_], x: float, y: float, step_x: float, step_y: float, tolerance: float
) -> Rings:
    found, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    if len(found) > MOST_RINGS:
        found = sorted(found, key=len, reverse=True)[:MOST_RINGS]
    scale = np.array([step_x, step_y], np.float32)
    origin = np.array([x, y], np.float32)
    rings: Rings = []
    for contour in found:
        simple = cv2.approxPolyDP(contour, tolerance, True) if len(contour) > 4 else contour
        if len(simple) >= 3:
            rings.append((simple[:, 0, :].astype(np.float32) + 0.5) * scale + origin)
    return rings


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Boundary pieces between inside and outside, along pixel edges, image pixels.

    Attributes:
        horizontal: (n, 3) int64: y, first x, last x.
        vertical: (n, 3) int64: x, first y, last y.
    """

    horizontal: NDArray[np.int64]
    vertical: NDArray[np.int64]


def piece_edges(piece: raster.Crop) -> Edges:
    """The exact boundary of some mask pixels; the edge of the piece counts as boundary."""
    padded = np.pad(piece.pixels, 1)
    offset = np.array([piece.y, piece.x, piece.x])
    horizontal = _runs(padded[1:, 1:-1] != padded[:-1, 1:-1]) + offset
    vertical = _runs((padded[1:-1, 1:] != padded[1:-1, :-1]).T) + offset[[1, 0, 0]]
    return Edges(horizontal, vertical)


def _runs(edges: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Maximal runs along axis 1: (n, 3) line, begin, end."""
    change = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, begin = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    return np.stack((line, begin, end), axis=1).astype(np.int64)


def part(mask: Mask, bounds: Box, area: Box) -> raster.Crop | None:
    """The mask's pixels in a part of the image, or None where there are none."""
    x0, y0 = max(math.floor(area.x0), int(bounds.x0)), max(math.floor(area.y0), int(bounds.y0))
    x1, y1 = min(math.ceil(area.x1), int(bounds.x1)), min(math.ceil(area.y1), int(bounds.y1))
    if x0 >= x1 or y0 >= y1:
        return None
    return raster.crop_at(mask, x0, y0, x1, y1)


def tinted(pixels: NDArray[np.bool_], argb: int) -> NDArray[np.uint32]:
    """Mask pixels as a premultiplied 0xAARRGGBB picture of one colour."""
    # Pieces of masks come column-major; Qt reads rows.
    return np.ascontiguousarray(np.where(pixels, np.uint32(argb), np.uint32(0)))


def mask_rings(mask: Mask, bounds: Box, shrink: int) -> Rings:
    """A smoothed outline of a whole mask for display; see `piece_rings`."""
    x0, y0, x1, y1 = (int(v) for v in (bounds.x0, bounds.y0, bounds.x1, bounds.y1))
    if shrink > 1 and (x1 - x0) * (y1 - y0) > _DECODE_WHOLE:
        # The decoder of pycocotools is quicker for large masks; its array is column-major.
        columns = raster.to_array(mask).T[x0:x1, y0:y1]
        size = (max((y1 - y0) // shrink, 1), max((x1 - x0) // shrink, 1))
        small = cv2.resize(columns.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
        inside = np.pad(np.ascontiguousarray(small.T) >= _COVERED, 1)
        step_x, step_y = (x1 - x0) / size[1], (y1 - y0) / size[0]
        return _traced(inside, x0 - step_x, y0 - step_y, step_x, step_y, tolerance=0.4)
    piece = raster.crop(mask)
    rings = piece_rings(piece, shrink)
    return rings or piece_rings(piece, 1)
