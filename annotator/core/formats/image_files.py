"""The image files of an export: copied, linked or left where they are. Originals are only read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from annotator.core.errors import UserError
from annotator.core.files import explain
from annotator.core.formats.api import Content, FormatSpec, LabelledImage
from annotator.core.formats.target import Target

MODES = ("leave", "copy", "link", "symlink")
ROTATED = "images are stored rotated (EXIF); labels refer to the upright image"
MISSING = "images are not there; only their labels were exported"


def place_images(
    content: Content, target: Target, spec: FormatSpec, mode: str, *, upright: bool = False
) -> None:
    """Put the image files where the format has them.

    Args:
        content: whose images.
        target: of the export.
        spec: says where images go.
        mode: one of `MODES` but the first; a hard link becomes a copy on another drive.
        upright: write corrected copies of images whose EXIF orientation turns them.

    Raises:
        UserError: a file cannot be copied.
    """
    for image in content.images():
        if image.file is None:
            target.lose(MISSING, image.record.key)
            continue
        turned = orientation(image) != 1
        path = target.place(spec.image_name(image))
        try:
            if turned and upright:
                write_upright(image.file, path)
            else:
                _PLACING[mode](image.file, path)
                if turned:
                    target.lose(ROTATED, image.record.key)
        except OSError as error:
            raise explain(error, path) from error
        target.files += 1


def orientation(image: LabelledImage) -> int:
    """EXIF orientation of the file; read where the project does not know it yet."""
    known = image.record.orientation
    if known != 1 or image.file is None:
        return known
    from annotator.core.images import probe

    try:
        return probe(image.file).orientation
    except UserError:
        return known


def write_upright(source: Path, path: Path) -> None:
    """A copy whose pixels are stored as they are seen; colour profile and other EXIF are kept.

    Raises:
        OSError: it cannot be read or written.
    """
    from PIL import Image, ImageOps

    with Image.open(source) as image:
        kind = image.format
        turned = ImageOps.exif_transpose(image)
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        profile = image.info.get("icc_profile")
        turned.save(path, kind, icc_profile=profile, exif=turned.getexif(), **options)


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source.resolve(), path)
    except OSError:
        shutil.copy2(source, path)


def _copy(source: Path, path: Path) -> None:
    shutil.copy2(source, path)


def _symlink(source: Path, path: Path) -> None:
    path.symlink_to(source.resolve())


_PLACING: dict[str, Callable[[Path, Path], None]] = {
    "copy": _copy,
    "link": _link,
    "symlink": _symlink,
}
