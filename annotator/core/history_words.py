"""What a step changed, in words and as a small picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from annotator.core.annotation import Annotation
from annotator.core.history import Change
from annotator.core.mask import Mask
from models.api import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

DRAWN = 60
"""Objects of one step that are drawn, the first ones."""
CONTEXT = 0.6
"""How much of the surroundings a picture shows, in sides of what changed."""
BACKGROUND = 96
"""Grey level where there is no image."""
GONE = (220, 60, 50)
"""Colour of what a step removed."""


def words(change: Change, name: Callable[[int | None], str]) -> str:
    """What a step changed: "1 added (cat), shape of 2 changed".

    Args:
        change: the step.
        name: of a class, for people.
    """
    old = {a.id: a for _, a in change.before}
    new = {a.id: a for _, a in change.after}
    parts = []
    if added := [a for number, a in new.items() if number not in old]:
        verb = "proposed" if all(a.proposed for a in added) else "added"
        parts.append(f"{len(added):,} {verb}{_names(added, name)}")
    if gone := [a for number, a in old.items() if number not in new]:
        parts.append(f"{len(gone):,} removed{_names(gone, name)}")
    kinds: Counter[str] = Counter()
    for number in old.keys() & new.keys():
        kinds.update(_kinds(old[number], new[number]))
    parts += [f"{count:,} {kind}" for kind, count in kinds.most_common()]
    if not parts:
        parts.append("layers reordered")
    return ", ".join(parts)


def _names(annotations: Iterable[Annotation], name: Callable[[int | None], str]) -> str:
    found = list(dict.fromkeys(name(a.category_id) for a in annotations))
    return f" ({', '.join(found[:3])}{', …' if len(found) > 3 else ''})"


def _kinds(old: Annotation, new: Annotation) -> list[str]:
    kinds = []
    if old.shape != new.shape:
        kinds.append("reshaped")
    if old.proposed and not new.proposed:
        kinds.append("accepted")
    if old.category_id != new.category_id:
        kinds.append("renamed")
    if old != new and not kinds:
        kinds.append("changed")
    return kinds


def picture(
    pixels: Pixels | None,
    size: tuple[int, int],
    change: Change,
    color: Callable[[int | None], tuple[int, int, int]],
    side: int,
) -> Pixels:
    """A square that shows what a step changed and some of what is around it.

    Args:
        pixels: (h, w, 3) RGB of the image, of any size; None where it cannot be read.
        size: width and height of the image, pixels; (0, 0) where nobody knows.
        change: the step.
        color: of a class, RGB.
        side: of the picture, pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    import numpy as np

    from annotator.core.cv import cv2

    kept = {a.id for _, a in change.after}
    drawn = [(a, color(a.category_id)) for _, a in change.after][:DRAWN]
    drawn += [(a, GONE) for _, a in change.before if a.id not in kept][:DRAWN]
    frame = _frame([a for a, _ in drawn], size)
    result = np.full((side, side, 3), BACKGROUND, np.uint8)
    if pixels is not None and all(size):
        sx, sy = pixels.shape[1] / size[0], pixels.shape[0] / size[1]
        # From pixels of the picture to those of the image that was read.
        step = frame.width / side
        turn = np.array([[step * sx, 0, frame.x0 * sx], [0, step * sy, frame.y0 * sy]], np.float32)
        flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
        result = np.asarray(
            cv2.warpAffine(
                pixels, turn, (side, side), flags=flags, borderMode=cv2.BORDER_CONSTANT,
                borderValue=(BACKGROUND,) * 3,
            ),
            np.uint8,
        )  # fmt: skip
    for annotation, rgb in drawn:
        _draw(result, annotation.shape, frame, rgb)
    return result


def _bounds(shape: Mask | Box) -> Box:
    from annotator.core import raster

    return raster.box(shape) if isinstance(shape, Mask) else shape


def _frame(annotations: list[Annotation], size: tuple[int, int]) -> Box:
    """The square part of the image that is shown."""
    boxes = [_bounds(a.shape) for a in annotations]
    if not boxes:
        longest = float(max(*size, 1))
        return Box(0.0, 0.0, longest, longest)
    x0, y0 = min(b.x0 for b in boxes), min(b.y0 for b in boxes)
    x1, y1 = max(b.x1 for b in boxes), max(b.y1 for b in boxes)
    half = max(x1 - x0, y1 - y0, 8.0) * (1 + CONTEXT) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return Box(x - half, y - half, x + half, y + half)


def _draw(result: Pixels, shape: Mask | Box, frame: Box, rgb: tuple[int, int, int]) -> None:
    import numpy as np

    from annotator.core import raster
    from annotator.core.cv import cv2

    side = result.shape[0]
    scale = side / frame.width
    if isinstance(shape, Mask):
        piece = raster.crop(shape)
        height, width = piece.pixels.shape
        if not height or not width:
            return
        turn = np.array(
            [[scale, 0, (piece.x - frame.x0) * scale], [0, scale, (piece.y - frame.y0) * scale]],
            np.float32,
        )
        inside = cv2.warpAffine(piece.pixels.astype(np.uint8) * 255, turn, (side, side)) > 127
        color = np.array(rgb, np.float32)
        result[inside] = (0.45 * result[inside] + 0.55 * color).astype(np.uint8)
        edge = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
        result[edge] = rgb
    else:
        first = (round((shape.x0 - frame.x0) * scale), round((shape.y0 - frame.y0) * scale))
        last = (round((shape.x1 - frame.x0) * scale), round((shape.y1 - frame.y0) * scale))
        cv2.rectangle(result, first, last, rgb, 1)
