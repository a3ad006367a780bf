"""Pascal VOC: an XML file for each image.

VOC counts pixels from 1 and names the first and the last one of a box, so “1, 1, 2, 2” covers two
pixels by two from the corner of the image.
"""

from __future__ import annotations

import math
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

from annotator.core.errors import UserError
from annotator.core.files import explain
from annotator.core.formats.coco.reading import whole
from annotator.core.formats.detections.values import (
    NO_BOX,
    Collector,
    Detections,
    ImageNames,
    LabelledBox,
)
from models.api import Box

NOT_XML = "files that are not readable XML of an annotation"


def read(path: Path, images: ImageNames) -> Detections:
    """Read a folder of XML files (with sub-folders), or one file.

    Args:
        path: the folder or the file.
        images: of the folder of images.

    Raises:
        UserError: a file cannot be opened, or there is none.
    """
    folder = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"There are no XML files in “{path}”.", "Name the folder of the boxes.")
    collector, digest = Collector(images), sha256()
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            data = file.read_bytes()
        except OSError as error:
            raise explain(error, file, "read") from error
        digest.update(name.encode(errors="surrogateescape") + b"\n" + data)
        _take(collector, name, data)
    return collector.done(digest.hexdigest())


def _take(collector: Collector, name: str, data: bytes) -> None:
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError):
        collector.trouble(NOT_XML, name)
        return
    # What the file is called says where the image is; what it says may be the name on another
    # computer.
    found = collector.images.beside(name)
    if len(found) != 1:
        found = collector.images.named((root.findtext("filename") or "").strip()) or found
    key = collector.image(found, name)
    if key is None:
        return
    width, height = (whole(root.findtext(f"size/{side}")) for side in ("width", "height"))
    if width and height:
        collector.sizes[key] = (width, height)
    for number, thing in enumerate(root.iter("object"), 1):
        where = f"{name}, object {number}"
        box = box_of(thing)
        if box is None:
            collector.trouble(NO_BOX, where)
        else:
            label = (thing.findtext("name") or "").strip()
            collector.add(key, LabelledBox(box, label), where)


def box_of(thing: ElementTree.Element) -> Box | None:
    """The box of an object, None without four numbers that make one."""
    values = []
    for name in ("xmin", "ymin", "xmax", "ymax"):
        try:
            values.append(float(thing.findtext(f"bndbox/{name}") or ""))
        except ValueError:
            return None
    x0, y0, x1, y1 = values
    if not all(map(math.isfinite, values)) or x1 < x0 or y1 < y0:
        return None
    return Box(x0 - 1, y0 - 1, x1, y1)
