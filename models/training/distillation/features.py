"""What the teacher makes of every image, computed once and kept on the disk with 16 bits."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.api import ModelError
from models.training.distillation.pictures import Picture, decoded
from models.training.distillation.teacher import Teacher
from models.training.evaluation.masks import centre_point, tight_box
from models.training.rounds import Floats
from models.transforms import Frame, network_input
from models.weight_files import disk_error, put_in_place

MOST_PROMPTS = 64
SPARE = 2**28
"""Bytes of the disk that are left alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """An image and what the teacher makes of it; coordinates in the square frame.

    Attributes:
        name: of the image, for messages.
        features: (C, G, G) float16.
        resized: height and width of the image inside the frame.
        boxes: (n, 4) of objects; n may be 0.
        points: (n, 2) one positive click for each.
    """

    name: str
    features: NDArray[np.float16]
    resized: tuple[int, int]
    boxes: Floats
    points: Floats


@dataclass(frozen=True, slots=True)
class Lessons:
    """All images with the teacher's features in a folder.

    Attributes:
        pictures: the images.
        teacher: who made the features.
        folder: where they lie.
    """

    pictures: Sequence[Picture]
    teacher: Teacher
    folder: Path

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.pictures)

    def prepare(
        self,
        told: Callable[[int, int], None] = lambda done, total: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Ask the teacher about every image it was not asked about yet.

        Returns:
            Whether all is there; False when it was stopped.

        Raises:
            ModelError: an image cannot be read, or the disk cannot take the features.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            missing = [i for i in range(len(self)) if not self._path(i).exists()]
            # 16 bits, two bytes each.
            needed = len(missing) * 2 * int(np.prod(self.teacher.shape)) + SPARE
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise disk_error(error, self.folder) from error
        if missing and free < needed:
            raise ModelError(
                f"The teacher's features of {len(missing)} images need {needed / 1e9:.1f} GB, "
                f"but the disk of “{self.folder}” has {free / 1e9:.1f} GB left. Free some space, "
                "or choose another folder with --cache."
            )
        for done, index in enumerate(missing):
            told(done, len(missing))
            if stopped():
                return False
            self._make(index)
        return True

    def pixels(self, index: int) -> Floats:
        """The network's input (1, 3, S, S) for one image.

        Raises:
            ModelError: it cannot be read.
        """
        picture = self.pictures[index]
        image = decoded(picture.content(), picture.name)
        return network_input(image, Frame(image.shape[1], image.shape[0], self.teacher.side))

    def lesson(self, index: int) -> Lesson:
        """What the teacher makes of one image; asked again if the file is damaged.

        Raises:
            ModelError: the image cannot be read, or the disk is full.
        """
        path = self._path(index)
        try:
            with np.load(path) as stored:
                height, width = (int(value) for value in stored["resized"])
                features = stored["features"]
                lesson = Lesson(
                    self.pictures[index].name,
                    features,
                    (height, width),
                    stored["boxes"],
                    stored["points"],
                )
            if features.shape == self.teacher.shape:
                return lesson
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass
        return self._make(index)

    def _path(self, index: int) -> Path:
        picture = self.pictures[index]
        labels = picture.labels.boxes.tobytes() if picture.labels is not None else b""
        digest = hashlib.sha256(self.teacher.fingerprint.encode() + labels)
        digest.update(picture.content())
        return self.folder / f"{digest.hexdigest()[:32]}.npz"

    def _make(self, index: int) -> Lesson:
        picture, path = self.pictures[index], self._path(index)
        image = decoded(picture.content(), picture.name)
        frame = Frame(image.shape[1], image.shape[0], self.teacher.side)
        embedding = self.teacher.encode(network_input(image, frame))
        if not torch.isfinite(embedding.half()).all():
            raise ModelError(
                f"The teacher's features of “{picture.name}” are not numbers of 16 bits: its "
                "weights are damaged."
            )
        if picture.labels is not None and picture.labels.masks:
            boxes, points = _labelled(picture, frame)
        else:
            boxes, points = self.teacher.objects(embedding, frame.resized)
        features = embedding[0].half().cpu().numpy()
        lesson = Lesson(
            picture.name, features, frame.resized, boxes[:MOST_PROMPTS], points[:MOST_PROMPTS]
        )
        _write(path, lesson)
        return lesson


def _write(path: Path, lesson: Lesson) -> None:
    part = path.with_name(path.name + ".part")
    content = io.BytesIO()
    np.savez(
        content,
        features=lesson.features,
        resized=np.array(lesson.resized),
        boxes=lesson.boxes,
        points=lesson.points,
    )
    try:
        part.write_bytes(content.getbuffer())
        put_in_place(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, path) from error


def _labelled(picture: Picture, frame: Frame) -> tuple[Floats, Floats]:
    """The boxes of the labelled objects, and for each the click in its middle."""
    assert picture.labels is not None
    boxes, points = [], []
    for index in range(min(len(picture.labels.masks), MOST_PROMPTS)):
        mask = picture.labels.mask(index).astype(np.bool_)
        box, point = tight_box(mask), centre_point(mask)
        boxes.append([[box.x0, box.y0], [box.x1, box.y1]])
        points.append([point.x, point.y])
    in_frame = frame.to_frame(np.array(boxes, np.float64))
    return in_frame.reshape(-1, 4), frame.to_frame(np.array(points, np.float64))
