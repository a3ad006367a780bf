"""Pascal VOC: an XML file for each image with boxes, and PNGs with classes and objects.

VOC counts pixels from 1 and names the first and the last one of a box. In the PNGs 0 is the
background and 255 is nothing that counts (“void”).
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.formats import png
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import whole
from annotator.core.formats.detections.voc import box_of
from annotator.core.formats.layers import Layers, colours, objects_of
from annotator.core.formats.reading import (
    NO_IMAGE,
    Reading,
    any_file,
    content_of,
    label_files,
    read_bytes,
)
from annotator.core.formats.resolver import image_folder
from annotator.core.formats.target import Target
from annotator.core.mask import Mask
from models.api import Box

CLASSES, OBJECTS, BOXES, LISTS = (
    "SegmentationClass",
    "SegmentationObject",
    "Annotations",
    "ImageSets",
)
LABELS = "labels.txt"
VOID = 255
_NO_XML = "files that are no XML of an annotation"
_KNOWN = ("folder", "filename", "path", "source", "owner", "size", "segmented", "object")
_KNOWN_OBJECT = ("name", "bndbox", "pose", "truncated", "difficult", "occluded")
_BAD_BOX = "objects without four usable numbers for a box"


def write_boxes(content: Content, target: Target) -> None:
    """`Annotations/*.xml` and the lists of images."""
    names, lists = content.names(), dict[str, list[str]]()
    for image in content.images():
        stem = str(PurePosixPath(image.record.key).with_suffix(""))
        name = f"{BOXES}/{stem}.xml"
        if not target.is_taken(name, image.record.key):
            target.want_jpeg(image.record.key)
            target.write(name, [_xml(image, names, target)])
            lists.setdefault(image.split or "all", []).append(stem)
    _write_lists(lists, "Main", target)


def _write_lists(lists: dict[str, list[str]], folder: str, target: Target) -> None:
    for split, stems in lists.items():
        target.write(f"{LISTS}/{folder}/{split}.txt", (f"{stem}\n".encode() for stem in stems))


def _xml(
    image: LabelledImage, names: dict[int | None, str], target: Target, *, segmented: bool = False
) -> bytes:
    record = image.record
    folder, _, name = f"JPEGImages/{record.key}".rpartition("/")
    lines = [
        "<annotation>", f"  <folder>{_safe(folder)}</folder>",
        f"  <filename>{_safe(name)}</filename>",
        f"  <size><width>{record.width}</width><height>{record.height}</height>"
        "<depth>3</depth></size>", f"  <segmented>{int(segmented)}</segmented>",
    ]  # fmt: skip
    for annotation in image.annotations:
        where = f"{record.key}, object {annotation.id}"
        if isinstance(annotation.shape, Mask) and not segmented:
            target.lose("masks, of which only the box is kept", where)
        box = _box(annotation, record)
        if box is None:
            target.lose("objects without pixels", where)
            continue
        target.annotations += not segmented
        x0, y0, x1, y1 = box
        edge = int(x0 <= 1 or y0 <= 1 or x1 >= record.width or y1 >= record.height)
        lines += [
            f"  <object><name>{_safe(names[annotation.category_id])}</name><pose>Unspecified</pose>"
            f"<truncated>{edge}</truncated><difficult>0</difficult>",
            f"    <bndbox><xmin>{x0:g}</xmin><ymin>{y0:g}</ymin><xmax>{x1:g}</xmax>"
            f"<ymax>{y1:g}</ymax></bndbox></object>",
        ]
    return ("\n".join([*lines, "</annotation>"]) + "\n").encode(errors="replace")


def _safe(text: str) -> str:
    """XML has no way to say most control characters."""
    return html.escape(
        "".join(c if c >= " " and c not in "\ufffe\uffff" else " " for c in text), quote=False
    )


def _box(annotation: Annotation, record: ImageRecord) -> tuple[float, float, float, float] | None:
    shape = annotation.shape
    box = shape if isinstance(shape, Box) else raster.box(shape)
    if record.width:
        box = box.clipped(record.width, record.height)
    if not box.width or not box.height:
        return None
    return round(box.x0, 2) + 1, round(box.y0, 2) + 1, round(box.x1, 2), round(box.y1, 2)


def read_boxes(origin: Origin) -> Content:
    """A folder of XML files, with sub-folders, or one of them.

    Raises:
        UserError: there are none.
    """
    path = origin.path
    base = path / BOXES if (path / BOXES).is_dir() else path
    files = label_files(base, "*.xml")
    base = base if base.is_dir() else base.parent
    folder = origin.images or image_folder(path, None, _file_names(files[:5], base))
    return content_of(Reading(folder), partial(_images, base, files), path.stem)


def _file_names(files: list[Path], base: Path) -> Iterator[str]:
    for file in files:
        root = _parsed(file)
        said = "" if root is None else (root.findtext("filename") or "").strip()
        name = PurePosixPath(said.replace("\\", "/")).name
        if name:
            yield said
            yield str(PurePosixPath(file.relative_to(base).as_posix()).with_name(name))


def _parsed(file: Path) -> ElementTree.Element | None:
    try:
        data = read_bytes(file)
        # Entities that grow without bound need a DTD, which annotations never have.
        return None if b"<!DOCTYPE" in data or b"<!ENTITY" in data else ElementTree.fromstring(data)
    except (UserError, ElementTree.ParseError, ValueError, LookupError):
        return None


def _images(base: Path, files: list[Path], reading: Reading) -> Iterator[LabelledImage]:
    for file in files:
        name = file.relative_to(base).as_posix()
        root = _parsed(file)
        if root is None or root.tag != "annotation":
            reading.lose(_NO_XML, name)
            continue
        record = _record(root, name, reading)
        if record is not None:
            _tell_rest(root, _KNOWN, name, reading)
            found = [_object(thing, f"{name}, object {i}", reading)
                     for i, thing in enumerate(root.iter("object"), 1)]  # fmt: skip
            yield reading.labelled(record, [made for made in found if made is not None])


def _tell_rest(
    element: ElementTree.Element, known: tuple[str, ...], where: str, reading: Reading
) -> None:
    for child in element:
        if child.tag not in known and (len(child) or (child.text or "").strip() not in ("", "0")):
            reading.lose(f"values of “{child.tag}”", where)


def _record(root: ElementTree.Element, name: str, reading: Reading) -> ImageRecord | None:
    # What the file is called says where the image is; what it says may be the name elsewhere.
    found = reading.resolver.beside(name)
    said = PurePosixPath((root.findtext("filename") or "").strip().replace("\\", "/")).name
    if len(found) != 1 and said:
        beside = str(PurePosixPath(name).with_name(said))
        there = reading.resolver.file(beside) is not None or not found
        found = [beside] if there else [reading.resolver.key(said)]
    sides = [whole(root.findtext(f"size/{side}")) or 0 for side in ("width", "height")]
    key = reading.only(found, name)
    return None if key is None else reading.record(key, *sides)


def _object(thing: ElementTree.Element, where: str, reading: Reading) -> Annotation | None:
    box = box_of(thing)
    if box is None or not box.width or not box.height or max(map(abs, (box.x1, box.y1))) > 1e6:
        reading.lose(_BAD_BOX, where)
        return None
    _tell_rest(thing, _KNOWN_OBJECT, where, reading)
    name = (thing.findtext("name") or "").strip()
    made = reading.annotation(box, reading.category(name))
    extra = {
        tag: text.strip()
        for tag in ("pose", "truncated", "difficult", "occluded")
        if (text := thing.findtext(tag)) and text.strip() not in ("0", "Unspecified")
    }
    return replace(made, attributes=extra) if extra else made


# --- Segmentation ---


def write_masks(content: Content, target: Target) -> None:
    """`SegmentationClass` and `SegmentationObject` as PNGs with the palette of VOC."""
    numbers = {category.id: i for i, category in enumerate(content.categories, 1)}
    if len(numbers) >= VOID - 1:
        raise UserError(
            f"VOC's PNGs have room for {VOID - 2} classes, but there are {len(numbers)}.",
            "Export 16-bit PNGs instead.",
        )
    names, lists = content.names(), dict[str, list[str]]()
    palette = colours()
    for image in content.images():
        key = image.record.key
        stem = str(PurePosixPath(key).with_suffix(""))
        if target.is_taken(f"{CLASSES}/{stem}.png", key):
            continue
        layers = Layers.of(image, target, most=VOID - 1)
        if layers is None:
            continue
        target.want_jpeg(key)
        used = [numbers.get(a.category_id or 0, len(numbers) + 1) for a in layers.objects]
        classes = np.array([0, *used], np.uint8)[layers.index]
        target.write(f"{CLASSES}/{stem}.png", [png.encode(classes, palette)])
        target.write(f"{OBJECTS}/{stem}.png", [png.encode(layers.index.astype(np.uint8), palette)])
        target.write(f"{BOXES}/{stem}.xml", [_xml(image, names, target, segmented=True)])
        lists.setdefault(image.split or "all", []).append(stem)
    _write_lists(lists, "Segmentation", target)
    listed = ["background", *(category.name for category in content.categories), names[None]]
    target.write(LABELS, ("".join(f"{_line(name)}\n" for name in listed).encode(),))


def _line(name: str) -> str:
    return " ".join(name.split())


def read_masks(origin: Origin) -> Content:
    """A folder with `SegmentationClass` and, if objects are told apart, `SegmentationObject`.

    Raises:
        UserError: there are no such PNGs.
    """
    path = origin.path if origin.path.name != CLASSES else origin.path.parent
    files = label_files(path / CLASSES, "*.png")
    listed = origin.names or path / LABELS
    names = listed.read_text("utf-8", "replace").splitlines() if listed.is_file() else []
    images = origin.images or path / "JPEGImages"
    reading = Reading(images if images.is_dir() else path, [n for n in names[1:] if n.strip()])
    return content_of(reading, partial(_masks, path, files, names), path.name)


def _masks(
    path: Path, files: list[Path], names: list[str], reading: Reading
) -> Iterator[LabelledImage]:
    for file in files:
        name = file.relative_to(path / CLASSES).as_posix()
        found = reading.resolver.beside(name)
        if not found:
            reading.lose(NO_IMAGE, name)
            continue
        key = reading.only(found, name)
        record = reading.record(key) if key is not None else None
        if record is None:
            continue
        other = path / OBJECTS / name
        objects = objects_of(
            file, other if other.is_file() else None, record, names, reading, void=VOID
        )
        yield reading.labelled(record, objects)


SPECS = (
    FormatSpec(
        "voc", "Pascal VOC XML", "A box for each object in an XML file; masks are not kept.",
        write_boxes, read_boxes,
        lambda path: any_file(path / BOXES if (path / BOXES).is_dir() else path, "*.xml",
                              lambda start: b"<annotation>" in start)
        and not (path / CLASSES).is_dir(),
        images="JPEGImages",
    ),
    FormatSpec(
        "voc-masks", "Pascal VOC segmentation",
        "PNGs of classes and of objects; where objects overlap, the upper one counts.",
        write_masks, read_masks,
        lambda path: (path / CLASSES).is_dir() or path.name == CLASSES, images="JPEGImages",
    ),
)  # fmt: skip
