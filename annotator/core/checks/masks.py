"""Checks of single objects: empty, tiny, specks, holes, outside of the image, without a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from annotator.core import raster
from annotator.core.annotation import Annotations, Status
from annotator.core.checks.api import Labelled, Limits, replaced
from annotator.core.editing import regions
from annotator.core.mask import Mask
from annotator.core.shapes import fitted
from models.api import Box

Found = Iterator[tuple[tuple[int, ...], str]]


def _area(shape: Mask | Box) -> float:
    return shape.width * shape.height if isinstance(shape, Box) else raster.area(shape)


def empty(image: Labelled, limits: Limits) -> Found:
    """Objects without a single pixel."""
    for annotation in image.accepted:
        if not _area(annotation.shape):
            yield (annotation.id,), "no pixels"


def tiny(image: Labelled, limits: Limits) -> Found:
    """Objects of fewer pixels than the limit."""
    for annotation in image.accepted:
        area = _area(annotation.shape)
        if 0 < area < limits.pixels:
            yield (annotation.id,), f"{area:.0f} pixel{'' if area == 1 else 's'}"


def removed(image: Labelled, ids: tuple[int, ...], limits: Limits) -> Annotations:
    """Without these objects."""
    return replaced(image, dict.fromkeys(ids))


def specks(image: Labelled, limits: Limits) -> Found:
    """Small pieces beside the largest one."""
    for annotation in image.accepted:
        if isinstance(annotation.shape, Mask):
            areas = _pieces(annotation.shape)
            small = areas[areas < limits.pixels]
            small = small if len(small) < len(areas) else np.sort(small)[:-1]
            if len(small):
                yield (annotation.id,), _counted(len(small), "speck", int(small.max()))


def _pieces(mask: Mask) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Areas of the connected pieces."""
    found = regions.labels(raster.crop(mask).pixels, 8)[1]
    return found[1:]


def holes(image: Labelled, limits: Limits) -> Found:
    """Small holes."""
    for annotation in image.accepted:
        if isinstance(annotation.shape, Mask):
            areas = regions.hole_areas(annotation.shape)
            small = areas[areas < limits.pixels]
            if len(small):
                yield (annotation.id,), _counted(len(small), "hole", int(small.max()))


def _counted(count: int, noun: str, largest: int) -> str:
    some = f"{count:,} {noun}{'' if count == 1 else 's'}"
    of = "of" if count == 1 else "of up to"
    return f"{some} {of} {largest:,} pixel{'' if largest == 1 else 's'}"


def _reshaped(image: Labelled, ids: tuple[int, ...], change: Callable[[Mask], Mask]) -> Annotations:
    return replaced(
        image,
        {
            a.id: replace(a, shape=change(a.shape), polygons=None)
            for a in image.annotations
            if a.id in ids and isinstance(a.shape, Mask)
        },
    )


def without_specks(image: Labelled, ids: tuple[int, ...], limits: Limits) -> Annotations:
    """Small pieces are gone."""
    return _reshaped(image, ids, lambda mask: regions.without_specks(mask, limits.pixels))


def without_holes(image: Labelled, ids: tuple[int, ...], limits: Limits) -> Annotations:
    """Small holes are filled."""
    return _reshaped(image, ids, lambda mask: regions.without_holes(mask, limits.pixels))


def outside(image: Labelled, limits: Limits) -> Found:
    """Boxes that reach over the border, and masks made for another size."""
    if not image.width:
        return
    whole = (0.0, 0.0, float(image.width), float(image.height))
    for annotation in image.accepted:
        shape = annotation.shape
        if isinstance(shape, Mask):
            if (shape.width, shape.height) != (image.width, image.height):
                size = f"{shape.width} × {shape.height}"
                yield (annotation.id,), f"made for {size}, the image has {image.width} × " \
                                        f"{image.height}"  # fmt: skip
        elif shape.x0 < 0 or shape.y0 < 0 or shape.x1 > whole[2] or shape.y1 > whole[3]:
            yield (annotation.id,), "reaches over the border of the image"


def inside(image: Labelled, ids: tuple[int, ...], limits: Limits) -> Annotations:
    """Cut at the border; what lies outside altogether is gone."""
    return replaced(
        image,
        {a.id: fitted(a, image.width, image.height) for a in image.annotations if a.id in ids},
    )


def unnamed(image: Labelled, limits: Limits) -> Found:
    """Objects without a class."""
    for annotation in image.accepted:
        if annotation.category_id is None:
            yield (annotation.id,), "has no name"


def named(image: Labelled, ids: tuple[int, ...], limits: Limits) -> Annotations:
    """With the names that leave no doubt; the others are for people."""
    return replaced(
        image,
        {
            a.id: replace(a, category_id=image.names[a.id])
            for a in image.annotations
            if a.id in ids and a.category_id is None and a.id in image.names
        },
    )


def marked(image: Labelled, ids: tuple[int, ...], limits: Limits) -> Annotations:
    """With objects nobody has judged as those that need another look; locked ones, too."""
    return tuple(
        replace(a, status=Status.LOOK) if a.id in ids and a.status is Status.TODO else a
        for a in image.annotations
    )
