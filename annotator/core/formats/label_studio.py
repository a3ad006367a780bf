"""Label Studio: one JSON of tasks. Masks are kept exactly, as its brush; boxes as rectangles.

Coordinates are percent of the image. `config.xml` is the labelling interface the tasks need. A
task names its image by a URL below Label Studio's folder for local files, and, for the way back, by
its key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.files import to_json
from annotator.core.formats import brush, foreign
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import finite, load_json, whole
from annotator.core.formats.reading import NO_IMAGE, Reading, any_file, content_of
from annotator.core.formats.resolver import Resolver, image_folder
from annotator.core.formats.target import Target, is_inside
from annotator.core.mask import Mask
from models.api import Box

FILE, CONFIG = "tasks.json", "config.xml"
LOCAL = "/data/local-files/?d="
CROWD = "iscrowd"

_NO_TASK = "entries that are no tasks with an image"
_OTHERS = "further annotations of an image by others; the first one is taken"
_SKIPPED = "annotations that were cancelled"
_SEVERAL = "further labels of a region; the first one names it"
_PREDICTIONS = "predictions of models"
_KINDS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels", "brush", "polygon",
          "rectangle", "ellipse", "labels")  # fmt: skip
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
_RESULT = ("id", "type", "value", "origin", "to_name", "from_name", "original_width",
           "original_height", "image_rotation", "score", "meta")  # fmt: skip


# --- Out ---


def write(content: Content, target: Target) -> None:
    """`tasks.json` and `config.xml`; image files are in `images/`."""
    target.write(FILE, _tasks(content, target))
    names = content.names()
    used = any(None in image.used() for image in content.images())
    listed = [(c.name, c.color) for c in content.categories]
    listed += [(names[None], "#888888")] * used
    target.write(CONFIG, [_config(listed).encode("utf-8", "replace")])


def _config(labels: list[tuple[str, str]]) -> str:
    lines = "".join(
        f"      <Label value={foreign.quoted(foreign.xml_text(name))}"
        f" background={foreign.quoted(color)}/>\n"
        for name, color in labels
    )
    blocks = "".join(
        f'    <{tag} name="{name}" toName="image">\n{lines}    </{tag}>\n'
        for tag, name in (("BrushLabels", "brush"), ("RectangleLabels", "box"))
    )
    return f'<View>\n    <Image name="image" value="$image" zoom="true"/>\n{blocks}</View>\n'


def _tasks(content: Content, target: Target) -> Iterator[bytes]:
    names = content.names()
    yield b"["
    for number, image in enumerate(content.images(), 1):
        results = list(_results(image, names, target))
        target.annotations += len(results)
        data = {
            "image": LOCAL + quote(SPEC.image_name(image), errors="replace"),
            "file_name": image.record.key,
        }
        task = {
            "id": number,
            "data": data | ({"subset": image.split} if image.split else {}),
            "annotations": [{"id": number, "result": results, "was_cancelled": False}],
        }
        yield (b",\n" if number > 1 else b"\n") + to_json(task)
    yield b"\n]\n"


def _results(
    image: LabelledImage, names: dict[int | None, str], target: Target
) -> Iterator[dict[str, Any]]:
    record = image.record
    for annotation in image.annotations:
        where = f"{record.key}, object {annotation.id}"
        shape = annotation.shape
        width, height = record.width, record.height
        if isinstance(shape, Mask):
            width, height = shape.width, shape.height
        if not width:
            target.lose(foreign.SIZELESS, where)
            continue
        label = names[annotation.category_id]
        if isinstance(shape, Mask):
            if not raster.area(shape):
                target.lose(foreign.NO_PIXELS, where)
                continue
            kind, name = "brushlabels", "brush"
            value: dict[str, Any] = {"format": "rle", "rle": brush.encode(raster.to_array(shape))}
        else:
            kind, name = "rectanglelabels", "box"
            value = {
                "x": shape.x0 / width * 100, "y": shape.y0 / height * 100,
                "width": shape.width / width * 100, "height": shape.height / height * 100,
                "rotation": 0,
            }  # fmt: skip
        meta = dict(annotation.attributes) | ({CROWD: True} if annotation.is_crowd else {})
        yield {
            "id": f"object-{annotation.id}", "type": kind, "from_name": name, "to_name": "image",
            "origin": "manual", "image_rotation": 0,
            "original_width": width, "original_height": height, "value": value | {kind: [label]},
        } | ({"meta": meta} if meta else {})  # fmt: skip


# --- In ---


def read(origin: Origin) -> Content:
    """The JSON of an export (“JSON”, not “JSON-MIN”), or a folder with `tasks.json`.

    Raises:
        UserError: it cannot be read or holds no tasks.
    """
    path = origin.path / FILE if origin.path.is_dir() else origin.path
    tasks = load_json(path)
    tasks = [tasks] if isinstance(tasks, dict) else tasks
    if not isinstance(tasks, list) or not any(_is_task(task) for task in tasks[:100] or [None]):
        raise UserError(
            f"“{path}” holds no tasks of Label Studio.", "Export “JSON” there, not “JSON-MIN”."
        )
    some = [(task, _names(task)) for task in tasks[:5] if _is_task(task)]
    # A key is meant from the folder of the images on, parts of a URL from anywhere.
    names = [n for task, found in some for n in found[: 1 if "file_name" in task["data"] else None]]
    folder = image_folder(path, origin.images, [n for n in names if is_inside(n)])
    return content_of(Reading(folder), partial(_images, tasks), path.stem)


def _is_task(task: Any) -> bool:
    return isinstance(task, dict) and isinstance(task.get("data"), dict)


def _image_text(task: dict[str, Any]) -> Any:
    """What a task says of its image: the column of that name, or the first text."""
    data = task["data"]
    return data.get("image", next((v for v in data.values() if isinstance(v, str)), None))


def _names(task: dict[str, Any]) -> list[str]:
    """What the image may be called, the best guess first; each is a relative path."""
    data = task["data"]
    texts = [data.get("file_name"), data.get("image"), task.get("file_upload")]
    texts += [v for k, v in data.items() if k not in ("file_name", "image", "subset")]
    names: list[str] = []
    for text in texts:
        if not isinstance(text, str) or not text or len(text) > 4096:
            continue
        if text == data.get("file_name"):
            names.append(text)
            continue
        try:
            url = urlsplit(text)
        except ValueError:
            continue
        path = parse_qs(url.query).get("d", [unquote(url.path)])[0].lstrip("/")
        base = PurePosixPath(path).name
        parts = PurePosixPath(path).parts
        names += [str(PurePosixPath(*parts[i:])) for i in range(len(parts))]
        names += [_UPLOADED.sub("", base)] if _UPLOADED.match(base) else []
    return names


def _images(tasks: list[Any], reading: Reading) -> Iterator[LabelledImage]:
    for number, task in enumerate(tasks, 1):
        where = f"task {number}"
        names = [n for n in _names(task) if is_inside(n)] if _is_task(task) else []
        if not names:
            reading.lose(_NO_TASK, where)
            continue
        results = _result_of(task, where, reading)
        size = next((s for r in results if isinstance(r, dict) and all(s := _size(r))), (0, 0))
        record = reading.record(_key(names, where, reading), *size)
        if record is not None:
            subset = task["data"].get("subset")
            columns = {k: v for k, v in task["data"].items() if v != _image_text(task)}
            foreign.lose_rest(columns, ("file_name", "subset"), where, reading)
            split = subset if isinstance(subset, str) else ""
            yield reading.labelled(record, _objects(results, record, reading), split)


def _key(names: list[str], where: str, reading: Reading) -> str:
    resolver: Resolver = reading.resolver
    for name in names:
        if resolver.file(key := resolver.key(name)) is not None:
            return key
    reading.lose(NO_IMAGE, f"{where}: {names[0]}")
    return names[0]


def _result_of(task: dict[str, Any], where: str, reading: Reading) -> list[Any]:
    """The regions of the annotation that counts."""
    if task.get("predictions"):
        reading.lose(_PREDICTIONS, where)
    found = task.get("annotations", task.get("completions"))
    made = [a for a in found if isinstance(a, dict)] if isinstance(found, list) else []
    usable = [a for a in made if not a.get("was_cancelled") and isinstance(a.get("result"), list)]
    if len(made) > len(usable):
        reading.lose(_SKIPPED, where)
    if len(usable) > 1:
        reading.lose(_OTHERS, where)
    usable.sort(key=lambda a: not a.get("ground_truth"))
    result: list[Any] = usable[0]["result"] if usable else []
    return result


def _size(result: dict[str, Any]) -> tuple[int, int]:
    width, height = whole(result.get("original_width")), whole(result.get("original_height"))
    return max(width or 0, 0), max(height or 0, 0)


def _objects(results: list[Any], record: ImageRecord, reading: Reading) -> list[Annotation]:
    made: list[Annotation] = []
    labels = {r.get("id"): name for r in results if isinstance(r, dict) and (name := _label(r))}
    for number, result in enumerate(results, 1):
        where = f"{record.key}, region {number}"
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            reading.lose(foreign.BAD_SHAPE, where)
            continue
        kind = str(result.get("type")).lower()
        value = result["value"]
        if kind not in _KINDS or not {"rle", "points", "x"} & value.keys():
            # The label of a region may be an entry of its own, with the same id.
            if kind not in ("labels", *_KINDS[:4]) or result.get("id") not in labels:
                reading.lose(f"values of the kind “{kind}”", where)
            continue
        shape = _area(value, record, where, reading)
        if shape is None:
            continue
        annotation = reading.annotation(shape, reading.category(labels.get(result.get("id"), "")))
        if any(len(v) > 1 for k, v in value.items() if k in _KINDS and isinstance(v, list)):
            reading.lose(_SEVERAL, where)
        meta = foreign.attributes_of(result.get("meta"), where, reading)
        foreign.lose_rest(result, _RESULT, where, reading)
        crowd = meta.pop(CROWD, False) is True
        score = finite(result.get("score"))
        origin = annotation.origin
        if score is not None and 0 <= score <= 1:
            origin = replace(origin, score=score)
        made.append(replace(annotation, attributes=meta, is_crowd=crowd, origin=origin))
    return made


def _label(result: dict[str, Any]) -> str:
    value = result.get("value")
    for kind in _KINDS:
        names = value.get(kind) if isinstance(value, dict) and kind.endswith("labels") else None
        if isinstance(names, list) and names and isinstance(names[0], str):
            return names[0]
    return ""


def _area(
    value: dict[str, Any], record: ImageRecord, where: str, reading: Reading
) -> Mask | Box | None:
    if not record.width:
        reading.lose(foreign.SIZELESS, where)
        return None
    scale = np.array([record.width, record.height]) / 100
    shape: Mask | Box | None = None
    if "rle" in value:
        shape = _brush(value["rle"], record)
    elif "points" in value:
        points = foreign.points_of(value["points"])
        shape = None if points is None else foreign.filled([_near(points * scale)], record)
    else:
        shape = _figure(value, scale, record)
    if shape is None or (isinstance(shape, Mask) and not raster.area(shape)):
        reading.lose(foreign.BAD_SHAPE, where)
        return None
    return shape


def _near(points: foreign.Points) -> foreign.Points:
    """Percentages that mean a pixel edge are that edge again."""
    whole_edges = np.round(points)
    return np.where(np.abs(points - whole_edges) < 1e-6, whole_edges, points)


def _figure(value: dict[str, Any], scale: foreign.Points, record: ImageRecord) -> Mask | Box | None:
    """A rectangle or an ellipse, turned around its corner or its middle."""
    round_one = "radiusX" in value
    keys = ("x", "y", "radiusX", "radiusY") if round_one else ("x", "y", "width", "height")
    numbers = [finite(value.get(key)) for key in keys]
    known = [v for v in numbers if v is not None and abs(v) < 1e6]
    if len(known) < 4:
        return None
    (x, y), (a, b) = np.reshape(np.array(known), (2, 2)) * scale
    turn = finite(value.get("rotation")) or 0.0
    if round_one:
        return foreign.filled([foreign.ellipse(x, y, a, b, turn)], record)
    if not turn:
        x0, y0, x1, y1 = _near(np.array([x, y, x + a, y + b])).tolist()
        return foreign.box_of(x0, y0, x1, y1)
    corners = foreign.turned(np.array([[0, 0], [a, 0], [a, b], [0, b]]), turn)
    return foreign.filled([corners + np.array([x, y])], record)


def _brush(value: Any, record: ImageRecord) -> Mask | None:
    if not isinstance(value, (str, list)):
        return None
    try:
        data = base64.b64decode(value) if isinstance(value, str) else bytes(value)
    except (ValueError, TypeError):
        return None
    pixels = brush.decode(data, record.width, record.height)
    return None if pixels is None else foreign.placed(pixels, 0, 0, record)


def recognises(path: Path) -> bool:
    """A list of tasks with results, or the folder that has it."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        return False

    def holds(start: bytes) -> bool:
        begins = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{")
        return begins and b'"data"' in start and (b'"annotations"' in start or b'"result"' in start)

    return any_file(file, "*.json", holds, 1 << 20)


SPEC = FormatSpec(
    "label-studio", "Label Studio JSON", "Tasks with masks as brush strokes, exact.",
    write, read, recognises, attributes=True,
)  # fmt: skip
