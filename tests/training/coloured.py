"""Images of areas of one colour, labelled in COCO's ways, and a segmenter that sees colours."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from models.api import Box, Embedding, MaskCandidate, Prompt, SegmenterSpec

WIDTH, HEIGHT = 160, 120
SHAPES = {  # colour: rectangle x0, y0, x1, y1
    40: (10, 10, 70, 60),  # medium, as a polygon
    90: (80, 20, 150, 110),  # medium, as RLE
    140: (12, 80, 32, 100),  # small, as uncompressed RLE
    200: (40, 70, 78, 110),  # a crowd
}


class ColourSegmenter:
    """Finds the pixels of one colour, the better the more it is told.

    The first candidate lacks `flaw` pixels along its edge, one less for every point; the second
    is exact.
    """

    def __init__(self, flaw: int = 3, score: float = 0.9) -> None:
        self.flaw, self.score = flaw, score
        self.encoded = 0
        self.prompts: list[Prompt] = []
        self.spec = SegmenterSpec("colour", "Colour", "1", "Tests.", "Apache-2.0", lambda: self)

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        self.encoded += 1
        return Embedding("colour", image.shape[1], image.shape[0], {"image": image[..., 0]})

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        self.prompts.append(prompt)
        box = prompt.box
        if box is not None:
            x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        else:
            x, y = prompt.points[0].x, prompt.points[0].y
        image = np.asarray(embedding.arrays["image"])
        exact = (image == image[int(y), int(x)]).astype(np.uint8)
        reach = 2 * max(0, self.flaw - len(prompt.points)) + 1
        worse = cv2.erode(exact, np.ones((reach, reach), np.uint8))
        extent = Box(0, 0, embedding.width, embedding.height)
        return tuple(
            MaskCandidate(np.where(mask, 4, -4).astype(np.float32), extent, self.score)
            for mask in (worse, exact)
        )

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        return candidate.logits > 0


def picture(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    image = np.zeros((height, width, 3), np.uint8)
    for colour, (x0, y0, x1, y1) in SHAPES.items():
        image[y0:y1, x0:x1] = colour
    return image


def png(image: NDArray[np.uint8], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", **options)
    return file.getvalue()


def content(names: tuple[str, ...] = ("a.png", "b.png"), first: int = 1) -> dict[str, Any]:
    """COCO: every picture shows all `SHAPES`."""
    result: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    result["categories"] = [{"id": 3, "name": "box"}, {"id": 7, "name": "dot"}]
    for image_id, name in enumerate(names, first):
        result["images"].append(
            {"id": image_id, "file_name": name, "width": WIDTH, "height": HEIGHT}
        )
        for colour, rectangle in SHAPES.items():
            result["annotations"].append(
                {
                    "id": 1000 * image_id + colour,
                    "image_id": image_id,
                    "category_id": 7 if colour == 140 else 3,
                    "segmentation": _segmentation(colour, rectangle),
                    "iscrowd": int(colour == 200),
                }
            )
    return result


def _segmentation(colour: int, rectangle: tuple[int, int, int, int]) -> Any:
    x0, y0, x1, y1 = rectangle
    if colour == 40:
        return [[x0, y0, x1, y0, x1, y1, x0, y1]]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0:y1, x0:x1] = 1
    if colour == 90:
        rle = coco_mask.encode(np.asfortranarray(mask))
        return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}
    flat = np.concatenate([[0], mask.T.ravel(), [1 - mask.T.ravel()[-1]]])
    borders = np.flatnonzero(np.diff(flat))
    return {"size": [HEIGHT, WIDTH], "counts": np.diff(borders, prepend=0).tolist()}


def write_folder(
    folder: Path, coco: Mapping[str, Any] | None = None, name: str = "instances.json"
) -> Path:
    coco = content() if coco is None else coco
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for image in coco["images"]:
        (images / image["file_name"]).write_bytes(png(picture()))
    (folder / name).write_text(json.dumps(coco))
    return folder


def write_tar(path: Path, coco: Mapping[str, Any]) -> Path:
    files = {image["file_name"]: png(picture()) for image in coco["images"]}
    files["instances.json"] = json.dumps(coco).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path
