"""Moving, fitting and stacking annotations: pure functions."""

from __future__ import annotations

from dataclasses import replace

from annotator.core import raster
from annotator.core.annotation import Annotation, Annotations
from annotator.core.mask import Mask
from models.api import Box


def bounds(annotation: Annotation) -> Box:
    """The tight box of any shape, image pixels."""
    shape = annotation.shape
    return shape if isinstance(shape, Box) else raster.box(shape)


def area(annotation: Annotation) -> int:
    """Pixels of any shape."""
    shape = annotation.shape
    if isinstance(shape, Box):
        return round(shape.width * shape.height)
    return raster.area(shape)


def moved(annotation: Annotation, dx: int, dy: int, width: int, height: int) -> Annotation | None:
    """Shifted by whole pixels, cut off at the image border; None when nothing is left."""
    shape = annotation.shape
    if isinstance(shape, Box):
        box = Box(shape.x0 + dx, shape.y0 + dy, shape.x1 + dx, shape.y1 + dy).clipped(width, height)
        return replace(annotation, shape=box) if box.width and box.height else None
    mask = raster.move(shape, dx, dy)
    if not raster.area(mask):
        return None
    uncut = raster.area(mask) == raster.area(shape)
    rings = annotation.polygons if uncut else None
    shifted = rings and tuple(
        tuple(v + (dx, dy)[i % 2] for i, v in enumerate(ring)) for ring in rings
    )
    # Rings may have reached past the border, where they rasterise differently after a move.
    if shifted and raster.from_polygons(shifted, width, height) != mask:
        shifted = None
    return replace(annotation, shape=mask, polygons=shifted)


def fitted(annotation: Annotation, width: int, height: int) -> Annotation | None:
    """Placed at the same pixels of an image of another size; None when nothing is left."""
    shape = annotation.shape
    if isinstance(shape, Box):
        box = shape.clipped(width, height)
        return replace(annotation, shape=box) if box.width and box.height else None
    if (shape.width, shape.height) == (width, height):
        return annotation
    piece = raster.crop(shape)
    kept = piece.pixels[: max(height - piece.y, 0), : max(width - piece.x, 0)]
    if not kept.any():
        return None
    mask: Mask = raster.from_crop(raster.Crop(piece.x, piece.y, kept), width, height)
    return replace(annotation, shape=mask, polygons=None)


def restacked(
    annotations: Annotations, ids: frozenset[int], step: int | None, *, up: bool
) -> Annotations:
    """With these annotations `step` layers higher or lower, or (None) at the top or bottom."""
    chosen = [a for a in annotations if a.id in ids]
    others = [a for a in annotations if a.id not in ids]
    if step is None:
        return tuple(others + chosen) if up else tuple(chosen + others)
    order = list(annotations)
    places = [i for i, a in enumerate(order) if a.id in ids]
    for place in reversed(places) if up else places:
        target = place + (step if up else -step)
        if 0 <= target < len(order) and order[target].id not in ids:
            order.insert(target, order.pop(place))
    return tuple(order)
