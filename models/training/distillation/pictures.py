"""Images to distil on: a folder of them, or a data set whose objects become the prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from models.api import ModelError
from models.training import data
from models.training.data import Image, LabelledImage
from models.weight_files import disk_error

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Picture:
    """One image.

    Attributes:
        name: for messages.
        load: the bytes of its file.
        labels: its objects, if somebody labelled them.
    """

    name: str
    load: Callable[[], bytes] = field(repr=False)
    labels: LabelledImage | None = None

    def content(self) -> bytes:
        """The bytes of the file.

        Raises:
            ModelError: it cannot be read.
        """
        try:
            return self.load()
        except OSError as error:
            raise disk_error(error, Path(self.name)) from error


def decoded(content: bytes, name: str) -> Image:
    """Upright (H, W, 3) uint8 RGB of the bytes of a file.

    Raises:
        ModelError: they are no image.
    """
    found = None
    if content:
        found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if found is None:
        raise ModelError(f"“{name}” is not a readable image. Remove it.")
    return np.asarray(found, np.uint8)


def read_pictures(path: Path) -> list[Picture]:
    """The images of a folder and the folders in it, or of a labelled data set.

    Raises:
        ModelError: there are none.
    """
    if not path.exists():
        raise ModelError(f"“{path}” does not exist. Give a folder of images.")
    labelled = path.is_file() or (path / "instances.json").exists() or any(path.glob("*.tar"))
    if labelled:
        return [Picture(image.name, image.load, image) for image in data.read(path)]
    files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES]
    found = [Picture(str(file), file.read_bytes) for file in files if file.is_file()]
    if not found:
        raise ModelError(
            f"“{path}” holds no images ({', '.join(s[1:] for s in SUFFIXES)}). Give a folder "
            "of images."
        )
    return found
