"""What is known about all images and objects of a project, read from its journal."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from annotator.core.annotation import Category
from annotator.core.files import from_json
from annotator.services.journal import STATUSES as STORED
from annotator.services.journal import load_categories

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.query.facts import ImageFacts, ObjectFacts
    from annotator.core.statistics import Statistics

CHUNK = 512
_IMAGES = """
SELECT key, comment, id, width, height, count, reviewed, proposals FROM images ORDER BY place, id"""
Progress = Callable[[int, int], None]
"""Objects read, and how many there are; may raise to stop."""


def read_images(db: sqlite3.Connection, *, dates: bool) -> ImageFacts:
    """All images in their order.

    Args:
        db: a connection to the journal.
        dates: whether to look for the last change of every image.
    """
    import numpy as np

    from annotator.core.annotation import STATE_OF, ImageState
    from annotator.core.query.facts import STATES, ImageFacts

    keys: list[str] = []
    comments: dict[int, str] = {}

    def numbers() -> Iterator[tuple[int, ...]]:
        for key, comment, *row in db.execute(_IMAGES):
            if comment:
                comments[len(keys)] = comment
            keys.append(key if isinstance(key, str) else os.fsdecode(key))
            yield tuple(row)

    # Row by row: all tuples at once would leave holes between the keys, which stay.
    rows = np.fromiter(numbers(), np.dtype((np.int64, 6)))
    ids, widths, heights, counts, reviewed, proposals = (np.array(column) for column in rows.T)
    states = np.full(len(rows), STATES.index(ImageState.UNTOUCHED), np.int8)
    states[proposals > 0] = STATES.index(ImageState.PROPOSALS)
    states[counts > 0] = STATES.index(ImageState.ANNOTATED)
    for status, state in STATE_OF.items():
        states[reviewed == STORED.index(status)] = STATES.index(state)
    return ImageFacts(
        keys, ids, widths.astype(np.int32), heights.astype(np.int32),
        counts.astype(np.int32), proposals.astype(np.int32), states, comments,
        _dates(db, ids) if dates else None,
    )  # fmt: skip


def _dates(db: sqlite3.Connection, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """When these images were last changed, NaN for never."""
    import numpy as np

    changes = db.execute("SELECT image, max(time) FROM steps GROUP BY image")
    found = np.fromiter(changes, np.dtype([("image", np.int64), ("time", np.float64)]))
    result = np.full(len(ids), np.nan)
    _, here, there = np.intersect1d(ids, found["image"], assume_unique=True, return_indices=True)
    result[here] = found["time"][there]
    return result


def read_objects(db: sqlite3.Connection, progress: Progress = lambda done, of: None) -> ObjectFacts:
    """All objects, proposals among them."""
    from annotator.core.query.facts import ObjectReader

    reader = ObjectReader()
    count = db.execute("SELECT count(*) FROM annotations").fetchone()[0]
    rows = db.execute("SELECT image, value FROM annotations")
    for done, chunk in enumerate(_chunks(rows), 1):
        reader.add((image, from_json(value)) for image, value in chunk)
        progress(min(done * CHUNK, count), count)
    return reader.facts()


def read_again(db: sqlite3.Connection, known: ObjectFacts, images: Sequence[int]) -> ObjectFacts:
    """The objects after those of some images (ids) changed."""
    import numpy as np

    from annotator.core.query.facts import ObjectReader

    reader = ObjectReader()
    reader.start_from(known, ~np.isin(known.images, np.asarray(images, np.int64)))
    for image in images:
        rows = db.execute("SELECT image, value FROM annotations WHERE image=?", (image,))
        reader.add((number, from_json(value)) for number, value in rows)
    return reader.facts()


def _chunks(rows: sqlite3.Cursor) -> Iterator[list[tuple[int, str]]]:
    while chunk := rows.fetchmany(CHUNK):
        yield chunk


def read_categories(db: sqlite3.Connection) -> list[Category]:
    """The classes in use."""
    return load_categories(db)[0]


_DAYS = """
SELECT date(time, 'unixepoch', 'localtime') AS day, count(*), count(DISTINCT image)
FROM steps WHERE state < 2 GROUP BY day ORDER BY day"""


def read_statistics(
    db: sqlite3.Connection, progress: Progress = lambda done, of: None
) -> Statistics:
    """The numbers of a whole project; what was abandoned is no progress."""
    from annotator.core.statistics import Day, statistics

    names = {category.id: category.name for category in read_categories(db)}
    days = [Day(day, steps, images) for day, steps, images in db.execute(_DAYS)]
    images = read_images(db, dates=False)
    return statistics(images, read_objects(db, progress), names, days)
