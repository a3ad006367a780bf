"""Masks of COCO results and COCO files, as they are: nothing is asked, nothing made again.

Results of this program keep their origin; those of others get the name of their model where the
file says it (`model` of the entry, or of `info`), else “import”. The masks themselves are looked
at when their image is done: a file of 100,000 results is only parsed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from annotator.core import raster
from annotator.core.annotation import Origin, Source
from annotator.core.codec import origin_from_json
from annotator.core.errors import UserError
from annotator.core.files import fingerprint
from annotator.core.formats.coco.dataset import OURS, UNNAMED, UNNAMED_ID
from annotator.core.formats.coco.reading import Unusable, finite, mask_of_rle, whole
from annotator.core.formats.detections import coco_results
from annotator.core.formats.detections.coco_results import Entries, score_of
from annotator.core.formats.detections.values import BAD_SCORE, ImageNames, Known
from annotator.core.mask import Mask
from annotator.core.troubles import Trouble

NO_MASK = "entries without a mask"
CROWD = "masks of groups (iscrowd), which are left out"
IMPORT = "import"


@dataclass(frozen=True, slots=True, eq=False)
class ReadyMask:
    """One object of a file.

    Attributes:
        segmentation: run lengths or rings, as the file has them.
        name: its class, "" without one.
        origin: who made it.
        where: which entry, for people.
    """

    segmentation: Any
    name: str
    origin: Origin
    where: str

    def mask(self, width: int, height: int) -> Mask:
        """Its pixels; run lengths keep the size they have, rings are drawn into this one.

        Raises:
            Unusable: it is damaged.
        """
        if isinstance(self.segmentation, dict):
            return mask_of_rle(self.segmentation)
        rings = _rings(self.segmentation)
        if not rings:
            raise Unusable("their polygon is damaged")
        return raster.from_polygons(rings, width, height)


@dataclass(frozen=True, slots=True, eq=False)
class ReadyMasks:
    """The masks of many images; attributes as those of `Detections`."""

    masks: Mapping[str, tuple[ReadyMask, ...]]
    labels: tuple[str, ...] = ()
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    digest: str = ""
    known: Known = field(default_factory=Known)


def read_masks(
    path: Path, keys: Iterable[str], known: Known | None = None, names: Path | None = None
) -> ReadyMasks:
    """The masks of a results file or a COCO file.

    Args:
        path: the file.
        keys: all images.
        known: what its numbers mean where nothing else says it.
        names: a COCO file that says it.

    Raises:
        UserError: something cannot be read, or is not what it should be.
    """
    if path.is_dir():
        raise UserError(f"“{path}” is a folder.", "Masks as they are come in one JSON file (COCO).")
    listed = coco_results.read_lists(names) if names is not None else known or Known()
    reading, entries, digest = coco_results.opened(path, ImageNames(keys), listed)
    if names is not None:
        digest = sha256((digest + fingerprint(names).sha256).encode()).hexdigest()
    masks: dict[str, list[ReadyMask]] = {}
    for number, entry in enumerate(entries):
        found = _taken(reading, entry, f"entry {number + 1}")
        if found is not None:
            masks.setdefault(found[0], []).append(found[1])
    collector = reading.collector
    collector.labels.pop(UNNAMED, None)
    return ReadyMasks(
        {key: tuple(found) for key, found in masks.items()},
        tuple(collector.labels),
        collector.sizes,
        tuple(collector.troubles),
        digest,
        reading.known,
    )


def _taken(reading: Entries, entry: Any, where: str) -> tuple[str, ReadyMask] | None:
    collector = reading.collector
    if not isinstance(entry, dict) or not entry.get("segmentation"):
        collector.trouble(NO_MASK, where)
        return None
    if entry.get("iscrowd") in (1, True):
        collector.trouble(CROWD, where)
        return None
    key = reading.key(entry, where)
    if key is None:
        return None
    name = reading.label(entry)
    if name == UNNAMED and (whole(entry.get("category_id")) or 0) >= UNNAMED_ID:
        name = ""
    elif name:
        collector.labels.setdefault(name)
    return key, ReadyMask(entry["segmentation"], name, _origin(reading, entry, name, where), where)


def _origin(reading: Entries, entry: dict[str, Any], name: str, where: str) -> Origin:
    own = entry.get(OURS)
    known = own.get("origin") if isinstance(own, dict) else None
    if isinstance(known, dict):
        try:
            return origin_from_json(known)
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
    score = score_of(entry.get("score"))
    if score is not None and not 0 <= score <= 1:
        reading.collector.trouble(BAD_SCORE, where)
        score = None
    model = entry.get("model")
    model = model if isinstance(model, str) and model else reading.model or IMPORT
    return Origin(Source.IMPORT, model, score=score, label=name)


def _rings(segmentation: Any) -> list[list[float]]:
    """Rings of three points and more; none if a number is damaged."""
    if not isinstance(segmentation, list):
        return []
    nested = isinstance(segmentation[0], list)
    rings = []
    for ring in segmentation if nested else [segmentation]:
        values = [finite(v) for v in ring] if isinstance(ring, list) else [None]
        good = [v for v in values if v is not None]
        if len(good) != len(values) or len(good) % 2 or any(abs(v) > 1e6 for v in good):
            return []
        if len(good) >= 6:
            rings.append(good)
    return rings
