"""How good a segmenter's masks are: mean IoU for boxes, points and corrective clicks.

The protocol follows the one published for the SAM family: the tight ground-truth box or the
centre of the mask (maximum of its distance transform) starts, then one and two corrective points
are drawn uniformly from where prediction and truth disagree; clicks accumulate.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.api import Box, Embedding, MaskCandidate, Point, Prompt, Segmenter
from models.registry import segmenter_spec

Mask = NDArray[np.bool_]
BIG_AREA = 96**2  # COCO's border between medium and large
MEDIUM_AREA = 32**2  # COCO's border between small and medium


@dataclass(frozen=True)
class Instance:
    """One labelled object of one image."""

    image: str
    mask: Mask

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.mask.sum())


def load_instances(folder: Path, min_area: int) -> Iterator[tuple[str, list[Instance]]]:
    """Image paths of a COCO folder with their non-crowd masks of at least `min_area` pixels."""
    coco = json.loads((folder / "instances.json").read_text())
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in coco["annotations"]:
        if not annotation.get("iscrowd"):
            by_image.setdefault(annotation["image_id"], []).append(annotation)
    for image in coco["images"]:
        path = folder / "images" / image["file_name"]
        size = int(image["height"]), int(image["width"])
        masks = (_decode(a["segmentation"], *size) for a in by_image.get(image["id"], []))
        yield str(path), [Instance(str(path), m) for m in masks if m.sum() >= min_area]


def _decode(segmentation: Any, height: int, width: int) -> Mask:
    """COCO polygons or RLE to an (H, W) mask."""
    if isinstance(segmentation, list):
        segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(segmentation).astype(bool)


def tight_box(mask: Mask) -> Box:
    """The smallest box around a mask that is not empty."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))


