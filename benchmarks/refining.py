"""How much clicks improve a mask that was corrected badly.

    python -m benchmarks.refining DATASET [--model loupe] [--objects 60]

DATASET is a folder with `instances.json` and `images`. Masks of COCO objects (at least 32 by 32
pixels) are damaged by three dabs of a clumsy brush at their outline. Then up to three clicks, each
in the middle of the largest difference from the truth, go on from the damaged mask. For comparison
the same with the box and no mask, as if nobody had drawn anything. Mean IoU; the share of objects
that got worse than the damaged mask.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from numpy.typing import NDArray

from models.api import (
    Embedding,
    MaskCandidate,
    MaskPrompt,
    MaskPromptable,
    Point,
    Prompt,
    Segmenter,
)
from models.candidates import rendered
from models.refining import Refining
from models.registry import segmenter_spec

Pixels = NDArray[np.bool_]
DABS = 3
CLICKS = 3


def objects(dataset: Path, count: int, rng: np.random.Generator) -> list[tuple[Path, Pixels]]:
    """Some objects: file of the image and mask."""
    from pycocotools.coco import COCO

    coco = COCO(str(dataset / "instances.json"))
    known = [
        a for a in coco.loadAnns(coco.getAnnIds(iscrowd=False)) if a["area"] > 32 * 32
    ]  # fmt: skip
    chosen = rng.permutation(len(known))[:count]
    return [
        (
            dataset / "images" / coco.loadImgs(known[i]["image_id"])[0]["file_name"],
            coco.annToMask(known[i]).astype(bool),
        )
        for i in sorted(chosen.tolist(), key=lambda i: known[i]["image_id"])
    ]


def damaged(mask: Pixels, rng: np.random.Generator) -> Pixels:
    """Disks at the outline added and taken away in turns."""
    result = mask.copy()
    outlines, _ = cv2.findContours(
        mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )  # fmt: skip
    outline = max(outlines, key=len)[:, 0]
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    for dab in range(DABS):
        column, row = outline[rng.integers(len(outline))]
        radius = mask.sum() ** 0.5 * 0.16 * rng.uniform(0.6, 1.3)
        disk = np.hypot(x - column, y - row) < radius
        result = result | disk if dab % 2 else result & ~disk
    return result if result.any() else mask


def iou(one: Pixels, other: Pixels) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def click(mask: Pixels, truth: Pixels) -> Point | None:
    """In the middle of the largest difference."""
    wrong = np.pad(mask ^ truth, 1).view(np.uint8)
    depth = cv2.distanceTransform(wrong, cv2.DIST_L2, 5)
    if not depth.any():
        return None
    row, column = divmod(int(np.argmax(depth)), depth.shape[1])
    return Point(column - 0.5, row - 0.5, bool(truth[row - 1, column - 1]))


def cropped(mask: Pixels) -> MaskPrompt:
    """The mask as the beginning of a prompt."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y, x = int(rows[0]), int(columns[0])
    return MaskPrompt(x, y, mask[y : rows[-1] + 1, x : columns[-1] + 1])


class Plain:
    """The same model as if it had not been trained to go on from masks."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.decode, self.render = segmenter.decode, segmenter.render
        self.spec, self.encode = segmenter.spec, segmenter.encode


def talk(
    segmenter: Segmenter, embedding: Embedding, start: Pixels, truth: Pixels, *, masks: bool
) -> list[float]:
    """IoU after every click; `masks`: they go on from the damaged mask."""
    refining, prompt_mask = Refining(), cropped(start)
    shown, points, found = start, (), []
    for _ in range(CLICKS):
        spot = click(shown, truth)
        points = points if spot is None else (*points, spot)
        prompt = Prompt(points, prompt_mask.box, prompt_mask if masks else None)
        (answer, *_) = refining.decode(
            segmenter, embedding, prompt, lambda asked: segmenter.decode(embedding, asked)
        )
        shown = seen(answer, embedding)
        found.append(iou(shown, truth))
    return found


def seen(answer: MaskCandidate, embedding: Embedding) -> Pixels:
    """A candidate at the size of the image."""
    drawn = getattr(answer, "drawn", None)
    if drawn is not None:
        return np.asarray(drawn(embedding.width, embedding.height))
    return rendered(answer, embedding.width, embedding.height)


def main() -> None:
    """Run all."""
    from annotator.core.images import read_image

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="loupe")
    parser.add_argument("--objects", type=int, default=60)
    options = parser.parse_args()
    rng = np.random.default_rng(3)
    segmenter = segmenter_spec(options.model).load()
    ways: list[tuple[str, Segmenter, bool]] = [
        ("box and clicks, no mask", segmenter, False),
        ("corrections become points", Plain(segmenter), True),
    ]
    if isinstance(segmenter, MaskPromptable):
        ways.append(("the mask is part of the prompt", segmenter, True))
    results: dict[str, list[list[float]]] = {name: [] for name, _, _ in ways}
    before, shown = [], (Path(), None)
    for file, truth in objects(options.dataset, options.objects, rng):
        if shown[0] != file:
            shown = file, segmenter.encode(read_image(file))
        start = damaged(truth, rng)
        before.append(iou(start, truth))
        for name, asked, masks in ways:
            results[name].append(talk(asked, shown[1], start, truth, masks=masks))
    print(f"{len(before)} objects, damaged masks: mean IoU {np.mean(before):.3f}")
    for name, rows in results.items():
        means = "  ".join(f"{value:.3f}" for value in np.mean(rows, axis=0))
        worse = np.mean(np.array(rows) < np.array(before)[:, None], axis=0)
        shares = "  ".join(f"{value:.2f}" for value in worse)
        print(f"{name:<32} after 1, 2, 3 clicks {means}   worse than damaged {shares}")


if __name__ == "__main__":
    main()
