"""Annotations, categories and prompts as JSON values for the journal, without loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotator.core.annotation import Annotation, Category, Origin, Source, Status
from annotator.core.mask import Mask
from models.api import Box, Point, Prompt

_STATUSES = {status.value: status for status in Status}


def prompt_to_json(prompt: Prompt) -> dict[str, Any]:
    """Points as [x, y, positive] and the box as [x0, y0, x1, y1]."""
    value: dict[str, Any] = {"points": [[p.x, p.y, int(p.positive)] for p in prompt.points]}
    if prompt.box is not None:
        value["box"] = box_to_json(prompt.box)
    return value


def prompt_from_json(value: dict[str, Any]) -> Prompt:
    """The inverse of `prompt_to_json`."""
    points = tuple(Point(float(x), float(y), bool(sign)) for x, y, sign in value.get("points", ()))
    return Prompt(points, Box(*map(float, value["box"])) if "box" in value else None)


def box_to_json(box: Box) -> list[float]:
    """[x0, y0, x1, y1]."""
    return [box.x0, box.y0, box.x1, box.y1]


def origin_to_json(origin: Origin) -> dict[str, Any]:
    """Only what is known."""
    value: dict[str, Any] = {"source": origin.source.value}
    if origin.model:
        value |= {"model": origin.model, "version": origin.version}
    if origin.score is not None:
        value["score"] = origin.score
    if origin.stability is not None:
        value["stability"] = origin.stability
    if origin.prompt is not None:
        value["prompt"] = prompt_to_json(origin.prompt)
    if origin.follows is not None:
        value["follows"] = origin.follows
    if origin.label:
        value["label"] = origin.label
    if origin.edited:
        value["edited"] = True
    if origin.resembles is not None:
        value["resembles"] = origin.resembles
    return value


def origin_from_json(value: dict[str, Any]) -> Origin:
    """The inverse of `origin_to_json`."""
    prompt = value.get("prompt")
    return Origin(
        Source(value.get("source", "person")),
        str(value.get("model", "")),
        str(value.get("version", "")),
        value.get("score"),
        prompt_from_json(prompt) if prompt else None,
        value.get("stability"),
        value.get("follows"),
        str(value.get("label", "")),
        value.get("resembles"),
        edited=bool(value.get("edited", False)),
    )


def annotation_to_json(annotation: Annotation) -> dict[str, Any]:
    """Every field that differs from its default."""
    shape = annotation.shape
    value: dict[str, Any] = {
        "id": annotation.id,
        "category": annotation.category_id,
        "origin": origin_to_json(annotation.origin),
    }
    value |= {"mask": shape.to_coco()} if isinstance(shape, Mask) else {"box": box_to_json(shape)}
    flags = {
        "crowd": annotation.is_crowd,
        "hidden": annotation.hidden,
        "locked": annotation.locked,
        "proposed": annotation.proposed,
    }
    value |= {name: True for name, is_set in flags.items() if is_set}
    value |= review_to_json(annotation.status, annotation.comment)
    if annotation.polygons is not None:
        value["polygons"] = [list(ring) for ring in annotation.polygons]
    if annotation.attributes:
        value["attributes"] = dict(annotation.attributes)
    if annotation.extra:
        value["extra"] = dict(annotation.extra)
    if annotation.track is not None:
        value["track"] = annotation.track
    return value


def annotation_from_json(value: dict[str, Any]) -> Annotation:
    """The inverse of `annotation_to_json`."""
    rings = value.get("polygons")
    return Annotation(
        int(value["id"]),
        _shape_from_json(value),
        value["category"],
        origin_from_json(value["origin"]),
        bool(value.get("crowd", False)),
        bool(value.get("hidden", False)),
        bool(value.get("locked", False)),
        tuple(tuple(float(v) for v in ring) for ring in rings) if rings is not None else None,
        value.get("attributes", {}),
        value.get("extra", {}),
        bool(value.get("proposed", False)),
        *review_from_json(value),
        track=value.get("track"),
    )


def review_to_json(status: Status, comment: str) -> dict[str, Any]:
    """What a person said about an object or image, {} for nothing."""
    value: dict[str, Any] = {} if status is Status.TODO else {"status": status.value}
    return value | {"comment": comment} if comment else value


def review_from_json(value: Mapping[str, Any]) -> tuple[Status, str]:
    """The inverse of `review_to_json`; anything unknown is nothing."""
    comment = value.get("comment")
    return _STATUSES.get(str(value.get("status")), Status.TODO), str(comment) if comment else ""


def _shape_from_json(value: dict[str, Any]) -> Mask | Box:
    if "mask" in value:
        return mask_from_json(value["mask"])
    if "box" in value:
        return Box(*map(float, value["box"]))
    # Imported polygons are not rasterised before somebody looks at them: "size" is [h, w].
    from annotator.core import raster

    height, width = value["size"]
    return raster.from_polygons(value["polygons"], int(width), int(height))


def mask_from_json(value: dict[str, Any]) -> Mask:
    """From the COCO form of a compressed mask."""
    height, width = value["size"]
    return Mask(int(width), int(height), str(value["counts"]).encode("ascii"))


def category_to_json(category: Category) -> dict[str, Any]:
    """All fields; synonyms where there are any."""
    value: dict[str, Any] = {
        "id": category.id,
        "name": category.name,
        "color": category.color,
        "supercategory": category.supercategory,
        "extra": dict(category.extra),
    }
    return value | {"synonyms": list(category.synonyms)} if category.synonyms else value


def category_from_json(value: dict[str, Any]) -> Category:
    """The inverse of `category_to_json`."""
    return Category(
        int(value["id"]),
        str(value["name"]),
        str(value["color"]),
        str(value.get("supercategory", "")),
        value.get("extra", {}),
        tuple(map(str, value.get("synonyms", ()))),
    )
