"""What a project knows about its images, read without its lock and without changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.annotation import Category, ImageRecord
from annotator.services import journal
from annotator.services.name_memory import NameMemory
from annotator.services.project_folder import COCO, known_journal
from annotator.services.store import explain_failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Memory = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """A project at one moment.

    Attributes:
        memory: classes (n,) and vectors (n, d) of the named objects, oldest first.
        records: by key.
        categories: in their order.
    """

    memory: Memory
    records: Mapping[str, ImageRecord] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()


def glance(folder: Path, project_dir: Path | None, space: str) -> Glance:
    """Look at a project: at its journal, else at its COCO file, else there is nothing.

    Args:
        folder: the images.
        project_dir: where the journal is, if not beside the images.
        space: of the vectors.

    Raises:
        UserError: it cannot be read.
    """
    path = known_journal(folder, project_dir)
    if path is not None:
        return _from_journal(path, space)
    coco = (project_dir or folder) / COCO
    nothing = NameMemory(()).living()[1:]
    if not coco.is_file():
        return Glance(nothing)
    from annotator.core.formats.coco.reading import read_coco
    from annotator.core.formats.resolver import Resolver

    dataset = read_coco(coco, Resolver(folder).key)
    return Glance(nothing, {image.key: image for image in dataset.images}, dataset.categories)


def classes_of(folder: Path, project_dir: Path | None = None) -> tuple[Category, ...]:
    """The classes of a project in their order.

    Raises:
        UserError: it cannot be read.
    """
    from models.describe import BasicDescriber

    return glance(folder, project_dir, BasicDescriber().id).categories


def _from_journal(path: Path, space: str) -> Glance:
    try:
        with closing(journal.connect_beside(path)) as db:
            db.execute("BEGIN")  # one state, whatever a window writes meanwhile
            rows = [journal.record(row) for row in journal.load_images(db)]
            categories, _ = journal.load_categories(db)
            memory = NameMemory(journal.load_vectors(db, space))
    except sqlite3.OperationalError as error:
        raise explain_failure(error, path) from error
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise journal.damaged(path, str(error)) from error
    return Glance(memory.living()[1:], {row.key: row for row in rows}, tuple(categories))
