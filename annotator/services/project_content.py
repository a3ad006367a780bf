"""A project as content to export: open in a window or not, as of one moment, image by image."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from annotator.core.annotation import Annotation
from annotator.core.codec import annotation_from_json
from annotator.core.errors import UserError
from annotator.core.files import from_json
from annotator.core.formats.api import Content, LabelledImage, Origin
from annotator.services.journal import (
    connect_beside,
    load_categories,
    load_counter,
    load_header,
    load_images,
    record,
)
from annotator.services.project_folder import COCO, known_journal
from annotator.services.store import explain_failure

# The text is looked for first: reading JSON costs much more, and an attribute may say the same.
_REJECTED = """
(instr(value, '"status":"rejected"') AND json_extract(value, '$.status') IS 'rejected')"""
_COUNTS = f"""
SELECT image, count(*) FROM annotations WHERE NOT proposed AND {_REJECTED} GROUP BY image"""
_VALUES = "SELECT value FROM annotations WHERE image=? AND NOT proposed{} ORDER BY place"
_TEXTS = """
SELECT CAST(group_concat(coco, char(44, 10)) AS BLOB), count(coco) = count(*)
FROM (SELECT coco FROM annotations WHERE image=? AND NOT proposed{} ORDER BY place)"""


@contextmanager
def project_content(
    folder: Path, project_dir: Path | None = None, *, rejected: bool = True
) -> Iterator[Content]:
    """What is accepted in a project; use it on one thread, and not after the end.

    Where the folder has no project yet, its COCO file is read.

    Args:
        folder: the images.
        project_dir: the project's own files, None for the usual place.
        rejected: objects that a person rejected, too.

    Raises:
        UserError: there is no project and no COCO file, or it cannot be read.
    """
    folder = Path(os.path.realpath(folder))
    journal = known_journal(folder, project_dir)
    if journal is None:
        yield _of_coco(folder)
        return
    try:
        db = connect_beside(journal)
        try:
            db.execute("BEGIN")
            yield _of_journal(db, folder, rejected=rejected)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise explain_failure(error, journal) from error


def check_place(folder: Path, out: Path, images: str) -> None:
    """Copies of images must not land where the project looks for images.

    Raises:
        UserError: they would.
    """
    if images != "leave" and Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder)):
        raise UserError(
            f"“{out}” is inside of the folder of the images, so copies would become new images.",
            "Choose a folder elsewhere.",
        )


def _of_coco(folder: Path) -> Content:
    from annotator.core.formats.coco_instances import read

    if not (folder / COCO).is_file():
        raise UserError(
            f"“{folder}” is no project: it has neither “.annotator” nor “{COCO}”.",
            "Open it in the window once, or name the folder of the images.",
        )
    return read(Origin(folder / COCO, folder))


def _of_journal(db: sqlite3.Connection, folder: Path, *, rejected: bool) -> Content:
    left_out = {} if rejected else dict(db.execute(_COUNTS))
    count = db.execute("SELECT count(*) FROM images").fetchone()[0]
    return Content(
        tuple(load_categories(db)[0]), partial(_images, db, _Files(folder), left_out), count,
        load_header(db),
        load_counter(db, "unnamed"), name=folder.name,
    )  # fmt: skip


def _images(
    db: sqlite3.Connection, files: _Files, left_out: Mapping[int, int]
) -> Iterator[LabelledImage]:
    from annotator.core.formats.reading import Later

    for row in load_images(db):
        image, file = record(row), files.file(row[1])
        if not image.width and file is not None:
            width, height, orientation = files.size(image.key, file)
            image = replace(image, width=width, height=height, orientation=orientation)
        missing = left_out.get(image.id, 0)
        rest = f" AND NOT {_REJECTED}" if missing else ""
        objects = Later(image.count - missing, partial(_annotations, db, image.id, rest))
        yield LabelledImage(image, objects, file, coco=partial(_texts, db, image.id, rest))


class _Files:
    """What is found out about image files, once for all passes.

    Args:
        folder: the images.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path | None] = {}
        self._sizes: dict[str, tuple[int, int, int]] = {}

    def file(self, key: str) -> Path | None:
        """The image file, None where there is none."""
        if key not in self._files:
            path = self._folder / key
            self._files[key] = path if path.is_file() else None
        return self._files[key]

    def size(self, key: str, file: Path) -> tuple[int, int, int]:
        """Width, height and orientation of an image that was never opened; 0, 0, 1 if unknown."""
        if key not in self._sizes:
            from annotator.core.images import probe

            try:
                info = probe(file)
                self._sizes[key] = (info.width, info.height, info.orientation)
            except UserError:
                self._sizes[key] = (0, 0, 1)
        return self._sizes[key]


def _annotations(db: sqlite3.Connection, image: int, rest: str) -> list[Annotation]:
    rows = db.execute(_VALUES.format(rest), (image,))
    return [annotation_from_json(from_json(value)) for (value,) in rows]


def _texts(db: sqlite3.Connection, image: int, rest: str) -> bytes | None:
    text: bytes | None
    text, is_whole = db.execute(_TEXTS.format(rest), (image,)).fetchone()
    return text if is_whole and text else None
