"""YouTube-VIS: a JSON of videos whose annotations are tracks; masks exact, as COCO run lengths.

A video is a folder of images of one size; frames of another size are a video of their own. An
annotation has a mask or nothing for each frame. `sequences` says which objects are one track.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.files import to_json
from annotator.core.formats import foreign
from annotator.core.formats.api import (
    UNNAMED,
    UNNAMED_ID,
    Content,
    FormatSpec,
    LabelledImage,
    Origin,
)
from annotator.core.formats.coco.reading import Unusable, finite, load_json, mask_of_rle, whole
from annotator.core.formats.reading import NO_IMAGE, Reading, any_file, content_of
from annotator.core.formats.resolver import image_folder
from annotator.core.formats.sequences import Tracks, sequence_of, track_of
from annotator.core.formats.target import Target
from annotator.core.mask import Mask
from models.api import Box

FILE = "instances.json"
IMAGES = "JPEGImages"
_MOST_CELLS = 50_000_000
"""Frames times tracks of a video: nearly all of them say “nothing”."""
_BOXES = "boxes, written as filled rectangles"
_CLASSES = "objects of another class than the rest of their track, which decides"
_NO_VIDEO = "annotations of videos that are not listed"
_NO_FRAMES = "videos without a list of frames"
_ANNOTATION = ("id", "video_id", "category_id", "segmentations", "bboxes", "areas", "iscrowd",
               "height", "width", "length", "attributes", "score")  # fmt: skip

_VIDEO = ("id", "width", "height", "length", "file_names", "license", "date_captured")
_FILE = ("info", "licenses", "videos", "annotations", "categories")
_CATEGORY = ("id", "name", "supercategory")

Place = tuple[str, int, int]
"""A video: its folder, width and height."""


# --- Out ---


@dataclass(slots=True)
class _Track:
    classes: Counter[int | None] = field(default_factory=Counter)
    masks: dict[int, Mask] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    crowd: bool = False


def write(content: Content, target: Target) -> None:
    """`instances.json` for each part; image files are in `JPEGImages` beside it."""
    for part in content.parts():
        name = f"{part}/{FILE}" if part else FILE
        target.write(name, _part(content, part, target))


def _place(record: ImageRecord) -> Place:
    return sequence_of(record.key), record.width, record.height


def _part(content: Content, part: str, target: Target) -> Iterator[bytes]:
    frames: dict[Place, list[str]] = {}
    for image in content.of(part):
        if image.record.width:
            frames.setdefault(_place(image.record), []).append(image.record.key)
        else:
            target.lose(foreign.NO_SIZE, image.record.key)
    videos = {place: number for number, place in enumerate(frames, 1)}
    yield b'{"info":{"description":' + to_json(content.name) + b'},"licenses":[],"videos":['
    for place, number in videos.items():
        video = {"id": number, "width": place[1], "height": place[2],
                 "length": len(frames[place]), "file_names": frames[place]}  # fmt: skip
        yield (b",\n" if number > 1 else b"\n") + to_json(video)
    yield b'],\n"annotations":['
    written, unnamed = 0, False
    for place, tracks in _tracks(content, part, frames, target):
        for track in tracks:
            written += 1
            entry = _entry(track, place, len(frames[place]), target)
            unnamed = unnamed or entry["category_id"] == UNNAMED_ID
            entry |= {"id": written, "video_id": videos[place]}
            yield (b",\n" if written > 1 else b"\n") + to_json(entry)
    categories = [{"id": c.id, "name": c.name, "supercategory": c.supercategory}
                  for c in content.categories]  # fmt: skip
    if unnamed:
        categories.append({"id": UNNAMED_ID, "name": UNNAMED, "supercategory": ""})
    yield b'],\n"categories":' + to_json(categories) + b"}\n"


def _tracks(
    content: Content, part: str, frames: dict[Place, list[str]], target: Target
) -> Iterator[tuple[Place, list[_Track]]]:
    """The tracks of each video, given as soon as its last frame was seen."""
    open_ones: dict[Place, dict[int | str, _Track]] = {}
    seen: Counter[Place] = Counter()
    for image in content.of(part):
        place = _place(image.record)
        if place not in frames:
            continue
        tracks = open_ones.setdefault(place, {})
        for annotation in image.annotations:
            mask = _mask(annotation, image.record, target)
            if mask is not None:
                track = tracks.setdefault(track_of(annotation), _Track())
                _join(track, annotation, mask, seen[place])
                target.annotations += 1
        seen[place] += 1
        if len(tracks) * len(frames[place]) > _MOST_CELLS:
            raise UserError(
                f"“{place[0] or content.name}” has {len(frames[place]):,} images with "
                f"{len(tracks):,} objects that are in one image each: it seems to be no sequence.",
                "Follow the objects through the images (W), or choose another format.",
            )
        if seen[place] == len(frames[place]):
            yield place, list(open_ones.pop(place).values())


def _mask(annotation: Annotation, record: ImageRecord, target: Target) -> Mask | None:
    where = f"{record.key}, object {annotation.id}"
    mask = annotation.shape
    if isinstance(mask, Box):
        target.lose(_BOXES, where)
        mask = foreign.box_mask(mask, record)
    if (mask.width, mask.height) != (record.width, record.height) or not raster.area(mask):
        target.lose(foreign.NO_PIXELS, where)
        return None
    return mask


def _join(track: _Track, annotation: Annotation, mask: Mask, frame: int) -> None:
    known = track.masks.get(frame)
    track.masks[frame] = mask if known is None else raster.union([known, mask])
    track.classes[annotation.category_id] += 1
    track.attributes |= annotation.attributes
    track.crowd = track.crowd or annotation.is_crowd


def _entry(track: _Track, place: Place, length: int, target: Target) -> dict[str, Any]:
    category = track.classes.most_common(1)[0][0]
    for other in track.classes:
        if other != category:
            target.lose(_CLASSES, f"{place[0] or 'images'}, class {other}")
    masks = [track.masks.get(frame) for frame in range(length)]
    boxes = [None if mask is None else raster.box(mask) for mask in masks]
    return {
        "category_id": UNNAMED_ID if category is None else category,
        "iscrowd": int(track.crowd), "width": place[1], "height": place[2], "length": length,
        "segmentations": [None if mask is None else mask.to_coco() for mask in masks],
        "bboxes": [None if b is None else [b.x0, b.y0, b.width, b.height] for b in boxes],
        "areas": [None if mask is None else raster.area(mask) for mask in masks],
    } | ({"attributes": track.attributes} if track.attributes else {})  # fmt: skip


# --- In ---


def read(origin: Origin) -> Content:
    """The JSON, or a folder with `instances.json`; the frames are in `JPEGImages` beside it.

    Raises:
        UserError: it cannot be read or has no videos.
    """
    path = origin.path / FILE if origin.path.is_dir() else origin.path
    value = load_json(path)
    videos = value.get("videos") if isinstance(value, dict) else None
    if not isinstance(videos, list):
        raise UserError(
            f"“{path}” is no YouTube-VIS file: it has no list “videos”.", "Export again."
        )
    names = [name for video in videos[:5] for name in (_frames(video) or [])[:1]]
    folder = image_folder(path, origin.images, names)
    classes: dict[int, tuple[str, str]] = {}
    for entry in _dicts(value.get("categories")):
        number = whole(entry.get("id"))
        if number is not None and entry.get("name") != UNNAMED:
            named = str(entry.get("name") or f"class {number}")
            classes[number] = (named, str(entry.get("supercategory") or ""))
    reading = Reading(folder)
    for name, parent in classes.values():
        reading.category(name, supercategory=parent)
    by_video: dict[int | None, list[dict[str, Any]]] = {}
    for entry in _dicts(value.get("annotations")):
        by_video.setdefault(whole(entry.get("video_id")), []).append(entry)
    names_of = {number: name for number, (name, _) in classes.items()}
    content = content_of(reading, partial(_images, videos, by_video, names_of), path.stem)
    foreign.lose_rest(value, _FILE, path.name, reading)
    for entry in _dicts(value.get("categories")):
        foreign.lose_rest(entry, _CATEGORY, f"class {entry.get('name')}", reading)
    return content


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _frames(video: Any) -> list[str] | None:
    names = video.get("file_names") if isinstance(video, dict) else None
    right = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if right else None


def _images(
    videos: list[Any],
    by_video: dict[int | None, list[dict[str, Any]]],
    names: dict[int, str],
    reading: Reading,
) -> Iterator[LabelledImage]:
    tracks, listed = Tracks(reading), set[int | None]()
    for place, video in enumerate(videos, 1):
        frames = _frames(video)
        if frames is None:
            reading.lose(_NO_FRAMES, f"video {place}")
            continue
        number = whole(video.get("id"))
        listed.add(number)
        foreign.lose_rest(video, _VIDEO, f"video {place}", reading)
        size = [max(whole(video.get(side)) or 0, 0) for side in ("width", "height")]
        entries = by_video.get(number, [])
        for frame, name in enumerate(frames):
            key = reading.resolver.key(name)
            if reading.resolver.file(key) is None:
                reading.lose(NO_IMAGE, name)
            record = reading.record(key, *size)
            if record is not None:
                made = [_object(entry, frame, record, names, tracks) for entry in entries]
                yield reading.labelled(record, [one for one in made if one is not None])
    for number in by_video.keys() - listed:
        reading.lose(_NO_VIDEO, f"video {number}")


def _object(
    entry: dict[str, Any], frame: int, record: ImageRecord, names: dict[int, str], tracks: Tracks
) -> Annotation | None:
    reading = tracks.reading
    where = f"{record.key}, annotation {entry.get('id')}"
    shape, is_there = _shape(entry, frame, record)
    if shape is None:
        if is_there:
            reading.lose(foreign.BAD_SHAPE, where)
        return None
    number = whole(entry.get("category_id"))
    name = "" if number in (None, UNNAMED_ID) else names.get(number or 0, f"class {number}")
    annotation = reading.annotation(shape, reading.category(name))
    attributes = foreign.attributes_of(entry.get("attributes"), where, reading)
    foreign.lose_rest(entry, _ANNOTATION, where, reading)
    score, origin = finite(entry.get("score")), annotation.origin
    if score is not None and 0 <= score <= 1:
        origin = replace(origin, score=score)
    crowd = entry.get("iscrowd") in (1, True)
    annotation = replace(annotation, attributes=attributes, is_crowd=crowd, origin=origin)
    return tracks.joined(annotation, id(entry))


def _shape(
    entry: dict[str, Any], frame: int, record: ImageRecord
) -> tuple[Mask | Box | None, bool]:
    """What an annotation has in a frame, and whether it has anything."""
    segmentation, box = (_at(entry.get(name), frame) for name in ("segmentations", "bboxes"))
    if segmentation:
        return _segmentation(segmentation, record), True
    numbers = [finite(v) for v in box] if isinstance(box, list) and len(box) == 4 else []
    known = [v for v in numbers if v is not None]
    if len(known) < 4 or not any(known):
        return None, bool(box) and bool(any(known) or len(known) < 4)
    x, y, width, height = known
    return foreign.box_of(x, y, x + width, y + height), True


def _at(values: Any, frame: int) -> Any:
    return values[frame] if isinstance(values, list) and frame < len(values) else None


def _segmentation(value: Any, record: ImageRecord) -> Mask | None:
    if isinstance(value, list):
        rings = [foreign.flat_points(ring) for ring in value]
        mask = foreign.filled([ring for ring in rings if ring is not None], record)
    else:
        try:
            mask = mask_of_rle(value) if isinstance(value, dict) else None
        except Unusable:
            return None
    if mask is None or (mask.width, mask.height) != (record.width, record.height):
        return None
    return mask if raster.area(mask) else None


def recognises(path: Path) -> bool:
    """A JSON object with videos, or the folder that has it."""
    file = path / FILE if path.is_dir() else path
    marks = (b'"videos"', b'"file_names"')
    return file.is_file() and any_file(
        file, "*.json", lambda start: all(mark in start for mark in marks), 1 << 20
    )


SPEC = FormatSpec(
    "youtube-vis", "YouTube-VIS", "Folders of images as videos, objects as tracks; masks exact.",
    write, read, recognises, images="{split}/" + IMAGES, attributes=True,
)  # fmt: skip
