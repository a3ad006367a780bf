"""What a COCO file holds, in the domain's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.codec import annotation_from_json
from annotator.core.formats.api import UNNAMED, UNNAMED_ID

__all__ = ["UNNAMED", "UNNAMED_ID", "Dataset", "Entry", "new_header"]

OURS = "annotator"
"""The one key under which the program keeps what COCO has no word for."""
MAX_PIXELS = 2**31 - 1
"""pycocotools counts pixels in 32 bits."""
UNKNOWN_LICENSE = {"id": 1, "name": "Unknown", "url": ""}
"""The one entry of a project that did not come from a file; some readers want one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One annotation of a file, in the journal's form (`annotator.core.codec`).

    The mask of a polygon is not made before somebody asks: a file of a million objects opens
    without rasterising any.

    Attributes:
        image_id: id of the image it belongs to.
        value: the annotation as JSON.
    """

    image_id: int
    value: Mapping[str, Any]

    def annotation(self) -> Annotation:
        """The domain value."""
        return annotation_from_json(dict(self.value))


@dataclass(frozen=True, slots=True)
class Dataset:
    """The content of a COCO file.

    Attributes:
        images: in the order of the file, `count` filled in.
        categories: in the order of the file.
        entries: annotations in the order of the file.
        header: everything else at the top level (info, licenses, unknown keys), and under the
            program's own key what could not be used, as it came.
        problems: sentences for people about what was changed or left aside.
        unnamed_id: the category id that stands for "no name" in this file.
    """

    images: tuple[ImageRecord, ...] = ()
    categories: tuple[Category, ...] = ()
    entries: tuple[Entry, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unnamed_id: int = UNNAMED_ID


def new_header(description: str, date: str) -> dict[str, Any]:
    """Info and licenses of a project that did not come from a file (date: ISO 8601)."""
    info = {"description": description, "url": "", "version": "1.0", "year": int(date[:4]),
            "contributor": "", "date_created": date}  # fmt: skip
    return {"info": info, "licenses": [UNKNOWN_LICENSE]}
