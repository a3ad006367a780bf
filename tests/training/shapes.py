"""Labelled images a tiny network learns within seconds: bright shapes on dark noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from models.training.data import LabelledImage, read

WIDTH, HEIGHT = 160, 128
COLOURS = ((250, 200, 40), (60, 220, 90), (90, 120, 250), (240, 90, 200))


def write_shapes(folder: Path, count: int = 6, source: str = "shapes") -> Path:
    """A COCO folder; every image shows three shapes that do not touch."""
    images = folder / "images"
    images.mkdir(parents=True)
    coco: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "shape"}],
    }
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        name = f"{number}.png"
        for place in range(3):
            mask = _shape(rng, place)
            pixels[mask > 0] = COLOURS[(number + place) % len(COLOURS)]
            rle = coco_mask.encode(np.asfortranarray(mask))
            coco["annotations"].append(
                {
                    "id": 10 * number + place,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()},
                }
            )
        coco["images"].append(
            {
                "id": number,
                "file_name": name,
                "width": WIDTH,
                "height": HEIGHT,
                "source": source,
            }
        )
        cv2.imwrite(str(images / name), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    (folder / "instances.json").write_text(json.dumps(coco))
    return folder


def shapes(folder: Path, count: int = 6) -> list[LabelledImage]:
    """The same, read."""
    return read(write_shapes(folder, count))


def _shape(rng: np.random.Generator, place: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    center = 30 + 50 * place, int(rng.integers(35, HEIGHT - 35))
    size = int(rng.integers(14, 22))
    if rng.random() < 0.5:
        cv2.circle(mask, center, size, 1, -1)
    else:
        x, y = center
        cv2.rectangle(mask, (x - size, y - size // 2), (x + size, y + size // 2), 1, -1)
    return mask
