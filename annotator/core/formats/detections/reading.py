"""One entrance to all formats of boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from annotator.core.errors import UserError
from annotator.core.files import fingerprint
from annotator.core.formats.detections import coco_results, voc, yolo
from annotator.core.formats.detections.values import Detections, ImageNames, Known


def format_of(path: Path) -> str:
    """Which format a file or folder seems to have.

    Raises:
        UserError: none that is known.
    """
    if path.is_dir():
        for pattern, name in (("*.xml", "voc"), ("*.txt", "yolo")):
            if next(path.rglob(pattern), None) is not None:
                return name
    found = {".json": "coco", ".xml": "voc", ".txt": "yolo"}.get(path.suffix.lower())
    if found is None or path.is_dir():
        raise UserError(
            f"“{path}” is no file of boxes that is known here.",
            "Name a JSON file (COCO), or a folder of text (YOLO) or XML files (Pascal VOC).",
        )
    return found


def read_boxes(
    path: Path,
    keys: Iterable[str],
    layout: str = "auto",
    known: Known | None = None,
    names: Path | None = None,
) -> Detections:
    """The boxes of a file or folder.

    Args:
        path: the file or folder.
        keys: all images.
        layout: one of `annotator.core.formats.detections.FORMATS`.
        known: what numbers in COCO results mean where nothing else says it.
        names: what the numbers mean: a COCO file for COCO results, a text for YOLO.

    Raises:
        UserError: something cannot be read, or is not what it should be.
    """
    images = ImageNames(keys)
    layout = format_of(path) if layout == "auto" else layout
    if layout == "voc":
        return voc.read(path, images)
    if layout == "yolo":
        return yolo.read(path, images, yolo.read_names(names) if names else ())
    if path.is_dir():
        raise UserError(f"“{path}” is a folder.", "COCO results are one JSON file: name that.")
    if names is None:
        return coco_results.read(path, images, known or Known())
    found = coco_results.read(path, images, coco_results.read_lists(names))
    digest = sha256((found.digest + fingerprint(names).sha256).encode()).hexdigest()
    return replace(found, digest=digest)
