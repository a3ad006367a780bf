"""Writing COCO instance files that every reader understands.

Masks are the truth: `bbox` and `area` come from the pixels, polygons are written only where
pycocotools rasterises them back to exactly the mask, everything else is compressed RLE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord, Origin, Source, Status
from annotator.core.codec import origin_to_json, review_to_json
from annotator.core.files import Fingerprint, to_json, write_atomic
from annotator.core.formats.coco.dataset import MAX_PIXELS, OURS, UNNAMED, UNNAMED_ID, Dataset
from annotator.core.mask import Mask
from annotator.core.paths import split_frame
from annotator.core.tracks import TRACK
from models.api import Box

CONVENTION = "coordinates refer to the upright image, EXIF orientation applied"
FORMAT_VERSION = 1

_MAX_POLYGON_SPANS = 20_000
_MAX_RINGS = 64


def write_coco(path: Path, dataset: Dataset) -> Fingerprint:
    """Write a whole data set at once, atomically. Proposals stay out: nobody has accepted them.

    Raises:
        OSError: nothing was changed.
    """
    sizes = {image.id: (image.width, image.height) for image in dataset.images}
    entries = [entry for entry in dataset.entries if not entry.value.get("proposed")]
    annotations = (
        annotation_entry(
            entry.annotation(), entry.image_id, *sizes[entry.image_id], dataset.unnamed_id
        )
        for entry in entries
    )
    unnamed = any(entry.value["category"] is None for entry in entries)
    sections: dict[str, Iterable[bytes]] = {
        "images": (image_entry(image) for image in dataset.images),
        "annotations": annotations,
        "categories": category_entries(dataset.categories, dataset.unnamed_id if unnamed else None),
    }
    return write_atomic(path, file_chunks(dataset.header, sections))


def file_chunks(
    header: Mapping[str, Any], sections: Mapping[str, Iterable[bytes]]
) -> Iterator[bytes]:
    """The file piece by piece, one entry a line, so that its versions can be compared."""
    for index, (name, value) in enumerate(_with_info(header).items()):
        yield b"%s%s: %s" % (b",\n" if index else b"{", to_json(name), to_json(value))
    for name, entries in sections.items():
        yield b",\n%s: [" % to_json(name)
        separator = b"\n"
        for entry in entries:
            yield separator + entry
            separator = b",\n"
        yield b"\n]"
    yield b"}\n"


def _with_info(header: Mapping[str, Any]) -> dict[str, Any]:
    ours = {"version": FORMAT_VERSION, "convention": CONVENTION}
    info = header.get("info", {})
    rest = {name: value for name, value in header.items() if name != "info"}
    rest.setdefault("licenses", [])
    if isinstance(info, Mapping):
        return {"info": {**info, OURS: ours}, **rest}
    return {"info": info, **rest, OURS: {**rest.get(OURS, {}), **ours}}


def image_entry(image: ImageRecord, license_id: int | None = None) -> bytes:
    """One image as JSON."""
    value: dict[str, Any] = {
        "id": image.id,
        "file_name": image.key,
        "width": image.width,
        "height": image.height,
    }
    if license_id is not None and "license" not in image.extra:
        value["license"] = license_id
    frame = split_frame(image.key)
    if frame is not None:
        value["video"] = {"file_name": frame[0], "frame": frame[1]}
    value |= image.extra
    # "reviewed" is what earlier versions and people's scripts read.
    ours: dict[str, Any] = review_to_json(
        Status.TODO if image.reviewed else image.status, image.comment
    )
    if image.reviewed:
        ours["reviewed"] = True
    if image.orientation != 1:
        ours["orientation"] = image.orientation
    return to_json(value | {OURS: ours} if ours else value)


def category_entries(
    categories: Sequence[Category], unnamed_id: int | None = None
) -> Iterator[bytes]:
    """The categories as JSON; with an id, one more for objects without a name."""
    for category in categories:
        ours: dict[str, Any] = {"color": category.color}
        if category.synonyms:
            ours["synonyms"] = list(category.synonyms)
        yield to_json(
            {
                "id": category.id,
                "name": category.name,
                "supercategory": category.supercategory,
                **category.extra,
                OURS: ours,
            }
        )
    if unnamed_id is not None:
        yield to_json(
            {"id": unnamed_id, "name": UNNAMED, "supercategory": "", OURS: {"unnamed": True}}
        )


def annotation_entry(
    annotation: Annotation,
    image_id: int,
    width: int,
    height: int,
    unnamed_id: int = UNNAMED_ID,
    *,
    rle_only: bool = False,
) -> bytes:
    """One annotation as JSON.

    Args:
        annotation: the object.
        image_id: COCO id of its image.
        width: of the image in pixels, 0 if unknown.
        height: of the image in pixels, 0 if unknown.
        unnamed_id: category id to write for an object without a name.
        rle_only: write masks as compressed RLE even where a polygon would be exact.
    """
    category = annotation.category_id
    value: dict[str, Any] = {
        "id": annotation.id,
        "image_id": image_id,
        "category_id": unnamed_id if category is None else category,
        **_geometry(annotation, width, height, rle_only),
        "iscrowd": int(annotation.is_crowd),
    }
    extra = dict(annotation.extra)
    attributes = dict(annotation.attributes)
    foreign = extra.pop("attributes", None)
    if isinstance(foreign, Mapping):
        attributes = {**foreign, **attributes}
    elif foreign is not None and attributes:
        extra["attributes_imported"] = foreign
    if attributes or foreign is not None:
        value["attributes"] = attributes or foreign
    ours = _ours(annotation)
    if annotation.track is not None:
        extra[TRACK] = annotation.track
    return to_json(value | extra | ({OURS: ours} if ours else {}))


def _ours(annotation: Annotation) -> dict[str, Any]:
    origin = annotation.origin
    ours: dict[str, Any] = {}
    if origin != Origin(Source.IMPORT, score=_score(annotation.extra)):
        ours["origin"] = origin_to_json(origin)
    if annotation.hidden:
        ours["hidden"] = True
    if annotation.locked:
        ours["locked"] = True
    if isinstance(annotation.shape, Box):
        ours["shape"] = "box"
    if annotation.track is not None:
        ours["track"] = True
    return ours | review_to_json(annotation.status, annotation.comment)


def _score(extra: Mapping[str, Any]) -> float | None:
    score = extra.get("score")
    is_number = isinstance(score, (int, float)) and not isinstance(score, bool)
    return float(score) if is_number and score is not None else None


def _geometry(annotation: Annotation, width: int, height: int, rle_only: bool) -> dict[str, Any]:
    shape = annotation.shape
    if isinstance(shape, Box):
        ring = [shape.x0, shape.y0, shape.x1, shape.y0, shape.x1, shape.y1, shape.x0, shape.y1]
        outline: Any = [_short(ring)]
        if (annotation.is_crowd or rle_only) and 0 < width * height <= MAX_PIXELS:
            outline = raster.from_box(shape.clipped(width, height), width, height).to_coco()
        box = [shape.x0, shape.y0, shape.width, shape.height]
        return {"segmentation": outline, "area": shape.width * shape.height, "bbox": box}
    tight = raster.box(shape)
    return {
        "segmentation": shape.to_coco()
        if rle_only
        else _segmentation(annotation, shape, width, height),
        "area": raster.area(shape),
        "bbox": [tight.x0, tight.y0, tight.width, tight.height],
    }


def _segmentation(annotation: Annotation, mask: Mask, width: int, height: int) -> Any:
    """Kept rings, exact rings, or compressed RLE."""
    # Readers rasterise polygons at the size of the image, but RLE says its own.
    fits = (width, height) in {(mask.width, mask.height), (0, 0)}
    if annotation.is_crowd or annotation.polygons == () or not fits:
        return mask.to_coco()
    if annotation.polygons is not None:
        return [_short(ring) for ring in annotation.polygons]
    rings = exact_rings(mask)
    # Corners of pixels are whole numbers.
    return mask.to_coco() if rings is None else [[*map(int, ring)] for ring in rings]


def exact_rings(mask: Mask) -> tuple[tuple[float, ...], ...] | None:
    """Exact polygons where they are a sensible way to say it; None for sieves and dust."""
    # A run takes a byte at least.
    may_be_long = len(mask.counts) > 2 * _MAX_POLYGON_SPANS
    if may_be_long and raster.runs(mask).size > 2 * _MAX_POLYGON_SPANS:
        return None
    return None if len(raster.outline(mask)) > _MAX_RINGS else raster.exact_polygons(mask)


def _short(ring: Sequence[float]) -> list[float]:
    """Whole numbers without ".0": exact outlines take a third less room."""
    return [int(v) if v == int(v) else v for v in ring]
