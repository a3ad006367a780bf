"""CVAT for images 1.1: one XML with every image. Masks are kept exactly, as CVAT's run lengths.

A `mask` names the columns and rows of its box and the run lengths inside of it along rows,
background first. Layers are `z_order`. Splits are CVAT's subsets. Source: CVAT's documentation of
its XML format, 2026.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.formats import foreign
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import finite, whole
from annotator.core.formats.cvat_xml import Element, elements, heads
from annotator.core.formats.reading import Reading, any_file, content_of
from annotator.core.formats.resolver import image_folder
from annotator.core.formats.target import Target
from annotator.core.mask import Mask
from models.api import Box

FILE = "annotations.xml"
CROWD = "iscrowd"
Kinds = dict[str, dict[str, set[str]]]
"""The kinds of values ("checkbox", "number", "text") of every attribute of every label."""

_CONTROL = "control characters in names, which XML cannot say"
_MIXED = "attributes with values of several kinds, written as text"
_TRACKS = "tracks; export them from CVAT as “CVAT for images” instead"
_TAGS = "tags of whole images"
_NO_LABEL = "objects without a label; they have no name"
_KNOWN = (
    "label", "source", "occluded", "z_order", "points", "xtl", "ytl", "xbr", "ybr", "rle", "left",
    "top", "width", "height", "cx", "cy", "rx", "ry", "rotation", "group_id",
)  # fmt: skip


# --- Out ---


def write(content: Content, target: Target) -> None:
    """`annotations.xml`; image files are in `images/`."""
    target.write(FILE, (line.encode("utf-8", "replace") for line in _lines(content, target)))


def _lines(content: Content, target: Target) -> Iterator[str]:
    names = content.names()
    kinds: Kinds = defaultdict(lambda: defaultdict(set))
    size = 0
    for image in content.images():
        size += 1
        for annotation in image.annotations:
            for name, value in _values(annotation).items():
                kinds[names[annotation.category_id]][name].add(_kind(value))
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    yield "  <meta>\n    <task>\n"
    yield f"      <name>{_escaped(content.name, target)}</name>\n      <size>{size}</size>\n"
    yield "      <mode>annotation</mode>\n      <labels>\n"
    listed = [(category.name, category.color) for category in content.categories]
    if names[None] in kinds or any(None in image.used() for image in content.images()):
        listed.append((names[None], "#888888"))
    for name, color in listed:
        yield from _label(name, color, kinds.get(name, {}), target)
    yield "      </labels>\n    </task>\n  </meta>\n"
    for number, image in enumerate(content.images()):
        yield from _image(number, image, names, target)
    yield "</annotations>\n"


def _label(name: str, color: str, attributes: dict[str, set[str]], target: Target) -> Iterator[str]:
    yield f"        <label><name>{_escaped(name, target)}</name><color>{color}</color>"
    yield "<type>any</type><attributes>"
    for key, kinds in attributes.items():
        kind = next(iter(kinds)) if len(kinds) == 1 else "text"
        if len(kinds) > 1:
            target.lose(_MIXED, f"{name}, {key}")
        span = "-1000000\n1000000\n1" if kind == "number" else ""
        yield (
            f"<attribute><name>{_escaped(key, target)}</name><mutable>False</mutable>"
            f"<input_type>{kind}</input_type><default_value></default_value>"
            f"<values>{span}</values></attribute>"
        )
    yield "</attributes></label>\n"


def _values(annotation: Annotation) -> dict[str, str | float | bool]:
    """What is written as attributes; CVAT has places of its own for two of them."""
    values = {k: v for k, v in annotation.attributes.items() if _place(k, v) is None}
    return values | ({CROWD: True} if annotation.is_crowd else {})


def _place(name: str, value: str | float | bool) -> str | None:
    """The XML attribute for a value CVAT knows itself."""
    if name == "occluded" and value is True:
        return ' occluded="1"'
    number = whole(value) if name == "group_id" and not isinstance(value, str) else None
    return f' group_id="{number}"' if number else None


def _kind(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "checkbox"
    return "text" if isinstance(value, str) else "number"


def _image(
    number: int, image: LabelledImage, names: dict[int | None, str], target: Target
) -> Iterator[str]:
    record = image.record
    subset = f" subset={_quoted(image.split, target)}" if image.split else ""
    yield (
        f'  <image id="{number}" name={_quoted(record.key, target)}{subset} '
        f'width="{record.width}" height="{record.height}">\n'
    )
    for layer, annotation in enumerate(image.annotations):
        where = f"{record.key}, object {annotation.id}"
        shape = _shape(annotation)
        if not shape:
            target.lose(foreign.NO_PIXELS, where)
            continue
        kind, numbers = shape
        places = "".join(_place(k, v) or "" for k, v in annotation.attributes.items())
        occluded = "" if "occluded" in places else ' occluded="0"'
        label = _quoted(names[annotation.category_id], target)
        yield f'    <{kind} label={label} source="manual"{occluded}{places} {numbers} '
        yield f'z_order="{layer}">'
        for name, value in _values(annotation).items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            escaped = _escaped(text, target)
            yield f"<attribute name={_quoted(name, target)}>{escaped}</attribute>"
        yield f"</{kind}>\n"
        target.annotations += 1
    yield "  </image>\n"


def _shape(annotation: Annotation) -> tuple[str, str] | None:
    """Name and coordinates of the XML element, None for an object without pixels."""
    shape = annotation.shape
    if isinstance(shape, Box):
        edges = {"xtl": shape.x0, "ytl": shape.y0, "xbr": shape.x1, "ybr": shape.y1}
        return "box", " ".join(f'{name}="{value!r}"' for name, value in edges.items())
    if annotation.polygons and len(annotation.polygons) == 1:
        ring = annotation.polygons[0]
        pairs = (f"{x!r},{y!r}" for x, y in zip(ring[0::2], ring[1::2], strict=True))
        return "polygon", f'points="{";".join(pairs)}"'
    piece = raster.crop(shape)
    if not piece.pixels.size:
        return None
    height, width = piece.pixels.shape
    runs = ", ".join(map(str, foreign.row_runs(piece.pixels).tolist()))
    place = f'left="{piece.x}" top="{piece.y}" width="{width}" height="{height}"'
    return "mask", f'rle="{runs}" {place}'


def _clean(text: str, target: Target) -> str:
    clean = foreign.xml_text(text)
    if clean != text:
        target.lose(_CONTROL, clean)
    return clean


def _quoted(text: str, target: Target) -> str:
    return foreign.quoted(_clean(text, target))


def _escaped(text: str, target: Target) -> str:
    return foreign.quoted(_clean(text, target))[1:-1]


# --- In ---


def read(origin: Origin) -> Content:
    """The XML, or a folder with one.

    Raises:
        UserError: it cannot be read, is damaged, or is not CVAT's.
    """
    path = origin.path / FILE if origin.path.is_dir() else origin.path
    labels, kinds, names = _heading(path)
    folder = image_folder(path, origin.images, names)
    return content_of(Reading(folder, labels), partial(_images, path, kinds), path.parent.name)


def _heading(path: Path) -> tuple[list[str], dict[str, str], list[str]]:
    """Names of the labels, kinds of the attributes, and the first names of images."""
    labels, names, kinds = list[str](), list[str](), dict[str, str]()
    for element in heads(path, 5):
        if element.tag == "image":
            names.append(element.values.get("name", ""))
            continue
        labels.append(element.text_of("name"))
        for attribute in element.all("attribute"):
            kinds[attribute.text_of("name")] = attribute.text_of("input_type")
    return labels, kinds, names


def _images(path: Path, kinds: dict[str, str], reading: Reading) -> Iterator[LabelledImage]:
    for element in elements(path, ("image", "track")):
        if element.tag == "track":
            reading.lose(_TRACKS, f"line {element.line}")
            continue
        values = element.values
        name = values.get("name", "")
        size = [whole(values.get(side)) or 0 for side in ("width", "height")]
        record = reading.record(reading.resolver.key(name), *size)
        if record is not None:
            objects = _objects(element, kinds, record, reading)
            yield reading.labelled(record, objects, values.get("subset", ""))


def _objects(
    image: Element, kinds: dict[str, str], record: ImageRecord, reading: Reading
) -> list[Annotation]:
    made: list[tuple[int, Annotation]] = []
    for element in image.children:
        where = f"{record.key}, line {element.line}"
        if element.tag == "tag":
            reading.lose(_TAGS, f"{where}: {element.values.get('label', '')}")
            continue
        shape = _area(element, record, where, reading)
        if shape is None:
            continue
        label = element.values.get("label", "").strip()
        if not label:
            reading.lose(_NO_LABEL, where)
        annotation = reading.annotation(shape, reading.category(label))
        attributes = _attributes(element, kinds)
        crowd = attributes.pop(CROWD, False) is True
        foreign.lose_rest(element.values, _KNOWN, where, reading)
        layer = whole(element.values.get("z_order")) or 0
        made.append((layer, replace(annotation, attributes=attributes, is_crowd=crowd)))
    made.sort(key=lambda pair: pair[0])
    return [annotation for _, annotation in made]


def _attributes(element: Element, kinds: dict[str, str]) -> dict[str, str | float | bool]:
    values: dict[str, str | float | bool] = {}
    for attribute in element.all("attribute"):
        name = attribute.values.get("name", "")
        values[name] = _typed(attribute.text, kinds.get(name, "text"))
    if element.values.get("occluded") == "1":
        values["occluded"] = True
    group = whole(element.values.get("group_id"))
    return values | ({"group_id": group} if group else {})


def _typed(text: str, kind: str) -> str | float | bool:
    if kind == "checkbox" and text in ("true", "false"):
        return text == "true"
    if kind == "number":
        number = _number(text)
        return text if number is None else int(number) if re.fullmatch(r"-?\d+", text) else number
    return text


def _number(text: str | None) -> float | None:
    try:
        return finite(float(text)) if text is not None and len(text) < 400 else None
    except ValueError:
        return None


def _area(element: Element, record: ImageRecord, where: str, reading: Reading) -> Mask | Box | None:
    if element.tag in ("points", "polyline", "cuboid", "skeleton"):
        reading.lose(foreign.NO_AREA, where)
        return None
    number = {name: _number(element.values.get(name)) for name in _KNOWN[5:]}
    rotation = number["rotation"] or 0.0
    shape: Mask | Box | None = None
    if element.tag == "box":
        shape = foreign.box_of(*(number[edge] for edge in ("xtl", "ytl", "xbr", "ybr")))
    if shape is not None and not rotation:
        return shape
    if not record.width:
        reading.lose(foreign.SIZELESS, where)
        return None
    if isinstance(shape, Box):
        shape = foreign.filled([_turned(shape, rotation)], record)
    elif element.tag == "polygon":
        shape = _polygon(element.values.get("points", ""), record)
    elif element.tag == "mask":
        shape = _mask(element.values, record)
    elif element.tag == "ellipse":
        measures = [number[name] for name in ("cx", "cy", "rx", "ry")]
        known = [m for m in measures if m is not None and abs(m) < 1e6]
        if len(known) == len(measures):
            cx, cy, rx, ry = known
            shape = foreign.filled([foreign.ellipse(cx, cy, rx, ry, rotation)], record)
    if shape is None or (isinstance(shape, Mask) and not raster.area(shape)):
        reading.lose(foreign.BAD_SHAPE, where)
        return None
    return shape


def _turned(box: Box, degrees: float) -> foreign.Points:
    x, y = box.width / 2, box.height / 2
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    return np.asarray(foreign.turned(corners, degrees) + np.array([box.x0 + x, box.y0 + y]))


def _polygon(text: str, record: ImageRecord) -> Mask | None:
    pairs = [[_number(v) for v in pair.split(",")] for pair in text.split(";")]
    points = foreign.points_of(pairs)
    return None if points is None else foreign.filled([points], record)


def _mask(values: dict[str, str], record: ImageRecord) -> Mask | None:
    place = [whole(values.get(name)) for name in ("left", "top", "width", "height")]
    known = [v for v in place if v is not None]
    parts: Iterable[Any] = values.get("rle", "").split(",")
    numbers = [whole(part) for part in parts]
    runs = [v for v in numbers if v is not None]
    if len(known) < 4 or len(runs) < len(numbers) or max(runs) > 2**40:
        return None
    x, y, width, height = known
    if width > record.width or height > record.height:
        return None
    pixels = foreign.from_row_runs(np.array(runs, np.int64), width, height)
    return None if pixels is None else foreign.placed(pixels, x, y, record)


def recognises(path: Path) -> bool:
    """XML with images, or the folder that has it."""
    file = path / FILE if path.is_dir() else path
    marks = (b"<image ", b"<meta>", b"<track ")
    return any_file(
        file, "*.xml", lambda start: b"<annotations>" in start and any(m in start for m in marks)
    )


SPEC = FormatSpec(
    "cvat", "CVAT for images 1.1", "One XML for CVAT, masks exact.",
    write, read, recognises, attributes=True,
)  # fmt: skip
