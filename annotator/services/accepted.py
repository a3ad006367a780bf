"""The accepted masks of a project, for learning from them; nothing of the project is changed.

Read from the journal, which also answers while a window has the project open; from a COCO file
where there is no journal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from annotator.core.annotation import Annotation
from annotator.core.codec import annotation_from_json
from annotator.core.errors import UserError
from annotator.core.files import from_json
from annotator.core.mask import Mask
from annotator.services import journal
from annotator.services.project_folder import COCO, known_journal
from annotator.services.store import explain_failure
from models.api import ModelError
from models.training.data import LabelledImage


@dataclass(frozen=True, slots=True)
class Accepted:
    """What people accepted in a project.

    Attributes:
        name: of the project.
        images: those with masks, in their order.
        left_out: boxes, crowds and masks of another size than the others of their image.
    """

    name: str
    images: tuple[LabelledImage, ...]
    left_out: int


def read_accepted(project: Path, project_dir: Path | None = None) -> Accepted:
    """The accepted masks of a project.

    Args:
        project: the folder of the images, or a COCO file with the images beside it.
        project_dir: where the journal is, if not beside the images.

    Raises:
        UserError: there is no project, or it cannot be read.
    """
    folder = (project.parent if project.is_file() else project).resolve()
    name = project.stem if project.is_file() and project.name != COCO else folder.name
    return _accepted(name, folder, accepted_objects(project, project_dir))


def accepted_objects(
    project: Path, project_dir: Path | None = None
) -> Iterator[tuple[str, Annotation]]:
    """The accepted objects of a project with the keys of their images, in their order.

    Args:
        project: as `read_accepted`.
        project_dir: as `read_accepted`.

    Raises:
        UserError: there is no project, or it cannot be read.
    """
    folder = (project.parent if project.is_file() else project).resolve()
    path = None if project.is_file() else known_journal(folder, project_dir)
    if path is not None:
        return _from_journal(path)
    return _from_coco(project if project.is_file() else folder / COCO, folder)


def _from_journal(path: Path) -> Iterator[tuple[str, Annotation]]:
    try:
        with closing(journal.connect_beside(path)) as db:
            # One statement sees one state, whatever the window writes meanwhile.
            for key, value in db.execute(
                "SELECT i.key, a.value FROM annotations a JOIN images i ON i.id = a.image"
                " WHERE NOT a.proposed ORDER BY i.place, i.id, a.place"
            ):
                yield key, annotation_from_json(from_json(value))
    except sqlite3.OperationalError as error:
        raise explain_failure(error, path) from error
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise journal.damaged(path, str(error)) from error


def _from_coco(path: Path, folder: Path) -> Iterator[tuple[str, Annotation]]:
    from annotator.core.formats.coco.reading import read_coco
    from annotator.core.formats.resolver import Resolver

    if not path.is_file():
        raise UserError(
            f"“{folder}” is no project: it has neither annotations nor a COCO file.",
            "Name the folder of the images that were annotated, or a COCO file.",
        )
    resolver = Resolver(folder)
    dataset = read_coco(path, resolver.key, resolver.size)
    keys = {image.id: image.key for image in dataset.images}
    for entry in dataset.entries:
        annotation = entry.annotation()
        if not annotation.proposed:
            yield keys[entry.image_id], annotation


def _accepted(name: str, folder: Path, rows: Iterable[tuple[str, Annotation]]) -> Accepted:
    masks: dict[str, list[Mask]] = {}
    left_out = 0
    for key, annotation in rows:
        shape = annotation.shape
        others = masks.get(key, [])
        if isinstance(shape, Mask) and not annotation.is_crowd and _same_size(shape, others):
            masks.setdefault(key, []).append(shape)
        else:
            left_out += 1
    images = tuple(_image(key, folder / key, found) for key, found in masks.items())
    return Accepted(name, images, left_out)


def _same_size(mask: Mask, others: list[Mask]) -> bool:
    return not others or (mask.width, mask.height) == (others[0].width, others[0].height)


def _image(key: str, path: Path, masks: list[Mask]) -> LabelledImage:
    size = masks[0].height, masks[0].width
    rles: list[dict[str, Any]] = [{"size": list(size), "counts": mask.counts} for mask in masks]
    boxes = np.array([coco_mask.toBbox(rle) for rle in rles], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return LabelledImage(key, "", size, tuple(rles), boxes, partial(_bitmap, path))


def _bitmap(path: Path) -> bytes:
    """The image as the window shows it to models, in a form that loses nothing."""
    from annotator.core.images import read_image

    try:
        pixels = read_image(path)
    except UserError as error:
        raise ModelError(str(error)) from error
    return cv2.imencode(".bmp", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