def centre_point(mask: Mask) -> Point:
    """The pixel of the mask farthest from its boundary."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, col = np.unravel_index(int(distance.argmax()), mask.shape)
    return Point(float(col) + 0.5, float(row) + 0.5)


def corrective_point(truth: Mask, predicted: Mask, rng: np.random.Generator) -> Point | None:
    """A uniformly drawn pixel of the disagreement, labelled by the truth; None if they agree."""
    wrong = np.flatnonzero(truth != predicted)
    if len(wrong) == 0:
        return None
    row, col = np.unravel_index(int(rng.choice(wrong)), truth.shape)
    return Point(float(col) + 0.5, float(row) + 0.5, bool(truth[row, col]))


def iou(one: Mask, two: Mask) -> float:
    """Intersection over union of two masks, 0 when both are empty."""
    union = int((one | two).sum())
    return float((one & two).sum() / union) if union else 0.0


def ellipse_in(box: Box, height: int, width: int) -> Mask:
    """The ellipse inscribed in a box."""
    yy, xx = np.mgrid[0:height, 0:width] + 0.5
    u = (xx - (box.x0 + box.x1) / 2) / (box.width / 2)
    v = (yy - (box.y0 + box.y1) / 2) / (box.height / 2)
    return np.asarray(u**2 + v**2 <= 1)


def box_mask(box: Box, height: int, width: int) -> Mask:
    """A box with integer corners as a mask."""
    mask = np.zeros((height, width), bool)
    mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    return mask


def measure(
    segmenter: Segmenter,
    embedding: Embedding,
    truth: Mask,
    start: Prompt,
    rng: np.random.Generator,
    times: list[float],
) -> list[tuple[float, float]]:
    """(IoU of candidate 0, best IoU of all candidates) at the start and after +1, +2 points."""
    results: list[tuple[float, float]] = []
    prompt = start
    for _ in range(3):
        began = time.perf_counter()
        candidates = segmenter.decode(embedding, prompt)
        times.append(1e3 * (time.perf_counter() - began))
        masks = [_rendered(segmenter, embedding, candidate) for candidate in candidates]
        ious = [iou(truth, mask) for mask in masks]
        results.append((ious[0], max(ious)))
        click = corrective_point(truth, masks[0], rng)
        if click is not None:
            prompt = Prompt((*prompt.points, click), prompt.box)
    return results


def _rendered(segmenter: Segmenter, embedding: Embedding, candidate: MaskCandidate) -> Mask:
    return np.asarray(segmenter.render(embedding, candidate))


def run(
    model: str, data: Path, min_area: int, limit: int | None, seed: int
) -> tuple[list[dict[str, float]], dict[str, list[float]]]:
    """One row of IoUs per instance, and the times in milliseconds."""
    segmenter = segmenter_spec(model).load()
    rows: list[dict[str, float]] = []
    times: dict[str, list[float]] = {"encode": [], "box": [], "point": []}
    for number, (path, instances) in enumerate(load_instances(data, min_area)):
        if limit is not None and number >= limit:
            break
        picture = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        image = np.asarray(picture, np.uint8)
        began = time.perf_counter()
        embedding = segmenter.encode(image)
        times["encode"].append(1e3 * (time.perf_counter() - began))
        for index, instance in enumerate(instances):
            rng = np.random.default_rng([seed, number, index])
            box, size = tight_box(instance.mask), instance.mask.shape
            row: dict[str, float] = {"area": instance.area}
            row["the box itself"] = iou(instance.mask, box_mask(box, *size))
            row["inscribed ellipse"] = iou(instance.mask, ellipse_in(box, *size))
            starts = {"box": Prompt(box=box), "point": Prompt((centre_point(instance.mask),))}
            for kind, start in starts.items():
                got = measure(segmenter, embedding, instance.mask, start, rng, times[kind])
                for extra, (first, best) in enumerate(got):
                    name = kind + (f" +{extra}" if extra else "")
                    row[name], row[f"{name} (oracle)"] = first, best
            rows.append(row)
    return rows, times


def table(rows: list[dict[str, float]]) -> str:
    """Mean IoU per prompt and size as a Markdown table; "all" is 32² pixels and more."""
    area = np.array([row["area"] for row in rows])
    groups = {
        "all": area >= MEDIUM_AREA,
        "below 96²": (area >= MEDIUM_AREA) & (area < BIG_AREA),
        "96² and more": area >= BIG_AREA,
        "below 32²": area < MEDIUM_AREA,
    }
    used = {name: chosen for name, chosen in groups.items() if chosen.any()}
    lines = ["| prompt | " + " | ".join(f"{k} ({v.sum()})" for k, v in used.items()) + " |"]
    lines.append("|---|" + "---|" * len(used))
    for name in rows[0]:
        if name != "area":
            values = np.array([row[name] for row in rows])
            cells = [f"{values[chosen].mean():.3f}" for chosen in used.values()]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def time_table(times: dict[str, list[float]]) -> str:
    """Median and 95th percentile per step as a Markdown table."""
    lines = ["| step | median ms | p95 ms |", "|---|---|---|"]
    for name, values in times.items():
        label = name if name == "encode" else f"decode, {name}"
        p50, p95 = np.percentile(values, [50, 95])
        lines.append(f"| {label} | {p50:.1f} | {p95:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with instances.json")
    parser.add_argument("--model", default="basic", help="segmenter id")
    parser.add_argument("--min-area", type=int, default=MEDIUM_AREA, help="smallest mask, pixels")
    parser.add_argument("--limit", type=int, help="number of images")
    parser.add_argument("--seed", type=int, default=0, help="of the corrective points")
    parser.add_argument("--threads", type=int, default=2, help="OpenCV threads")
    parser.add_argument("--json", type=Path, help="write the rows and times here")
    args = parser.parse_args()
    cv2.setNumThreads(args.threads)
    rows, times = run(args.model, args.data, args.min_area, args.limit, args.seed)
    if not rows:
        sys.exit("No instance is large enough.")
    print(table(rows), time_table(times), sep="\n\n")
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "times": times}))


if __name__ == "__main__":
    main()
