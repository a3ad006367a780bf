"""Evaluation of results that were written to files: panoptic maps, and masks of sequences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.api import ModelError
from models.training.evaluation.panoptic import PanopticQuality, Part
from models.training.evaluation.video import sequence_scores


def panoptic_numbers(truth: Path, found: Path) -> dict[str, float]:
    """Panoptic quality of results in COCO's panoptic format.

    Args:
        truth: the JSON of the data set; its PNG files lie in the folder of the same name beside it.
        found: the JSON of the results, with theirs.

    Raises:
        ModelError: a file is missing, damaged, or of another format or size.
    """
    right, own = _read(truth), _read(found)
    answers = {entry["image_id"]: entry for entry in own["annotations"]}
    quality = PanopticQuality()
    for entry in right["annotations"]:
        answer = answers.get(entry["image_id"])
        if answer is None:
            raise ModelError(
                f"“{found.name}” has nothing for image {entry['image_id']}. "
                "Give results for all images of the data set."
            )
        maps = [
            _ids(path.with_suffix("") / one["file_name"])
            for path, one in ((truth, entry), (found, answer))
        ]
        try:
            quality.add(maps[0], _parts(entry), maps[1], _parts(answer))
        except ValueError as error:
            raise ModelError(f"Results for “{entry['file_name']}” do not fit: {error}.") from error
    things = [one["id"] for one in right.get("categories", ()) if one.get("isthing", 1)]
    return quality.numbers(things)


def video_numbers(truth: Path, found: Path) -> dict[str, float]:
    """J, F and their mean over all objects of sequences in DAVIS' layout.

    Args:
        truth: a folder with one folder of palette PNG files for each sequence.
        found: the same of a model.

    Raises:
        ModelError: a sequence or a frame is missing or damaged, or sizes differ.
    """
    sequences = sorted(path for path in truth.glob("*/") if any(path.glob("*.png")))
    if not sequences:
        raise ModelError(f"“{truth}” has no folders with PNG files: one for each sequence.")
    scores: list[tuple[float, float]] = []
    for sequence in sequences:
        names = sorted(path.name for path in sequence.glob("*.png"))
        maps = [[_palette(base / name) for name in names]
                for base in (sequence, found / sequence.name)]  # fmt: skip
        try:
            scores += sequence_scores(*maps).values()
        except ValueError as error:
            raise ModelError(f"Results for “{sequence.name}” do not fit: {error}.") from error
    if not scores:
        raise ModelError(f"“{truth}” has no objects in its first frames.")
    regions, edges = np.mean(scores, axis=0).tolist()
    return {"J&F": (regions + edges) / 2, "J": regions, "F": edges, "objects": len(scores)}


def as_table(title: str, numbers: dict[str, float]) -> str:
    """The numbers as a Markdown table of one row."""
    heads = " | ".join(numbers)
    values = " | ".join(f"{v:d}" if isinstance(v, int) else f"{v:.4f}" for v in numbers.values())
    return f"| {title} | {heads} |\n|---|{'---|' * len(numbers)}\n| | {values} |\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        for entry in content["annotations"]:
            _ = (entry["image_id"], entry["file_name"], _parts(entry))
    except OSError as error:
        raise ModelError(f"“{path}” cannot be read ({error.strerror or error}).") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"“{path.name}” is not in COCO's panoptic format ({type(error).__name__}: {error})."
        ) from error
    found: dict[str, Any] = content
    return found


def _parts(entry: dict[str, Any]) -> list[Part]:
    return [
        Part(int(one["id"]), int(one["category_id"]), bool(one.get("iscrowd", 0)))
        for one in entry["segments_info"]
    ]


def _ids(path: Path) -> NDArray[np.int64]:
    """Red + 256 green + 65536 blue."""
    found: NDArray[np.int64] = _pixels(path, "RGB").astype(np.int64) @ np.array([1, 256, 65536])
    return found


def _palette(path: Path) -> NDArray[np.int64]:
    return _pixels(path, None).astype(np.int64)


def _pixels(path: Path, mode: str | None) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            if mode is None and image.mode not in ("P", "L"):
                raise ModelError(f"“{path}” has no palette: each value must be an object's id.")
            return np.asarray(image.convert(mode) if mode else image, np.uint8)
    except OSError as error:
        raise ModelError(f"“{path}” is missing or damaged ({error.strerror or error}).") from error
